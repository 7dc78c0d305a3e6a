"""`gan-tune train`: trains one setting in this process, and keeps it in a folder."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from os.path import isdir, isfile  # unlike those of Path, false for a name that is too long
from pathlib import Path
from typing import Any

import torch

from gan_tune.config import TrialConfig
from gan_tune.config.import_path import check_named
from gan_tune.errors import CheckpointError, DeviceError, OutputError, StorageError
from gan_tune.gan.device import check_device
from gan_tune.gan.precision import emulation, resolved
from gan_tune.gan.training import Report
from gan_tune.gan.training import train as train_reports
from gan_tune.parts.all_parts import catalogue, dataset_of, judge_of
from gan_tune.samples import pictures
from gan_tune.searching.rules.faults import fault_of
from gan_tune.storage.places import look_in
from gan_tune.storage.trial_folder import TrialFolder
from gan_tune.words.wording import first_line

logger = logging.getLogger("gan_tune")


def train(
    config: TrialConfig | Mapping[str, Any],
    *,
    resume_from: Path | None = None,
    device: str = "cpu",
) -> Iterator[Report]:
    """Train one setting in this process, without Ray: an iterator of reports.

    Raises:
        ConfigError: the config cannot be trained; lists all faults.
        DataError: its data are missing.
        DeviceError: torch finds no such device, or (while it trains) the device fails or has too
            little memory.
    """
    check_device(device, "--device")
    if not isinstance(config, TrialConfig):
        config = TrialConfig.from_tree(config, catalogue())
    config = in_own_precision(config, device=device)
    if config.precision == "bfloat16" and (warning := emulation(device)) is not None:
        logger.warning(warning)
    dataset = dataset_of(config.data)
    judge = judge_of(dataset, "selection", extra=config.wanted_metrics)
    with _naming_device(device):
        reports = train_reports(config, dataset, judge, resume_from=resume_from, device=device)
    return _each(reports, device)


def _each(reports: Iterator[Report], device: str) -> Iterator[Report]:
    with _naming_device(device):
        yield from reports


@contextmanager
def _naming_device(device: str) -> Iterator[None]:
    """What the device itself raises is said in one line."""
    try:
        yield
    except torch.AcceleratorError as error:
        # Its further lines are advice on debugging kernels.
        raise DeviceError(f"--device {device}: failed in training: {first_line(error)}") from None
    except (MemoryError, RuntimeError) as error:
        if fault_of(error).kind != "memory":
            raise
        raise DeviceError(f"needs more memory than there is: {first_line(error)}") from None


def in_own_precision(config: TrialConfig, *, device: str = "cpu") -> TrialConfig:
    """The setting with `float32` or `bfloat16` in place of the precision `auto`.

    Raises:
        DataError: its data are missing.
        DeviceError: torch finds no such device.
    """
    if config.precision != "auto":
        return config
    check_device(device, "--device")
    return resolved(config, dataset_of(config.data).kind, device)


def data_notes(config: TrialConfig) -> tuple[str, ...]:
    """What was decided while a trial's data were read, a line each.

    Raises:
        DataError: its data are missing.
    """
    return dataset_of(config.data).notes


def keep_trial(config: TrialConfig, folder: Path) -> None:
    """Create a trial's folder, with the same layout as in a search.

    Raises:
        OutputError: the folder is not empty.
        StorageError: it cannot be written.
    """
    if isfile(folder) or (isdir(folder) and any(folder.iterdir())):
        raise OutputError(
            f"{folder}: must be a new or empty folder; a trial in it goes on with --resume {folder}"
        )
    TrialFolder(look_in(folder)).write_config(config.tree())


def keep_report(report: Report, folder: Path) -> None:
    """Write a report's picture, checkpoint and figures into a trial's folder.

    Raises:
        StorageError: it cannot be written.
    """
    trial = TrialFolder(look_in(folder))
    trial.write_grid(report.step, pictures.png(report.grid))
    trial.write_checkpoint(report.checkpoint())
    left_out = ("grid", "_state")
    figures = {k: v for k, v in vars(report).items() if k not in left_out}
    trial.write_lone_report(report.step, figures)


def stored_trial(folder: Path, own: Collection[str] = ()) -> TrialConfig:
    """The config of the trial that a folder holds.

    ``own`` are the import paths that it may name: a folder may come from others.

    Raises:
        CheckpointError: the folder holds no trial.
        ConfigError: its config cannot be trained here, or names another part to import.
    """
    try:
        tree = TrialFolder(look_in(folder)).config()
    except StorageError:
        tree = None
    if tree is None:
        raise CheckpointError(f"{folder}: must be the --out folder of an earlier gan-tune train")
    if isinstance(tree.get("collapse"), dict):
        tree["collapse"].setdefault("distinct", 0.0)  # older versions had no such rule
    check_named(tree, own)
    return TrialConfig.from_tree(tree, catalogue())
