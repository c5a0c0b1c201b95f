"""Which samples are shown: by words, by a neighbour, by facts and conditions."""
