"""The page of one sample: its planes with regions, its facts, its texts, and the rest of its study."""
