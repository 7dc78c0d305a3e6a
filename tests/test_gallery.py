"""The gallery of a report: every setting's last picture, small, sorted and filtered offline."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from test_search_result import ROW
from toy_study import AWKWARD, METRIC, study_of
from written_search import png

from gan_tune.searching.study.leaderboard_row import Row
from gan_tune.service import gallery as module
from gan_tune.service.damage import Damage
from gan_tune.service.gallery import gallery
from gan_tune.service.report_page import Heading, report_page
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_name import setting_name

EVIL = "</script><script>alert(1)</script>"
CHROMIUM = shutil.which("chromium")


def row(setting: int, **changes: Any) -> Row:
    return Row.from_json(ROW | {"setting": setting} | changes)


def drawn(folder: Path, rows: Sequence[Row], *, steps: Sequence[int] = (10, 20)) -> Storage:
    """A search's folder with noisy pictures, which compress worst."""
    home = Storage(str(folder))
    for one in rows:
        for step in steps:
            trial = TrialFolders(home)[setting_name(one.setting)]
            trial.write_grid(step, png(one.setting + step, 266))
    return home


FIELDS = ("setting", "outcome", "value", "steps", "step", "picture", "changes")


def data_of(part: str) -> dict[str, Any]:
    (data,) = re.findall(r'<script type="application/json" id="gallery-data">(.*?)</script>', part)
    found: dict[str, Any] = json.loads(data)
    return found


def cards_of(part: str) -> list[dict[str, Any]]:
    data = data_of(part)
    cards = [dict(zip(FIELDS, card, strict=True)) for card in data["cards"]]
    for card in cards:
        card["changes"] = {data["parameters"][int(k)]: v for k, v in card["changes"].items()}
    return cards


def gallery_of(home: Storage, rows: Sequence[Row], metric: str = "fd", place: str = "") -> str:
    """The gallery of a search without damage."""
    damage = Damage()
    part = gallery(home, rows, metric=metric, place=place, damaged=damage)
    assert damage.trials == {}
    return part


def picture(card: dict[str, Any], kind: str = "jpeg") -> bytes:
    start, _, text = card["picture"].partition(";base64,")
    assert start == f"data:image/{kind}"
    return base64.b64decode(text)


def test_each_setting_is_a_card_with_its_last_picture(tmp_path: Path) -> None:
    rows = [row(2, value=3.5), row(0, outcome="diverged", value=None)]
    cards = cards_of(gallery_of(drawn(tmp_path, rows), rows))
    assert [card["setting"] for card in cards] == ["0002", "0000"]
    assert cards[0]["value"] == 3.5
    assert cards[0]["changes"] == ROW["changes"]
    assert (cards[1]["outcome"], cards[1]["value"], cards[1]["step"]) == ("diverged", None, 20)
    assert picture(cards[0], "png") == png(22, 266)  # as it is stored, since it fits


def distance(one: Image.Image, other: bytes) -> int:
    like = Image.open(io.BytesIO(other)).convert("RGB").resize(one.size, Image.Resampling.BOX)
    pairs = zip(one.convert("RGB").tobytes(), like.tobytes(), strict=True)
    return sum(abs(a - b) for a, b in pairs)


def test_pictures_fit_into_their_share_and_the_rest_are_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row(number, steps=20) for number in range(6)]
    home = drawn(tmp_path, rows, steps=[20])
    monkeypatch.setattr(module, "SHOWN", 4)
    monkeypatch.setattr(module, "BYTES", 40_000)
    part = gallery_of(home, rows, place="../runs/digits/")
    assert "beyond the best 4 a link" in part
    cards = cards_of(part)
    assert all(len(picture(card)) <= 10_000 for card in cards[:4])
    small = Image.open(io.BytesIO(picture(cards[0])))
    assert min(small.size) >= 96
    assert distance(small, png(20, 266)) < 0.8 * distance(small, png(21, 266))
    assert [(card["step"], card["picture"]) for card in cards[4:]] == [(20, None)] * 2
    link = data_of(part)["link"].replace("SETTING", "0005").replace("STEP", "20")
    assert link == "../runs/digits/trials/0005/grids/20.png"
    assert (tmp_path / link.removeprefix("../runs/digits/")).is_file()


