"""Are captions what the facts say? Verdicts of the checker as rates, with intervals."""
