"""`voxtile serve`: find, look at and judge the samples of a corpus in the browser."""
