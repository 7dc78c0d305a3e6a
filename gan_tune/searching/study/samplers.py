"""Samplers by name: thin, fully annotated fronts of Optuna's own.

Optuna is loaded only when one is made: a space file is checked against these signatures without it.
What a sampler cannot do is in :mod:`gan_tune.parts.search_rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from gan_tune.errors import Fault, SpaceError

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
else:
    BaseSampler = Any  # so that the signatures can be read without Optuna

__all__ = ["SAMPLERS", "Sampler", "Seeds", "cmaes", "gp", "qmc", "random", "tpe"]

Startup = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Seeds:
    """What a sampler is seeded with, below 2³¹.

    ``proposal`` differs from one proposal to the next, so that a study taken up again repeats
    none; ``search`` is the same for all, for what must go on as one sequence.
    """

    proposal: int
    search: int


def tpe(
    seeds: Seeds,
    *,
    startup: Annotated[int, Field(ge=0)] = 10,
    candidates: Annotated[int, Field(ge=1)] = 24,
    multivariate: bool = True,
    group: bool = True,
) -> BaseSampler:
    """Tree-structured Parzen estimator (Bergstra et al. 2011; Watanabe 2023).

    After ``startup`` trials told, draws ``candidates`` from the density of the good trials and
    takes the one that is likeliest to be no bad one. ``multivariate`` densities are joint (Falkner
    et al. 2018), with ``group`` for each set of ranges that exist together. Trials that still run
    count as bad ones (constant liar), so that none is proposed twice.
    """
    from optuna.samplers import TPESampler

    return TPESampler(
        n_startup_trials=startup,
        n_ei_candidates=candidates,
        seed=seeds.proposal,
        multivariate=multivariate,
        group=multivariate and group,
        constant_liar=True,
    )


def gp(seeds: Seeds, *, startup: Startup = 10) -> BaseSampler:
    """Gaussian process with a Matérn-5/2 kernel, and log expected improvement (Ament et al. 2023)
    times the probability to be sound; trials that still run are integrated over.

    The first ``startup`` trials to complete are random.
    """
    from optuna.samplers import GPSampler

    return GPSampler(n_startup_trials=startup, seed=seeds.proposal, warn_independent_sampling=False)


def cmaes(
    seeds: Seeds,
    *,
    startup: Startup = 1,
    population: Annotated[int, Field(ge=4)] | None = None,
    variant: Literal["full", "separable", "margin", "adaptive"] = "full",
    pruned: bool = True,
) -> BaseSampler:
    """Covariance matrix adaptation (Hansen 2016): a normal distribution that follows the better
    half of each ``population`` (by default 4 + ⌊3 ln n⌋ for n ranges).

    ``variant``: the full covariance matrix, a diagonal one (`separable`, Ros and Hansen 2008),
    one that keeps whole numbers from freezing (`margin`, Hamano et al. 2022) or a learning rate
    that adapts to noise (`adaptive`, Nomura et al. 2023). ``pruned`` trials count with their best
    so far. Optuna keeps the distribution, pickled, in the study.
    """
    from optuna.samplers import CmaEsSampler

    if find_spec("cmaes") is None:  # Optuna itself would fail in the middle of the search
        rule = "cmaes needs a package that is missing: pip install cmaes"
        raise SpaceError([Fault("search.sampler", rule)])
    return CmaEsSampler(
        n_startup_trials=startup,
        popsize=population,
        use_separable_cma=variant == "separable",
        with_margin=variant == "margin",
        lr_adapt=variant == "adaptive",
        consider_pruned_trials=pruned,
        seed=seeds.proposal,
        warn_independent_sampling=False,
    )


def random(seeds: Seeds) -> BaseSampler:
    """Independent draws."""
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seeds.proposal)


def qmc(
    seeds: Seeds, *, sequence: Literal["sobol", "halton"] = "sobol", scramble: bool = True
) -> BaseSampler:
    """Quasi-random points, which fill the space more evenly than independent ones (Bergstra and
    Bengio 2012). How far the sequence has gone is kept in the study. Not scrambled, it begins with
    the low end of every range.
    """
    from optuna.samplers import QMCSampler, RandomSampler

    return QMCSampler(
        qmc_type=sequence,
        scramble=scramble,
        seed=seeds.search,
        independent_sampler=RandomSampler(seed=seeds.proposal),
        warn_independent_sampling=False,
    )


@dataclass(frozen=True)
class Sampler:
    """A sampler: how it is made, and what it reads.

    One that does not read the constraints of pruned trials must be given a bad value for a trial
    that diverged, or it would propose the like again. One that does not read what it has not
    proposed itself learns nothing from other searches.
    """

    build: Callable[..., BaseSampler]
    reads_constraints: bool = True
    reads_others: bool = True


SAMPLERS: Mapping[str, Sampler] = MappingProxyType(
    {
        "tpe": Sampler(tpe),
        "gp": Sampler(gp, reads_constraints=False),
        "cmaes": Sampler(cmaes, reads_constraints=False, reads_others=False),
        "random": Sampler(random, reads_others=False),
        "qmc": Sampler(qmc, reads_others=False),
    }
)
"""Sampler by its name in a space file; each is built with :class:`Seeds`."""
