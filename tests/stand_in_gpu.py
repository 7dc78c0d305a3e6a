"""A stand-in for a GPU: the device ``gpu:0``, whose tensors lie in main memory.

Code that runs on it behaves as on a GPU in what a test can see without one. Its tensors say that
they are on ``gpu:0``. An operation on them and on tensors of the CPU is an error, as is a
random generator of the other device. It is PyTorch's current accelerator (:mod:`torch.accelerator`)
while it is switched on. The computations are those of the CPU, so results are equal to the CPU's,
bit for bit. Wherever a GPU would make the host wait, :func:`counted_waits` notes the operation.

Differences from a GPU that a test must know: there are no streams, no pinned memory and no data
pointers, :func:`torch.inference_mode` is :func:`torch.no_grad`, moving a module to the device
unties its weights, and rounding is that of the CPU.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar

import psutil
import torch
from torch.utils import backend_registration
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _disable_current_modes,
    return_and_correct_aliasing,
)
from torch.utils._pytree import tree_leaves, tree_map

NAME = "gpu"
aten = torch.ops.aten


class _Hooks(torch._C._acc.PrivateUse1Hooks):
    def is_available(self) -> bool:
        return module.on

    def has_primary_context(self, index: int) -> bool:
        return module.on

    def is_built(self) -> bool:
        return True


class _Module:
    """What PyTorch and gan-tune expect of a device's module, as of :mod:`torch.cuda`.

    Attributes:
        on: whether the device is switched on.
        generator: draws what is drawn without a generator.
    """

    def __init__(self) -> None:
        self.on = False
        self.generator: DeviceGenerator | None = None

    def is_available(self) -> bool:
        return self.on

    def is_initialized(self) -> bool:
        return True

    def device_count(self) -> int:
        return int(self.on)

    def current_device(self) -> int:
        return 0

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        self.default_generator().manual_seed(seed)

    def default_generator(self) -> DeviceGenerator:
        if self.generator is None:
            self.generator = DeviceGenerator()
        return self.generator

    def get_rng_state(self, device: Any = NAME) -> torch.Tensor:
        return self.default_generator().get_state()

    def set_rng_state(self, state: torch.Tensor, device: Any = NAME) -> None:
        self.default_generator().set_state(state)

    def mem_get_info(self, device: Any = None) -> tuple[int, int]:
        memory = psutil.virtual_memory()
        return memory.available, memory.total

    def memory_reserved(self, device: Any = None) -> int:
        return 0

    def memory_allocated(self, device: Any = None) -> int:
        return 0


module = _Module()


Generator = torch.Generator


class DeviceGenerator(Generator):
    """A random generator of the device. Its state does not fit a generator of the CPU."""

    MARK = torch.tensor(list(b"stand-in"), dtype=torch.uint8)
    addresses: ClassVar[set[int]] = set()
    """Those of all that live: an operation gets a generator as another object of Python."""

    def __init__(self) -> None:
        self.addresses.add(self._cdata)

    def __del__(self) -> None:
        self.addresses.discard(self._cdata)

    @classmethod
    def has(cls, generator: Generator) -> bool:
        return generator._cdata in cls.addresses

    def get_state(self) -> torch.Tensor:
        return torch.cat((self.MARK, super().get_state()))

    def set_state(self, state: torch.Tensor) -> DeviceGenerator:
        if not torch.equal(state[: len(self.MARK)], self.MARK):
            raise RuntimeError("RNG state is wrong size")
        super().set_state(state[len(self.MARK) :].clone())
        return self


class _AnyDevices(type(Generator)):  # type: ignore[misc]
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Generator)


class _Generator(Generator, metaclass=_AnyDevices):
    """In place of :class:`torch.Generator`, also for the device."""

    def __new__(cls, device: Any = "cpu") -> Any:
        return DeviceGenerator() if torch.device(device).type == NAME else Generator(device)


class DeviceTensor(torch.Tensor):
    """A tensor of the device; ``held`` is the same tensor in main memory."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> DeviceTensor:
        tensor = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=torch.device(NAME, 0),
        )
        tensor.held = held
        return tensor

    def __repr__(self) -> str:
        return f"DeviceTensor({self.held})"

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _run(func, args, kwargs or {})


