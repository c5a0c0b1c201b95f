"""Figures of published articles with their captions: packages of PubMed Central (JATS, BioC) as samples."""
