"""What is drawn: pictures, files, and a look inside a generator."""
