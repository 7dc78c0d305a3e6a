"""One command's work on one search: it opens, runs, records and concludes the search."""
