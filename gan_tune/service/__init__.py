"""The Python API: search, train, and what became of it. Wires the search to the record."""

from __future__ import annotations

from gan_tune.service.champions import Best, best
from gan_tune.service.estimating import Estimate, estimate
from gan_tune.service.explaining import report
from gan_tune.service.looking_inside import Look, look
from gan_tune.service.registered import load_generator, models
from gan_tune.service.result import SearchResult, load_result
from gan_tune.service.search_status import SearchStatus, TrialStatus, searches, status
from gan_tune.service.searching import search
from gan_tune.service.single import keep_report, keep_trial, stored_trial, train
from gan_tune.service.spaces import first_setting, load_space
from gan_tune.service.watcher import Watcher
from gan_tune.storage.places import DEFAULT_STORAGE

__all__ = [
    "DEFAULT_STORAGE",
    "Best",
    "Estimate",
    "Look",
    "SearchResult",
    "SearchStatus",
    "TrialStatus",
    "Watcher",
    "best",
    "estimate",
    "first_setting",
    "keep_report",
    "keep_trial",
    "load_generator",
    "load_result",
    "load_space",
    "look",
    "models",
    "report",
    "search",
    "searches",
    "status",
    "stored_trial",
    "train",
]
