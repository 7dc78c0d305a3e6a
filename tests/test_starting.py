"""From a data set to a space: what is seen, what is proposed, and how a search of data goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import gan_tune
from gan_tune import service
from gan_tune.errors import DataError, GanTuneError, OutputError, SpaceError
from gan_tune.parts.all_parts import catalogue
from gan_tune.service.begin_from_data import begin
from gan_tune.space import SearchSpace, check_name, shipped_spaces
from gan_tune.space.reading import read_space
from gan_tune.space.yaml_text import parse
from gan_tune.starting import proposal, spaces_by_kind
from gan_tune.starting.plan import (
    ENOUGH_STEPS,
    FULL_TRIALS,
    LEAST_STEPS,
    LONGEST_SHARE,
    OVERHEAD,
    Plan,
    plan,
)
from gan_tune.starting.proposal import Proposal, largest_side, propose
from gan_tune.starting.seen_data import MOST_COLUMNS, Seen, look
from gan_tune.starting.sources import SOURCES, find_data, name_of
from gan_tune.starting.spaces_by_kind import KINDS, kind_of
from gan_tune.storage.places import DATA_NOTE, PLAN_NOTE, SPACE_FILE, STUDY_NOTE
from gan_tune.storage.storage import open_storage

STEP = 0.002


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAN_TUNE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of two cores without a GPU, on which every step takes as long."""
    monkeypatch.setattr(proposal, "step_seconds", lambda *_, **__: STEP)
    monkeypatch.setattr(proposal, "slots_here", lambda cpu, gpu: 2)
    monkeypatch.setattr(proposal, "has_gpu", lambda: False)


def pictures(
    folder: Path, count: int = 24, side: int = 16, *, grey: bool = False, **how: Any
) -> Path:
    """A folder of pictures of noise."""
    random = np.random.RandomState(how.get("seed", 0))
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        levels = random.randint(0, 256, (side, side, 1 if grey else 3)).astype(np.uint8)
        picture = Image.fromarray(np.broadcast_to(levels, (side, side, 3)))
        picture.save(folder / f"{i:04d}.{how.get('suffix', 'png')}")
    return folder


