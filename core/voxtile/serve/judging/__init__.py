"""Judge: which caption, fact or region a reader sees next, and how it is put."""
