"""One command's work on one search: opened, run, recorded, concluded."""
