"""The share of a GPU of each trial: `auto` is resolved once, by the first command, and kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from gan_tune.cluster.hardware import GpuNode, at_once, gpu_nodes, has_idle_gpu, on_gpu_node
from gan_tune.cluster.ray_internals import started_here
from gan_tune.errors import ClusterError
from gan_tune.gan.device import accelerators, total_memory, trial_device
from gan_tune.service.gpu_share import Room, Share, kept_beside, share_of
from gan_tune.service.running.context import SearchContext
from gan_tune.service.running.precision import is_auto
from gan_tune.service.space_and_setting import first_setting
from gan_tune.service.trial_cost import TrialCost, measure_here
from gan_tune.space import Resources
from gan_tune.space.space_file import MOST_CORES
from gan_tune.storage.places import RESOURCES_NOTE, RESULT, SEARCH_NOTE
from gan_tune.storage.stored import read_stored
from gan_tune.storage.trial_folder import TrialFolders

if TYPE_CHECKING:
    from gan_tune.storage.storage import Storage

MEASURING_SECONDS = 600.0
"""How long a node may take to train a few steps of the first setting."""


@dataclass(frozen=True)
class ResourcesNote:
    """The share of a GPU of each trial: the content of `resources.json`."""

    gpu: Annotated[int | float, Field(ge=0, le=MOST_CORES)]


def settle_resources(context: SearchContext) -> None:
    """Put the trials' share of a GPU in place of `auto`, keep it in the search's folder, say it.

    Ray is joined. A search that has begun keeps its share; one from before there was `auto` has 0.

    Raises:
        ClusterError: it began with a GPU, and there is none; or a node cannot measure a trial.
        StorageError: what the search keeps is damaged.
    """
    asked = context.space.resources.gpu
    kept = _kept(context) if asked == "auto" else asked
    gpu = _chosen_now(context) if kept is None else kept
    context.space = context.space.on_gpus(gpu)
    context.home.write_json(RESOURCES_NOTE, asdict(ResourcesNote(gpu)))
    if not gpu and context.space.budget.gpu_hours is not None:
        context.watcher.note("budget.gpu_hours: bounds nothing here, since trials get no GPU")
    if kept == 0 and has_idle_gpu():
        context.watcher.note(
            "resources.gpu: 0, beside an idle GPU (--set resources.gpu=0.25 uses it)"
        )


def _kept(context: SearchContext) -> float | None:
    """The share with which the search began; None for a new one."""
    kept = read_stored(context.home, RESOURCES_NOTE, ResourcesNote)
    if kept is None:
        return 0.0 if _is_begun(context.home) else None
    gpu = kept.gpu
    if gpu and started_here() and not gpu_nodes():  # a cluster may get some later
        raise ClusterError(
            f"resources.gpu: {context.names.search} began with {gpu:g} GPU for each trial, and "
            "there is none here; --set resources.gpu=0 goes on on the CPU, --fresh begins another"
        )
    if gpu:
        context.watcher.note(f"resources.gpu: {gpu:g}, as this search began")
    return gpu


def _chosen_now(context: SearchContext) -> float:
    nodes = gpu_nodes()
    if not nodes:
        return 0.0
    context.watcher.stage("measuring a trial on a GPU")
    share = _chosen(context, nodes)
    context.watcher.note(f"resources.gpu: auto: {share.gpu:g} ({share.why})")
    return share.gpu


def _is_begun(home: Storage) -> bool:
    """Whether trials of the search have begun before its share was kept."""
    return bool({SEARCH_NOTE, RESULT} & set(home.names()) or TrialFolders(home).names())


def _chosen(context: SearchContext, nodes: list[GpuNode]) -> Share:
    """The share by what the nodes say, measured on the one with the smallest GPU."""
    memories = {node: on_gpu_node(node, _memory) for node in nodes}
    seeing = {node: memory for node, memory in memories.items() if memory is not None}
    if not seeing:
        return Share(0, "Ray counts a GPU, but PyTorch finds none there")
    smallest = min(seeing, key=lambda node: seeing[node])
    cpu = context.space.resources.cpu
    # Each device in the precision that it would have.
    space = context.space.in_precision("auto") if is_auto(context) else context.space
    given = (first_setting(space), context.dataset, context.judge, max(1, int(cpu)))
    on_gpu, on_cpu = on_gpu_node(smallest, _costs, *given, seconds=MEASURING_SECONDS)
    rooms = [Room(node.cores, node.gpus, memory) for node, memory in seeing.items()]
    share = share_of(rooms, cpu, on_gpu, on_cpu)
    together = min(int(1 / share.gpu), int(smallest.cores / cpu)) if share.gpu else 0
    if together < 2:
        return share
    beside = at_once(
        _cost_on_gpu,
        *given,
        resources=Resources(cpu=cpu, gpu=share.gpu),
        count=together,
        seconds=MEASURING_SECONDS,
        node=smallest.id,
    )
    return kept_beside(beside, share, on_cpu)


def _memory() -> int | None:
    """On a node: bytes of the GPU that this process sees; None if PyTorch sees none."""
    return total_memory() if accelerators() else None


def _costs(config: Any, dataset: Any, judge: Any, threads: int) -> tuple[TrialCost, TrialCost]:
    """On a node: what a trial costs on its GPU and on its CPU, each alone."""
    on_gpu = _cost_on_gpu(config, dataset, judge, threads)
    return on_gpu, measure_here(config, dataset, judge, threads=threads, device="cpu")


def _cost_on_gpu(config: Any, dataset: Any, judge: Any, threads: int) -> TrialCost:
    """On a node: what a trial costs on its GPU."""
    device = trial_device(gpu=True)
    return measure_here(config, dataset, judge, threads=threads, device=device)
