"""Text for users: wording of faults, readable figures, the terminal."""
