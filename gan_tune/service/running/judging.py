"""The features by which a search compares pictures without labels: settled once, and kept.

The first command settles them, and puts their arrays into the search's folder. So a search that
goes on elsewhere, or in another version of gan-tune, goes on with the judge it had.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gan_tune.data.dataset import Dataset
from gan_tune.errors import StorageError
from gan_tune.metrics.features import FeatureExtractor, as_safetensors, build_extractor, has_classes
from gan_tune.metrics.patches import PatchFeatures
from gan_tune.storage.places import JUDGE_ARRAYS, JUDGE_NOTE, SEARCH_NOTE
from gan_tune.storage.stored import read_stored
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.words.wording import first_line

if TYPE_CHECKING:
    from gan_tune.storage.storage import Storage

__all__ = ["keep_judge", "own_extractor"]


@dataclass(frozen=True)
class JudgeNote:
    """By which patches a search compares pictures: the content of `judge.json`.

    Attributes:
        features: the identity of the features.
        shape: (C, h, w) of the pictures that are compared.
    """

    features: str
    shape: tuple[int, int, int]


def own_extractor(dataset: Dataset, home: Storage) -> FeatureExtractor:
    """The extractor of a search: a new one of pictures without labels compares patches, too.

    Raises:
        StorageError: the folder no longer has the note and the arrays that the search began with.
        DataError: the cache folder cannot be written.
    """
    if not _has_choice(dataset):
        return build_extractor(dataset)
    note = read_stored(home, JUDGE_NOTE, JudgeNote)
    if note is not None:
        return _kept(note, dataset, home)
    begun = home.read_json(SEARCH_NOTE) is not None or bool(TrialFolders(home).names())
    # Before there was a choice, searches had the principal components.
    return build_extractor(dataset, unlabelled="components" if begun else "patches")


def keep_judge(dataset: Dataset, extractor: FeatureExtractor, home: Storage) -> None:
    """Keep the extractor of a search in its folder, where there is a choice."""
    if not _has_choice(dataset) or home.read_json(JUDGE_NOTE) is not None:
        return
    if isinstance(extractor, PatchFeatures):
        home.write(JUDGE_ARRAYS, as_safetensors(extractor.arrays))
        home.write_json(JUDGE_NOTE, {"features": extractor.identity, "shape": extractor.shape})


def _has_choice(dataset: Dataset) -> bool:
    return dataset.kind == "pictures" and not has_classes(dataset)


def _kept(note: JudgeNote, dataset: Dataset, home: Storage) -> PatchFeatures:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    place = home.readable_path(JUDGE_NOTE)
    if any(not 0 < own <= there for own, there in zip(note.shape, dataset.shape, strict=True)):
        raise StorageError(f"storage: {place} must fit the pictures {dataset.shape}: {note.shape}")
    if not note.features.startswith("patches-"):  # all metrics of the search carry the name
        raise StorageError(f"storage: {place} must name features of patches: {note.features!r:.60}")
    try:
        features = PatchFeatures(note.features, note.shape, load(home.read(JUDGE_ARRAYS) or b""))
        features.check()
    except (SafetensorError, AttributeError, TypeError, ValueError) as error:
        rule, place = "must hold the arrays of the search", home.readable_path(JUDGE_ARRAYS)
        raise StorageError(f"storage: {place}: {rule}: {first_line(error)}") from None
    return features
