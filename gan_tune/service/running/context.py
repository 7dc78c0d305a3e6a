"""The context of one command: the space, its data and judges, folder, names, watcher."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from gan_tune.config import Objective, TrialConfig
from gan_tune.data.dataset import Dataset
from gan_tune.metrics import Judge
from gan_tune.parts.all_parts import dataset_of, judge_of
from gan_tune.service.optuna_stand_ins import LowEnds
from gan_tune.service.running.judging import own_extractor
from gan_tune.service.running.names import Names
from gan_tune.space import SearchSpace
from gan_tune.storage.places import LEFT_OUT
from gan_tune.watching.watcher import Watcher

if TYPE_CHECKING:
    from gan_tune.storage.storage import Storage


class SearchContext:
    """The objects that one command needs to run a search. Data and judges are made on first use.

    Attributes:
        space: a checked space.
        home: the search's folder.
        uri: MLflow's store.
        offline: whether nothing is delivered to it now.
        names: of the search, its experiment and its model.
        watcher: shows progress.
        register_anyway: whether a champion is registered although its examination found faults.
    """

    def __init__(
        self,
        space: SearchSpace,
        home: Storage,
        uri: str,
        names: Names,
        watcher: Watcher,
        *,
        register_anyway: bool = False,
        offline: bool = False,
    ) -> None:
        self.space, self.home, self.uri = space, home, uri
        self.names, self.watcher, self.offline = names, watcher, offline
        self.register_anyway = register_anyway

    @property
    def objective(self) -> Objective:
        """The first objective, which decides the champion."""
        return self.space.objective

    @property
    def any_config(self) -> TrialConfig:
        """An arbitrary trial's config, for what all trials share: data, metrics, report steps."""
        return self.space.sample(LowEnds(), seed=0)

    @cached_property
    def dataset(self) -> Dataset:
        """The data, the same for every setting. What they have to say is passed to the watcher."""
        self.watcher.stage("loading data and preparing the metrics")
        dataset = dataset_of(self.any_config.data)
        for note in dataset.notes:
            self.watcher.note(f"data: {note}")
        if dataset.left_out:
            self.home.write(LEFT_OUT, "".join(f"{line}\n" for line in dataset.left_out).encode())
        return dataset

    @cached_property
    def judge(self) -> Judge:
        """The judge that scores every trial, on the selection split."""
        extractor = own_extractor(self.dataset, self.home)
        wanted = self.any_config.wanted_metrics
        return judge_of(self.dataset, "selection", extra=wanted, extractor=extractor)

    def test_judge(self) -> Judge:
        """The same metrics on the test split."""
        judge = self.judge
        return judge_of(self.dataset, "test", extra=judge.names, extractor=judge.extractor)
