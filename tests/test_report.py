"""The page that explains a search: whole for every search, closed to the network and to markup."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import optuna
import pytest
from toy_study import AWKWARD, METRIC, add, random_study, study_of
from written_search import png

from gan_tune.errors import StorageError
from gan_tune.searching.study.leaderboard import leaderboard
from gan_tune.searching.study.opening import study_as_it_stands
from gan_tune.searching.study.plots import PLOTS, drawn
from gan_tune.searching.study.reading import settings_of
from gan_tune.service import report_page as report_page_module
from gan_tune.service.report_page import Heading, plots_page, report_page
from gan_tune.storage.storage import Storage

EVIL = "<script>alert(1)</script>&"


def grid_of(setting: int, step: int) -> bytes:
    """The picture of a setting's report."""
    return png(100 * setting + step, 8)


class Page(HTMLParser):
    """What a browser would see: tags with their attributes, and text outside of scripts."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._open):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page_of(folder: Path, study: optuna.Study, **heading: Any) -> Page:
    rows = leaderboard(study, [])
    fields = {"name": "toy", "state": "interrupted", "metric": METRIC, "seconds": 61.0} | heading
    return Page(report_page(Storage(str(folder)), study, rows, Heading(**fields)))


@pytest.mark.parametrize("name", AWKWARD)
def test_every_search_has_its_page(name: str, tmp_path: Path) -> None:
    page = page_of(tmp_path, study_of(tmp_path, *AWKWARD[name]))
    assert "interrupted after 0:01:01" in page.text
    for plot in PLOTS.values():
        assert (plot.title in page.text) == (not plot.several)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    linked = {str(link["href"])[1:] for link in page.all("a")}
    assert linked <= set(ids)


def test_the_page_holds_its_script_once_and_loads_nothing(tmp_path: Path) -> None:
    study = study_of(tmp_path, *AWKWARD["every outcome"])
    page = report_page(
        Storage(str(tmp_path)),
        study,
        leaderboard(study, []),
        Heading("toy", "running", METRIC, None),
    )
    assert len(page) < 8e6
    assert page.count(b"plotly.js v") == 1
    seen = Page(page)
    sources = [a[key] for _, a in seen.tags for key in ("src", "href") if a.get(key)]
    assert all(str(source).startswith(("data:", "#")) for source in sources)
    (policy,) = (m["content"] for m in seen.all("meta") if "http-equiv" in m)
    assert re.search(r"default-src 'none'", str(policy))
    assert "http" not in str(policy)
    assert not seen.all("link")
    assert not seen.all("iframe")


def test_the_plots_stand_alone_too(tmp_path: Path) -> None:
    study = study_of(tmp_path, *AWKWARD["every outcome"])
    page = plots_page(EVIL, drawn(study, metric=METRIC))
    assert page.count(b"plotly.js v") == 1
    seen = Page(page)
    assert EVIL in seen.text
    shown = [div for div in seen.all("div") if "plotly-graph-div" in str(div.get("class"))]
    assert len(shown) == sum(not plot.several for plot in PLOTS.values())
    (policy,) = (m["content"] for m in seen.all("meta") if "http-equiv" in m)
    assert re.search(r"default-src 'none'", str(policy))


def kept(folder: Path, setting: int, *steps: int, **ending: Any) -> None:
    """What a setting's own trial leaves in its folder."""
    home = Storage(str(folder))
    for step in steps:
        home.write(f"trials/{setting:04}/grids/{step}.png", grid_of(setting, step))
    home.write_json(
        f"trials/{setting:04}/outcome.json",
        {"outcome": "failed", "value": None, "step": 0} | ending,
    )


def test_the_best_and_typical_failures_are_shown_with_their_last_grids(tmp_path: Path) -> None:
    study = random_study()
    curves = {"diverged": ({10: 9.0}, {10: 9.0, 20: 8.0}, {}), "collapsed": ({10: 7.0},)}
    for value in (4.0, 1.0, 6.0, 3.0, 2.0):
        add(study, "completed", {10: value + 1, 20: value})
        kept(tmp_path, len(study.trials) - 1, 10, 20)
    for outcome, courses in curves.items():
        for curve in courses:
            add(study, outcome, curve)
            number = len(study.trials) - 1
            kept(tmp_path, number, *curve, symptoms=["exploding"] if number == 5 else [])
    page = page_of(tmp_path, study)
    shown = [base64.b64decode(str(i["src"]).partition("base64,")[2]) for i in page.all("img")]
    named = {grid_of(i, step): f"{i}/{step}" for i in range(10) for step in (10, 20)}
    numbers = [named[picture] for picture in shown]
    # The three best; of those that diverged after 0, 10 and 20 steps the middle one; the collapsed
    # one; and the worst of the sound.
    assert numbers == ["1/20", "4/20", "3/20", "5/10", "8/10", "2/20"]
    assert "diverged: one of 3" in page.text
    assert "symptoms: exploding" in page.text
    assert "the worst that ran its full length" in page.text


