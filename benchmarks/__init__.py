"""The benchmarks: ``python -m benchmarks``, or one of its scripts (see README.md)."""
