"""Downloads files of a registered model: those that are asked for, up to a size, and no others."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from pathlib import Path

import mlflow.artifacts

from gan_tune.errors import GanTuneError
from gan_tune.record.artifact_roots import ArtifactRoots

__all__ = ["ModelFiles"]


class ModelFiles:
    """The files of a model's version in MLflow, listed but not yet downloaded.

    Errors are MLflow's own, except those that are named.

    Args:
        source: where the version's files are, as the store says.
        uri: of MLflow.
        roots: where they may be.
        label: names the model in messages.

    Raises:
        GanTuneError: they are elsewhere.
    """

    def __init__(self, source: str, uri: str, roots: ArtifactRoots, label: str) -> None:
        roots.check(source, label)
        self._source, self._uri, self._label = source.rstrip("/"), uri, label
        self._roots = roots
        self._sizes: dict[str, dict[str, int | None]] = {}

    def has(self, path: str) -> bool:
        """Whether there is a file at ``path``, relative to the model's folder."""
        return path in self._listed(posixpath.dirname(path))

    def fetch(self, paths: Iterable[str], folder: Path, largest: Mapping[str, int]) -> None:
        """Download those of the files that exist into ``folder``, under their own paths.

        Raises:
            GanTuneError: a file is larger than it may be, or a link that leaves the store.
        """
        for path in filter(self.has, paths):
            self._roots.check_file(self._source, path, self._label)
            self._check(path, self._listed(posixpath.dirname(path))[path], largest[path])
            place = folder / posixpath.dirname(path)
            got = mlflow.artifacts.download_artifacts(
                f"{self._source}/{path}", dst_path=str(place), tracking_uri=self._uri
            )
            self._check(path, Path(got).stat().st_size, largest[path])

    def _listed(self, folder: str) -> dict[str, int | None]:
        """Path → size in bytes of the files in one of the model's folders."""
        if folder not in self._sizes:
            found = mlflow.artifacts.list_artifacts(
                f"{self._source}/{folder}", tracking_uri=self._uri
            )
            # Some stores give paths from the folder, others from the model.
            self._sizes[folder] = {
                f"{folder}/{posixpath.basename(file.path)}": file.file_size
                for file in found
                if not file.is_dir
            }
        return self._sizes[folder]

    def _check(self, path: str, size: int | None, largest: int) -> None:
        if size is not None and size > largest:
            raise GanTuneError(
                f"model {self._label}: {path} must have at most {largest:,} bytes, but has {size:,}"
            )
