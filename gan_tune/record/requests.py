"""Metrics, params and tags in MLflow's form, in as few requests as its limits allow."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import TypeVar

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from gan_tune.record.mlflow_client import reason_of

__all__ = [
    "Entity",
    "as_metrics",
    "as_tags",
    "batches",
    "is_refusal",
    "key_of",
    "log",
    "metric_value",
    "new_params",
    "param_text",
]

logger = logging.getLogger("gan_tune")

RUN_AT_FAULT = frozenset({"INVALID_STATE", "RESOURCE_DOES_NOT_EXIST"})
"""MLflow's error codes for requests on a run or an experiment that is gone."""
REFUSED = RUN_AT_FAULT | {"BAD_REQUEST", "INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS"}
"""MLflow's error codes for requests that would fail again."""

MAX_METRICS = 1000
MAX_PARAMS = 100
MAX_TAGS = 100
MAX_ENTITIES = 1000
"""MLflow's limits on one `log_batch` request."""
MAX_BYTES = 900_000
"""Limit for the entities; MLflow's limit is 1 MB including the JSON around them."""

MAX_PARAM_LENGTH = 6000
MAX_TAG_LENGTH = 8000

Entity = Metric | Param | RunTag
_Entity = TypeVar("_Entity", bound=Entity)


def log(client: MlflowClient, run_id: str, entities: Iterable[Entity]) -> None:
    """Write entities to a run. Without entities no request is made.

    What MLflow refuses is found by halving, and left out with one warning.

    Raises:
        MlflowException, OSError: as MLflow does; also if it refuses all entities.
    """
    refused: list[tuple[Entity, MlflowException]] = []
    written = 0
    for batch in batches(entities):
        written += _log_or_halve(client, run_id, batch, refused)
    if refused and not written:
        raise refused[0][1]  # the run is at fault, not what is written to it
    if refused:
        entity, error = refused[0]
        others = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
        logger.warning("MLflow's record lacks %s%s: %s", entity.key, others, reason_of(error))


def _log_or_halve(
    client: MlflowClient,
    run_id: str,
    batch: list[Entity],
    refused: list[tuple[Entity, MlflowException]],
) -> int:
    """Write a batch; returns how many of its entities are written."""
    try:
        client.log_batch(
            run_id,
            metrics=[entity for entity in batch if isinstance(entity, Metric)],
            params=[entity for entity in batch if isinstance(entity, Param)],
            tags=[entity for entity in batch if isinstance(entity, RunTag)],
        )
    except MlflowException as error:
        if not is_refusal(error):
            raise
        if len(batch) == 1 or error.error_code in RUN_AT_FAULT:
            refused += [(entity, error) for entity in batch]
            return 0
        half = len(batch) // 2
        return sum(
            _log_or_halve(client, run_id, part, refused) for part in (batch[:half], batch[half:])
        )
    return len(batch)


def is_refusal(error: BaseException) -> bool:
    """Whether the same request would fail again, if nobody changes anything in MLflow.

    Not so where there is no answer, a locked database, a full disk, or a lack of rights.
    """
    return isinstance(error, MlflowException) and error.error_code in REFUSED


def batches(entities: Iterable[_Entity]) -> Iterator[list[_Entity]]:
    """Split into lists that each fit one request, in the given order."""
    limits: dict[type, int] = {Metric: MAX_METRICS, Param: MAX_PARAMS, RunTag: MAX_TAGS}
    batch: list[_Entity] = []
    counts, size = dict.fromkeys(limits, 0), 0
    for entity in entities:
        kind = type(entity)
        weight = 120 + 4 * (len(entity.key) + len(str(entity.value)))  # up to 4 bytes a character
        full = counts[kind] == limits[kind] or len(batch) == MAX_ENTITIES
        if full or size + weight > MAX_BYTES:
            yield batch
            batch, counts, size = [], dict.fromkeys(limits, 0), 0
        batch.append(entity)
        counts[kind] += 1
        size += weight
    if batch:
        yield batch


def as_metrics(values: Mapping[str, float], *, time_ms: int, step: int = 0) -> list[Metric]:
    """Values by name as metrics of one step."""
    return [
        Metric(key_of(name), metric_value(value), time_ms, step) for name, value in values.items()
    ]


def new_params(
    params: Mapping[str, object], known: Container[str], *, first: Iterable[str] = ()
) -> list[Param]:
    """Values by name as params, without the ``known`` keys, since a param cannot change.

    MLflow's pages show them in this order: the names in ``first``, then the others.
    """
    ordered = {name: params[name] for name in first if name in params} | dict(params)
    texts = {key_of(name): param_text(value) for name, value in ordered.items()}
    return [Param(key, text) for key, text in texts.items() if key not in known]


def as_tags(tags: Mapping[str, str]) -> list[RunTag]:
    """Tags of a run, cut to 8,000 characters."""
    return [RunTag(key_of(key), _cut(str(value), MAX_TAG_LENGTH)) for key, value in tags.items()]


def key_of(name: str) -> str:
    """A name with the characters that MLflow refuses (the `#` of an unnamed option) replaced."""
    return re.sub(r"[^\w.\- :/]", "_", name)[:250]


def metric_value(value: float) -> float:
    """A value that MLflow stores unchanged: one that is not finite becomes NaN.

    MLflow's SQL store keeps NaN, but converts ±inf to ±1.8e308, which flattens every chart.
    """
    value = float(value)
    return value if math.isfinite(value) else math.nan


def param_text(value: object) -> str:
    """A param as written in a space file (`null`, `[128, 256]`), cut to 6,000 characters."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return _cut(text, MAX_PARAM_LENGTH)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
