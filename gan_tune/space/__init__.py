"""The search-space file: a trial config with ranges in place of some values.

:meth:`SearchSpace.load` reads and checks a file. Any object with Optuna's ``suggest_*`` methods can
sample the space that it returns.
"""

from __future__ import annotations

from gan_tune.space.changes import changes
from gan_tune.space.fitting import Fit
from gan_tune.space.ranges import RANGES, Choice, Dimension, NumberRange, Scalar, Suggest
from gan_tune.space.reading import shipped_folder, shipped_spaces
from gan_tune.space.schema import json_schema
from gan_tune.space.search_space import SearchSpace
from gan_tune.space.space_file import (
    Budget,
    Confirm,
    Resources,
    Search,
    SpaceFile,
    check_name,
)

__all__ = [
    "RANGES",
    "Budget",
    "Choice",
    "Confirm",
    "Dimension",
    "Fit",
    "NumberRange",
    "Resources",
    "Scalar",
    "Search",
    "SearchSpace",
    "SpaceFile",
    "Suggest",
    "changes",
    "check_name",
    "json_schema",
    "shipped_folder",
    "shipped_spaces",
]
