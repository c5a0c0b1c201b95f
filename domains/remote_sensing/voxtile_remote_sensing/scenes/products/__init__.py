"""Products of single sensors in their own layouts."""
