"""Facts to text: labels to facts, and template captions from a versioned wording bank."""
