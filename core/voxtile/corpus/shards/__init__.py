"""What is in a shard: members of a tar, arrays as Blosc2 frames with checksums, read through memory maps."""
