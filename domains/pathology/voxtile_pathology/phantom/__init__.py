"""The H&E phantom: synthetic whole slides with known tissue, reports and labels."""

PHANTOM_SCANNER = "|ScanScope ID = PHANTOM"
"""In the description of each of our slides: that no scanner wrote it. It is here for a conversion, which draws none."""
