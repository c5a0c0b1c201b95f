"""`voxtile new-domain`: a package that adds a domain, to begin from."""
