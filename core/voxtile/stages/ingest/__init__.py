"""Pictures with texts from tables, folders and tars into a corpus."""
