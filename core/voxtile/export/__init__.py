"""A trained model in the files of other libraries, each compared with its source before it is kept."""
