"""Faces in CT and MR of the head: found from the outer shape and the skull, and taken off."""
