"""The scripts of a pulled folder, copied as they are: they need no gan-tune."""
