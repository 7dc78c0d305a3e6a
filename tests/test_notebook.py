"""A search in a notebook: shown, interrupted, gone on with, looked at, found again."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import CapturedIO, capture_output
from test_live import Clock, FakeConductor, job, result
from test_search_result import ROW, STORED
from tiny_search import space_tree

from gan_tune import service
from gan_tune.errors import GanTuneError
from gan_tune.service.running.ctrl_c import heeded
from gan_tune.watching import NotebookView, in_kernel, shown_in_notebooks

TOUR = Path(__file__).parent.parent / "examples" / "tour.ipynb"
KERNEL = {"JUPYTER_PLATFORM_DIRS": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}


# ---------------------------------------------------------------- the live table


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    shell = InteractiveShell.instance()
    yield shell
    InteractiveShell.clear_instance()


def watched(
    after: Callable[[NotebookView, FakeConductor], None], error: BaseException | None = None
) -> list[dict[str, str]]:
    """What a front end is told of a search of one trial, update by update."""
    conductor, now = FakeConductor(), Clock()
    with capture_output() as seen:
        try:
            with NotebookView(now=now) as view:
                view.named("night")
                view.stage("starting Ray")
                view.begin(conductor, 1, 0)  # type: ignore[arg-type]
                view.trial_started(job(conductor, 3), resumed=False)
                view.trial_reported(job(conductor, 3), result(500, 20.25), None)
                now.seconds += 2
                view.tick()
                after(view, conductor)
                if error:
                    raise error
        except BaseException as raised:
            if raised is not error:
                raise
    return bundles(seen)


def bundles(seen: CapturedIO) -> list[dict[str, str]]:
    first, *rest = seen._outputs
    names = {one["transient"]["display_id"] for one in (first, *rest)}
    assert len(names) == 1  # one output
    assert not first.get("update")
    assert all(one["update"] for one in rest)
    return [one["data"] for one in (first, *rest)]


def nothing(view: NotebookView, conductor: FakeConductor) -> None: ...


def test_one_output_is_renewed_as_a_table_or_a_line(shell: InteractiveShell) -> None:
    told = watched(nothing)
    assert told[0] == {"text/plain": "starting Ray"}
    table = told[-2]
    assert table["text/plain"] == (
        "search night: 3/8, best frechet_distance 20.25, 0:01:15, 1 running"
    )
    for text in ("500/2,000", "loss=hinge", "interrupting the kernel ends it in good order"):
        assert text in table["text/html"]
    assert "\x1b" not in table["text/html"]
    assert told[-1] == {
        "text/plain": "search night has ended, best frechet_distance 20.25, 0:01:15"
    }


def test_an_interrupt_is_answered_and_the_way_on_is_named(shell: InteractiveShell) -> None:
    def interrupt(view: NotebookView, conductor: FakeConductor) -> None:
        conductor.stop_requested = True
        view._now.seconds += 2  # type: ignore[attr-defined]
        view.tick()
        view.end()

    *_, ending, last = watched(interrupt)
    assert ending["text/plain"].startswith("ending: waiting for 1 trial (interrupting the kernel")
    assert last["text/plain"].startswith("search night was interrupted")
    assert last["text/plain"].endswith("; the same call goes on with it")
    assert "was interrupted" in watched(nothing, KeyboardInterrupt())[-1]["text/plain"]
    assert watched(nothing, ValueError())[-1] == {"text/plain": "search night ended with an error"}


def test_what_is_no_notebook_shows_nothing_and_a_watcher_of_ones_own_is_kept(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    search = shown_in_notebooks(lambda space, *, watcher=None: given.append(watcher))
    assert not in_kernel()
    search("digits")
    monkeypatch.setattr(shell, "kernel", object(), raising=False)
    assert in_kernel()
    own = service.Watcher()
    with capture_output():
        search("digits", watcher=own)
        search("digits")
    assert given[:2] == [None, own]
    assert isinstance(given[2], NotebookView)


@pytest.fixture
def heard() -> Iterator[None]:
    """A kernel hears Ctrl-C; these tests may have been started so that they do not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_second_interrupt_leaves_the_kernel_alive(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, heard: None
) -> None:
    monkeypatch.setattr(shell, "kernel", object(), raising=False)
    conductor = FakeConductor()
    before = signal.getsignal(signal.SIGINT)

    def interrupt_twice() -> None:
        with heeded() as signals, signals.asking(conductor):  # type: ignore[arg-type]
            signal.raise_signal(signal.SIGINT)
            assert conductor.stop_requested
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupt_twice()
    assert signal.getsignal(signal.SIGINT) is before


# ---------------------------------------------------------------- the result


def test_the_settings_are_a_table() -> None:
    other = ROW | {"setting": 0, "outcome": "diverged", "value": None, "changes": {"loss": "x"}}
    found = service.SearchResult.from_json(STORED | {"rows": [ROW, other]})
    table = found.trials
    assert list(table.index) == [2, 0]
    assert table.loc[2, "generator_optimizer.adam.lr"] == 0.0002
    assert list(table["outcome"]) == ["completed", "diverged"]
    assert table["value"].isna().tolist() == [False, True]
    assert service.SearchResult.from_json(STORED | {"rows": []}).trials.empty


def test_a_result_shows_itself_and_what_it_names_is_text() -> None:
    evil = "<script>alert(1)</script>"
    row = ROW | {"changes": {"loss": evil}}
    found = service.SearchResult.from_json(STORED | {"rows": [row] * 12, "name": evil})
    html = found._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "frechet_distance 11" in html
    assert html.count("<tr>") == 11
    assert "and 2 more settings" in html
    assert repr(service.SearchResult.from_json(STORED)) == (
        "<search digits, finished: completed 1; frechet_distance, champion 11>"
    )


