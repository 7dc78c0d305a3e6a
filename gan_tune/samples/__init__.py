"""Output of samples: pictures, files, and a look inside a generator."""
