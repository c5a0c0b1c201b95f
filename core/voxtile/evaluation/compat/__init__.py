"""Published protocols: a figure by their rules beside ours, and how much the rule flatters."""
