"""Contract tests that a plugin subclasses, and the shared parts of the phantoms."""
