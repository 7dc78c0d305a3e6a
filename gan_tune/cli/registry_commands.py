"""The commands on a model's versions: promote, rollback, compare, rm."""

from __future__ import annotations

from gan_tune import service
from gan_tune.cli import options, printing
from gan_tune.words.terminal import busy, say


def promote(version: options.Version, tracking_uri: options.TrackingUri = None) -> None:
    """Make a version the champion of its model, whatever its value.

    A running gan-tune serve picks it up. A search that ends later replaces it only if it is better.

    \b
    Example:
      gan-tune promote digits/3
    """
    with busy("promoting"):
        moved = service.promote(version, tracking_uri=tracking_uri)
    printing.print_moved(moved)


def rollback(model: options.ModelName, tracking_uri: options.TrackingUri = None) -> None:
    """Make the champion before the present one the champion again.

    \b
    Example:
      gan-tune rollback digits
    """
    with busy("rolling back"):
        moved = service.rollback(model, tracking_uri=tracking_uri)
    printing.print_moved(moved)


def compare(
    model: options.FirstModel,
    other: options.OtherModel,
    out: options.ComparedPicture = None,
    tracking_uri: options.TrackingUri = None,
    force: options.Force = False,
) -> None:
    """Compare two registered versions.

    Their figures stand side by side; with --out, samples of the same seed do, too. It says whether
    the figures can be compared at all: by the same metric, on the same data.

    \b
    Example:
      gan-tune compare digits/2 digits/3 --out both.png
    """
    with busy("comparing"):
        found = service.compare(model, other, out=out, force=force, tracking_uri=tracking_uri)
    printing.print_comparison(found)
    if out is not None:
        say(f"samples of both in {out}")


def rm(
    version: options.Version,
    force: options.RemoveChampion = False,
    tracking_uri: options.TrackingUri = None,
) -> None:
    """Remove a version from the registry.

    Its run and the files there stay. A model without versions is removed, too.

    \b
    Example:
      gan-tune rm digits/3
    """
    with busy("removing"):
        removed = service.remove(version, force=force, tracking_uri=tracking_uri)
    say(f"removed {removed}; the run that trained it stays in MLflow")
