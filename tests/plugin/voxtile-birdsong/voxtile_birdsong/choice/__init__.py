"""A kind of task: which of two descriptions a recording is nearer to."""
