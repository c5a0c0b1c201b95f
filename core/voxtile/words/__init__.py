"""Words of a sentence and phrases found among them, for readers of reports and checkers of captions."""
