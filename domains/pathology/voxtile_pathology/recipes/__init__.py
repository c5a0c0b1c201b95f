"""Public pathology data sets as they are downloaded: layouts, classes, patients, official splits, licences."""
