"""Pairs of answers for tuning by preferences: drafts of an assistant, judged by the facts of what it saw."""
