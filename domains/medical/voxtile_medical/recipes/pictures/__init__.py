"""Data sets of X-rays and other pictures: one recipe, and a YAML file for each set in `sets/`."""