def test_a_bad_setting_that_is_confirmed_for_comparison_is_not_among_the_best(
    tmp_path: Path,
) -> None:
    study = random_study()
    for i, value in enumerate((4.0, 1.0, 6.0, 3.0)):
        add(study, "completed", {10: value})
        kept(tmp_path, i, 10)
    first, *others = leaderboard(study, [])
    worst = others.pop()
    assert worst.setting == 2
    heading = Heading(name="toy", state="interrupted", metric=METRIC, seconds=1.0)
    page = Page(report_page(Storage(str(tmp_path)), study, [first, worst, *others], heading))
    shown = [base64.b64decode(str(i["src"]).partition("base64,")[2]) for i in page.all("img")]
    assert shown[:3] == [grid_of(setting, 10) for setting in (1, 3, 0)]
    assert "number 4 of the leaderboard" in page.text


def test_a_setting_without_a_picture_says_so(tmp_path: Path) -> None:
    study = random_study()
    add(study, "diverged", {})
    page = page_of(tmp_path, study)
    assert page.all("img") == []
    assert "no picture was stored" in page.text
    assert "No setting has come to a value yet." in page.text


def test_what_comes_from_the_user_is_text(tmp_path: Path) -> None:
    study = random_study()
    clean = len(page_of(tmp_path, study).all("script"))
    for i in range(24):
        trial = study.ask()
        trial.suggest_categorical(f"{EVIL}loss", [EVIL, "hinge"])
        trial.suggest_float(f"{EVIL}rate", 0, 1)
        trial.report(float(i), 10)
        trial.set_user_attr("outcome", "completed")
        study.tell(trial, float(i))
        kept(tmp_path, i, 10, error=EVIL, symptoms=[EVIL])
    page = page_of(tmp_path, study, name=EVIL, metric=EVIL, state=EVIL)
    assert EVIL in page.text
    own = len(page.all("script")) - clean
    # Each figure brings one script of its own, the gallery two: none was smuggled in.
    assert own - 2 == sum("plotly-graph-div" in str(div.get("class")) for div in page.all("div"))


def test_a_picture_is_a_png_or_left_out(tmp_path: Path) -> None:
    study = random_study()
    add(study, "completed", {10: 1.0})
    for content in (b"secret", b"GIF89a", grid_of(0, 10)[:60], b""):
        kept(tmp_path, 0, 10)
        Storage(str(tmp_path)).write("trials/0000/grids/10.png", content)
        page = page_of(tmp_path, study)
        assert "1 setting" in page.text
        assert page.all("img") == []


def test_a_damaged_trial_is_named_and_the_others_are_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = random_study()
    for number in range(3):
        add(study, "completed", {10: 1.0 + number})
        kept(tmp_path, number, 10)
    (tmp_path / "trials" / "0000" / "outcome.json").write_text("{")
    (tmp_path / "trials" / "0001" / "grids" / "10.png").unlink()
    (tmp_path / "trials" / "0001" / "grids" / "10.png").mkdir()
    page = page_of(tmp_path, study)
    assert len(page.all("img")) == 2, "the pictures of 0000 and 0002"
    for trial in ("0000", "0001"):
        assert f"The files of trial {trial} are left out" in page.text
        assert caplog.text.count(f"the files of trial {trial} are left out") == 1


def test_a_leaderboard_of_thousands_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_page_module, "MOST_ROWS", 12)
    study = study_of(tmp_path, *AWKWARD["every outcome"])
    page = page_of(tmp_path, study)
    assert "the next 2 settings" in page.text
    rows = len(leaderboard(study, []))
    assert f"{rows - 12} settings more are in the gallery" in page.text


# ---------------------------------------------------------------- onlookers


def test_onlookers_change_nothing_and_read_what_is_whole(tmp_path: Path) -> None:
    study = study_of(tmp_path, *AWKWARD["every outcome"])
    journal = tmp_path / "study.journal"
    torn = journal.read_bytes() + b'{"op_code": 4, "trial'
    journal.write_bytes(torn)
    (tmp_path / "study.journal.lock").symlink_to(journal)
    seen = study_as_it_stands(journal)
    assert settings_of(seen) == settings_of(study)
    assert [t.constraints for t in seen.trials] == [t.constraints for t in study.trials]
    assert seen.direction == study.direction
    assert journal.read_bytes() == torn
    assert (tmp_path / "study.journal.lock").is_symlink()


def test_a_study_that_is_elsewhere_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="it lies where the search was started"):
        study_as_it_stands(tmp_path / "study.journal")
    assert not list(tmp_path.iterdir())
