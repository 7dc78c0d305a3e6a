"""Populations: who is replaced by whom, where forks go, and what that gains on a toy problem."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel

from gan_tune.searching.jobs import Fork
from gan_tune.searching.populations import bandit
from gan_tune.searching.populations.bandit import (
    Bandit,
    TimeVarying,
    exploration,
    placed,
    posterior,
)
from gan_tune.searching.populations.exploring import (
    WEIGHTS,
    Interval,
    Perturb,
    Start,
    inherited,
    moved,
    share_of,
    value_at,
)
from gan_tune.searching.populations.population import POPULATIONS, Population, pbt, ready_steps
from gan_tune.searching.rules.stopping import Mode
from gan_tune.space.grammar import parse_trial
from gan_tune.space.nodes import Branch, dimensions_of, settle
from gan_tune.space.ranges import Dimension, NumberRange, Scalar

every_population = pytest.mark.parametrize("name", POPULATIONS)
every_seed = pytest.mark.parametrize("seed", range(4))

RATE = {"log_uniform": [1e-5, 1e-2]}
TREE: dict[str, Any] = {
    "data": {"name": "digits", "batch_size": {"int": [16, 64], "step": 16}},
    "generator": {"name": "mlp", "hidden": {"choice": [[8], [16]]}, "latent": {"int": [4, 9]}},
    "generator_optimizer": {
        "choice": [
            {"name": "adam", "lr": RATE, "beta1": {"uniform": [0.0, 0.9]}},
            {"name": "sgd", "lr": RATE},
        ]
    },
    "d_steps": {"int": [1, 4]},
    "lookahead": {"every": {"log_int": [1, 512]}, "alpha": {"uniform": [0.25, 0.75], "step": 0.25}},
    "ema": {"choice": [0.0, 0.99]},
    "choice": [
        {"label": "a", "discriminator": {"name": "mlp"}, "loss": {"choice": ["hinge", "minimax"]}},
        {"label": "b", "discriminator": {"name": "dcgan"}, "loss": "hinge"},
    ],
}


def space_of(tree: Mapping[str, Any]) -> Branch:
    root, faults = parse_trial(tree)
    assert not faults
    return root


SPACE = space_of(TREE)
DIMENSIONS = {d.name: d for d in dimensions_of(SPACE)}
NUMBERS = {name: d for name, d in DIMENSIONS.items() if isinstance(d, NumberRange)}


def drawn(space: Branch, random: np.random.Generator) -> dict[str, Scalar]:
    """A setting at random, as a member of the first generation has it."""
    setting: dict[str, Scalar] = {}

    def decide(dimension: Dimension) -> Scalar:
        setting[dimension.name] = value_at(dimension, random.random())
        return setting[dimension.name]

    settle(space, decide)
    return setting


def assert_in_space(space: Branch, setting: Mapping[str, Scalar]) -> None:
    """It decides what the space asks for, nothing else, and within the ranges."""
    met: list[str] = []

    def decide(dimension: Dimension) -> Scalar:
        met.append(dimension.name)
        assert dimension.broken_rule(setting[dimension.name]) is None, dimension
        return setting[dimension.name]

    settle(space, decide)
    assert met == list(setting)


# ---------------------------------------------------------------- ranges


@pytest.mark.parametrize("dimension", DIMENSIONS.values(), ids=DIMENSIONS)
def test_a_share_is_a_value_in_the_range_and_reaches_both_ends(dimension: Dimension) -> None:
    values = [value_at(dimension, share) for share in np.linspace(0, 1, 997)]
    assert all(dimension.broken_rule(value) is None for value in values)
    assert {values[0], values[-1]} >= {dimension.values[0], dimension.values[-1]}


@pytest.mark.parametrize("name", [n for n, d in NUMBERS.items() if d.kind != "log_int"])
def test_equal_shares_are_equally_likely_values(name: str) -> None:
    """On the scale of the range the mean of the shares of many draws is one half."""
    dimension, random = NUMBERS[name], np.random.default_rng(0)
    shares = [share_of(dimension, value_at(dimension, random.random())) for _ in range(4_000)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("factor", [1.0001, 1.2, 3.0])
@pytest.mark.parametrize("dimension", NUMBERS.values(), ids=NUMBERS)
def test_a_number_moves_the_right_way_and_stays_in_its_range(
    dimension: NumberRange, factor: float, up: bool
) -> None:
    for share in np.linspace(0, 1, 50):
        value: Any = value_at(dimension, share)
        after: Any = moved(dimension, value, factor, up=up)
        assert dimension.broken_rule(after) is None
        end = dimension.high if up else dimension.low
        assert after == value == end or (after > value) == up
        if isinstance(value, float) and dimension.step is None and after != end:
            width = dimension.high - dimension.low
            step = abs(math.log(after / value)) if dimension.log else abs(after - value) / width
            assert step == pytest.approx(math.log(factor) if dimension.log else factor - 1)


# ---------------------------------------------------------------- exploring

EXPLORERS: dict[str, Any] = {
    "perturb": Perturb(factor=1.2, resample=0.25),
    "perturb always anew": Perturb(factor=1.2, resample=1.0),
    "bandit": Bandit(candidates=20, resample=0.25),
}


def history_of(random: np.random.Generator) -> list[Interval]:
    return [
        Interval(drawn(SPACE, random), float(i % 3), random.random(), random.random())
        for i in range(6)
    ] + [Interval(drawn(SPACE, random), 3.0, random.random(), None)]


@pytest.mark.parametrize("explore", EXPLORERS.values(), ids=EXPLORERS)
def test_forks_stay_in_the_space_and_leave_the_networks_alone(explore: Any) -> None:
    random = np.random.default_rng(0)
    history = history_of(random)
    changed = set()
    for _ in range(30):
        parent = drawn(SPACE, random)
        child = explore(SPACE, Start(parent, 2.0, 0.5), history, random)
        assert_in_space(SPACE, child)
        changed |= {name for name in child if child[name] != parent.get(name)}
    assert not [name for name in changed if DIMENSIONS[name].field in WEIGHTS]
    assert "choice" not in changed, "its options have discriminators"
    assert {"generator_optimizer", "generator_optimizer.adam.lr", "ema", "d_steps"} <= changed
    assert "choice.a.loss" in changed


@pytest.mark.parametrize("explore", EXPLORERS.values(), ids=EXPLORERS)
def test_a_fork_is_decided_by_its_random_numbers_alone(explore: Any) -> None:
    history = history_of(np.random.default_rng(1))
    start = Start(drawn(SPACE, np.random.default_rng(2)), 2.0, 0.5)
    one, same, other = (
        explore(SPACE, start, history, np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    assert one == same != other


def test_nothing_drawn_anew_keeps_choices_and_moves_every_number() -> None:
    random = np.random.default_rng(0)
    parent = drawn(SPACE, random)
    child = Perturb(factor=1.2, resample=0.0)(SPACE, Start(parent, 1.0, 0.0), [], random)
    assert child.keys() == parent.keys()
    for name, value in child.items():
        dimension = DIMENSIONS[name]
        if not isinstance(dimension, NumberRange) or dimension.field in WEIGHTS:
            assert value == parent[name]
        elif parent[name] not in (dimension.low, dimension.high):
            assert value != parent[name]


def test_choosers_that_span_networks_are_inherited_and_others_are_not() -> None:
    harmless = {"label": "x", "loss": "hinge"}, {"label": "y", "loss": "minimax"}
    assert inherited(SPACE) == {"choice"}
    assert inherited(space_of({"choice": list(harmless)})) == frozenset()


# ---------------------------------------------------------------- the Gaussian process


def test_the_kernel_is_the_papers() -> None:
    random = np.random.default_rng(0)
    rows, others = random.random((5, 4)), random.random((3, 4))
    kernel = TimeVarying(length_scale=0.7, omega=0.3)
    lag = np.abs(rows[:, :1] - others[:, :1].T)
    expected = 0.7 ** (lag / 2) * RBF(0.7)(rows[:, 1:], others[:, 1:])
    assert kernel(rows, others) == pytest.approx(expected)
    assert np.diag(kernel(rows)) == pytest.approx(kernel.diag(rows))


def test_the_kernels_gradient_is_that_of_finite_differences() -> None:
    rows = np.random.default_rng(0).random((6, 3))
    kernel = TimeVarying(length_scale=0.7, omega=0.3)
    _, gradient = kernel(rows, eval_gradient=True)
    assert [h.name for h in kernel.hyperparameters] == ["length_scale", "omega"]
    for i in range(2):
        step = np.eye(2)[i] * 1e-6
        ahead, back = (kernel.clone_with_theta(kernel.theta + s)(rows) for s in (step, -step))
        assert gradient[:, :, i] == pytest.approx((ahead - back) / 2e-6, abs=1e-6)


def test_exploration_grows_with_what_was_seen() -> None:
    bounds = [exploration(seen) for seen in (0, 1, 10, 100)]
    assert bounds[:2] == [0.2, 0.2]
    assert bounds == sorted(bounds)
    assert bounds[-1] == pytest.approx(0.2 + math.log(40))


def test_the_bandit_goes_where_the_value_improved() -> None:
    space = space_of({"x": {"uniform": [0.0, 1.0]}})
    random = np.random.default_rng(0)
    history = [
        Interval({"x": x}, 1.0, 1.0, math.exp(-50 * (x - 0.7) ** 2)) for x in np.linspace(0, 1, 15)
    ]
    explore, start = Bandit(candidates=200, resample=0.0), Start({"x": 0.1}, 1.0, 1.0)
    found = [explore(space, start, history, random)["x"] for _ in range(5)]
    assert found == pytest.approx([0.7] * 5, abs=0.1)


def test_running_intervals_keep_the_bandit_from_asking_twice() -> None:
    space = space_of({"x": {"uniform": [0.0, 1.0]}})
    history = [Interval({"x": x}, 0.0, 1.0, x * (1 - x)) for x in (0.0, 0.2, 0.8, 1.0)]
    explore, start = Bandit(candidates=300, resample=0.0), Start({"x": 0.1}, 1.0, 1.0)
    first: Any = explore(space, start, history, np.random.default_rng(0))["x"]
    running = [*history, *[Interval({"x": first}, 1.0, 1.0, None)] * 3]
    second: Any = explore(space, start, running, np.random.default_rng(0))["x"]
    assert abs(first - second) > 0.05


def rows_and_gains() -> tuple[Any, Any, Any]:
    """Intervals of different times, heavy-tailed gains, and points to ask of."""
    random = np.random.default_rng(0)
    rows = np.column_stack((np.arange(12) // 4, random.random((12, 2))))
    return rows, random.standard_cauchy(12), np.column_stack((np.full(9, 3), random.random((9, 2))))


def test_the_mean_and_deviation_are_those_of_a_gaussian_process_without_its_noise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """μ = kᵀ (K + s² I)⁻¹ y and σ² = 1 − kᵀ (K + s² I)⁻¹ k: the bound is of f itself."""
    rows, gains, points = rows_and_gains()
    kernel, noise = TimeVarying(length_scale=0.7, omega=0.3), 0.25
    fixed = GaussianProcessRegressor(kernel + WhiteKernel(noise), optimizer=None)
    monkeypatch.setattr(bandit, "_fitted", fixed.fit)
    mean, deviation = posterior(rows, gains, rows[:0], points)
    targets = np.clip((gains - gains.mean()) / gains.std(), -2, 2)
    inverse = np.linalg.inv(kernel(rows) + noise * np.eye(len(rows)))
    k = kernel(rows, points)
    assert mean == pytest.approx(k.T @ inverse @ targets)
    assert deviation == pytest.approx(np.sqrt(1 - np.einsum("ij,ik,kj->j", k, inverse, k)))


def test_what_is_pending_takes_from_the_deviation_alone() -> None:
    rows, gains, points = rows_and_gains()
    mean, deviation = posterior(rows, gains, rows[:0], points)
    same, less = posterior(rows, gains, points[:3], points)
    assert same == pytest.approx(mean)
    assert (less <= deviation + 1e-9).all()
    assert (less[:3] < 0.5 * deviation[:3]).all()


def test_where_a_number_is_not_there_nothing_is_known_of_its_values() -> None:
    """Below an option, shares lie as far apart as elsewhere, and all one from where it is not."""
    rate = DIMENSIONS["generator_optimizer.adam.lr"]
    shares = np.linspace(0, 1, 9)
    places = [placed(rate, value_at(rate, share)) for share in shares]
    apart = np.array([[math.dist(one, other) for other in places] for one in places])
    assert apart == pytest.approx(np.abs(shares[:, None] - shares), abs=0.05)
    assert [math.dist(placed(rate, None), place) for place in places] == pytest.approx([1] * 9)
    everywhere = DIMENSIONS["d_steps"]
    assert placed(everywhere, 1) == (0.0,)


def test_what_one_option_gains_says_nothing_of_the_numbers_of_another() -> None:
    """The option without a number gains most: taken for mid-range it would draw the other there."""
    space = space_of({"c": {"choice": [{"name": "a", "x": {"uniform": [0.0, 1.0]}}, "b"]}})
    history = [Interval({"c": "a", "c.a.x": x}, 0.0, 1.0, x) for x in np.linspace(0, 1, 11)]
    history += [Interval({"c": "b"}, 0.0, 1.0, 3.0 + i / 10) for i in range(6)]
    explore = Bandit(candidates=200, resample=0.0)
    start = Start({"c": "a", "c.a.x": 0.5}, 0.0, 1.0)
    found = [explore(space, start, history, np.random.default_rng(s))["c.a.x"] for s in range(5)]
    assert min(found) > 0.8


def test_what_a_newly_chosen_option_has_is_found_like_other_numbers() -> None:
    space = space_of({"c": {"choice": [{"name": "a", "x": {"uniform": [0.0, 1.0]}}, "b"]}})
    history = [
        Interval({"c": "a", "c.a.x": x}, 0.0, 1.0, math.exp(-50 * (x - 0.7) ** 2))
        for x in np.linspace(0, 1, 15)
    ]
    explore, start = Bandit(candidates=200, resample=1.0), Start({"c": "b"}, 0.0, 1.0)
    forks = [explore(space, start, history, np.random.default_rng(seed)) for seed in range(20)]
    found = [fork["c.a.x"] for fork in forks if fork["c"] == "a"]
    assert len(found) > 3
    assert found == pytest.approx([0.7] * len(found), abs=0.1)


# ---------------------------------------------------------------- who is replaced by whom

REPORTS = tuple(range(10, 101, 10))


def population(mode: Mode = "min", **changes: Any) -> Population:
    return pbt(SPACE, REPORTS, mode, **{"population": 8, "quantile": 0.25, **changes})


def heard(values: Mapping[int, float], step: int = 30, mode: Mode = "min") -> Population:
    """A population whose members have come to these values at a step."""
    herd = population(mode)
    random = np.random.default_rng(0)
    for member, value in values.items():
        herd.join(member, drawn(SPACE, random))
        for at in (at for at in REPORTS if at <= step):
            herd.observe(member, at, value)
    return herd


@pytest.mark.parametrize(
    ("reports", "interval", "ready"),
    [
        (REPORTS, 0.1, REPORTS[:-1]),
        (REPORTS, 0.25, (30, 50, 80)),
        (REPORTS, 0.3, (30, 60, 90)),
        (REPORTS, 0.01, REPORTS[:-1]),
        (REPORTS, 0.7, (70,)),
        ((50, 100), 0.1, (50,)),
        ((100,), 0.1, ()),
        ((33, 66, 100), 1 / 3, (66,)),
    ],
)
def test_ready_points(reports: tuple[int, ...], interval: float, ready: tuple[int, ...]) -> None:
    assert ready_steps(reports, interval) == ready


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("members", [2, 3, 4, 8, 12])
def test_the_worst_quantile_is_behind_and_forks_are_of_the_best(members: int, mode: Mode) -> None:
    sign = 1 if mode == "min" else -1
    herd = heard({member: sign * float(member) for member in range(members)}, mode=mode)
    count = max(1, members // 4)
    behind = [member for member in range(members) if herd.is_behind(member, 30)]
    assert behind == list(range(members - count, members))
    parents = set()
    for seed in range(40):
        fork = herd.fork(30, np.random.default_rng(seed))
        assert fork is not None
        parents.add(fork.parent)
        assert fork.step == 30
    assert parents == set(range(count))


@pytest.mark.parametrize("reports", [REPORTS, (20, 50, 60, 100)])
def test_gains_are_by_interval_whatever_the_reports(reports: tuple[int, ...]) -> None:
    """A value that falls by one a step gains the interval's steps in each, of unequal ones too."""
    heard_of: list[Interval] = []

    def listening(space: Branch, start: Start, history: Any, random: Any) -> dict[str, Scalar]:
        heard_of.extend(history)
        return dict(start.assignment)

    herd = Population(SPACE, reports, "min", listening, population=2, interval=0.2, quantile=0.25)
    setting = drawn(SPACE, np.random.default_rng(0))
    herd.join(0, setting)
    for at in reports:
        herd.observe(0, at, 100.0 - at)
    herd.complete(0)
    assert herd.fork(reports[-1], np.random.default_rng(0)) is not None
    assert [interval.gain for interval in heard_of] == [20.0] * (len(herd.ready_steps) - 1)
    assert [interval.time for interval in heard_of] == [at / 20 for at in herd.ready_steps[:-1]]


