"""The catalogue of all parts of a trial, and their incompatibilities."""
