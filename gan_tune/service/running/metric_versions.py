"""Which of a search's recorded values cannot be compared with those to come."""

from __future__ import annotations

from collections.abc import Mapping

from gan_tune.metrics.probe import PROBE

__all__ = ["changed_metrics"]


def changed_metrics(before: Mapping[str, str] | None, now: Mapping[str, str]) -> list[str]:
    """The metrics whose version was another one when the search began.

    ``before`` is None for a search that 0.2.0 or an older version began. Since then the probes have
    changed, and nothing else.
    """
    if before is None:
        return [name for name, version in now.items() if f"-{PROBE}/" in version]
    return [name for name, version in now.items() if before.get(name, version) != version]
