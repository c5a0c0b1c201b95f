"""Running a task over a plan: supervised workers and the commit protocol."""
