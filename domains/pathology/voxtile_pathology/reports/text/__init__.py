"""The text of a pathology report: sections, clauses, amounts, the language and the values of labels."""
