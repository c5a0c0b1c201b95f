"""Commands on a corpus that exists, or that make one of files of any domain."""
