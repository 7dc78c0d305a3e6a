"""Populations: copies of good trials continue with new settings and replace bad trials."""
