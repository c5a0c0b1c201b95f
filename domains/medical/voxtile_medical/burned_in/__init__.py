"""Text that is burned into pictures: found by a text detector and a reader, blanked or named."""
