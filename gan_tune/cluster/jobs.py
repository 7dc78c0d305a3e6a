"""Jobs: commands that a Ray cluster runs on its head, handed over and watched by HTTP."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ray.exceptions import AuthenticationError
from tenacity import Retrying, retry_if_exception_message, stop_after_delay, wait_fixed

from gan_tune.cluster.connection import ANOTHER_TOKEN, NOT_SENT
from gan_tune.cluster.ray_internals import PACKAGING_LOGGER, forget_own_token, token_headers
from gan_tune.errors import (
    ClusterAwayError,
    ClusterError,
    ConnectionLostError,
    SearchNotFoundError,
)
from gan_tune.space import shipped_folder
from gan_tune.words.wording import first_line, there_are

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

__all__ = ["Job", "Jobs"]

ANSWER_SECONDS = 10.0
"""How long the job server may take to answer the first question."""

SEARCH, STORAGE = "gan_tune_search", "gan_tune_storage"
"""What is kept with the job of a search: its name, and where it lies."""

ADDRESS_VARIABLE = "RAY_API_SERVER_ADDRESS"
"""Ray prefers this variable, and then RAY_ADDRESS, to the address that it is given."""

NO_AGENT = "No available agent"
"""What a cluster answers whose head has started, but not all of its processes."""

_STARTING = Retrying(
    retry=retry_if_exception_message(match=rf".*{NO_AGENT}"),
    wait=wait_fixed(1.0),
    stop=stop_after_delay(180.0),
    reraise=True,
)
"""Tries again while a cluster starts."""

_AWAY = ("Connection refused", "timed out")
"""How an address is silent that may come back."""

ENTRYPOINT = "Running entrypoint for job "
"""How the line begins after which a job's log holds what its command prints."""


@dataclass(frozen=True)
class Job:
    """A job of a cluster.

    Attributes:
        id: which the cluster knows it by.
        search: name of the search that it works on; empty for other jobs.
        storage: where that search lies, as the cluster sees it.
        command: what it runs, as a line of a shell.
        status: PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED.
        message: what Ray says of the status.
        fits: whether the cluster could begin it: what travelled with it fits there.
        exit_code: of its command; None until that has ended.
        started_ms: Unix time, in milliseconds.
    """

    id: str
    search: str
    storage: str
    command: str
    status: str
    message: str
    fits: bool
    exit_code: int | None
    started_ms: int

    @property
    def has_ended(self) -> bool:
        """Whether its status is final."""
        return self.status in ("STOPPED", "SUCCEEDED", "FAILED")


class Jobs:
    """The jobs of the cluster whose dashboard is at ``address``, such as `http://127.0.0.1:8265`.

    Raises:
        ClusterError: no dashboard of Ray answers there, or it wants another token. So do the
            methods.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        forget_own_token()
        _check_answers(self.address)
        with _preferred(self.address):
            self._client = _client(self.address)

    def submit(
        self,
        command: Sequence[str],
        *,
        folder: Path | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
        search: str = "",
        storage: str = "",
    ) -> str:
        """Run `gan-tune` with the words of a ``command`` on the head. Returns the job's id.

        gan-tune itself travels along, so the cluster needs only what it depends on.

        Args:
            folder: which travels, as the command's working folder; default none.
            environment: variables of the command and of its workers.
            search: which the command works on, to be found by :meth:`find`.
            storage: where that search lies.
        """
        kept = {SEARCH: search, STORAGE: storage} if search else {}
        with _package() as package, self._worded():
            sent: dict[str, Any] = {"py_modules": [str(package)], "env_vars": dict(environment)}
            if folder is not None:
                sent |= {"working_dir": str(folder), "excludes": NOT_SENT}
            submit = partial(
                self._client.submit_job,
                entrypoint=shell_line(command),
                runtime_env=sent,
                metadata=kept,
            )
            return str(_STARTING(submit))

    def of_search(self, name: str) -> Job | None:
        """The newest job of the search ``name``, or None."""
        jobs = [job for job in self._all() if job.search == name]
        return max(jobs, key=lambda job: job.started_ms, default=None)

    def find(self, name: str) -> Job:
        """The newest job of a search, or the search's job of that id.

        Raises:
            SearchNotFoundError: the cluster has none.
        """
        jobs = [job for job in self._all() if job.search]
        found = [job for job in jobs if name in (job.search, job.id)]
        if found:
            return max(found, key=lambda job: job.started_ms)
        known = [job.search for job in jobs]
        raise SearchNotFoundError(
            f"no search, nor job of one, named {name!r} on the cluster {self.address}; "
            f"{there_are(name, known)}"
        )

    def get(self, job_id: str) -> Job:
        """The job as it is now."""
        with self._worded():
            return _job(self._client.get_job_info(job_id))

    def follow(self, job_id: str, write: Callable[[str], object]) -> Job:
        """Hand what a job prints to ``write``, from its beginning to its end.

        Raises:
            ConnectionLostError: the cluster did not answer any more before the job had ended.
        """
        lost = ConnectionLostError(
            f"--address: {self.address} does not answer any more; job {job_id} may go on"
        )
        try:
            asyncio.run(self._tail(job_id, write))
            job = self.get(job_id)
        except (ClusterError, OSError, RuntimeError):
            raise lost from None
        if not job.has_ended:
            raise lost
        return job

    def output(self, job_id: str) -> tuple[str, Job]:
        """What the command of a short job has printed, without Ray's own lines, at its end."""
        said: list[str] = []
        job = self.follow(job_id, said.append)
        before, begun, after = "".join(said).partition(f"{ENTRYPOINT}{job_id}: {job.command}\n")
        return after if begun else before, job

    def end(self, job_id: str) -> None:
        """Have Ray end a job, as Ctrl-C would; it is killed if that takes more than 3 s."""
        with self._worded():
            self._client.stop_job(job_id)

    def forget(self, job_id: str) -> None:
        """Take a job that has ended off the cluster's list."""
        with self._worded():
            self._client.delete_job(job_id)

    def _all(self) -> list[Job]:
        with self._worded():
            return [_job(each) for each in self._client.list_jobs()]

    async def _tail(self, job_id: str, write: Callable[[str], object]) -> None:
        async for text in self._client.tail_job_logs(job_id):
            write(text)

    @contextmanager
    def _worded(self) -> Iterator[None]:
        """Errors of Ray's client, in one line."""
        try:
            yield
        except (OSError, RuntimeError, ValueError) as error:
            text = first_line(error)
            if "status code 5" in text:
                raise ConnectionLostError(f"--address: {self.address}: {text}") from None
            if "status code 413" in text or "exceeds the maximum size" in text:
                text = (
                    "the working folder is too large to travel (100 MiB): name in .rayignore what "
                    "need not, and keep data on storage that the cluster sees"
                )
            raise ClusterError(f"--address: {self.address}: {text}") from None


