"""The MR phantom: a synthetic head in several sequences."""
