"""Who runs next: the conductor and the jobs it hands out."""
