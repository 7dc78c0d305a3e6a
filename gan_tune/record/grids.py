"""The sample grids of a trial as files of its MLflow run, which MLflow's pages show as a slider."""

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
"""Of 6, for WebP: under half the time of 4, its default, and files little larger."""


def recorded_grids(client: MlflowClient, run_id: str) -> set[int]:
    """The steps whose grids a run holds. One request."""
    files = client.list_artifacts(run_id, FOLDER)
    steps = [image_step(GRIDS, Path(file.path).name) for file in files]
    return {step for step in steps if step is not None}


def log_grids(
    client: MlflowClient, run_id: str, artifacts: str, reports: Sequence[Reported]
) -> None:
    """Write the grids of reports as `MlflowClient.log_image` does, all in one go.

    It would encode each a second time, take two deliveries and a database transaction for it: more
    than all else of a short trial's record. Nor need it copy what stays on this machine.

    ``artifacts`` is where the run's files lie. A grid that cannot be read is left out with a
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
    """The folder of this machine that an artifact URI means, None where it is elsewhere."""
    parts = urlsplit(uri)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" and not parts.netloc else None


def _write_grid(folder: Path, report: Reported) -> None:
    """A report's grid and its thumbnail.

    The grid, by which a picture is known to be there, comes last and whole.
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
