"""Registers the champion that a search's folder keeps, once MLflow has the rest of the record."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gan_tune.record.projection import Projection
from gan_tune.registry.candidate import fetch_model, kept_candidate
from gan_tune.storage.storage import Storage

if TYPE_CHECKING:
    from gan_tune.registry.publish import Registration


class Registrar:
    """Registers a search's champion when it is called. It can be called again after a failure.

    Attributes:
        registration: what came of it; None before, and where it was removed.
        is_removed: whether somebody has removed the champion's version from the registry.
    """

    def __init__(self, uri: str, home: Storage, projection: Projection) -> None:
        self._uri, self._home, self._projection = uri, home, projection
        self.registration: Registration | None = None
        self.is_removed = False

    def __call__(self) -> None:
        """Register the champion.

        Raises:
            MlflowException, OSError: as MLflow does.
            StorageError: the search's folder lacks a file of the model.
        """
        from gan_tune.registry.publish import register  # torch and mlflow.pytorch take seconds

        candidate = kept_candidate(self._home)
        if candidate is None:
            return
        # Where its trial cannot be recorded, the model belongs to the search.
        trial = self._projection.run_id(candidate.trial) if candidate.trial else None
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "model"
            fetch_model(self._home, candidate, folder)
            self.registration = register(
                self._uri, candidate, folder, run_id=trial or self._projection.parent_run_id
            )
        self.is_removed = self.registration is None