def test_a_damaged_picture_is_a_link_and_none_is_no_gallery(tmp_path: Path) -> None:
    rows = [row(0), row(1)]
    assert gallery_of(Storage(str(tmp_path)), rows) == ""
    TrialFolders(Storage(str(tmp_path)))["0000"].write_grid(10, b"\x89PNG of nothing")
    damaged, absent = cards_of(gallery_of(Storage(str(tmp_path)), rows))
    assert (damaged["picture"], damaged["step"]) == (None, 10)
    assert (absent["picture"], absent["step"]) == (None, None)


def test_what_comes_from_the_user_is_text(tmp_path: Path) -> None:
    rows = [row(0, changes={EVIL: EVIL}, outcome="failed")]
    part = gallery_of(drawn(tmp_path, rows), rows, EVIL)
    assert "<script>alert" not in part
    assert cards_of(part)[0]["changes"] == {EVIL: EVIL}


# ---------------------------------------------------------------- in a browser


@pytest.fixture
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None and os.environ.get("GAN_TUNE_TESTS_NEED_DATA"):
        pytest.fail("Debian's package chromium is not installed")
    if CHROMIUM is None:
        pytest.skip("Debian's package chromium is not installed")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


RATES = {"loss": "hinge", "generator_optimizer": "adam"}


@pytest.mark.ci
def test_the_gallery_is_sorted_and_filtered_without_a_network(tmp_path: Path, browser: Any) -> None:
    rows = [
        row(
            number,
            value=None if number % 7 == 6 else 100.0 - number,
            outcome="diverged" if number % 7 == 6 else "completed",
            changes=RATES | {"generator_optimizer.adam.lr": 10 ** -(number % 5)},
        )
        for number in range(100)
    ]
    home = drawn(tmp_path, rows, steps=[20])
    study = study_of(tmp_path, *AWKWARD["every outcome"])
    page = report_page(home, study, rows, Heading("toy", "finished", METRIC, 1.0))
    (tmp_path / "report.html").write_bytes(page)

    tab, asked, wrong = browser.new_page(), [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    tab.goto((tmp_path / "report.html").as_uri())

    def shown() -> list[int]:
        return [int(name) for name in tab.locator("#gallery-cards figure strong").all_inner_texts()]

    def count() -> str:
        return str(tab.locator("#gallery-count").inner_text())

    assert (shown(), count()) == (list(range(60)), "100 of 100 settings")
    tab.click("#gallery-more")
    assert shown() == list(range(100))
    assert not tab.locator("#gallery-more").is_visible()
    loaded = tab.evaluate("[...document.images].every(one => one.complete && one.naturalWidth)")
    assert loaded

    tab.select_option("#gallery-sort", "value")
    assert shown()[:3] == [99, 98, 96]  # what has no value comes last: 97 has none
    tab.check("#gallery-down")
    assert shown()[:3] == [0, 1, 2]
    tab.uncheck(".gallery-outcome[value=diverged]")
    assert count() == "86 of 100 settings"
    tab.fill("#gallery-from", "90.5")
    assert shown() == [0, 1, 2, 3, 4, 5, 7, 8, 9]
    tab.fill("#gallery-words", "hinge lr<0.01")
    assert shown() == [3, 4, 8, 9]
    tab.fill("#gallery-words", "adam.lr=1")
    assert shown() == [0, 5]
    tab.evaluate("document.getElementById('history').scrollIntoView()")
    tab.wait_for_selector("#history .main-svg")  # a plot is drawn when it is seen
    tab.fill("#gallery-words", "no such loss")
    assert (shown(), count()) == ([], "0 of 100 settings")
    assert wrong == []
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
