"""Everything that depends on the kind of device. All other code treats the devices alike.

A trial computes on one device: the CPU, or the *accelerator*, the one kind of GPU that PyTorch
finds (:mod:`torch.accelerator`). Checked against the documentation of PyTorch 2.10 to 2.14:

- Which GPUs a process may use is decided outside. Ray sets CUDA_VISIBLE_DEVICES of a worker to the
  GPUs of its trial, or to a part of one (a MIG instance). CUDA numbers what is visible from 0, so a
  device without an index is the trial's own. Of several MIG instances CUDA shows a process only the
  first. The variable is read when CUDA starts, so nothing here sets it.
- No streams are made. All kernels are queued on the device's current stream, which runs them in
  order. So no event is needed between them, and a blocking copy to the CPU sees finished results.
- Random generators of different kinds of devices have different algorithms and states. A state fits
  only a generator of the same kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psutil
import torch
from torch import Tensor

from gan_tune.errors import DeviceError
from gan_tune.words.wording import in_one_line

__all__ = [
    "accelerator",
    "accelerators",
    "check_device",
    "exact_convolutions",
    "free_memory",
    "global_state",
    "has_bfloat16",
    "peak_memory",
    "reseed",
    "seed_globals",
    "set_global_state",
    "step_counter_device",
    "total_memory",
    "trial_device",
    "wait_for",
]


# ------------------------------------------------------------------ which device


def accelerator() -> torch.device | None:
    """The accelerator that this process may use; None if there is none.

    It has no index, which means the current one: the first that is visible.
    """
    return torch.accelerator.current_accelerator(check_available=True)


def accelerators() -> int:
    """How many accelerators this process may use; at most 1 if they are MIG instances."""
    return torch.accelerator.device_count() if accelerator() is not None else 0


def trial_device(*, gpu: bool) -> str:
    """The device of a trial that has a share of a GPU, or that has none.

    With a share, it is the accelerator, if this process finds one.
    """
    found = accelerator() if gpu else None
    return "cpu" if found is None else str(found)


def check_device(device: str, place: str = "device") -> None:
    """Check that a device computes, and hands back what it has computed.

    Raises:
        DeviceError: it does not; ``place`` names it in the message.
    """
    try:
        torch.ones(1, device=device).sum().item()
    except (RuntimeError, AssertionError, ImportError) as error:
        # `meta`, a GPU without CUDA, and a device whose package is not installed, in this order.
        raise DeviceError(f"{place} {device}: {in_one_line(error)}") from None


# ------------------------------------------------------------------ memory


def wait_for(device: torch.device) -> None:
    """Wait until a device has done what it was given, so that it can be timed."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def free_memory(device: torch.device) -> int:
    """The memory in bytes that this process can still fill.

    On a GPU other processes share it: what they hold is not free. What PyTorch's allocator keeps
    for reuse is free for this process. Of a MIG instance it is the instance's memory.
    """
    module = _module(device)
    if not hasattr(module, "mem_get_info"):  # the CPU, and GPUs that use the CPU's memory
        return int(psutil.virtual_memory().available)
    kept = module.memory_reserved(device) - module.memory_allocated(device)
    return int(module.mem_get_info(device)[0] + kept)


def total_memory() -> int:
    """Memory in bytes of the smallest accelerator of this machine; 0 without one that tells."""
    found = accelerator()
    if found is None or not hasattr(_module(found), "get_device_properties"):
        return 0
    properties = [_module(found).get_device_properties(index) for index in range(accelerators())]
    return min(int(one.total_memory) for one in properties)


def peak_memory(device: torch.device) -> int:
    """The most memory in bytes that PyTorch's allocator has held on an accelerator so far.

    It is 0 for the CPU. The context of CUDA itself, some hundred MiB, is not in it.
    """
    module = _module(device)
    if not hasattr(module, "max_memory_reserved"):
        return 0
    return int(module.max_memory_reserved(device))


# ------------------------------------------------------------------ random generators


def global_state(device: torch.device) -> dict[str, Tensor]:
    """The state of torch's global generators that a computation on ``device`` can read.

    One state for each kind of device, by its name, as uint8 tensors on the CPU.
    """
    state = {"cpu": torch.get_rng_state()}
    if device.type != "cpu":
        state[device.type] = _module(device).get_rng_state(*_if_indexed(device))
    return state


def set_global_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    """Set torch's global generators to a state that :func:`global_state` returned.

    The generator of a kind of device that ``state`` lacks keeps its own.
    """
    torch.set_rng_state(state["cpu"].cpu())
    if device.type != "cpu" and device.type in state:
        _module(device).set_rng_state(state[device.type].cpu(), *_if_indexed(device))


def seed_globals(seed: int, device: torch.device) -> None:
    """Seed torch's global generators that a computation on ``device`` can read."""
    # Not torch.manual_seed: without a GPU it formats a traceback each time, which takes 1 ms.
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        # Not the module's manual_seed, which seeds the current device and no other.
        fresh = torch.Generator(device).manual_seed(seed).get_state()
        _module(device).set_rng_state(fresh, *_if_indexed(device))


def reseed(random: torch.Generator, state: Tensor, seed: int) -> None:
    """Set a generator to ``state``, or, if that is of another kind of device, seed it."""
    if state.shape == random.get_state().shape:
        random.set_state(state)
    else:
        random.manual_seed(seed)


# ------------------------------------------------------------------ kernels

BFLOAT16_UNITS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
"""Names of :func:`torch.cpu.get_capabilities` for products in bfloat16, of x86 and of ARM."""


def has_bfloat16(device: torch.device | str) -> bool:
    """Whether a device multiplies in bfloat16 in hardware."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(False)
    if kind != "cpu":
        return False
    known = torch.cpu.get_capabilities()
    return any(known.get(unit) for unit in BFLOAT16_UNITS)


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """On CUDA, convolve in full float32 by deterministic kernels; on a CPU nothing changes.

    Otherwise cuDNN may round to TF32, and may choose other kernels each time.
    """
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    ):
        yield


def step_counter_device(parameter: Tensor, settings: Mapping[str, Any]) -> torch.device:
    """The device of an optimizer's step counter, given the settings of its parameter group.

    Fused and capturable kernels read it on the parameter's device; otherwise it is on the CPU, so
    that the host can read it without waiting.
    """
    on_device = settings.get("fused") or settings.get("capturable")
    return parameter.device if on_device else torch.device("cpu")


def _module(device: torch.device) -> Any:
    """`torch.cpu`, `torch.cuda` or what other device's module it is."""
    return torch.get_device_module(device)


def _if_indexed(device: torch.device) -> tuple[torch.device, ...]:
    """The argument that names a device; none for the current one, as some modules know no other."""
    return () if device.index is None else (device,)
