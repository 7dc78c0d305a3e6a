"""Reading an archive that others wrote: tried in a child process first, with limits.

:mod:`gan_tune.model.archive` refuses what is known to be harmful. A graph of allowed operators can
still take all memory or all time, or find a fault of torch's that ends the process. So a child
reads the archive and draws some samples first. If it does so within its limits, this process reads
the same bytes: a copy that only this user can change. What they compute then takes no more than it
took the child: no values decide the sizes in a graph of allowed operators, and it gets no batch of
a size that the child has not tried.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

__all__ = ["BATCHES", "BLOCK", "read_confined"]

GiB = 2**30
MEMORY = 4 * GiB
"""Bytes that the child may take beside what importing torch takes and a multiple of the archive."""
ARCHIVES = 8
"""Times the archive's bytes that the child may take besides."""
SECONDS = 300
"""Time of the child, on one core: reading, and some batches of samples."""
BLOCK = 64
"""Latents of one forward pass of :class:`gan_tune.model.generator.Generator`, always: kernels round
otherwise for other sizes of a batch."""
BATCHES = (1, BLOCK, BLOCK + 1)
"""Sizes of batch that the child tries."""
KEPT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR")
"""What the child gets of the environment: no address and no password."""

_sound: set[tuple[str, int]] = set()
"""Digests of the archives that a child of this process has read, each with its latents."""


def read_confined(path: Path, latent: int) -> nn.Module:
    """The module z [B, ``latent``] → samples in an archive of anyone's, once a child has read it.

    Raises:
        ValueError: the archive holds anything but a generator's export, or reading or running it
            ended the child, or took more memory or time than it may.
        Exception: any error of torch if it cannot read the file.
    """
    from gan_tune.model.archive import check_archive, read_archive

    with tempfile.TemporaryDirectory(prefix="gan-tune-") as folder:
        copy = Path(folder, "model.pt2")
        shutil.copyfile(path, copy)
        check_archive(copy)  # in milliseconds, where a child takes seconds
        with copy.open("rb") as file:
            bytes_and_latent = hashlib.file_digest(file, "sha256").hexdigest(), latent
        if bytes_and_latent not in _sound:
            _try_in_child(copy, latent)
            _sound.add(bytes_and_latent)
        return _InTriedBatches(read_archive(copy))


class _InTriedBatches(nn.Module):
    """A network that gets batches of :data:`BATCHES` alone: its sizes may depend on the batch's."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, z: Tensor) -> Tensor:
        # An export traces shapes, and computes nothing.
        if torch.compiler.is_exporting() or len(z) in BATCHES:
            samples: Tensor = self.network(z)
            return samples
        whole = max(1, math.ceil(len(z) / BLOCK)) * BLOCK
        blocks = torch.cat([z, z.new_zeros(whole - len(z), *z.shape[1:])]).split(BLOCK)
        return torch.cat([self.network(block) for block in blocks])[: len(z)]


def _try_in_child(path: Path, latent: int) -> None:
    """Let a child read the archive and draw from it.

    Raises:
        ValueError: it did not get through.
    """
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment |= {
        "PYTHONPATH": os.pathsep.join(folder for folder in sys.path if folder),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }
    # -P: a file in the working folder hides no module.
    command = [sys.executable, "-P", "-m", "gan_tune.model.confined", str(path), str(latent)]
    try:
        ended = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"must be read and run within {SECONDS} s") from None
    if ended.returncode < 0:
        name = signal.Signals(-ended.returncode).name
        raise ValueError(f"ends a process that reads and runs it ({name})")
    try:
        fault = json.loads(ended.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise ValueError(
            f"cannot be tried: {ended.stderr.decode(errors='replace')[-200:]}"
        ) from None
    if fault is not None:
        raise ValueError(fault)


def _read_and_run(path: Path, latent: int) -> str | None:
    """What is wrong with an archive, in one line, or None; in the child."""
    from gan_tune.model.archive import read_archive
    from gan_tune.words.wording import in_one_line

    torch.set_num_threads(1)
    _limit(MEMORY + ARCHIVES * path.stat().st_size)
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            module = read_archive(path)
            torch.manual_seed(0)
            for batch in BATCHES:
                module(torch.randn(batch, latent))
    except MemoryError:
        return f"must be read and run in {MEMORY // GiB} GiB of memory"
    except Exception as error:  # torch raises anything
        return in_one_line(error)
    return None


def _limit(further: int) -> None:
    """Allow this process so many bytes of memory beside what it has, and its time."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + further,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))  # if its parent ends before it
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    print(json.dumps(_read_and_run(Path(sys.argv[1]), int(sys.argv[2]))))
