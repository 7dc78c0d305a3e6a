"""Where a generator comes from: a registered model, a run, a trial's folder, or a pulled folder."""

from __future__ import annotations

import re
from collections.abc import Collection
from os.path import isdir, isfile  # unlike those of Path, false for a name that is too long
from pathlib import Path
from typing import TYPE_CHECKING

from gan_tune.errors import CheckpointError, ModelNotFoundError
from gan_tune.service.registered_models import bare, load_generator, model_names
from gan_tune.storage.places import DEFAULT_STORAGE, look_in

if TYPE_CHECKING:
    from gan_tune.model.generator import Generator
    from gan_tune.storage.trial_folder import TrialFolder

__all__ = ["find_generator", "generator_of_trial"]

RUN = "runs:/"


def find_generator(
    source: str,
    *,
    tracking_uri: str | None = None,
    storage: str = DEFAULT_STORAGE,
    device: str = "cpu",
    own: Collection[str] = (),
) -> Generator:
    """The generator that ``source`` names.

    Args:
        source: a registered model as for :func:`load_generator`; `runs:/ID`, a trial's run in
            MLflow; or a folder with a slash in its name: a trial's, or one that `pull` wrote.
        tracking_uri: of MLflow.
        storage: where searches are kept, for a run without a registered model.
        device: of torch.
        own: import paths of your own parts that a trial's folder may name.

    Raises:
        ConfigError: the trial's folder names another part to import.
        ModelNotFoundError: there is no such model, run or folder.
        CheckpointError: the trial has no weights.
        GanTuneError: the model cannot be loaded, or the trial's data are missing.
        TrackingError: MLflow does not answer.
    """
    if source.startswith(RUN):
        return _of_run(source, own, tracking_uri=tracking_uri, storage=storage, device=device)
    if _is_path(source):
        return _of_folder(Path(source), device, own)
    try:
        return load_generator(source, tracking_uri=tracking_uri, device=device)
    except ModelNotFoundError:
        if isdir(source) and bare(source) not in model_names(tracking_uri):
            raise ModelNotFoundError(
                f"no model named {source!r}; for the folder write ./{source}"
            ) from None
        raise


def _is_path(source: str) -> bool:
    """Whether it is a path: it has a slash, but is no `NAME/3` and no `models:/NAME`."""
    version = re.fullmatch(r"[^/.][^/]*/[0-9]{1,9}", source) and not isdir(source)
    return "/" in source and not version and not source.startswith("models:/")


def _of_run(
    source: str, own: Collection[str], *, tracking_uri: str | None, storage: str, device: str
) -> Generator:
    from gan_tune.registry.runs import find_run
    from gan_tune.storage.trial_folder import TrialFolders

    run = find_run(source.removeprefix(RUN).strip("/"), uri=tracking_uri)
    if run.model is not None:
        return load_generator(run.model, tracking_uri=tracking_uri, device=device)
    if run.search is None or run.trial is None:
        raise ModelNotFoundError(f"{source}: must be the run of a trial of gan-tune")
    folder = TrialFolders(look_in(storage).below(run.search))[run.trial]
    return generator_of_trial(folder, f"{run.search}/{run.trial}", device, own)


def _of_folder(path: Path, device: str, own: Collection[str]) -> Generator:
    from gan_tune.model.folder import CONFIG, read_folder
    from gan_tune.storage.trial_folder import TrialFolder

    if isfile(path / CONFIG):
        return read_folder(path, device)
    if not isdir(path):
        raise ModelNotFoundError(f"{path}: must be the folder of a trial or of gan-tune pull")
    return generator_of_trial(TrialFolder(look_in(path)), str(path), device, own)


def generator_of_trial(
    folder: TrialFolder, label: str, device: str, own: Collection[str] = ()
) -> Generator:
    """The trial's best generator.

    Raises:
        ModelNotFoundError: the folder is no trial's.
        CheckpointError: the trial has no weights.
        DataError: its data cannot be read.
        DeviceError: torch has no such device.
    """
    from gan_tune.config import TrialConfig
    from gan_tune.config.import_path import check_named
    from gan_tune.gan.device import check_device
    from gan_tune.model.export import best_generator
    from gan_tune.model.generator import Generator
    from gan_tune.parts.all_parts import catalogue, dataset_of

    tree, saved = folder.config(), folder.checkpoint()
    if tree is None:
        raise ModelNotFoundError(f"{label}: must be the folder of a trial or of gan-tune pull")
    if saved is None:
        raise CheckpointError(f"{label}: has no weights; only completed trials keep theirs")
    check_device(device)
    check_named(tree, own)
    config = TrialConfig.from_tree(tree, catalogue())
    dataset = dataset_of(config.data)
    module = best_generator(config, dataset, saved)
    assert module.config is not None
    return Generator(
        label, None, module.config.latent, module.to(device), {}, dataset.columns, module.config
    )
