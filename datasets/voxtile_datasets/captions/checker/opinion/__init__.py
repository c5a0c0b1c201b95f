"""A second opinion of a language model, beside the rules."""
