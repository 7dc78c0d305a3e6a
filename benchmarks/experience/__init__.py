"""What the shipped experience is learnt from: tasks, their recordings, and the figures on them."""