def array_file(path: Path, array: np.ndarray, **others: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        np.savez(path, x=array, **others)
    return path


def labelled(folder: Path) -> Path:
    pictures(folder / "cats", 20, seed=1)
    pictures(folder / "dogs", 20, seed=2)
    return folder


def csv_file(path: Path) -> Path:
    rows = "".join(f"{i % 7 + 20},{i / 7:.3f}\n" for i in range(60))
    path.write_text(f"age,hours\n{rows}")
    return path


def noise(*shape: int) -> np.ndarray:
    return np.random.RandomState(0).standard_normal(shape).astype(np.float32)


Make = Callable[[Path], Path]
DATA: dict[str, tuple[Make, str, tuple[int, ...], str]] = {
    "colour pictures": (
        lambda at: pictures(at / "photos"),
        "pictures",
        (3, 16, 16),
        "24 colour pictures of 16x16, no labels",
    ),
    "grey pictures kept as RGB": (
        lambda at: pictures(at / "scans", grey=True, suffix="jpg"),
        "pictures",
        (1, 16, 16),
        "24 grey pictures of 16x16",
    ),
    "classes": (lambda at: labelled(at / "pets"), "pictures", (3, 16, 16), "2 labels"),
    "large pictures": (
        lambda at: pictures(at / "large", side=70),
        "pictures",
        (3, 32, 32),
        "Their sides have 70 pixels; they are read at 32x32",
    ),
    "small pictures": (
        lambda at: array_file(at / "digits.npy", np.uint8(100 * abs(noise(40, 8, 8)) % 256)),
        "small pictures",
        (1, 8, 8),
        "40 grey pictures of 8x8",
    ),
    "points": (
        lambda at: array_file(at / "points.npz", noise(2_000, 2), y=np.arange(2_000) % 3),
        "points",
        (2,),
        "2,000 points of 2 columns, 3 labels",
    ),
    "a table": (
        lambda at: array_file(at / "table.npy", np.c_[noise(50, 11), np.ones(50, np.float32)]),
        "points",
        (12,),
        "1 of the columns never change",
    ),
    "a table with names": (
        lambda at: csv_file(at / "people.csv"),
        "points",
        (2,),
        "60 rows of 2 columns (age, hours)",
    ),
}
"""What is made, the kind it is of, its shape, and what is said of it."""


def seen_of(case: str, tmp_path: Path) -> Seen:
    return look(DATA[case][0](tmp_path), largest=largest_side(10, 0))


def proposed(case: str, tmp_path: Path, minutes: float = 10) -> Proposal:
    return propose(seen_of(case, tmp_path), "own", minutes=minutes, gpu=0)


# ---------------------------------------------------------------- what is seen


@pytest.mark.parametrize("case", DATA)
def test_data_are_seen_as_they_are(case: str, tmp_path: Path) -> None:
    _, kind, shape, told = DATA[case]
    seen = seen_of(case, tmp_path)
    assert kind_of(seen) is KINDS[kind]
    assert seen.dataset.shape == shape
    assert told in " ".join(seen.sentences())


def test_every_kind_and_every_suffix_is_tried(tmp_path: Path) -> None:
    assert {kind for _, kind, _, _ in DATA.values()} == set(KINDS)
    made = {make(tmp_path).suffix for make, *_ in DATA.values()}
    assert {SOURCES[suffix].part for suffix in made if suffix} == {
        source.part for source in SOURCES.values()
    }


def test_few_and_repeated_samples_are_told(tmp_path: Path) -> None:
    rows = noise(60, 2)
    seen = look(array_file(tmp_path / "x.npy", np.concatenate([rows, rows[:9]])), largest=32)
    assert seen.duplicates == 9
    told = " ".join(seen.sentences())
    assert "9 repeat an earlier one exactly" in told
    assert "69 samples are few: figures mean something from about 1,000 on" in told


def test_pictures_of_many_sizes_are_not_enlarged(tmp_path: Path) -> None:
    for i, side in enumerate((18, 22, 30, 61)):
        pictures(tmp_path / "mixed" / str(i), 10, side)
    (tmp_path / "mixed" / "1").rename(tmp_path / "one")  # of one class only
    seen = look(tmp_path / "mixed", largest=32)
    assert seen.dataset.shape[1:] == (16, 16)


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (
            lambda at: pictures(at / "few", 19),
            r"at least 20 samples to be split: 19 \(figures mean something from about 1,000",
        ),
        (lambda at: pictures(at / "tiny", side=7), "at least 8 pixels a side: one in ten has 7"),
        (lambda at: at / "nowhere", "must exist: no such folder or file"),
        (lambda at: array_file(at / "same.npy", np.ones((2_000, 3))), "all 1600 are equal"),
        (
            lambda at: array_file(at / "wide.npy", noise(30, 10 * MOST_COLUMNS)),
            "must have at most 1,000 columns for a search to start from: 10,000",
        ),
        (lambda at: array_file(at / "same.npz", np.ones((2_000, 8, 8), np.uint8)), "are equal"),
    ],
)
def test_data_to_which_nothing_fits_are_refused_in_one_line(
    make: Make, rule: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=rule) as caught:
        look(make(tmp_path), largest=32)
    assert "\n" not in str(caught.value)


def test_a_folder_or_file_that_nothing_reads_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("a")
    (tmp_path / "notes.doc").write_text("a")
    with pytest.raises(DataError, match="must hold pictures"):
        look(tmp_path / "notes", largest=32)
    with pytest.raises(DataError, match=r"ends in one of .*: \.doc"):
        look(tmp_path / "notes.doc", largest=32)
    broken = tmp_path / "broken"
    broken.mkdir()
    for i in range(20):
        (broken / f"{i}.png").write_text("no picture")
    with pytest.raises(DataError, match="that Pillow can open"):
        look(broken, largest=32)


# ---------------------------------------------------------------- what is data


def test_a_shipped_name_and_a_yaml_file_are_spaces_whatever_lies_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*shipped_spaces(), "photos", "own.yaml", "own.yml"):
        Path(name).mkdir()
    for space in (*shipped_spaces(), "own.yaml", "own.yml", "nowhere", "", "\0"):
        assert find_data(space) is None
    for data in ("photos", "./photos", "./digits", str(tmp_path)):
        assert find_data(data) == Path(data)


