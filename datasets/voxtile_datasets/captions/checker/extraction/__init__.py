"""From a text to what it claims."""
