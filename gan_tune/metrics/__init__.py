"""How samples are judged: tensors in, numbers out."""

from gan_tune.metrics.evidence import Models
from gan_tune.metrics.judge import Judge, build_judge
from gan_tune.metrics.metric import METRICS, Metric, metric_names

__all__ = ["METRICS", "Judge", "Metric", "Models", "build_judge", "metric_names"]
