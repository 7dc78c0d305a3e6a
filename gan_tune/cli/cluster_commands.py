"""The commands on searches that a cluster runs by itself: submit, logs; status and stop, too."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from gan_tune import service
from gan_tune.cli import options
from gan_tune.cli.checked_space import load_checked, with_short_options
from gan_tune.errors import ConnectionLostError
from gan_tune.outgoing import outgoing
from gan_tune.storage.patience import OUTAGE_MINUTES
from gan_tune.words.terminal import busy, say

__all__ = ["logs", "on_cluster", "submit"]


def submit(
    space: options.Space,
    address: options.Dashboard,
    storage: options.SharedStorage,
    set_: options.Set = None,
    name: options.NewName = None,
    trials: options.Trials = None,
    minutes: options.Minutes = None,
    gpu: options.Gpu = None,
    seed: options.SearchSeed = None,
    max_concurrent: options.MaxConcurrent = None,
    outage_minutes: options.OutageMinutes = OUTAGE_MINUTES,
    tracking_uri: options.ClusterUri = None,
    offline: options.Offline = False,
    experiment: options.Experiment = None,
    model: options.NewModel = None,
    warm_start: options.WarmStart = None,
    register_anyway: options.RegisterAnyway = False,
    detach: options.Detach = False,
) -> None:
    """Hand a search over to a Ray cluster that runs it by itself.

    The working folder travels along, with your own networks and data in it, and so does gan-tune
    itself. Paths of the storage and of data outside the working folder are the cluster's.

    What the search prints is shown until it ends. Ctrl-C leaves it running, and this machine may be
    switched off. The same command shows it again, or goes on with a search that was interrupted. A
    new search of the same space takes another --name.

    It needs the extra `cluster`, and the cluster's token as Ray takes it.

    \b
    Example:
      gan-tune submit digits --address http://127.0.0.1:8265 --storage /shared/runs --offline
      gan-tune status digits --address http://127.0.0.1:8265
      gan-tune stop digits --address http://127.0.0.1:8265
    """
    short: dict[str, float | None] = {
        "budget.trials": trials,
        "budget.minutes": minutes,
        "resources.gpu": gpu,
        "search.seed": seed,
    }
    overrides = with_short_options(set_, short)
    words = _words(
        *(("--set", override) for override in overrides),
        ("--max-concurrent", max_concurrent),
        ("--outage-minutes", None if outage_minutes == OUTAGE_MINUTES else outage_minutes),
        ("--experiment", experiment),
        ("--model", model),
        *(("--warm-start", earlier) for earlier in warm_start or ()),
    )
    words += ["--register-anyway"] if register_anyway else []
    checked = load_checked(space, overrides, data=False)
    with busy(f"handing {space} over to {address}"):
        submitted = service.submit(
            checked,
            space,
            address=address,
            storage=storage,
            tracking_uri=tracking_uri,
            name=name,
            offline=offline,
            options=words,
        )
    verb = "is run already" if submitted.again else "is run"
    say(f"{submitted.search} {verb} by job {submitted.job} of {address}")
    if detach:
        say(_how_to_follow(submitted.search, address))
    else:
        _follow(submitted.search, submitted.job, address)


def _words(*options: tuple[str, object]) -> list[str]:
    """Options as words of a command; those that are None are left out."""
    return [word for flag, given in options if given is not None for word in (flag, str(given))]


def logs(name: options.SubmittedSearch, address: options.Dashboard) -> None:
    """Show what a submitted search prints, until it ends.

    Ctrl-C leaves the search running. The exit code is that of the search.

    \b
    Example:
      gan-tune logs digits --address http://127.0.0.1:8265
    """
    _follow(name, name, address)


def on_cluster(
    command: Sequence[str], name: str, address: str, further: Sequence[str] = ()
) -> None:
    """Run a command on the cluster that runs a search; ends the program as it ends there.

    Words ``further`` follow the search's name.
    """
    with busy(f"asking {address}"):
        printed, code = service.on_cluster(command, name, address, further)
    _write(printed)
    if code:
        raise typer.Exit(code)


def _follow(name: str, job: str, address: str) -> None:
    try:
        code = service.follow(job, address, _write)
    except (KeyboardInterrupt, ConnectionLostError):
        say(_how_to_follow(name, address))
        raise
    if code:
        raise typer.Exit(code)


def _how_to_follow(name: str, address: str) -> str:
    return f"{name} goes on there; to see it: gan-tune logs {name} --address {address}"


def _write(text: str) -> None:
    sys.stdout.write(outgoing(text))
    sys.stdout.flush()
