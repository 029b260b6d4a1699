"""What a network costs: parameters, size in both units, multiply-accumulates, runtime.

Counts and MACs need no weights and no memory: they are taken on PyTorch's meta device.
"""

import statistics
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import pandas as pd
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from deblur.models import build
from deblur.talk import LOADED

T = TypeVar("T")


def parameters(network: nn.Module) -> int:
    """Number of learned values."""
    return sum(p.numel() for p in network.parameters())


def sizes(count: int) -> dict[str, float]:
    """Size of `count` float32 parameters in MB (10^6 bytes) and MiB (2^20 bytes)."""
    return {"size_mb": 4 * count / 1e6, "size_mib": 4 * count / 2**20}


def on_meta(name: str, variant: str = "paper", **overrides: Any) -> nn.Module:
    """A network without weights."""
    with torch.device("meta"):
        return build(name, variant, **overrides)


def macs(network: nn.Module, height: int, width: int) -> int:
    """Multiply-accumulates of one (1,3,height,width) image: half of PyTorch's count of floating-point operations.

    Counts convolutions and matrix products, in all scales and stages; elementwise work is not counted.
    """
    device = next(network.parameters()).device
    with _flop_counter() as counter, torch.no_grad():
        network.eval()(torch.empty(1, 3, height, width, device=device))
    return counter.get_total_flops() // 2


def _flop_counter() -> FlopCounterMode:
    """PyTorch's counter, which takes torchvision's deformable convolution (used on CUDA) for nothing."""
    import torchvision.ops  # noqa: F401  (registers the operator)

    return FlopCounterMode(display=False, custom_mapping={torch.ops.torchvision.deform_conv2d: _deform_conv2d_flops})


def _deform_conv2d_flops(x: torch.Size, weight: torch.Size, *_: object, out_shape: torch.Size, **__: object) -> int:
    """As an ordinary convolution; like all elementwise work, interpolation is not counted."""
    return 2 * out_shape.numel() * weight[1:].numel()


