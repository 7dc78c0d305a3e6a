"""The storage of a search: its folder or bucket, its files, its lock."""
