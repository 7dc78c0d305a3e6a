"""How samples are judged: tensors in, numbers out."""

from gan_tune.metrics.evidence import Models
from gan_tune.metrics.judge import Judge, build_judge
from gan_tune.metrics.metric import METRICS, NO_OBJECTIVES, Metric, metric_names

__all__ = ["METRICS", "NO_OBJECTIVES", "Judge", "Metric", "Models", "build_judge", "metric_names"]
