"""Looking inside a network: feature maps by name and call, attention maps, and its graph as plain data."""

from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from deblur.models.attentive import Attentive
from deblur.models.layers import pad_to_multiple


@torch.inference_mode()
def capture(network: nn.Module, blurred: Tensor, names: Sequence[str]) -> dict[str, list[Tensor]]:
    """Outputs of the named submodules during one forward pass, one entry a call.

    A module shared by several scales is called coarse to fine: its last entry is the finest.

    Raises:
        ValueError: for a name that the network does not have.
    """
    modules = dict(network.named_modules())
    unknown = [name for name in names if name not in modules]
    if unknown:
        raise ValueError(f"the network has no module {unknown[0]!r}; see network.named_modules()")
    caught: dict[str, list[Tensor]] = {name: [] for name in names}
    hooks = [
        modules[name].register_forward_hook(lambda _, __, output, name=name: caught[name].append(output))
        for name in names
    ]
    try:
        network.eval()(blurred)
    finally:
        for hook in hooks:
            hook.remove()
    return caught


def spatial_attention(network: Attentive, blurred: Tensor) -> dict[str, Tensor]:
    """The finest pass's SA maps (h,w) of the attentive network, "encoder 1" ... "decoder 9" in execution order.

    Maps keep their own resolution; blocks without SA are absent.
    """
    scale = network.scales[0]
    names: dict[str, str] = {}
    for side, groups in (("encoder", ("eg1", "eg2", "eg3")), ("decoder", ("dg1", "dg2", "dg3"))):
        blocks = [f"scales.0.{group}.blocks.{i}" for group in groups for i in range(len(getattr(scale, group).blocks))]
        names |= {f"{side} {i}": f"{block}.attention.sa" for i, block in enumerate(blocks, 1)}
    present = {label: name for label, name in names.items() if name in dict(network.named_modules())}
    caught = capture(network, blurred, list(present.values()))
    return {label: caught[name][-1][0, 0] for label, name in present.items()}


def influence(network: nn.Module, blurred: Tensor) -> Tensor:
    """How strongly the restoration's middle pixel depends on each pixel of one image: |gradient|, (1,3,H,W) -> (H,W).

    The sum over colours of the middle pixel is differentiated, and the gradient's magnitudes summed over colours.
    """
    image = blurred.detach().clone().requires_grad_()
    restored = network.eval()(image)[0]
    middle = restored[0, :, restored.shape[-2] // 2, restored.shape[-1] // 2].sum()
    return torch.autograd.grad(middle, image)[0][0].abs().sum(0)


def graph(
    module: nn.Module, *inputs: Tensor, leaves: tuple[type, ...] = ()
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """What a module computes, traced: nodes (name -> label with output shape) and edges between them.

    Args:
        inputs: example inputs, for the shapes.
        leaves: module types drawn as one node instead of being looked into.
    """

    class Tracer(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, qualified_name: str) -> bool:
            return isinstance(m, leaves) or super().is_leaf_module(m, qualified_name)

    traced = Tracer(autowrap_functions=(pad_to_multiple,)).trace(module)
    runnable = fx.GraphModule(module, traced)
    ShapeProp(runnable).propagate(*inputs)
    kept: dict[str, tuple[str, list[str]]] = {}
    sources: dict[fx.Node, list[str]] = {}
    for node in traced.nodes:
        # A size that is read off a tensor carries none of its values.
        read = [] if node.target is getattr and node.args[1] == "shape" else node.all_input_nodes
        before = [origin for argument in read for origin in sources[argument]]
        meta = node.meta.get("tensor_meta")
        if meta is None or not hasattr(meta, "shape") or node.op == "output" or "getitem" in node.name:
            sources[node] = list(dict.fromkeys(before))  # slices are passed through
            continue
        sources[node] = [node.name]
        sides = meta.shape if node.op == "get_attr" else meta.shape[1:]  # a parameter has no batch
        shape = "x".join(map(str, sides))
        kept[node.name] = (f"{_label(node, runnable)}\n{shape}", list(dict.fromkeys(before)))
    nodes = {name: label for name, (label, _) in kept.items()}
    return nodes, [(origin, name) for name, (_, origins) in kept.items() for origin in origins]


def _label(node: fx.Node, module: nn.Module) -> str:
    """A submodule's name and type, or a function's name."""
    if node.op == "call_module":
        return f"{node.target} {type(module.get_submodule(str(node.target))).__name__}"
    return getattr(node.target, "__name__", str(node.target))
