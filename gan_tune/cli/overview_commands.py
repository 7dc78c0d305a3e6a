"""The commands that list searches and models, open MLflow's pages, and check: ls, ui, doctor."""

from __future__ import annotations

import typer

from gan_tune import service
from gan_tune.cli import documents, options, printing
from gan_tune.cli.exit_codes import ExitCode
from gan_tune.service import DEFAULT_STORAGE
from gan_tune.words.terminal import busy


def list_all(
    as_json: options.Json = False,
    storage: options.Storage = DEFAULT_STORAGE,
    tracking_uri: options.TrackingUri = None,
) -> None:
    """List shipped spaces, searches and models.

    \b
    Example:
      gan-tune ls
    """
    with busy("looking"):
        searches = service.searches(storage, tracking_uri=tracking_uri)
        models = service.models(tracking_uri)
    if as_json:
        documents.print_document(documents.listing_document(searches, models))
        return
    printing.print_shipped()
    printing.print_searches(searches)
    printing.print_models(models)


def doctor(
    address: options.ExaminedAddress = None,
    storage: options.Storage = DEFAULT_STORAGE,
    tracking_uri: options.TrackingUri = None,
) -> None:
    """Check what a search needs, here or on every node of a cluster.

    It checks versions, GPUs, storage, ports, tokens, shared memory and clocks, and that MLflow may
    be written. Each line is ok, or says what to do. No Ray is started. The exit code is 0 if all is
    ok, otherwise 1.

    \b
    Example:
      gan-tune doctor
      gan-tune doctor --address auto --storage s3://bucket/runs
    """
    with busy("checking"):
        checks = service.doctor(address, storage, tracking_uri=tracking_uri)
    printing.print_checks(checks)
    if not all(check.ok for check in checks):
        raise typer.Exit(ExitCode.LATER)


def ui(
    name: options.ShownSearch = None,
    port: options.ServingPort = 5000,
    host: options.Host = "127.0.0.1",
    tracking_uri: options.TrackingUri = None,
) -> None:
    """Serve MLflow's pages, until Ctrl-C.

    The links it prints open a search, by default the newest one: its best trial with settings and
    pictures; all trials in a table, the best first; and charts. The token in the links keeps out
    the other users of this machine. If the record is kept by an MLflow server, the links lead
    there.

    \b
    Example:
      gan-tune ui
      gan-tune ui digits --port 5001
    """
    with busy("opening the record"):
        opened = service.find_record(tracking_uri, name)
    if (links := service.there(opened)) is not None:
        printing.print_links(links)
    else:
        service.serve_ui(opened, host=host, port=port, started=printing.print_own_links)
