"""The catalogue of all parts of a trial, and which of them go together."""
