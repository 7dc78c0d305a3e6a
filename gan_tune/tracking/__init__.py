"""The record in MLflow: the only rooms of gan-tune that import mlflow.

`store` finds the tracking store, `events` names what happens in a search, `projection` turns events
into runs, `recorder` does so in the background, `registry` keeps the champion, `history` reads the
record back. Everything here runs on the driver; workers never talk to MLflow.
"""
