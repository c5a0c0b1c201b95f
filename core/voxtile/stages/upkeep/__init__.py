"""What keeps a corpus in shape over the years: compact, gc, migrate."""
