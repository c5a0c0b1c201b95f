"""What a sentence asserts: affirmed, denied, doubted or told of another time, by the English of reports."""
