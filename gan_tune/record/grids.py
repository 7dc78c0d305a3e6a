"""The sample grids of a trial as files of its MLflow run; MLflow's pages show them as a slider."""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import PIL.Image
from mlflow import MlflowClient

from gan_tune.atomic_file import write_whole
from gan_tune.record.events import Reported
from gan_tune.record.mlflow_internals import THUMBNAIL, image_name, image_step, thumbnail
from gan_tune.record.mlflow_store import reason_of

__all__ = ["GRIDS", "log_grids", "recorded_grids"]

logger = logging.getLogger("gan_tune")

GRIDS = "samples"
"""The name of the slider."""

FOLDER = "images"

THUMBNAIL_EFFORT = 2
"""WebP's effort, at most 6. It takes under half the time of 4, the default; files grow little."""


def recorded_grids(client: MlflowClient, run_id: str) -> set[int]:
    """The steps whose grids a run has; makes one request."""
    files = client.list_artifacts(run_id, FOLDER)
    steps = [image_step(GRIDS, Path(file.path).name) for file in files]
    return {step for step in steps if step is not None}


def log_grids(
    client: MlflowClient, run_id: str, artifacts: str, reports: Sequence[Reported]
) -> None:
    """Write the grids of reports together, in the form that `MlflowClient.log_image` writes.

    `log_image` would encode each grid a second time and need two uploads and a database
    transaction. That costs more than the rest of a short trial's record. It would also copy files
    that stay on this machine.

    ``artifacts`` is the URI of the run's files. A grid that cannot be read is left out with a
    warning.
    """
    local = _local_folder(artifacts)
    if local is not None:
        (local / FOLDER).mkdir(parents=True, exist_ok=True)
        for report in reports:
            _write_grid(local / FOLDER, report)
        return
    with tempfile.TemporaryDirectory() as temporary:
        for report in reports:
            _write_grid(Path(temporary), report)
        client.log_artifacts(run_id, temporary, FOLDER)


def _local_folder(uri: str) -> Path | None:
    """The folder of an artifact URI; None if it is not on this machine."""
    parts = urlsplit(uri)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" and not parts.netloc else None


def _write_grid(folder: Path, report: Reported) -> None:
    """A report's grid and its thumbnail.

    The grid is written last and completely, since its file shows that the picture exists.
    """
    grid = report.grid
    assert grid is not None
    name = image_name(GRIDS, report.step, report.time_ms)
    try:
        content = grid if isinstance(grid, bytes) else grid.read_bytes()
        with PIL.Image.open(io.BytesIO(content)) as picture:
            small = thumbnail(picture)
    except OSError as error:
        logger.warning("a sample grid is missing from the record: %s", reason_of(error))
        return
    small.save(folder / f"{name}{THUMBNAIL}", method=THUMBNAIL_EFFORT)
    write_whole(folder / f"{name}.png", content)
