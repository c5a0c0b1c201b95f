"""Public remote-sensing datasets in their official download layouts: one small file a dataset over a few layouts."""
