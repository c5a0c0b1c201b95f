"""A language model as a second reader of reports: what it says is checked by the rules, and marked."""
