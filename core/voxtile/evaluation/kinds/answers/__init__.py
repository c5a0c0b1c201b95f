"""Are answers to questions about images right? Closed ones by their answer, open ones by their words."""