def test_equals_and_loners_are_not_behind() -> None:
    herd = heard(dict.fromkeys(range(8), 1.0))
    assert not any(herd.is_behind(member, 30) for member in range(8))
    assert not heard({0: 1.0}).is_behind(0, 30)


def test_in_the_place_of_a_spared_member_the_next_worst_is_behind() -> None:
    herd = heard({0: 1.0, 1: 2.0, 2: 3.0})
    herd.join(3, {}, spared=True)
    herd.observe(3, 30, 9.0)
    assert [herd.is_behind(member, 30) for member in range(4)] == [False, False, True, False]


def test_members_are_compared_by_what_they_had_last_reported_by_that_step() -> None:
    herd = heard({0: 3.0, 1: 2.0})
    herd.observe(0, 40, 1.0)  # it has gone on: no matter
    assert herd.is_behind(0, 30)
    herd.join(2, {}, None)
    assert herd.is_behind(0, 30), "who has reported nothing is not compared"
    herd.observe(2, 10, 9.0)
    assert herd.is_behind(2, 30)


def test_a_fork_begins_at_the_leaders_last_ready_point() -> None:
    herd = heard({0: 1.0, 1: 2.0}, step=20)
    herd.observe(1, 30, 2.0)
    fork = herd.fork(30, np.random.default_rng(0))
    assert fork is not None
    assert (fork.parent, fork.step) == (0, 20)
    assert herd.fork(5, np.random.default_rng(0)) is None, "nobody has weights that old"