def shell_line(command: Sequence[str]) -> str:
    """The words of a gan-tune command as a line for the shell of the head."""
    return shlex.join(["python", "-m", "gan_tune.cli", *command])


def _job(details: JobDetails) -> Job:
    kept = details.metadata or {}
    return Job(
        id=details.submission_id or details.job_id or "",
        search=kept.get(SEARCH, ""),
        storage=kept.get(STORAGE, ""),
        command=details.entrypoint,
        status=str(details.status),
        message=details.message or "",
        fits=details.error_type != "RUNTIME_ENV_SETUP_FAILURE",
        exit_code=details.driver_exit_code,
        started_ms=details.start_time or 0,
    )


# -------------------------------------------------------------------- joining


def _check_answers(address: str) -> None:
    """Check that a dashboard of Ray answers: Ray's own client would wait for ever, or say little.

    Raises:
        ClusterError: it does not, or wants another token.
    """
    import requests

    rule = f"--address: must be of a Ray cluster's dashboard, http://HOST:8265: {address!r}"
    url = urlsplit(address)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ClusterError(f"{rule}: a search is handed over by HTTP")
    try:
        answer = requests.get(
            f"{address}/api/version", headers=token_headers(), timeout=ANSWER_SECONDS
        )
    except AuthenticationError:
        raise ClusterError(f"--address: {address}: {ANOTHER_TOKEN}") from None
    except (requests.RequestException, ValueError) as error:
        reason = _reason(error)
        kind = ClusterAwayError if reason in _AWAY else ClusterError
        raise kind(f"{rule}: {reason}") from None
    if answer.status_code in (401, 403):
        raise ClusterError(f"--address: {address}: {ANOTHER_TOKEN}")
    if not answer.ok or "ray_version" not in answer.text:
        raise ClusterError(f"{rule}: what listens there does not answer as Ray does")


def _reason(error: Exception) -> str:
    """What a failed request says, without the layers around it."""
    text = str(error)
    for sign in (*_AWAY, "Name or service not known"):
        if sign in text:
            return sign
    return first_line(text)


def _client(address: str) -> JobSubmissionClient:
    if find_spec("aiohttp") is None:  # without which Ray fails only when a log is followed
        raise ClusterError("--address: jobs of a cluster need pip install 'ray[default]>=2.52,<3'")
    from ray.job_submission import JobSubmissionClient

    for module in (*(kind.__module__ for kind in JobSubmissionClient.__mro__), PACKAGING_LOGGER):
        logging.getLogger(module).setLevel(logging.ERROR)  # each has set a level of its own
    try:
        return JobSubmissionClient(address)
    except (OSError, RuntimeError, ValueError) as error:
        raise ClusterError(f"--address: {address}: {first_line(error)}") from None


@contextmanager
def _preferred(address: str) -> Iterator[None]:
    before = os.environ.get(ADDRESS_VARIABLE)
    os.environ[ADDRESS_VARIABLE] = address
    try:
        yield
    finally:
        os.environ.pop(ADDRESS_VARIABLE, None)
        if before is not None:
            os.environ[ADDRESS_VARIABLE] = before


@contextmanager
def _package() -> Iterator[Path]:
    """gan_tune as it is installed by a wheel: the shipped spaces inside of it."""
    source = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory(prefix="gt-") as folder:
        package = Path(folder) / source.name
        shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(shipped_folder(), package / "search_spaces", dirs_exist_ok=True)
        yield package
