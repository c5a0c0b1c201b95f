"""Zip and tar archives of examinations, whose members are read like files and never unpacked to disk."""