def test_who_is_gone_leads_nobody_and_who_has_completed_does() -> None:
    herd = heard({member: float(member) for member in range(8)})
    herd.leave(0)
    herd.complete(1)
    parents = {fork.parent for s in range(20) if (fork := herd.fork(30, np.random.default_rng(s)))}
    assert parents == {1}, "a quarter of the seven that are left"
    assert herd.missing == 1


def test_weights_are_discarded_once_all_have_passed_them() -> None:
    herd = heard({0: 1.0, 1: 2.0}, step=30)
    herd.observe(0, 40, 1.0)
    assert set(herd.discard()) == {(m, at) for m in (0, 1) for at in (10, 20)}
    assert herd.discard() == [], "each is told once"
    herd.leave(1)
    assert set(herd.discard()) == {(1, 30), (0, 30)}
    herd.complete(0)
    assert herd.discard() == [], "the six that are missing may begin from there"


@pytest.mark.parametrize("seed", range(6))
def test_no_fork_begins_from_discarded_weights(seed: int) -> None:
    """Members that advance in any order, some of which fail."""
    random = np.random.default_rng(seed)
    herd = population(population=5)
    begun: dict[int, int] = {}
    discarded: set[tuple[int, int]] = set()

    def begin(fork: Fork | None) -> None:
        number = len(begun)
        begun[number] = fork.step if fork else 0
        herd.join(number, fork.assignment if fork else drawn(SPACE, random), fork)

    for _ in range(5):
        begin(None)
    living = set(begun)
    while living and len(begun) < 60:
        member = int(random.choice(sorted(living)))
        step = begun[member] = begun[member] + 10
        fails = random.random() < 0.05
        if not fails:
            herd.observe(member, step, random.random())
        if step == 100 and not fails:
            herd.complete(member)
            living.remove(member)
        elif fails or (step in herd.ready_steps and herd.is_behind(member, step)):
            fork = herd.fork(step, random)
            herd.leave(member)
            living.remove(member)
            if fork is not None:
                assert (fork.parent, fork.step) not in discarded
            begin(fork)
            living.add(len(begun) - 1)
        discarded |= set(herd.discard())
    assert len(discarded) > 20


