from .config import TrialConfig
from .data.dataset import Dataset
from .errors import GanTuneError
from .gan.training import Report
from .model.generator import Generator
from .service import (
    SearchResult,
    first_setting,
    load_generator,
    load_result,
    load_space,
    search,
    train,
)
from .space import SearchSpace

__version__: str

__all__ = [
    "Dataset",
    "GanTuneError",
    "Generator",
    "Report",
    "SearchResult",
    "SearchSpace",
    "TrialConfig",
    "first_setting",
    "load_generator",
    "load_result",
    "load_space",
    "search",
    "train",
]
