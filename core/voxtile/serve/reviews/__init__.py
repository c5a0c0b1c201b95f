"""What people say of captions: kept as a table of the corpus, counted with intervals, compared between readers."""
