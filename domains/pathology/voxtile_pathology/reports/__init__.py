"""What pathology reports state."""
