"""Corpora in object stores and on web servers: tables are mirrored, shards are read by ranges through a cache."""
