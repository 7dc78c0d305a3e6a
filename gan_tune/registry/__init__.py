"""Registered generators: published, listed and pulled."""
