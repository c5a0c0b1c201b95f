"""The commands of each section of the help."""
