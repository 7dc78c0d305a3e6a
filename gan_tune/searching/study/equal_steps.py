"""The champion's setting beside the first one, at equal steps and with one seed each."""

from __future__ import annotations

from dataclasses import dataclass

from gan_tune.searching.jobs import FIRST_SETTING
from gan_tune.searching.study.reading import OptunaStudy, curve, own_trials

__all__ = ["AtEqualSteps", "at_equal_steps"]


@dataclass(frozen=True)
class AtEqualSteps:
    """The best values of two settings' own trials in the search up to the same step.

    Attributes:
        step: the last one that the first setting's trial and the champion's both reached.
        champion, first: of the first objective, on the selection split.
    """

    step: int
    champion: float
    first: float


def at_equal_steps(study: OptunaStudy, champion: int, *, steps: int) -> AtEqualSteps | None:
    """What a search knows of its gain although the first setting was stopped early.

    None if the champion is the first setting, or if the two have no common report.

    Args:
        study: of the search's own settings.
        champion: number of the champion's setting.
        steps: length of a trial; further seeds of a setting are counted on from there.
    """
    if champion == FIRST_SETTING:
        return None
    trials = own_trials(study)
    first, best = curve(trials[FIRST_SETTING]), curve(trials[champion])
    common = [step for step in first.keys() & best.keys() if step <= steps]
    if not common:
        return None
    step = max(common)
    return AtEqualSteps(step, best[step], first[step])
