"""The bench page: comparisons with peers, each in a process and an environment of its own, on one page of ratios."""
