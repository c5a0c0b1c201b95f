"""Pictures of samples as the browser shows them, read no further than what is shown."""
