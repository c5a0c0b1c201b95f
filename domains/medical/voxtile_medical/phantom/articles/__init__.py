"""Invented articles as packages of PubMed Central, with everything that such packages have wrong."""
