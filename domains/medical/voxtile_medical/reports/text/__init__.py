"""The text of a report: sections, lines and sentences, abbreviations, slips of the pen, its language."""
