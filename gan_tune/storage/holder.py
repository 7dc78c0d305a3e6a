"""Who works on a search: the process that a lease, or the lock of an earlier version, names."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
import socket
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from gan_tune.errors import StorageError
from gan_tune.storage.places import EARLIER_LOCK
from gan_tune.storage.storage import Storage
from gan_tune.storage.stored import as_stored

__all__ = ["Holder", "earlier_holder", "holder_in", "now", "this_process"]


@dataclass(frozen=True)
class Holder:
    """Who holds a lease; the content of its file.

    Attributes:
        process, host, user: of the command.
        since, renewed: UTC by the holder's clock, ISO 8601.
        machine: identifies the host, its boot and the container in which process ids count.
        begun: when the process began, seconds since 1970 by that machine's clock.
        token: random, unlike that of any other lease.
        ended: whether the command has ended and left the search free.
        after_boot: when the process began, seconds after its machine did, which a clock that is set
            does not change. None in leases of earlier versions.
    """

    process: int
    host: str
    user: str
    since: str
    renewed: str
    machine: str
    begun: int | float
    token: str
    ended: bool = False
    after_boot: float | None = None

    def __str__(self) -> str:
        return f"process {self.process} on {self.host} ({self.user}, since {self.since})"

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.machine == _machine()

    @property
    def is_alive(self) -> bool:
        """Of a holder on this machine: whether its process lives."""
        try:
            process = psutil.Process(self.process)
            if self.after_boot is None:
                apart = process.create_time() - self.begun
            else:
                apart = _after_boot(process) - self.after_boot
        except (psutil.Error, ValueError, OverflowError):  # no process can have that number
            return False
        return bool(abs(apart) < 1)  # another process may have got the same id

    @property
    def age(self) -> float:
        """Seconds since the last renewal if both clocks are right; for people to look at only."""
        with suppress(ValueError, TypeError):
            return (datetime.now(UTC) - datetime.fromisoformat(self.renewed)).total_seconds()
        return 0.0


def this_process() -> Holder:
    """The holder that this process is, with a new token."""
    return Holder(
        process=os.getpid(),
        host=socket.gethostname(),
        user=_user(),
        since=now(),
        renewed=now(),
        machine=_machine(),
        begun=psutil.Process().create_time(),
        token=uuid.uuid4().hex,
        after_boot=_after_boot(psutil.Process()),
    )


def _after_boot(process: psutil.Process) -> float:
    """When a process began: psutil adds the time of the boot by the clock as it is now."""
    boot = psutil.boot_time()
    return float(process.create_time() - boot)


def now() -> str:
    """The time, as a lease has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def holder_in(content: bytes | None) -> Holder | None:
    """The holder that a lease's file names; None if it is absent or was torn as it was created."""
    try:
        return as_stored(Holder, json.loads(content or b""), "a lease")
    except (ValueError, RecursionError, StorageError):
        return None


def earlier_holder(folder: Path) -> str:
    """The process of an earlier version that works on a search; empty if none.

    It named itself in a file that it locked. If it ran on another machine, nobody knows.
    """
    path = folder / EARLIER_LOCK
    try:
        written = path.stat().st_mtime
        # As anything in a storage: it may be a pipe, or a link to another's file.
        text = (Storage(str(folder)).read(EARLIER_LOCK) or b"").decode(errors="replace").strip()
        match = re.fullmatch(r"process (\d{1,9}) on (.{1,255})", text, re.ASCII)
        if match is None or match[2] != socket.gethostname():
            return ""
        return match[0] if psutil.Process(int(match[1])).create_time() <= written + 1 else ""
    except (OSError, StorageError, psutil.Error):
        return ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


def _machine() -> str:
    """Two containers may share a host's name, even its boot, but not their process ids."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]
