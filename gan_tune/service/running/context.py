"""The objects that one command needs to run a search."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from gan_tune.config import Objective, TrialConfig
from gan_tune.data.dataset import Dataset
from gan_tune.metrics import Judge, build_judge
from gan_tune.parts.catalogue import dataset_of
from gan_tune.service.optuna_stand_ins import LowEnds
from gan_tune.service.running.names import Names
from gan_tune.service.watcher import Watcher
from gan_tune.space import SearchSpace

if TYPE_CHECKING:
    from gan_tune.storage.storage import Storage


class SearchContext:
    """The objects that one command needs to run a search. Data and judges are made on first use.

    Attributes:
        space: a checked space.
        home: the search's folder.
        uri: MLflow's store.
        names: of the search, its experiment and its model.
        watcher: shows progress.
    """

    def __init__(
        self, space: SearchSpace, home: Storage, uri: str, names: Names, watcher: Watcher
    ) -> None:
        self.space, self.home, self.uri = space, home, uri
        self.names, self.watcher = names, watcher

    @property
    def objective(self) -> Objective:
        """The first objective, which decides the champion."""
        return self.space.objective

    @cached_property
    def any_config(self) -> TrialConfig:
        """Some trial's config, for the fields that all share: data, metrics, report steps."""
        return self.space.sample(LowEnds(), seed=0)

    @cached_property
    def dataset(self) -> Dataset:
        """The data, the same for every setting."""
        self.watcher.stage("loading data and preparing the metrics")
        return dataset_of(self.any_config.data)

    @cached_property
    def judge(self) -> Judge:
        """The judge that scores every trial, on the selection split."""
        return build_judge(self.dataset, "selection", extra=self.any_config.wanted_metrics)

    def test_judge(self) -> Judge:
        """The same metrics on the test split."""
        return build_judge(self.dataset, "test", extra=self.judge.names)
