"""Where a search is kept: its folder or bucket, its files, its lock."""
