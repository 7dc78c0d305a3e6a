"""How things are said: wording of faults, readable figures, the terminal."""
