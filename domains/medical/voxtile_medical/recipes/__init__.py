"""Public medical data sets: official download to corpus. What a set is stands in YAML, how it is read in code."""
