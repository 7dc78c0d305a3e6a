"""Samplers by name: thin, annotated wrappers of Optuna's samplers.

Optuna is imported only when a sampler is built. A space file is checked against these signatures
without it. The limits of each sampler are in :mod:`gan_tune.parts.search_rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from gan_tune.config import Part
from gan_tune.errors import Fault, SpaceError
from gan_tune.searching.study.seeds import Seeds, sampler_seeds

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
else:
    BaseSampler = Any  # so that the signatures can be read without Optuna

__all__ = ["SAMPLERS", "Sampler", "build_sampler", "cmaes", "gp", "qmc", "random", "tpe"]

Startup = Annotated[int, Field(ge=1)]


def tpe(
    seeds: Seeds,
    *,
    startup: Annotated[int, Field(ge=0)] = 10,
    candidates: Annotated[int, Field(ge=1)] = 24,
    multivariate: bool = True,
    group: bool = True,
) -> BaseSampler:
    """Tree-structured Parzen estimator (Bergstra et al. 2011; Watanabe 2023).

    Once ``startup`` trials have ended, it draws ``candidates`` from the density of the good trials
    and takes the one with the largest ratio of the good to the bad density. ``multivariate``
    densities are joint (Falkner et al. 2018); with ``group`` there is one for each set of ranges
    that exist together. Running trials count as bad ones (constant liar), so that no setting is
    proposed twice. With more than a thousand ended trials, the density of the bad ones is that of
    the latest thousand, so that a proposal does not take longer and longer.
    """
    from gan_tune.searching.study.bounded_tpe import BoundedTPE

    return BoundedTPE(
        n_startup_trials=startup,
        n_ei_candidates=candidates,
        seed=seeds.proposal,
        multivariate=multivariate,
        group=multivariate and group,
        constant_liar=True,
    )


def gp(seeds: Seeds, *, startup: Startup = 10) -> BaseSampler:
    """Gaussian process with a Matérn-5/2 kernel, and log expected improvement (Ament et al. 2023)
    times the probability of a sound trial. The values of running trials are integrated out.

    Settings are random until ``startup`` trials have completed.
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
    value so far. Optuna stores the pickled distribution in the study.
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
    Bengio 2012). The position in the sequence is stored in the study. Without scrambling, the
    first point is the low end of every range.
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
    """A sampler.

    Attributes:
        build: makes Optuna's sampler from :class:`Seeds` and the arguments of a space file.
        reads_constraints: whether it reads the constraints of pruned trials. If not, it gets a bad
            value for a trial that diverged; otherwise it would propose similar settings again.
        reads_others: whether it reads trials that it has not proposed itself. If not, it learns
            nothing from other searches.
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


def build_sampler(part: Part, *, search_seed: int, proposal: int) -> BaseSampler:
    """The sampler for one proposal of a search.

    It is built again for each proposal: all that it learns from is in the study.

    Args:
        part: `search.sampler` of a checked space.
        search_seed: `search.seed` of it.
        proposal: number of the proposal, counted from 0.

    Raises:
        SpaceError: the sampler needs a package that is missing.
    """
    return SAMPLERS[part.name].build(sampler_seeds(search_seed, proposal), **part.args)