# ---------------------------------------------------------------- the toy problem

TOY = space_of({"h0": {"uniform": [0.0, 1.0]}, "h1": {"uniform": [0.0, 1.0]}})
TOY_STEPS, TOY_MEMBERS = 40, 4


@dataclass
class Climb:
    """Jaderberg et al. 2017, figure 2: θ climbs Q̂ = 1.2 − Σ h θ², and is judged by 1.2 − Σ θ²."""

    setting: Mapping[str, Any]
    theta: Any = field(default_factory=lambda: np.array([0.9, 0.9]))

    def train(self) -> float:
        self.theta = self.theta * (1 - 0.02 * np.array([self.setting["h0"], self.setting["h1"]]))
        return self.value

    @property
    def value(self) -> float:
        return float(1.2 - (self.theta**2).sum())


def simulated(name: str, seed: int) -> tuple[float, list[dict[str, Scalar]]]:
    """The best value that a population comes to, and the settings it tried."""
    random = np.random.default_rng(seed)
    reports = range(1, TOY_STEPS + 1)
    herd = POPULATIONS[name](TOY, reports, "max", population=TOY_MEMBERS, interval=0.1)
    climbs = {m: Climb(drawn(TOY, random)) for m in range(TOY_MEMBERS)}
    settings = [dict(climb.setting) for climb in climbs.values()]
    for member, climb in climbs.items():
        herd.join(member, climb.setting)
    for step in reports:
        values = {member: climb.train() for member, climb in climbs.items()}
        for member, value in values.items():
            herd.observe(member, step, value)
        for member in [m for m in climbs if step in herd.ready_steps and herd.is_behind(m, step)]:
            fork = herd.fork(step, random)
            assert fork is not None
            best = sorted(values.values(), reverse=True)[0]
            assert climbs[fork.parent].value == best, "only the best is exploited"
            number = len(settings)
            herd.join(number, fork.assignment, fork)
            climbs[number] = Climb(fork.assignment, climbs[fork.parent].theta)
            settings.append(dict(fork.assignment))
            herd.leave(member)
            del climbs[member]
    return max(climb.value for climb in climbs.values()), settings


