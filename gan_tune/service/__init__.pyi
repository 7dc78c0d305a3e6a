from .begin_from_data import Beginning, begin, find_data
from .best import Best, best
from .curate import Comparison, compare, promote, remove, rollback
from .doctor import Check, doctor
from .estimate import Estimate, estimate
from .generate import STOPS, DrawingWatcher, animation, generate
from .init import init
from .learn import Learnt, learn
from .look import Look, look
from .mlflow_ui import Opened, find_record, serve_ui, there
from .pull import Pulled, pull
from .registered_models import load_generator, models
from .report import report
from .retry import retry
from .schema import schema
from .search import search
from .search_result import ChampionFigures, SearchResult, load_result
from .search_status import SearchStatus, TrialStatus
from .serve import serve
from .space_and_setting import first_setting, load_space
from .status import searches, status
from .stop import stop
from .submit import Submission, follow, on_cluster, submit
from .sync import Synced, sync
from .train import data_notes, in_own_precision, keep_report, keep_trial, stored_trial, train
from .watcher import Watcher

DEFAULT_STORAGE: str

__all__ = [
    "DEFAULT_STORAGE",
    "STOPS",
    "Beginning",
    "Best",
    "ChampionFigures",
    "Check",
    "Comparison",
    "DrawingWatcher",
    "Estimate",
    "Learnt",
    "Look",
    "Opened",
    "Pulled",
    "SearchResult",
    "SearchStatus",
    "Submission",
    "Synced",
    "TrialStatus",
    "Watcher",
    "animation",
    "begin",
    "best",
    "compare",
    "data_notes",
    "doctor",
    "estimate",
    "find_data",
    "find_record",
    "first_setting",
    "follow",
    "generate",
    "in_own_precision",
    "init",
    "keep_report",
    "keep_trial",
    "learn",
    "load_generator",
    "load_result",
    "load_space",
    "look",
    "models",
    "on_cluster",
    "promote",
    "pull",
    "remove",
    "report",
    "retry",
    "rollback",
    "schema",
    "search",
    "searches",
    "serve",
    "serve_ui",
    "status",
    "stop",
    "stored_trial",
    "submit",
    "sync",
    "there",
    "train",
]
