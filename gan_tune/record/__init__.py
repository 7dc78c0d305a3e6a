"""The record of a search in MLflow: events, their projection to runs, and reading them back."""
