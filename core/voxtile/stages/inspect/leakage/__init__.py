"""What two splits have in common."""