def test_without_a_champion_or_a_folder_there_is_a_reason() -> None:
    found = service.SearchResult.from_json(STORED | {"champion": None})
    with pytest.raises(GanTuneError, match="search digits has no champion: no trial was sound"):
        found.show()
    with pytest.raises(GanTuneError, match="must be of a result that `load_result` has read"):
        found.history()


# ---------------------------------------------------------------- in a real kernel

SEARCH = """
import json, gan_tune
space = json.loads({space!r})
result = gan_tune.search(space, storage="runs")
print(json.dumps([result.finished, len(result.rows), result.outcomes]))
"""
LOOK = """
import gan_tune, PIL.Image, plotly.graph_objects as go
assert result.trials.shape[0] == {trials}
for again in (result, gan_tune.load_result("tiny", "runs")):
    for figure in (again.history(), again.importances(), again.parallel()):
        assert isinstance(figure, go.Figure), figure
    assert len(again.history().data), "drawn"
    samples = again.champion.generator().sample(8, seed=1)
    assert tuple(samples.shape) == (8, 1, 8, 8), samples.shape
    assert isinstance(again.show(16), PIL.Image.Image)
    assert "data:image/png;base64," in again._repr_html_()
result
"""


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Any]:
    """A kernel of Jupyter's in an empty folder: its manager and its client."""
    from jupyter_client.manager import start_new_kernel

    kept = ("MLFLOW_TRACKING_URI", "RAY_ADDRESS")
    env = {k: v for k, v in os.environ.items() if k not in kept}
    env |= {**KERNEL, "PYTHONPATH": os.pathsep.join(sys.path)}
    manager, client = start_new_kernel(cwd=str(tmp_path), env=env)
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


class Cell:
    """A cell that runs in a kernel."""

    def __init__(self, client: Any, source: str) -> None:
        self._client, self.outputs = client, list[dict[str, Any]]()
        self._id = client.execute(source)

    def read(self, until: Callable[[dict[str, Any]], bool], seconds: float = 240) -> None:
        """Read what the front end is told, up to a message."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            message = self._client.get_iopub_msg(timeout=seconds)
            if message["parent_header"].get("msg_id") != self._id:
                continue
            assert message["msg_type"] != "error", "\n".join(message["content"]["traceback"])
            self.outputs.append(message)
            if until(message):
                return
        raise AssertionError(f"not within {seconds} s: {self.outputs[-3:]}")

    def end(self) -> str:
        """What it printed, once it is through."""
        self.read(lambda m: m["content"].get("execution_state") == "idle")
        return "".join(m["content"]["text"] for m in self.outputs if m["msg_type"] == "stream")


def shows_table(message: dict[str, Any]) -> bool:
    """Whether it is the live table, with a trial that has reported."""
    return "best frechet_distance" in message["content"].get("data", {}).get("text/plain", "")


@pytest.mark.ci
@pytest.mark.timeout(500)
def test_an_interrupted_kernel_ends_the_search_in_order_and_the_next_call_goes_on(
    kernel: Any,
) -> None:
    manager, client = kernel
    trials = 12
    tree = space_tree(budget={"trials": trials, "steps": 2000, "evaluations": 10, "minutes": 30})
    source = SEARCH.format(space=json.dumps(tree))
    first = Cell(client, source)
    first.read(shows_table)
    manager.interrupt_kernel()
    finished, begun, outcomes = json.loads(first.end().splitlines()[-1])
    assert not finished
    assert 0 < begun < trials
    assert outcomes.get("interrupted", 0) > 0
    last = [m["content"]["data"] for m in first.outputs if m["msg_type"].endswith("display_data")]
    assert "was interrupted" in last[-1]["text/plain"]

    finished, ended, outcomes = json.loads(Cell(client, source).end().splitlines()[-1])
    assert finished
    assert ended == trials
    assert "interrupted" not in outcomes

    look = Cell(client, LOOK.format(trials=trials))
    look.end()
    (shown,) = (m["content"]["data"] for m in look.outputs if m["msg_type"] == "execute_result")
    assert "<table>" in shown["text/html"]


# ---------------------------------------------------------------- the tour


def test_the_tour_is_stored_without_outputs_and_named_in_the_docs() -> None:
    cells = json.loads(TOUR.read_text())["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
    for page in ("README.md", "docs/index.md"):
        assert "examples/tour.ipynb" in (TOUR.parent.parent / page).read_text(), page


@pytest.mark.ci
@pytest.mark.timeout(500)
def test_the_tour_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    notebook = nbformat.read(TOUR, as_version=4)
    NotebookClient(notebook, timeout=400, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = {
        cell["source"]: cell["outputs"] for cell in notebook.cells if cell["cell_type"] == "code"
    }
    search, shown, picture = (
        outputs[source]
        for source in ("result = gan_tune.search(space)", "result", "result.show(64, seed=1)")
    )
    (line,) = (one["data"] for one in search if one["output_type"] == "display_data")
    assert line["text/plain"].startswith("search tour has ended, best frechet_distance")
    assert "data:image/png;base64," in shown[0]["data"]["text/html"]
    assert "image/png" in picture[0]["data"]
    assert "application/vnd.plotly.v1+json" in outputs["result.history()"][0]["data"]
