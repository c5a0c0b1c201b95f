"""The checks behind `voxtile verify`: recorded files, tables against each other, tables against shards."""
