"""What the licences of a corpus allow: names as recipes and users write them, their terms, and what holds for all."""