@pytest.mark.parametrize(
    ("stem", "name"),
    [("photos", "photos"), ("my photos (2)", "my_photos_2"), ("..", None), ("é", "data")],
)
def test_a_search_is_named_after_its_data(stem: str, name: str | None, tmp_path: Path) -> None:
    folder = tmp_path / "in" / stem
    folder.mkdir(parents=True, exist_ok=True)
    assert name_of(folder) == name or name is None
    assert check_name(name_of(folder)) is None
    assert check_name(name_of(tmp_path / f"{'x' * 150}.npz")) is None


# ---------------------------------------------------------------- the plan


@pytest.mark.parametrize("minutes", [0.5, 2, 10, 60, 600])
@pytest.mark.parametrize("slots", [1, 2, 16])
@pytest.mark.parametrize("step", [0.0005, 0.02, 0.5])
def test_a_plan_fits_the_time(minutes: float, slots: int, step: float) -> None:
    """Twice as wide costs four times as much."""
    widths = (8, 16, 32, 64)
    made = plan(lambda w: step * (w / 8) ** 2, widths, minutes=minutes, slots=slots)
    assert made.step_seconds == step * (made.width / 8) ** 2
    assert made.width == 8 or made.steps >= 0.98 * ENOUGH_STEPS
    longest = 60 * minutes * min(slots / FULL_TRIALS, LONGEST_SHARE)
    assert made.trial_seconds <= longest or made.steps == 10
    assert made.is_short == (longest < OVERHEAD * LEAST_STEPS * made.step_seconds)


def test_more_time_gives_wider_networks_and_then_longer_trials() -> None:
    plans = [plan(lambda w: 1e-3 * w, (8, 16, 32), minutes=m, slots=2) for m in (1, 5, 20, 60, 240)]
    assert [made.width for made in plans] == sorted(made.width for made in plans)
    assert plans[0].width < plans[-1].width == 32
    assert plans[-1].steps > plans[-2].steps
    assert plans[0].is_short
    assert not plans[1].is_short


def test_a_wide_network_is_not_timed_where_a_narrow_one_is_slow() -> None:
    asked: list[int] = []

    def slow(width: int) -> float:
        asked.append(width)
        return 1.0

    made = plan(slow, (8, 16, 32), minutes=1, slots=2)
    assert asked == [8]
    assert made == Plan(8, 1.0, steps=10, slots=2, minutes=1)


# ---------------------------------------------------------------- what is proposed


@pytest.mark.parametrize("case", DATA)
def test_a_proposal_is_a_sound_space_whose_text_says_the_same(case: str, tmp_path: Path) -> None:
    minutes = 2.5
    made = proposed(case, tmp_path, minutes)
    space = SearchSpace.load(made.tree, catalogue())
    assert not space.warnings
    assert parse(made.text) == made.tree
    assert all(len(line) <= 120 for line in made.text.splitlines())
    assert (space.budget.minutes, space.budget.steps) == (minutes, made.plan.steps)
    first = space.config(space.starts[0], seed=0)
    assert first.steps == made.plan.steps
    for start in space.starts[1:]:
        space.config(start, seed=0)


@pytest.mark.parametrize("case", ["colour pictures", "small pictures", "points"])
def test_the_ranges_are_the_shipped_ones(case: str, tmp_path: Path) -> None:
    made = proposed(case, tmp_path)
    shipped = read_space(made.kind.source).tree
    own = made.tree["trial"]["generator_optimizer"]
    given = shipped["trial"]["generator_optimizer"]
    of_adam = given["choice"][0] if "choice" in given else given
    assert (own["lr"], own["beta1"]) == (of_adam["lr"], of_adam["beta1"])
    assert made.tree["objective"] == shipped["objective"]


def test_few_pictures_are_augmented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = proposed("colour pictures", tmp_path)
    assert made.tree["start_from"][0]["augment"] == "diffaugment"
    assert "DiffAugment" in made.paragraph
    monkeypatch.setattr(spaces_by_kind, "FEW_PICTURES", 24)
    assert "augment" not in proposed("colour pictures", tmp_path).tree["trial"]


def test_too_little_time_is_told(tmp_path: Path) -> None:
    assert "should see 2,000 steps" in proposed("points", tmp_path, 0.05).paragraph
    assert "should see 2,000 steps" not in proposed("points", tmp_path, 10).paragraph


