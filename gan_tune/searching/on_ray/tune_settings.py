"""What Tune reads from the environment alone."""

from __future__ import annotations

import logging
import os

__all__ = ["configure_tune"]


def configure_tune(slots: int) -> None:
    """Set it, and have Tune log nothing: ``slots`` trials may wait for a place at a time."""
    os.environ.update(
        TUNE_MAX_PENDING_TRIALS_PG=str(slots),  # otherwise Tune asks for one at a time
        TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",  # gan-tune has its own recorder
        TUNE_DISABLE_SIGINT_HANDLER="1",  # gan-tune handles Ctrl-C
        TUNE_PRINT_ALL_TRIAL_ERRORS="0",  # gan-tune says in one line what cut a trial off
        TUNE_GLOBAL_CHECKPOINT_S="3600",  # Tune's own snapshots are never read
        TUNE_WARN_THRESHOLD_S="5",
        RAY_AIR_NEW_OUTPUT="0",
        RAY_CHDIR_TO_TRIAL_DIR="0",
    )
    for name in ("ray.tune", "ray.train", "ray.air"):
        # Tune reports every trial that was ever lost as an error at the end.
        logging.getLogger(name).setLevel(logging.CRITICAL)
