"""What a sentence names, and what it says to be as it should be."""
