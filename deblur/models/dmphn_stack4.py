"""Stack(4)-DMPHN (Zhang, Dai, Li, Koniusz; CVPR 2019): four multi-patch hierarchies 1-2-4 in a row.

The idea in five lines. One hierarchy of `dmphn` restores the image; the next takes that restoration as its input and
does the same again, with weights of its own. Each level adds to its features those of the same level one hierarchy
before. All four restorations are supervised, the last is the result. The paper finds that stacking helps where a finer
cut (16 patches) no longer does. The hierarchies have three levels, not four.

Size: 21,697,572 parameters = 86.79 MB (4 x 3 levels of 1,808,131); printed 86.8 MB (attentive, Table 1).

Readings (stated: in the paper or in the authors' published code)
    Features of the hierarchy before are added at the same level                                      stated
    From the second hierarchy on, the first one's restoration is added to what level 2 decodes        stated (code only)
    All restorations supervised alike                                                                 stated
    The rest as in `dmphn`
"""

from dataclasses import dataclass

from torch import Tensor, nn

from deblur.models.dmphn import GRIDS, MultiPatch, start
from deblur.models.layers import pad_to_multiple


@dataclass(frozen=True)
class Config:
    stack: int = 4  # hierarchies
    levels: int = 3  # of each: 1-2-4
    widths: tuple[int, int, int] = (32, 64, 128)  # channels at sizes 1, 1/2, 1/4
    blocks: int = 2  # residual blocks at each size
    init: str = "normal"  # or "identity"


class StackDMPHN(nn.Module):
    """The network: (N,3,H,W) in [0,1], any H and W -> the restorations of all hierarchies, the last one first."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.stack = nn.ModuleList(MultiPatch(config.levels, config.widths, config.blocks) for _ in range(config.stack))
        start(list(self.stack), config.init)

    def forward(self, blurred: Tensor) -> tuple[Tensor, ...]:
        height, width = blurred.shape[-2:]
        image = pad_to_multiple(blurred, 4 * GRIDS[self.config.levels - 1][0]) - 0.5
        features, outputs = None, []
        for hierarchy in self.stack:
            image, features = hierarchy(image, features, outputs[0] if outputs else 0.0)
            outputs.append(image)
        return tuple(output[..., :height, :width] + 0.5 for output in reversed(outputs))


VARIANTS: dict[str, dict] = {"paper": {}}
"""Variant -> its differences from `Config()`."""
