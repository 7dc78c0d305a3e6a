"""Thin adapters to Ray Tune."""
