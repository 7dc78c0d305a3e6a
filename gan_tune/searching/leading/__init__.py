"""Who runs next: the conductor and the jobs it hands out.

`conductor` reads from the next job over a report to an ending. It asks `waiting_room` who waits,
`confirming` who is confirmed, and `timekeeping` how much time is left, with the arithmetic of
`time_budget`. `bookkeeping` tells Optuna. `resuming` is the first step of every command.
"""
