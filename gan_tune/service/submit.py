"""`gan-tune submit`: hand a search over to a cluster, which runs it without this machine."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_tune.config.import_path import own_parts_in
from gan_tune.errors import (
    ClusterError,
    Fault,
    GanTuneError,
    JobLostError,
    SearchLockedError,
    SpaceError,
)
from gan_tune.outgoing import masked
from gan_tune.regular_file import real_path
from gan_tune.service.running.names import check_names
from gan_tune.space import SearchSpace

if TYPE_CHECKING:
    from gan_tune.cluster.jobs import Job

__all__ = ["Submission", "follow", "on_cluster", "submit"]

TRACKING = "MLFLOW_TRACKING_"
"""How the variables begin that say where MLflow is and how to log in; they travel along."""


@dataclass(frozen=True)
class Submission:
    """A search that was handed over.

    Attributes:
        search: its name.
        job: the id of the cluster's job that runs it.
        again: whether that job ran already, of the same command.
    """

    search: str
    job: str
    again: bool


def submit(
    space: SearchSpace,
    given: str,
    *,
    address: str,
    storage: str,
    tracking_uri: str | None = None,
    name: str | None = None,
    offline: bool = False,
    options: Sequence[str] = (),
) -> Submission:
    """Hand a search over to a cluster. The working folder and gan-tune itself travel along.

    If the cluster runs the same command already, that is returned. A search that has been
    interrupted goes on.

    Args:
        space: as checked here, without its data (``load_space(given, ..., check_data=False)``).
        given: the name or the file of the space, for the command on the cluster.
        address: of the cluster's dashboard, such as `http://127.0.0.1:8265`.
        storage: folder (a whole path) or URI that holds searches, as the cluster sees it.
        tracking_uri: of MLflow, as the cluster sees it; default MLFLOW_TRACKING_URI.
        name: of the search; default the space's.
        offline: ask MLflow for nothing.
        options: further words for `gan-tune search` there.

    Raises:
        SpaceError: what the space names by path cannot travel.
        ClusterError: no dashboard answers, it wants another token, or the folder is too large.
        SearchLockedError: the cluster runs another command on the search.
    """
    check_names(name=name)
    name = name or space.name
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    _check_outlives(storage, uri, offline=offline)
    folder = Path.cwd()
    if faults := list(_staying(space, given, folder)):
        raise SpaceError(faults, given)
    file = given if space.shipped else os.path.relpath(given, folder)
    words = ["search", file, "--name", name, "--storage", storage, *options]
    words += ["--offline"] if offline else []
    from gan_tune.cluster.jobs import Jobs, shell_line

    jobs = Jobs(address)
    running = jobs.of_search(name)
    if running is not None and not running.has_ended:
        if running.command != shell_line(words):
            raise SearchLockedError(
                f"{name} is run by job {running.id} of the cluster, with another command: "
                f"{masked(running.command)}"
            )
        return Submission(name, running.id, again=True)
    environment = {key: value for key, value in os.environ.items() if key.startswith(TRACKING)}
    environment |= {"MLFLOW_TRACKING_URI": uri} if uri else {}
    job = jobs.submit(words, folder=folder, environment=environment, search=name, storage=storage)
    return Submission(name, job, again=False)


def follow(name: str, address: str, write: Callable[[str], object]) -> int:
    """Hand what the newest job of a search prints to ``write``, from the beginning to its end.

    Args:
        name: of the search, or the id of a job of one.

    Returns:
        The exit code of its command; 130 if it was stopped, 1 if it ended in another way.

    Raises:
        SearchNotFoundError: the cluster has no such job.
        ConnectionLostError: the cluster does not answer any more; the search may go on.
    """
    from gan_tune.cluster.jobs import Jobs

    jobs = Jobs(address)
    return _exit_code(jobs.follow(jobs.find(name).id, write))


def on_cluster(
    command: Sequence[str], name: str, address: str, further: Sequence[str] = ()
) -> tuple[str, int]:
    """Run `gan-tune COMMAND... NAME FURTHER...` on the cluster that ``name`` was submitted to.

    So it sees the storage as the search does. A search that has not begun is stopped by Ray.

    Args:
        command: `status` or `stop`, and options of it.
        name: of the search, or the id of a job of one.
        further: words after the name.

    Returns:
        What it prints, and its exit code.

    Raises:
        GanTuneError: the cluster has no such job, or it has ended and cannot be stopped.
    """
    from gan_tune.cluster.jobs import Jobs

    jobs = Jobs(address)
    job = jobs.find(name)
    if command[0] == "stop" and (job.has_ended or not further):
        if job.has_ended:
            raise GanTuneError(f"{job.search} does not run: its job {job.id} has {job.status}")
        if job.status == "PENDING":
            jobs.end(job.id)
            return f"{job.search} had not begun: its job {job.id} is ended\n", 0
    asked = jobs.submit([*command, job.search, *further, "--storage", job.storage])
    printed, ended = jobs.output(asked)
    jobs.forget(asked)
    return printed, _exit_code(ended)


def _exit_code(job: Job) -> int:
    """The exit code that a job's end stands for.

    Raises:
        JobLostError: its command was lost with what ran it.
        ClusterError: its command could not be run.
    """
    if job.status in ("SUCCEEDED", "STOPPED"):
        return 0 if job.status == "SUCCEEDED" else 130
    if job.exit_code is None:
        text = f"job {job.id} of the cluster: {' '.join(job.message.split())}"
        raise JobLostError(f"{text}; submit it again") if job.fits else ClusterError(text)
    return job.exit_code if job.exit_code in (1, 2, 130) else 1


# -------------------------------------------------------------------- what travels


def _check_outlives(storage: str, uri: str | None, *, offline: bool) -> None:
    """Check that what the search writes outlives its job, whose folder Ray clears away.

    Raises:
        GanTuneError: storage or record would lie in that folder, or show a password.
    """
    if masked(storage) != storage:
        raise GanTuneError(
            f"--storage: must hold no password, since the dashboard shows it: {masked(storage)!r}"
        )
    if "://" not in storage and not storage.startswith("/"):
        raise GanTuneError(
            "--storage: must be a URI or a whole path that the cluster sees, since Ray clears the "
            f"folder of a job away: {storage!r}"
        )
    if not offline and (uri is None or _is_relative(uri)):
        raise GanTuneError(
            "--tracking-uri: must be of an MLflow that the cluster sees, or --offline given, since "
            f"Ray clears the folder of a job away: {masked(uri or '')!r}"
        )


def _is_relative(uri: str) -> bool:
    """Whether an MLflow store lies in the folder in which its user works."""
    if "://" not in uri:
        return not uri.startswith("/")
    scheme, _, path = uri.partition("://")
    return scheme.startswith("sqlite") and not path.startswith("//")


def _staying(space: SearchSpace, given: str, folder: Path) -> Iterator[Fault]:
    """What the space names by path that the cluster would not find."""
    if not space.shipped:
        if not _is_below(Path(given), folder):
            yield Fault("", TRAVELS, repr(given))
        elif _is_ignored(Path(given), folder):
            yield Fault("", IGNORED, repr(given))
    named = dict(_paths_in(space.tree.get("trial", {}).get("data"), "trial.data"))
    if space.search.experience.file:
        named["search.experience"] = space.search.experience.file
    for place, path in named.items():
        if os.path.isabs(path):
            if _is_below(Path(path), folder):
                rule = "must be relative to the working folder, which lies elsewhere there"
                yield Fault(place, rule, repr(path))
        elif not Path(path).exists():
            yield Fault(place, "no such file or folder here", repr(path))
        elif not _is_below(Path(path), folder):
            yield Fault(place, TRAVELS, repr(path))
        elif _is_ignored(Path(path), folder):
            yield Fault(place, IGNORED, repr(path))
    for part in own_parts_in(space.tree):
        file = getattr(sys.modules.get(part.partition(":")[0]), "__file__", None)
        if file is None or _is_installed(Path(file)):
            continue
        if not _is_below(Path(file), folder):
            yield Fault("trial", f"{TRAVELS}, but lies in {file!r}", repr(part))
        elif _is_ignored(Path(file), folder):
            yield Fault("trial", IGNORED, repr(part))


TRAVELS = "must lie in the working folder, which travels to the cluster"
IGNORED = (
    "must travel to the cluster, but is left behind, as .gitignore, .rayignore or gan-tune's own "
    "list (venv, mlruns, ...) says"
)


def _paths_in(tree: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            if key in ("root", "path") and isinstance(value, str):
                yield f"{place}.{key}", value


def _is_below(path: Path, folder: Path) -> bool:
    return real_path(path).is_relative_to(real_path(folder))


def _is_ignored(path: Path, folder: Path) -> bool:
    from gan_tune.cluster.connection import NOT_SENT
    from gan_tune.cluster.ray_internals import is_left_behind

    return is_left_behind(real_path(path), real_path(folder), NOT_SENT)


def _is_installed(path: Path) -> bool:
    """Whether a module was installed, as it may be on the cluster, too."""
    places = {sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")}
    return any(_is_below(path, Path(place)) for place in places)
