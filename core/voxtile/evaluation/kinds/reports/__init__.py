"""Are drafted reports what the facts of their cases say? Findings, sides, sizes, errors, words, with intervals."""
