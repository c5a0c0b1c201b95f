"""`voxtile forget`: a corpus without a subject, and the proof that nothing of it is left."""
