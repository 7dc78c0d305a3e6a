"""How samples are judged: tensors in, numbers out."""

from gan_tune.metrics.judge import Judge, build_judge
from gan_tune.metrics.metric import (
    BEST_NEAR_ONE,
    METRICS,
    NEED_SEVERAL_MODES,
    Metric,
    metric_names,
)
from gan_tune.metrics.models import Models

__all__ = [
    "BEST_NEAR_ONE",
    "METRICS",
    "NEED_SEVERAL_MODES",
    "Judge",
    "Metric",
    "Models",
    "build_judge",
    "metric_names",
]
