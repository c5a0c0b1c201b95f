"""Parts of tables within packed files, and how files or whole corpora are exchanged for others at once."""
