"""Training data: data sets by name, a user's own files, splits, scaling."""