def random_search(seed: int) -> float:
    """The best of as many settings at full length: as many steps in all."""
    random = np.random.default_rng(seed)
    climbs = [Climb(drawn(TOY, random)) for _ in range(TOY_MEMBERS)]
    return max([climb.train() for _ in range(TOY_STEPS)][-1] for climb in climbs)


@every_population
def test_a_population_beats_random_search_at_equal_steps(name: str) -> None:
    seeds = range(20)
    gains = [simulated(name, seed)[0] - random_search(seed) for seed in seeds]
    assert np.mean(gains) > 3 * np.std(gains) / len(gains) ** 0.5
    assert sum(gain >= 0 for gain in gains) >= 17


@every_population
@every_seed
def test_a_population_is_deterministic_and_stays_in_the_space(name: str, seed: int) -> None:
    value, settings = simulated(name, seed)
    assert simulated(name, seed) == (value, settings)
    for setting in settings:
        assert_in_space(TOY, setting)
    assert len(settings) > TOY_MEMBERS


# ---------------------------------------------------------------- the bandit's arithmetic


@pytest.mark.parametrize("known", [1, 3, 12, 200])
@pytest.mark.parametrize("seed", range(3))
def test_the_bandit_takes_the_largest_upper_bound(
    seed: int, known: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """μ + √β σ, with β of the known intervals; neither of μ, σ and β is 1 or 0."""
    asked: dict[str, Any] = {}

    def posterior_of(seen: Any, gains: Any, pending: Any, points: Any) -> tuple[Any, Any]:
        random = np.random.default_rng(100 + seed)
        asked.update(seen=seen, gains=gains, pending=pending, points=points)
        asked["mean"] = 3 * random.random(len(points))
        asked["deviation"] = 2 * random.random(len(points))
        return asked["mean"], asked["deviation"]

    monkeypatch.setattr(bandit, "posterior", posterior_of)
    space = space_of({"x": {"uniform": [2.0, 6.0]}, "y": {"log_uniform": [1e-4, 1.0]}})
    random = np.random.default_rng(seed)
    history = [
        Interval(drawn(space, random), float(i % 4), 5.0 + i, 0.5 * i) for i in range(known)
    ] + [Interval(drawn(space, random), 4.0, 7.0, None) for _ in range(2)]
    random.shuffle(history)  # type: ignore[arg-type]
    start = Start(drawn(space, random), 3.5, 6.5)
    chosen: Any = Bandit(candidates=60, resample=0.3)(space, start, history, random)

    told = [interval for interval in history if interval.gain is not None]
    low, width = 5.0, (known - 1) or 1.0

    def row(time: float, before: float, setting: Mapping[str, Any]) -> list[float]:
        x, y = (setting["x"] - 2) / 4, 1 + math.log10(setting["y"]) / 4
        return [time, (before - low) / width, x, y]

    assert asked["seen"] == pytest.approx(
        np.array([row(i.time, i.before, i.assignment) for i in told])
    )
    assert asked["gains"].tolist() == [interval.gain for interval in told]
    assert asked["pending"] == pytest.approx(
        np.array([row(i.time, i.before, i.assignment) for i in history if i.gain is None])
    )
    assert asked["points"].shape == (60, 4)
    assert asked["points"][:, :2] == pytest.approx(np.array([[3.5, 1.5 / width]] * 60))
    beta = 0.2 + max(0.0, math.log(0.4 * known))
    bounds = asked["mean"] + beta**0.5 * asked["deviation"]
    best = asked["points"][int(np.argmax(bounds))]
    assert row(3.5, 6.5, chosen) == pytest.approx(list(best))


GRIDS = {
    f"{kind} {low} to {high} by {step}": NumberRange(
        name="x", place=("x",), kind=kind, low=low, high=high, step=step
    )
    for kind, low, high, step in [
        ("uniform", 0.0, 0.3, 0.1),
        ("uniform", 0.0, 0.6, 0.2),
        ("uniform", 0.1, 0.7, 0.1),
        ("uniform", -0.3, 0.4, 0.1),
        ("uniform", 1.1, 3.3, 1.1),
        ("uniform", 0.0, 0.9, 0.3),
        ("int", 3, 3, None),
        ("int", 3, 17, 7),
        ("int", -4, 9, None),
        ("log_int", 2, 90, None),
    ]
}


def grid_of(dimension: Dimension) -> list[float]:
    """The values of a range with steps, the last one its upper end as it is written."""
    assert isinstance(dimension.low, (int, float))
    assert isinstance(dimension.high, (int, float))
    step = dimension.step or 1
    places = round((dimension.high - dimension.low) / step)
    return [dimension.low + i * step for i in range(places)] + [dimension.high]


@pytest.mark.parametrize("dimension", GRIDS.values(), ids=GRIDS)
def test_steps_lead_from_one_end_of_a_range_to_the_other(dimension: Dimension) -> None:
    """Also where so many steps, added up in floating point, come to more than the upper end."""
    grid = grid_of(dimension)
    last = len(grid) - 1
    drawn_values: list[Any] = [value_at(dimension, share) for share in np.linspace(0, 1, 500)]
    assert all(dimension.broken_rule(value) is None for value in drawn_values)
    nearest_places = [min(range(last + 1), key=lambda i: abs(grid[i] - v)) for v in drawn_values]
    assert [grid[place] for place in nearest_places] == pytest.approx(drawn_values)
    assert nearest_places == sorted(nearest_places)
    assert set(nearest_places) == set(range(last + 1))
    for place, value in enumerate(grid):
        assert dimension.broken_rule(value) is None
        near, far = (
            [moved(dimension, value, factor, up=up) for up in (True, False)]
            for factor in (1.000001, 1e6)
        )
        assert near == pytest.approx([grid[min(place + 1, last)], grid[max(place - 1, 0)]])
        assert far == pytest.approx([grid[-1], grid[0]])
        assert all(dimension.broken_rule(after) is None for after in (*near, *far))
        if last and not dimension.log:
            assert share_of(dimension, value) == pytest.approx(place / last)


@pytest.mark.parametrize(
    "dimension", [d for d in GRIDS.values() if d.step], ids=[n for n, d in GRIDS.items() if d.step]
)
def test_the_nearest_value_lies_on_the_steps_and_within_the_range(dimension: Dimension) -> None:
    grid = grid_of(dimension)
    for value in np.linspace(grid[0], grid[-1], 203).tolist():
        found: Any = dimension.nearest(value)
        assert dimension.broken_rule(found) is None, value
        assert type(found) is (int if dimension.kind == "int" else float)
        assert abs(found - value) <= min(abs(point - value) for point in grid) + 1e-9
    assert [dimension.nearest(point) for point in grid] == pytest.approx(grid)


@pytest.mark.parametrize("dimension", GRIDS.values(), ids=GRIDS)
def test_what_lies_off_a_range_or_its_steps_breaks_a_rule(dimension: Dimension) -> None:
    grid = grid_of(dimension)
    step = dimension.step or 1
    assert "must lie between" in str(dimension.broken_rule(grid[0] - step))
    assert "must lie between" in str(dimension.broken_rule(grid[-1] + step))
    between = f"must be {dimension.low!r} plus a multiple of {step!r}"
    for one, other in pairwise(grid):
        if dimension.kind == "uniform":
            assert dimension.broken_rule((one + other) / 2) == between
        else:
            assert dimension.broken_rule(one + 0.5) == "must be a whole number"
            assert other == one + 1 or dimension.broken_rule(one + 1) == between


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("step", [30, 45, 70])
def test_a_fork_begins_at_its_parents_last_ready_point(step: int, mode: Mode) -> None:
    """Its start is told in intervals and costs, of members that have come to unlike steps."""
    starts: list[Start] = []

    def listening(space: Branch, start: Start, history: Any, random: Any) -> dict[str, Scalar]:
        starts.append(start)
        return dict(start.assignment)

    sign = 1.0 if mode == "min" else -1.0
    herd = Population(SPACE, REPORTS, mode, listening, population=4, interval=0.2, quantile=0.5)
    assert herd.ready_steps == (20, 40, 60, 80)
    settings = [drawn(SPACE, np.random.default_rng(seed)) for seed in range(4)]
    for member, reached in enumerate((70, 50, 90, 30)):
        herd.join(member, settings[member])
        for at in (at for at in REPORTS if at <= reached):
            herd.observe(member, at, sign * (100.0 * member + 200.0 - at))
    parents = set()
    for seed in range(20):
        fork = herd.fork(step, np.random.default_rng(seed))
        assert fork is not None
        (start,) = starts
        starts.clear()
        reached = min(step, (70, 50)[fork.parent])
        assert fork.step == max(at for at in herd.ready_steps if at <= reached)
        cost = 100.0 * fork.parent + 200.0 - fork.step
        assert start == Start(settings[fork.parent], fork.step / 20, cost)
        assert fork.assignment == settings[fork.parent]
        parents.add(fork.parent)
    assert parents == {0, 1}


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_forks_history_goes_on_from_its_parents_cost(mode: Mode) -> None:
    """Of the fork of a member the first interval begins with what its parent had come to."""
    told: list[Interval] = []

    def listening(space: Branch, start: Start, history: Any, random: Any) -> dict[str, Scalar]:
        told[:] = history
        return dict(start.assignment)

    sign = 1.0 if mode == "min" else -1.0
    herd = Population(SPACE, REPORTS, mode, listening, population=2, interval=0.2, quantile=0.5)
    one, other = (drawn(SPACE, np.random.default_rng(seed)) for seed in range(2))
    herd.join(0, one)
    for at in (10, 20, 30, 40):
        herd.observe(0, at, sign * (50.0 - 0.5 * at))
    fork = Fork(0, 40, other)
    herd.join(1, other, fork)
    assert herd.reached(1) == 40
    for at in (50, 60, 70):
        herd.observe(1, at, sign * (30.0 - 0.4 * (at - 40)))
    herd.leave(0)
    assert herd.fork(70, np.random.default_rng(0)) is not None
    assert [(i.assignment, i.time, i.before) for i in told] == [
        (one, 1.0, 40.0),  # from 20 to 40
        (other, 2.0, 30.0),  # from 40, with the parent's cost, to 60
        (other, 3.0, 22.0),  # it still runs
    ]
    gains = [interval.gain for interval in told]
    assert gains == [pytest.approx(10.0), pytest.approx(8.0), None]


def test_each_whole_number_of_a_logarithmic_range_gets_its_due() -> None:
    """The number k stands for the reals from k − 1/2 to k + 1/2."""
    dimension = NumberRange(name="x", place=("x",), kind="log_int", low=2, high=9)
    drawn_values = [value_at(dimension, (i + 0.5) / 20_000) for i in range(20_000)]
    width = math.log(9.5 / 1.5)
    for k in range(2, 10):
        due = math.log((k + 0.5) / (k - 0.5)) / width
        assert drawn_values.count(k) / 20_000 == pytest.approx(due, abs=2e-4)


@pytest.mark.parametrize("resample", [0.0, 0.3, 1.0])
def test_values_are_drawn_anew_as_often_as_asked_for(resample: float) -> None:
    """Of a choice of ten, a tenth of the draws are the parent's again."""
    space = space_of({"c": {"choice": list("abcdefghij")}, "x": {"uniform": [0.0, 1.0]}})
    random, parent = np.random.default_rng(0), {"c": "d", "x": 0.5}
    explore = Perturb(factor=1.2, resample=resample)
    forks: list[Any] = [explore(space, Start(parent, 1.0, 0.0), [], random) for _ in range(2_000)]
    changed = sum(fork["c"] != "d" for fork in forks) / 2_000
    assert changed == pytest.approx(0.9 * resample, abs=0.03)
    near = [fork["x"] for fork in forks if abs(abs(fork["x"] - 0.5) - 0.2) < 1e-9]
    assert len(near) / 2_000 == pytest.approx(1 - resample, abs=0.03)
    if near:
        assert sum(x > 0.5 for x in near) / len(near) == pytest.approx(0.5, abs=0.05)
