"""Limits of numbers that commands and configs share."""

MAX_SEED = 2**63 - 1
"""The largest seed that every generator of random numbers takes."""
