"""Addresses of MLflow's pages and of the files that they show, relative to its server's own."""

from __future__ import annotations

from urllib.parse import quote, urlencode

__all__ = ["charts_page", "file_of", "model_file", "model_page", "run_page", "table_page"]

TRAINING = {"workflowType": "machine_learning"}
"""Without it the pages open in the mode for language models."""


def run_page(experiment_id: str, run_id: str, tab: str = "") -> str:
    """The page of a run, or one of its tabs: `model-metrics`, `artifacts/report.html`."""
    return _page(f"experiments/{experiment_id}/runs/{run_id}{f'/{tab}' if tab else ''}")


def table_page(experiment_id: str, view: str) -> str:
    """The table of a search's trials; ``view`` is the key of its shared view."""
    return _page(f"experiments/{experiment_id}/runs", viewStateShareKey=view)


def charts_page(experiment_id: str, view: str) -> str:
    """The charts of a search's trials, with the same view."""
    return _page(
        f"experiments/{experiment_id}/runs", viewStateShareKey=view, compareRunsMode="CHART"
    )


def model_page(name: str, version: int | str) -> str:
    """The page of a version of a registered model."""
    return _page(f"models/{quote(name, safe='')}/versions/{version}")


def file_of(run_id: str, path: str) -> str:
    """A file of a run."""
    return f"get-artifact?{urlencode({'path': path, 'run_uuid': run_id})}"


def model_file(name: str, version: int | str, path: str) -> str:
    """A file of a version of a registered model."""
    query = urlencode({"path": path, "name": name, "version": version})
    return f"model-versions/get-artifact?{query}"


def _page(place: str, **query: str) -> str:
    return f"#/{place}?{urlencode({**TRAINING, **query})}"
