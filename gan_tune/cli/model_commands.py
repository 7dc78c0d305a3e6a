"""The commands on champions and models: best, generate, look."""

from __future__ import annotations

from gan_tune import service
from gan_tune.cli import options, printing
from gan_tune.service import DEFAULT_STORAGE
from gan_tune.words.terminal import busy


def best(
    name: options.SearchOrModel,
    as_json: options.Json = False,
    storage: options.Storage = DEFAULT_STORAGE,
    tracking_uri: options.TrackingUri = None,
) -> None:
    """Show a champion's settings and figures.

    NAME is a search, or else a registered model.

    \b
    Example:
      gan-tune best digits
      gan-tune best digits --json | jq .value
    """
    with busy("looking"):
        found = service.best(name, storage, tracking_uri=tracking_uri)
    if as_json:
        printing.print_json(vars(found))
    else:
        printing.print_best(found)


def generate(
    model: options.Model,
    out: options.SamplesFile,
    count: options.Count = 64,
    seed: options.SampleSeed = 0,
    tracking_uri: options.TrackingUri = None,
    force: options.Force = False,
) -> None:
    """Draw samples from a registered generator.

    A .png holds a grid of all pictures, or a plot of points; a folder (a name without suffix, or
    with a slash at its end) one picture a file.

    \b
    Example:
      gan-tune generate digits -n 64 --seed 1 --out samples.png
      gan-tune generate digits/2 -n 1000 --out samples.npy
    """
    with busy("loading the generator"):
        drawn_from = service.generate(
            model, out, count=count, seed=seed, tracking_uri=tracking_uri, force=force
        )
    print(f"{count} samples of {drawn_from.name}/{drawn_from.version} in {out}")


def look(
    model: options.Model,
    out: options.PicturesFolder,
    seed: options.NoiseSeed = 0,
    tracking_uri: options.TrackingUri = None,
    force: options.Force = False,
) -> None:
    """Look inside a registered generator: three pictures in a folder.

    Latent traversals, interpolations, and samples beside their nearest training data (is it
    copying?). A search leaves the same pictures of its champion in MLflow.

    \b
    Example:
      gan-tune look digits --out digits_inside
    """
    with busy("looking inside the generator"):
        seen = service.look(model, out, force=force, seed=seed, tracking_uri=tracking_uri)
    for file in seen.files:
        print(file)
    if seen.nearest_neighbour_ratio is not None:
        print(
            f"distance to the training data: {seen.nearest_neighbour_ratio:.3g} times that of "
            "fresh data (about 1: like fresh data, near 0: copies)"
        )
    if seen.note:
        print(seen.note)
