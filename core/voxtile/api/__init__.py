"""What `import voxtile` offers: thin doors to corpora, models, conversion and evaluation. See docs/python.md."""
