"""What a caption claims, and whether the facts of its sample say so."""