def test_a_gpu_that_is_elsewhere_is_told(tmp_path: Path) -> None:
    made = propose(seen_of("points", tmp_path), "own", minutes=1, gpu=0.25)
    assert made.tree["resources"]["gpu"] == 0.25
    assert "no GPU here" in made.paragraph


@pytest.mark.parametrize("case", ["colour pictures", "points"])
def test_the_time_of_a_step_is_measured(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("GAN_TUNE_CACHE", str(tmp_path / "cache"))
    made = propose(seen_of(case, tmp_path), "own", minutes=0.1, gpu=0)
    assert 0 < made.plan.step_seconds < 1


# ---------------------------------------------------------------- init


def photos(folder: Path, seed: int = 0) -> Path:
    """A file of small pictures, for which a space is quickly checked."""
    folder.mkdir(exist_ok=True)
    made = np.random.RandomState(seed).randint(0, 256, (30, 8, 8)).astype(np.uint8)
    return array_file(folder / "photos.npy", made)


def test_init_writes_what_it_proposes(tmp_path: Path) -> None:
    data, out = photos(tmp_path), tmp_path / "own.yaml"
    path, made = service.init(data, out, minutes=60)
    assert path == out
    assert out.read_text() == made.text
    space = service.load_space(out)
    assert (space.name, space.budget.minutes) == ("photos", 60)
    with pytest.raises(OutputError, match="exists already; --force"):
        service.init(data, out)
    service.init(data, out, minutes=5, force=True)
    assert service.load_space(out).budget.minutes == 5


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        ({"minutes": 0.0}, "budget.minutes: must be above 0"),
        ({"minutes": float("nan")}, "budget.minutes"),
        ({"gpu": 1.5}, "resources.gpu: must be a whole number above 1"),
        ({"minutes": -1.0, "gpu": -1.0}, "resources.gpu: must be at least 0"),
    ],
)
def test_limits_are_refused_before_the_data_are_looked_at(
    limits: dict[str, float], rule: str, tmp_path: Path
) -> None:
    with pytest.raises(SpaceError, match=rule):
        service.init(tmp_path / "nowhere", tmp_path / "x.yaml", **limits)
    with pytest.raises(SpaceError, match=rule):
        begin(tmp_path / "nowhere", **limits)


# ---------------------------------------------------------------- a search of data


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def kept(beginning: service.Beginning, runs: Path) -> None:
    """As a search does when it begins."""
    home = open_storage(runs).below(beginning.name)
    beginning.keep(home)
    home.write_json(STUDY_NOTE, {})


