"""Endpoints that speak OpenAI's HTTP API."""
