"""MLflow's pages of a real search, as a person sees them: in a real browser.

With GAN_TUNE_SCREENSHOTS=docs/pictures the pictures of the documentation are written anew.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

pytestmark = pytest.mark.ci

CHROMIUM = shutil.which("chromium")
SIZE = {"width": 1440, "height": 960}
SEARCH = ["search", "digits", "--trials", "12", "--minutes", "4"]
SETTINGS = ["--set", "budget.steps=600", "--set", "confirm.seeds=2"]


WITHOUT_ITS_FOLDER = r"""() => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode())
        texts.currentNode.data = texts.currentNode.data.replace(/file:.*\/mlruns/, "mlruns");
}"""
"""The pictures of the documentation do not tell where they were taken."""


def gan_tune(*words: str, folder: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "gan_tune.cli", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the digits have been searched."""
    made = tmp_path_factory.mktemp("searched")
    gan_tune(*SEARCH, *SETTINGS, folder=made)
    return made


@pytest.fixture(scope="module")
def links(folder: Path) -> Iterator[dict[str, str]]:
    """The links that `gan-tune ui digits` prints."""
    command = subprocess.Popen(
        [sys.executable, "-m", "gan_tune.cli", "ui", "digits", "--port", "0"],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert command.stdout is not None
        printed = {}
        while (line := command.stdout.readline().strip()) != "(Ctrl-C ends it)":
            assert command.poll() is None
            what, _, link = line.partition(": ")
            printed[what] = link
        yield printed
    finally:
        command.send_signal(signal.SIGINT)
        assert command.wait(30) == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.fail("Debian's package chromium is not installed")
    with sync_playwright() as playwright:
        # Containers run as root, where Chromium's own sandbox does not start.
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=SIZE, device_scale_factor=1)
    yield context.new_page()
    context.close()


def opened(page: Page, link: str) -> Page:
    page.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)
    page.goto(link)
    return page


def model_page(page: Page, links: dict[str, str]) -> Page:
    place = "#/models/digits/versions/1?workflowType=machine_learning"
    return opened(page, links["charts"].partition("#")[0] + place)


def trial_page(model: Page) -> Page:
    """The run to which a model's card leads."""
    with model.expect_popup() as run:
        model.get_by_role("link", name=re.compile("The trial's run")).click()
    run.value.set_viewport_size(SIZE)
    return run.value


def screenshot(page: Page, name: str, tmp_path: Path) -> None:
    """Kept where it is asked for, in few colours: a picture of the documentation is small."""
    import PIL.Image

    place = Path(os.environ.get("GAN_TUNE_SCREENSHOTS", tmp_path))
    page.wait_for_timeout(1500)
    page.evaluate(WITHOUT_ITS_FOLDER)
    page.screenshot(path=tmp_path / name)
    with PIL.Image.open(tmp_path / name) as whole:
        small = whole.convert("RGB").quantize(128, dither=PIL.Image.Dither.NONE)
    small.save(place / name, optimize=True)
    assert (place / name).stat().st_size < 300_000


def test_the_search_shows_its_best_trial_settings_and_picture_without_a_click(
    page: Page, links: dict[str, str], tmp_path: Path
) -> None:
    opened(page, links["the search"])
    report = page.frame_locator("iframe")
    picture = report.get_by_alt_text("samples: champion").first
    picture.wait_for()
    assert picture.evaluate("element => element.naturalWidth") > 100, "it is loaded"
    for seen in (
        report.get_by_text("Champion").first,
        picture,
        report.get_by_role("cell", name=re.compile(r"generator_optimizer\.\w+\.lr")).first,
    ):
        expect(seen).to_be_in_viewport()
    assert "token" not in page.url
    screenshot(page, "mlflow_search.png", tmp_path)


def test_the_table_shows_all_trials_best_first(
    page: Page, links: dict[str, str], tmp_path: Path
) -> None:
    opened(page, links["all trials"])
    best = column(page, "metrics.`best.frechet_distance`")
    values = [float(text.rstrip("…")) for text in best if text not in ("", "-")]
    assert len(values) >= 12
    assert values == sorted(values)
    outcomes = set(column(page, "tags.`gan_tune.outcome`"))
    assert outcomes <= {"completed", "pruned", "diverged", "collapsed", "failed"}
    assert "0.0002" in column(page, "params.`generator_optimizer.lr`"), "the start's"
    screenshot(page, "mlflow_trials.png", tmp_path)


def column(page: Page, name: str) -> list[str]:
    """The cells of a column of the table, in the order of its rows."""
    cells = page.locator(f'.ag-center-cols-container [col-id="{name}"]')
    cells.first.wait_for()
    rows = cells.evaluate_all(
        """cells => cells.map(cell => [
            Number(cell.closest('[row-index]').getAttribute('row-index')),
            cell.innerText.trim()])"""
    )
    return [text for _, text in sorted(rows)]


def test_the_charts_show_curves_parallel_coordinates_and_pictures(
    page: Page, links: dict[str, str], tmp_path: Path
) -> None:
    opened(page, links["charts"])
    area = page.get_by_test_id("experiment-view-compare-runs-chart-area")
    expect(area.locator("img").first).to_be_visible()
    expect(area.locator(".js-plotly-plot .scatterlayer path.js-line").first).to_be_attached()
    expect(area.get_by_text("Parallel Coordinates")).to_be_visible()
    screenshot(page, "mlflow_charts.png", tmp_path)
    best = area.locator("img").last  # MLflow turns the order around
    best.scroll_into_view_if_needed()
    expect(best).to_be_in_viewport()
    assert best.evaluate("element => element.naturalWidth") > 100


def test_the_model_has_a_card_and_leads_to_its_run(
    page: Page, links: dict[str, str], tmp_path: Path
) -> None:
    model_page(page, links)
    page.get_by_text("What the search decided").first.wait_for()
    picture = page.locator("img[src*='get-artifact']").first  # MLflow drops the alternative text
    expect(picture).to_be_visible()
    assert picture.evaluate("element => element.naturalWidth") > 100
    screenshot(page, "mlflow_model.png", tmp_path)
    link = trial_page(page).get_by_role("link", name="digits/1")
    expect(link).to_be_attached()
    assert "#/models/digits/versions/1" in (link.get_attribute("href") or "")


def test_a_trial_shows_its_curves_and_pictures(
    page: Page, links: dict[str, str], tmp_path: Path
) -> None:
    page = trial_page(model_page(page, links))
    page.get_by_role("tab", name="Model metrics").click()
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    screenshot(page, "mlflow_run.png", tmp_path)
    page.get_by_placeholder("Search metric charts").fill("samples")
    slider = page.get_by_role("slider").first
    expect(slider).to_have_attribute("aria-valuemax", "600")
    page.wait_for_timeout(1000)
    whole = slider.locator("xpath=ancestor::*[@data-orientation='horizontal'][last()]")
    box = whole.bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] - 3, box["y"] + box["height"] / 2)
    expect(page.get_by_role("slider").first).to_have_attribute("aria-valuenow", "600")
    expect(
        page.locator("img[src^='data:'], img[src^='blob:'], img[src*='samples']").first
    ).to_be_visible()


def test_without_the_token_the_browser_sees_nothing(
    browser: Browser, links: dict[str, str]
) -> None:
    context = browser.new_context()
    page = context.new_page()
    base = links["charts"].partition("?")[0]
    for place in ("", "get-artifact?path=champion.png", "static-files/x.js", "?token=wrong"):
        answer = page.goto(f"{base}{place}")
        assert answer is not None
        assert answer.status == 401
        assert "MLflow" not in page.content()
    context.close()
