from .best import Best, best
from .estimate import Estimate, estimate
from .generate import generate
from .look import Look, look
from .mlflow_ui import record_uri, serve_ui
from .registered_models import load_generator, models
from .report import report
from .schema import schema
from .search import search
from .search_result import ChampionFigures, SearchResult, load_result
from .search_status import SearchStatus, TrialStatus
from .space_and_setting import first_setting, load_space
from .status import searches, status
from .train import keep_report, keep_trial, stored_trial, train
from .watcher import Watcher

DEFAULT_STORAGE: str

__all__ = [
    "DEFAULT_STORAGE",
    "Best",
    "ChampionFigures",
    "Estimate",
    "Look",
    "SearchResult",
    "SearchStatus",
    "TrialStatus",
    "Watcher",
    "best",
    "estimate",
    "first_setting",
    "generate",
    "keep_report",
    "keep_trial",
    "load_generator",
    "load_result",
    "load_space",
    "look",
    "models",
    "record_uri",
    "report",
    "schema",
    "search",
    "searches",
    "serve_ui",
    "status",
    "stored_trial",
    "train",
]
