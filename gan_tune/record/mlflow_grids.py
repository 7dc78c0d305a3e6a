"""The sample grids of a trial as files of its MLflow run; MLflow's pages show them as a slider."""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

import PIL.Image
from mlflow import MlflowClient

from gan_tune.atomic_file import write_whole_files
from gan_tune.record.mlflow_client import reason_of
from gan_tune.record.mlflow_internals import THUMBNAIL, image_name, image_step, thumbnail

__all__ = ["GRIDS", "Grid", "log_grids", "recorded_grids"]

logger = logging.getLogger("gan_tune")

GRIDS = "samples"
"""The name of the slider."""

FOLDER = "images"

THUMBNAIL_EFFORT = 0
"""WebP's effort, at most 6: under half the time of 4, the default, for files a tenth larger."""


class Grid(NamedTuple):
    """A sample grid: the step and time (ms since 1970) of its report, and its PNG."""

    step: int
    time_ms: int
    png: bytes


def recorded_grids(client: MlflowClient, run_id: str) -> set[int]:
    """The steps whose grids a run has; makes one request."""
    files = client.list_artifacts(run_id, FOLDER)
    steps = [image_step(GRIDS, Path(file.path).name) for file in files]
    return {step for step in steps if step is not None}


def log_grids(client: MlflowClient, run_id: str, artifacts: str, grids: Sequence[Grid]) -> None:
    """Write grids together, in the form that `MlflowClient.log_image` writes.

    `log_image` would encode each grid a second time and need two uploads and a database
    transaction. That costs more than the rest of a short trial's record. It would also copy files
    that stay on this machine.

    ``artifacts`` is the URI of the run's files. A grid that cannot be read is left out with a
    warning.
    """
    local = _local_folder(artifacts)
    if local is not None:
        (local / FOLDER).mkdir(parents=True, exist_ok=True)
        _write_grids(local / FOLDER, grids)
        return
    with tempfile.TemporaryDirectory() as temporary:
        _write_grids(Path(temporary), grids)
        client.log_artifacts(run_id, temporary, FOLDER)


def _local_folder(uri: str) -> Path | None:
    """The folder of an artifact URI; None if it is not on this machine."""
    parts = urlsplit(uri)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" and not parts.netloc else None


def _write_grids(folder: Path, grids: Sequence[Grid]) -> None:
    """The grids and their thumbnails.

    The grids are written last and completely, since a grid's file shows that the picture exists.
    """
    whole: dict[str, bytes] = {}
    for step, time_ms, png in grids:
        name = image_name(GRIDS, step, time_ms)
        try:
            with PIL.Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
                small = thumbnail(picture)
        except OSError as error:
            logger.warning("a sample grid is missing from the record: %s", reason_of(error))
            continue
        small.save(folder / f"{name}{THUMBNAIL}", method=THUMBNAIL_EFFORT)
        whole[f"{name}.png"] = png
    write_whole_files(folder, whole)
