"""Populations: good trials go on under new settings in the place of bad ones."""
