"""The exported generator: built from a checkpoint, checked, and read back without pickle."""
