"""Decides which trial runs next: the conductor and the jobs it hands out.

`conductor` handles the next job, a report, and an ending, in this order. It asks `waiting_room`
which trials wait, `confirming` which settings to confirm, and `timekeeping` how much time is left;
`time_budget` has the arithmetic. `bookkeeping` reports to Optuna. `resuming` is the first step of
every command.
"""
