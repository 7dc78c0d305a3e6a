"""The commands on champions and models: best, generate, pull, serve, look."""

from __future__ import annotations

from gan_tune import service
from gan_tune.cli import documents, options, printing
from gan_tune.service import DEFAULT_STORAGE
from gan_tune.words.terminal import busy, say


def best(
    name: options.SearchOrModel,
    as_json: options.Json = False,
    storage: options.Storage = DEFAULT_STORAGE,
    tracking_uri: options.TrackingUri = None,
) -> None:
    """Show a champion's settings and figures.

    NAME is a search or, if there is no such search, a registered model.

    \b
    Example:
      gan-tune best digits
      gan-tune best digits --json | jq .value
    """
    with busy("looking"):
        found = service.best(name, storage, tracking_uri=tracking_uri)
    if as_json:
        documents.print_document(documents.best_document(found))
    else:
        printing.print_best(found)


def generate(
    model: options.GeneratorSource,
    out: options.SamplesFile,
    count: options.Count = 64,
    seed: options.SampleSeed = 0,
    truncation: options.Truncation = None,
    interpolate: options.Interpolate = None,
    gif: options.Gif = False,
    device: options.Device = "cpu",
    storage: options.Storage = DEFAULT_STORAGE,
    tracking_uri: options.TrackingUri = None,
    force: options.Force = False,
    own: options.Own = None,
) -> None:
    """Draw samples from a registered, trained or pulled generator.

    A .png file gets a grid of all pictures, or a plot of all points; a .gif shows one picture after
    the other. A folder (a name without suffix, or with a slash at its end) and a .zip get one file
    for each picture.

    \b
    Example:
      gan-tune generate digits -n 64 --seed 1 --out samples.png
      gan-tune generate digits/2 -n 100000 --out samples.npy
      gan-tune generate digits -n 120 --gif --out walk
      gan-tune generate gan_tune_runs/digits/trials/0003 --out samples.png
    """
    if gif:
        out, interpolate = service.animation(out), interpolate or service.STOPS
    with printing.drawing() as watcher:
        drawn_from = service.generate(
            model,
            out,
            count=count,
            seed=seed,
            truncation=truncation,
            interpolate=interpolate,
            device=device,
            storage=storage,
            tracking_uri=tracking_uri,
            force=force,
            own=own or [],
            watcher=watcher,
        )
    say(f"{count} samples of {drawn_from} in {out}")


def pull(
    model: options.Model,
    out: options.ModelFolder,
    tracking_uri: options.TrackingUri = None,
    force: options.Force = False,
) -> None:
    """Write a generator into a folder that needs no gan-tune.

    It holds the weights (safetensors) with the network's arguments, the program for torch (pt2) and
    for onnxruntime (ONNX, compared with torch), a card, and scripts that draw with either alone.

    \b
    Example:
      gan-tune pull digits --out digits_model
      python digits_model/draw_with_torch.py -n 64 --out samples.pt
    """
    with busy("exporting the generator"):
        pulled = service.pull(model, out, tracking_uri=tracking_uri, force=force)
    printing.print_pulled(pulled, out)


def serve(
    model: options.Model,
    host: options.Host = "127.0.0.1",
    port: options.ServingPort = 8000,
    device: options.Device = "cpu",
    max_samples: options.MaxSamples = 1000,
    max_queue: options.MaxQueue = 256,
    address: options.ServingAddress = None,
    replicas: options.Replicas = None,
    tracking_uri: options.TrackingUri = None,
) -> None:
    """Serve a registered generator over HTTP, until Ctrl-C.

    The link it prints opens the description of the interface; the token in it must come with each
    request, as `Authorization: Bearer TOKEN`. A new champion is picked up within seconds.

    Where one process is too small, Ray Serve runs the same application in many (extra
    `serve-on-ray`).

    \b
    Example:
      gan-tune serve digits
      gan-tune serve digits --replicas 4 --address auto
      curl -H "Authorization: Bearer $TOKEN" -d '{"n": 16, "seed": 1, "format": "png"}' \\
        -H "Content-Type: application/json" http://127.0.0.1:8000/v1/samples -o samples.png
    """
    service.serve(
        model,
        host=host,
        port=port,
        device=device,
        most=max_samples,
        queue=max_queue,
        address=address,
        replicas=replicas,
        tracking_uri=tracking_uri,
        # Not said, since that would mask the token in the link.
        started=lambda name, link: print(f"serving {name}: {link} (Ctrl-C ends it)", flush=True),
    )


def look(
    model: options.Model,
    out: options.PicturesFolder,
    seed: options.NoiseSeed = 0,
    tracking_uri: options.TrackingUri = None,
    force: options.Force = False,
) -> None:
    """Look inside a registered generator: three pictures in a folder.

    They show latent traversals, interpolations, and samples beside their nearest training data, to
    see whether it copies. A search records the same pictures of its champion in MLflow.

    \b
    Example:
      gan-tune look digits --out digits_inside
    """
    with busy("looking inside the generator"):
        seen = service.look(model, out, force=force, seed=seed, tracking_uri=tracking_uri)
    for file in seen.files:
        say(file)
    if seen.nearest_neighbour_ratio is not None:
        say(
            f"distance to the training data: {seen.nearest_neighbour_ratio:.3g} times that of "
            "fresh data (about 1: like fresh data, near 0: copies)"
        )
    if seen.copied is not None:
        say(
            f"nearer to the training data than most fresh data are: {seen.copied.samples:.0%} of "
            f"the samples, {seen.copied.held_out:.0%} of fresh data"
        )
    if seen.note:
        say(seen.note)