class _Device(TorchDispatchMode):
    """Within it, tensors can be made on the device."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _run(func, args, kwargs or {})


# ------------------------------------------------------------------ one operation

COPIES = {aten._to_copy.default, aten.copy_.default, aten._local_scalar_dense.default}
"""Operations that may have tensors of both devices."""


def _run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    leaves = tree_leaves((args, kwargs))
    ours = [leaf for leaf in leaves if isinstance(leaf, DeviceTensor)]
    on_device = _result_is_ours(func, args, kwargs, ours)
    _check_devices(func, leaves, ours, on_device=on_device)
    if _makes_the_host_wait(func, args, ours, on_device=on_device):
        _note(func)
    held_args, held_kwargs = tree_map(
        lambda leaf: leaf.held if isinstance(leaf, DeviceTensor) else leaf, (args, kwargs)
    )
    if on_device and "device" in kwargs:
        held_kwargs["device"] = torch.device("cpu")
    if on_device and _draws(func) and held_kwargs.get("generator") is None:
        held_kwargs["generator"] = module.default_generator()
    with _disable_current_modes():
        result = func(*held_args, **held_kwargs)
    if not on_device:
        return result
    known = {id(tensor.held): tensor for tensor in ours}

    def on_it(leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor):
            return leaf
        return known[id(leaf)] if id(leaf) in known else DeviceTensor(leaf)

    result = tree_map(on_it, result)
    return return_and_correct_aliasing(func, args, kwargs, result) if ours else result


def _result_is_ours(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], ours: list[DeviceTensor]
) -> bool:
    if func is aten.copy_.default:
        return isinstance(args[0], DeviceTensor)
    if kwargs.get("device") is not None:
        return torch.device(kwargs["device"]).type == NAME
    return bool(ours)


def _check_devices(
    func: Any, leaves: list[Any], ours: list[DeviceTensor], *, on_device: bool
) -> None:
    others = [
        tuple(leaf.shape)
        for leaf in leaves
        if isinstance(leaf, torch.Tensor) and not isinstance(leaf, DeviceTensor) and leaf.ndim
    ]
    if ours and others and func not in COPIES:
        raise RuntimeError(f"{func}: tensors on {NAME}:0 and, of shapes {others}, on cpu")
    for leaf in leaves:
        if isinstance(leaf, Generator) and DeviceGenerator.has(leaf) != on_device:
            raise RuntimeError(f"{func}: the generator is on another device than the tensors")


def _draws(func: Any) -> bool:
    return torch.Tag.nondeterministic_seeded in func.tags and any(
        argument.name == "generator" for argument in func._schema.arguments
    )


# ------------------------------------------------------------------ waits

SIZED_BY_VALUES = {
    aten._local_scalar_dense,
    aten.equal,
    aten.is_nonzero,
    aten.masked_select,
    aten.nonzero,
    aten.repeat_interleave,
    aten._unique2,
    aten.bincount,
    aten.unique_consecutive,
}
"""Operations whose result the host needs, for its value or its size."""

INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._unsafe_index}

_waits: Counter[str] | None = None


@contextlib.contextmanager
def counted_waits() -> Iterator[Counter[str]]:
    """Count, by operation, how often the host waits for the device within the block.

    It waits for each value that it reads, each copy between the devices (of pageable memory, in
    either direction), and each result whose size depends on values.
    """
    global _waits
    outer, _waits = _waits, Counter()
    try:
        yield _waits
    finally:
        _waits = outer


def _note(func: Any) -> None:
    if _waits is not None:
        _waits[str(func.overloadpacket).removeprefix("aten.")] += 1


def _makes_the_host_wait(
    func: Any, args: tuple[Any, ...], ours: list[DeviceTensor], *, on_device: bool
) -> bool:
    kind = func.overloadpacket
    if kind in (aten._to_copy, aten.copy_):
        source = args[1] if kind is aten.copy_ else args[0]
        return isinstance(source, DeviceTensor) != on_device and source.numel() > 0
    if not ours:
        return False
    if kind in INDEXING:  # by truth values: first the host must know how many are true
        return any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1])
    return kind in SIZED_BY_VALUES


# ------------------------------------------------------------------ switching it on


def _no_grad(mode: Any = True) -> Any:
    """In place of :class:`torch.inference_mode`, whose tensors cannot be wrapped."""
    return torch.no_grad()(mode) if callable(mode) else torch.set_grad_enabled(not mode)


_registered = False


def _register() -> None:
    """Make the device known to PyTorch, once in a process: it cannot be undone."""
    global _registered
    if not _registered:
        backend_registration._setup_privateuseone_for_python_backend(
            NAME, backend_module=module, hook=_Hooks()
        )
        _registered = True


@contextlib.contextmanager
def switched_on() -> Iterator[torch.device]:
    """Have the device within the block, on this thread."""
    _register()
    before = torch.Generator, torch.inference_mode
    torch.Generator, torch.inference_mode = _Generator, _no_grad  # type: ignore[misc, assignment]
    module.on, module.generator = True, None
    # torch.tensor makes tensors on the CPU, where they are seen, and then copies them.
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        with _Device():
            yield torch.device(NAME, 0)
    finally:
        module.on = False
        torch._C._set_only_lift_cpu_tensors(False)
        torch.Generator, torch.inference_mode = before  # type: ignore[misc]


_for_good = contextlib.ExitStack()


def switch_on() -> None:
    """Have the device from now on, on this thread: the set-up of a worker process of Ray."""
    _for_good.enter_context(switched_on())
