"""The exported generator: written, checked, read back."""