def test_the_same_data_go_on_with_the_space_that_they_began_with(
    tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = photos(tmp_path)
    first = begin(data, storage=runs)
    assert not first.goes_on
    assert not runs.exists(), "nothing is written before the search begins"
    kept(first, runs)
    plan = open_storage(runs).below(first.name).read_json(PLAN_NOTE)
    assert (plan["step_seconds"], plan["slots"], plan["steps"]) == (STEP, 2, None), "as timed here"
    assert Path(first.space_file).read_text() == first.space_text == first.space.source
    monkeypatch.setattr(proposal, "step_seconds", lambda *_, **__: 10 * STEP)
    again = begin(data, storage=runs)
    assert again.goes_on
    assert (again.name, again.space.digest) == (first.name, first.space.digest)
    longer = begin(data, minutes=30, storage=runs)
    assert longer.space.budget.minutes == 30
    assert longer.space.digest == first.space.digest


def test_data_that_changed_are_refused(tmp_path: Path, runs: Path) -> None:
    data = photos(tmp_path)
    kept(begin(data, storage=runs), runs)
    photos(tmp_path, seed=9)
    with pytest.raises(DataError, match="has changed since the search photos began; use --fresh"):
        begin(data, storage=runs)
    fresh = begin(data, storage=runs, fresh=True)
    assert (fresh.name, fresh.space.name) == ("photos-2", "photos"), "the model's name stays"
    kept(fresh, runs)
    assert begin(data, storage=runs, name="photos-2").goes_on


def test_a_name_that_is_taken_gets_digits_of_the_digest(tmp_path: Path, runs: Path) -> None:
    kept(begin(photos(tmp_path / "a"), storage=runs), runs)
    other = photos(tmp_path / "b", seed=1)
    beginning = begin(other, storage=runs)
    digest = beginning.note.digest
    assert beginning.name == beginning.space.name == f"photos-{digest[:6]}"
    kept(beginning, runs)
    assert begin(other, storage=runs).name == beginning.name
    assert begin(other, storage=runs).goes_on
    with pytest.raises(DataError, match="photos: is another search's name; use --fresh"):
        begin(other, storage=runs, name="photos")


def test_a_search_of_a_space_file_keeps_its_name(tmp_path: Path, runs: Path) -> None:
    open_storage(runs).below("photos").write_json(STUDY_NOTE, {})
    assert begin(photos(tmp_path), storage=runs).name.startswith("photos-")


def test_the_same_data_at_another_place_go_on(tmp_path: Path, runs: Path) -> None:
    kept(begin(photos(tmp_path / "a"), storage=runs), runs)
    assert begin(photos(tmp_path / "b"), storage=runs).goes_on


def test_overrides_and_a_space_that_was_edited_are_checked(tmp_path: Path, runs: Path) -> None:
    data = photos(tmp_path)
    assert begin(data, ["budget.trials=3"], storage=runs).space.budget.trials == 3
    with pytest.raises(SpaceError, match="los: no such key"):
        begin(data, ["trial.los=hinge"], storage=runs)
    beginning = begin(data, storage=runs)
    kept(beginning, runs)
    for text in ("", "name: [", "name: x"):
        Path(beginning.space_file).write_text(text)
        with pytest.raises(SpaceError):
            begin(data, storage=runs)


ARRAYS: dict[str, Any] = {
    "points": noise(100, 2),
    "pictures": np.uint8(99 * abs(noise(30, 8, 8))),
    "data set": gan_tune.Dataset(
        "own set",
        "points",
        train=noise(40, 2),
        selection=noise(9, 2),
        test=noise(8, 2),
        train_labels=np.arange(40),
        selection_labels=np.arange(9),
        test_labels=np.arange(8),
    ),
}


@pytest.mark.ci
@pytest.mark.parametrize("case", ARRAYS)
def test_an_array_is_kept_for_going_on(case: str, runs: Path) -> None:
    data = ARRAYS[case]
    first = begin(data, storage=runs)
    kept(first, runs)
    assert {DATA_NOTE, SPACE_FILE} <= {path.name for path in (runs / first.name).iterdir()}
    assert Path(first.note.tree["path"]).parent == runs / first.name
    again = begin(data, storage=runs)
    assert again.goes_on
    assert again.space.digest == first.space.digest
    file = Path(first.note.tree["path"])
    content = file.read_bytes()
    file.unlink()  # lost, as with the driver's disk
    assert begin(data, storage=runs).goes_on
    assert file.read_bytes() == content
    other = begin(noise(50, 4), storage=runs)
    assert other.name == ("data" if case == "data set" else f"data-{other.note.digest[:6]}")


def test_a_data_set_keeps_its_splits_and_labels(runs: Path) -> None:
    given = ARRAYS["data set"]
    beginning = begin(given, storage=runs)
    assert beginning.name == "own_set"
    read = look(Path(beginning.note.tree["path"]), largest=32).dataset
    assert read.digest == given.digest


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (noise(100), r"the array given: x must be uint8 .*one column"),
        (np.full((100, 2), np.nan), "the array given: x must be finite"),
        (noise(10, 2), "at least 20 samples"),
        (np.zeros((100, 2)), "all 80 are equal"),
        ([1, 2, 3], "must be a path, an array or a gan_tune.Dataset: list"),
    ],
)
def test_an_array_that_cannot_be_used_is_refused_and_not_kept(
    data: Any, rule: str, runs: Path
) -> None:
    with pytest.raises(DataError, match=rule):
        begin(data, storage=runs)
    assert not [path for path in runs.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "given", [{}, {"space": "digits", "data": "x"}, {"space": "digits", "minutes": 3}]
)
def test_a_search_gets_a_space_or_data(given: dict[str, Any], runs: Path) -> None:
    with pytest.raises(GanTuneError, match="a space, or data"):
        gan_tune.search(**given, storage=runs)
