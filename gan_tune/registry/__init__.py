"""Registered generators in MLflow: published, compared with the champion, listed and pulled."""