def layer_table(
    network: nn.Module, channels: int = 3, height: int = 256, width: int = 256, depth: int = 1
) -> pd.DataFrame:
    """One row per call of each module down to `depth`, in order: name, type, output shape, parameters below it."""
    rows, hooks = [], []

    def record(name: str) -> Callable:
        def hook(module: nn.Module, inputs: tuple, output: object) -> None:
            shape = tuple(output.shape[1:]) if isinstance(output, torch.Tensor) else None
            row = {
                "module": name,
                "type": type(module).__name__,
                "output": shape,
                "parameters": parameters(module),
            }
            rows.append(row)

        return hook

    for name, module in network.named_modules():
        if name and name.count(".") < depth and not isinstance(module, nn.ModuleList | nn.Sequential):
            hooks.append(module.register_forward_hook(record(name)))
    try:
        device = next(network.parameters()).device
        with torch.no_grad():
            network.eval()(torch.empty(1, channels, height, width, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return pd.DataFrame(rows)


def time_calls(calls: Mapping[str, Callable[[], object]], repeats: int = 5) -> dict[str, list[float]]:
    """Milliseconds of each call, warmed up once, interleaved so that a noisy machine treats all alike, synchronised."""
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            _synchronise()
            start = time.perf_counter()
            call()
            _synchronise()
            times[name].append((time.perf_counter() - start) * 1e3)
    return times


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


LOAD = 0.2
"""Share of a processor's time that others may have taken meanwhile; above it times are none."""


def runtimes(
    networks: Mapping[str, nn.Module], height: int, width: int, device: str = "cpu", repeats: int = 5
) -> dict[str, dict[str, object]]:
    """Time of one forward pass of (1,3,height,width) through each of some networks, side by side in turns.

    On a CPU one thread is used, and the times are missing where other programs took more than `LOAD` of it meanwhile.

    Returns:
        Name -> `runtime_ms` (median), `runtime_low_ms` and `runtime_high_ms` over the turns, `runtime_size`, and
        `runtime_device`, which is `LOADED` without times.
    """
    image = torch.rand(1, 3, height, width, device=device)
    calls = {name: partial(network.to(device).eval(), image) for name, network in networks.items()}
    times, load = alone(partial(time_calls, calls, repeats), device)
    quiet = load <= LOAD
    used = "CPU, 1 thread" if device == "cpu" else device_name(device)
    where = {"runtime_size": f"{height}x{width}", "runtime_device": used if quiet else LOADED}
    return {name: {**(spread(own) if quiet else {}), **where} for name, own in times.items()}


def spread(times: Sequence[float]) -> dict[str, float]:
    """Median, fastest and slowest of some turns, in ms."""
    return {"runtime_ms": statistics.median(times), "runtime_low_ms": min(times), "runtime_high_ms": max(times)}


def alone(measure: Callable[[], T], device: str = "cpu") -> tuple[T, float]:
    """What a measurement gives, on a CPU with one thread, without gradients; and the share of that thread's time that
    other programs took meanwhile, 0 on a GPU."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            wall, own = time.perf_counter(), time.process_time()
            measured = measure()
            wall, own = time.perf_counter() - wall, time.process_time() - own
    finally:
        torch.set_num_threads(threads)
    return measured, 0.0 if device != "cpu" else max(1 - own / wall, 0.0)


def time_groups(
    network: nn.Module, groups: Mapping[str, Sequence[nn.Module]], image: torch.Tensor, repeats: int = 5
) -> tuple[dict[str, float], float]:
    """Where the time of a forward pass goes: milliseconds in each group of modules, and of the whole pass unhooked.

    Medians over `repeats` passes with hooks that synchronise, taken in turn with undisturbed ones after a warm-up.

    Args:
        groups: label -> modules; none may lie in another, or its time counts twice.
        image: (1,3,H,W) on the network's device.
    """
    spent: dict[str, list[float]] = {label: [] for label in groups}
    started: dict[nn.Module, float] = {}

    def enter(module: nn.Module, _: tuple) -> None:
        _synchronise()
        started[module] = time.perf_counter()

    def leave(label: str) -> Callable:
        def hook(module: nn.Module, _: tuple, __: object) -> None:
            _synchronise()
            spent[label][-1] += (time.perf_counter() - started[module]) * 1e3

        return hook

    def hooked() -> None:
        handles = []
        for label, modules in groups.items():
            spent[label].append(0.0)
            handles += [module.register_forward_pre_hook(enter) for module in modules]
            handles += [module.register_forward_hook(leave(label)) for module in modules]
        try:
            network(image)
        finally:
            for handle in handles:
                handle.remove()

    network.eval()
    with torch.inference_mode():
        whole = time_calls({"hooked": hooked, "unhooked": lambda: network(image)}, repeats)["unhooked"]
    # The first of each is the warm-up.
    return {label: statistics.median(times[1:]) for label, times in spent.items()}, statistics.median(whole)


class _LiveBytes(TorchDispatchMode):
    """Adds up the storages that operations make, until these are freed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: dict[int, int] = {}

    def __torch_dispatch__(
        self, function: Callable, types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, torch.Tensor):
                self._meet(tensor, 0)
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self._meet(tensor, tensor.untyped_storage().nbytes())
        self.peak = max(self.peak, self.now)
        return made

    def _meet(self, tensor: torch.Tensor, count: int) -> None:
        storage = tensor.untyped_storage()
        name = storage._cdata
        if name not in self.known:
            self.known[name] = count
            self.now += count
            weakref.finalize(storage, self._forget, name)

    def _forget(self, name: int) -> None:
        self.now -= self.known.pop(name)


def peak_bytes(module: nn.Module, *inputs: torch.Tensor) -> int:
    """Most bytes that a forward pass holds at once besides its inputs and weights; on the meta device it needs none.

    Counts what PyTorch's operations return, not what they use inside (a convolution's work space).
    """
    with _LiveBytes() as live, torch.no_grad():
        module.eval()(*inputs)
    return live.peak


def device_name(device: str | torch.device = "cpu") -> str:
    """The GPU's name, or "CPU, N threads"."""
    if str(device).startswith("cuda"):
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"


def cost(name: str, variant: str = "paper", **overrides: Any) -> dict[str, float]:
    """Parameters, sizes and MACs (256x256 and 720x1280) of the paper-size graph, or of one with other settings."""
    network = on_meta(name, variant, **overrides)
    count = parameters(network)
    return {
        "parameters": count,
        **sizes(count),
        "gmacs_256": macs(network, 256, 256) / 1e9,
        "gmacs_720p": macs(network, 720, 1280) / 1e9,
    }
