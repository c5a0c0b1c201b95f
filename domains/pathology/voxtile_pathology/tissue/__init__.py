"""Where the tissue is, and what spoils it: masks on a thumbnail, pen marks, folds, sharpness."""
