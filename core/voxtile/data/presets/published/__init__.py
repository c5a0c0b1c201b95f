"""The preprocessing of published models, as their own code does it: by name, from a table."""
