"""One file a public dataset: official download layout to corpus."""
