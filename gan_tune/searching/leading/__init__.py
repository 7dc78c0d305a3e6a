"""Who runs next: the conductor and the jobs it hands out.

`conductor` reads from the next job over a report to an ending. It asks `waiting_room` who waits,
`confirming` who is confirmed, and `timekeeping`, with the arithmetic of `time_budget`, how much time
is left. `bookkeeping` tells Optuna. `taking_up` is the first step of every command.
"""
