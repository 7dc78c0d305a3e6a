"""All use of MLflow beyond its documented interface. Check this file for a new release."""

from __future__ import annotations

import logging
import re
import uuid
from typing import TYPE_CHECKING, Any

import PIL.Image
from mlflow.tracking.multimedia import compress_image_size

from gan_tune.record.mlflow_client import reason_of

if TYPE_CHECKING:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

__all__ = [
    "ARTIFACT_COLUMNS",
    "DATA_CONTEXT",
    "EXPERIMENT_KIND",
    "HAS_IMAGES",
    "MODEL_VERSIONS",
    "NOTE",
    "PARENT_RUN",
    "SHARED_VIEW",
    "SOURCE_NAME",
    "SOURCE_TYPE",
    "THUMBNAIL",
    "SystemMetrics",
    "image_name",
    "image_step",
    "pytorch_flavor",
    "thumbnail",
]

logger = logging.getLogger("gan_tune")

# Tags that MLflow's own pages read.
PARENT_RUN = "mlflow.parentRunId"
HAS_IMAGES = "mlflow.loggedImages"
SOURCE_NAME = "mlflow.source.name"
SOURCE_TYPE = "mlflow.source.type"
DATA_CONTEXT = "mlflow.data.context"
EXPERIMENT_KIND = "mlflow.experimentKind"
MODEL_VERSIONS = "mlflow.modelVersions"
NOTE = "mlflow.note.content"
"""The description of a run, in Markdown."""
SHARED_VIEW = "mlflow.sharedViewState."
"""What the pages show of an experiment; a key of one's own follows."""

ARTIFACT_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""The columns of MLflow's SQL store with the places of files."""

THUMBNAIL = "+compressed.webp"
"""The end of a thumbnail's file name, instead of `.png`."""

SYSTEM_METRICS_SECONDS = 15


def image_name(key: str, step: int, time_ms: int) -> str:
    """The name, without suffix, of an image of a slider, as `MlflowClient.log_image` forms it.

    Its last part is random there. Here the same image has the same name each time, so that one
    written again, since nobody knows whether its upload arrived, takes its own place.
    """
    name = f"{key}+step+{step}+timestamp+{time_ms}"
    return f"{name}+{uuid.uuid5(uuid.NAMESPACE_OID, name)}"


def image_step(key: str, name: str) -> int | None:
    """The step in an image's file name; None for other files. Older releases wrote `%`."""
    found = re.match(rf"{re.escape(key)}[+%]step[+%](\d+)[+%].*\.png$", name)
    return int(found[1]) if found else None


def thumbnail(picture: PIL.Image.Image) -> PIL.Image.Image:
    """A picture, reduced to the size that MLflow's pages show first."""
    small: PIL.Image.Image = compress_image_size(picture.convert("RGB"))
    return small


class SystemMetrics:
    """MLflow's thread that records this machine's load in a run. All else works without it."""

    def __init__(self, uri: str) -> None:
        self._uri, self._run_id = uri, ""
        self._monitor: SystemMetricsMonitor | None = None

    def start(self, run_id: str) -> None:
        """Start the thread for a run, if it is available."""
        self.stop()
        try:
            from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

            monitor = SystemMetricsMonitor(
                run_id,
                sampling_interval=SYSTEM_METRICS_SECONDS,
                resume_logging=True,
                tracking_uri=self._uri,
            )
            monitor.start()
        except Exception as error:
            logger.info("no system metrics: %s", reason_of(error))
            return
        self._monitor, self._run_id = monitor, run_id

    def stop(self) -> None:
        """Stop the thread, if it was started."""
        monitor, self._monitor = self._monitor, None
        if monitor is not None:
            monitor.finish()

    def restart(self) -> None:
        """Start the thread again, if it was started: it ends at the first call that fails."""
        if self._monitor is not None:
            self.start(self._run_id)


def pytorch_flavor() -> Any:
    """The module `mlflow.pytorch`.

    Its import (3.17) lets the root logger pass errors alone, and with it every logger of the
    process that has no level of its own, ours among them. That is undone.
    """
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    try:
        import mlflow.pytorch
    finally:
        root.setLevel(level)
        for handler in set(root.handlers).difference(handlers):
            root.removeHandler(handler)
    return mlflow.pytorch
