"""Questions, reports and dialogues about the images of a corpus, made from its facts, regions and texts alone."""
