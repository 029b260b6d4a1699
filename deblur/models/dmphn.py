"""Deep multi-patch hierarchical network (DMPHN; Zhang, Dai, Li, Koniusz; CVPR 2019): model 1-2-4-8 and Stack(4)-DMPHN.

The idea in five lines. The image is cut into 8, 4, 2 and 1 patches; each level has an encoder and a decoder of its own.
From the finest cut on, a level encodes its patches, joins neighbours' features into the patches of the next level,
adds the features that came before, and decodes what is to be added to the blurred image there. So small parts are
restored first and the whole image last, all at full resolution: no image is ever resized. The last level predicts the
image, and only it is supervised.

Stack(4)-DMPHN, `dmphn_stack4`: four hierarchies 1-2-4 in a row, each with weights of its own. The next one takes the
restoration before as its input and does the same again. Each level adds to its features those of the same level one
hierarchy before. All four restorations are supervised, the last is the result. The paper finds that stacking helps
where a finer cut (16 patches) no longer does.

Stages and shapes of one level, for a patch of 256x256:

    encoder  conv 3x3, 3->32; 2 residual blocks             (32, 256, 256)
             conv 3x3 stride 2, 32->64; 2 residual blocks   (64, 128, 128)
             conv 3x3 stride 2, 64->128; 2 residual blocks  (128, 64, 64)
    decoder  2 residual blocks; deconv 4x4, 128->64         (64, 128, 128)
             2 residual blocks; deconv 4x4, 64->32          (32, 256, 256)
             2 residual blocks; conv 3x3, 32->3             (3, 256, 256)

Size: 7,232,524 parameters = 28.93 MB (four levels of 1,808,131); printed 29.0 MB (SimpleNet, Table 2).
`dmphn_stack4`: 21,697,572 = 86.79 MB (4 x 3 levels); printed 86.8 MB (attentive, Table 1).

Readings (stated: in the paper or in the authors' published code)
    Patches 1x1, 2x1, 2x2, 4x2 (rows x columns); encoders see one patch, decoders two joined         stated
    15 convolutions in an encoder, 3x3, widths 32/64/128; a decoder mirrors it; no encoder skips      stated
    ReLU inside residual blocks only; none after strided convolutions and deconvolutions              stated
    Images shifted by -0.5; weights normal with deviation 0.5 sqrt(2 / (k^2 out)), biases 0           stated
    Stack: features of the hierarchy before are added at the same level                               stated
    From the second hierarchy on, the first one's restoration is added to what level 2 decodes        stated (code only)
    All restorations of a stack supervised alike                                                      stated
    Reflect padding to a multiple of 4 times the rows of the finest cut                               chosen
    The `identity` start is ours and belongs to the short recipes: see `start_at_identity`
"""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.models.layers import pad_to_multiple
from deblur.models.parts import Part, zero
from deblur.models.published import GOPRO, Lookalike, Published, less, looked_up
from deblur.models.starts import open_units

GRIDS = ((1, 1), (2, 1), (2, 2), (4, 2))
"""Rows and columns of patches at levels 1 to 4."""


@dataclass(frozen=True)
class Config:
    levels: int = 4  # 4 is the model 1-2-4-8
    widths: tuple[int, int, int] = (32, 64, 128)  # channels at sizes 1, 1/2, 1/4
    blocks: int = 2  # residual blocks at each size
    init: str = "normal"  # or "identity"


def split(image: Tensor, rows: int, columns: int) -> Tensor:
    """Cut (N,C,H,W) into equal patches, stacked along the batch: (N*rows*columns, C, H/rows, W/columns)."""
    n, c, h, w = image.shape
    patches = image.reshape(n, c, rows, h // rows, columns, w // columns).permute(0, 2, 4, 1, 3, 5)
    return patches.reshape(n * rows * columns, c, h // rows, w // columns)


def join(patches: Tensor, rows: int, columns: int) -> Tensor:
    """Put patches together again, the inverse of `split`."""
    _, c, h, w = patches.shape
    image = patches.reshape(-1, rows, columns, c, h, w).permute(0, 3, 1, 4, 2, 5)
    return image.reshape(-1, c, rows * h, columns * w)


class ResBlock(nn.Module):
    """x + conv(ReLU(conv(x)))."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(x)))


class Level(nn.Module):
    """Encoder (N,3,H,W) -> (N,C3,H/4,W/4) and decoder back, of one level; they run on different patches."""

    def __init__(self, widths: tuple[int, int, int], blocks: int):
        super().__init__()
        c1, c2, c3 = widths

        def body(channels: int) -> nn.Sequential:
            return nn.Sequential(*(ResBlock(channels) for _ in range(blocks)))

        self.encoder = nn.Sequential(
            OrderedDict(
                head=nn.Conv2d(3, c1, 3, padding=1),
                body1=body(c1),
                down1=nn.Conv2d(c1, c2, 3, 2, padding=1),
                body2=body(c2),
                down2=nn.Conv2d(c2, c3, 3, 2, padding=1),
                body3=body(c3),
            )
        )
        self.decoder = nn.Sequential(
            OrderedDict(
                body3=body(c3),
                up2=nn.ConvTranspose2d(c3, c2, 4, 2, padding=1),
                body2=body(c2),
                up1=nn.ConvTranspose2d(c2, c1, 4, 2, padding=1),
                body1=body(c1),
                tail=nn.Conv2d(c1, 3, 3, padding=1),
            )
        )


class MultiPatch(nn.Module):
    """One hierarchy: image -> its restoration and each level's features, finest cut first."""

    def __init__(self, levels: int, widths: tuple[int, int, int], blocks: int):
        super().__init__()
        self.levels = nn.ModuleList(Level(widths, blocks) for _ in range(levels))

    def forward(
        self, image: Tensor, earlier: list[Tensor] | None = None, first: Tensor | float = 0.0
    ) -> tuple[Tensor, list[Tensor]]:
        """Restore `image` (N,3,H,W), shifted by -0.5.

        Args:
            earlier: in a stack, the features that the hierarchy before returned.
            first: in a stack, the restoration of its first hierarchy; added to what level 2 decodes.
        """
        features, residual, by_level = 0.0, 0.0, []
        for number in reversed(range(len(self.levels))):
            level, grid, above = self.levels[number], GRIDS[number], GRIDS[max(number - 1, 0)]
            features = features + join(level.encoder(split(image + residual, *grid)), *grid)
            if earlier is not None:
                features = features + earlier[len(by_level)]
            residual = join(level.decoder(split(features, *above)), *above)
            if number == 1:
                residual = residual + first
            by_level.append(features)
        return residual, by_level  # type: ignore[return-value]  # there is at least one level


class DMPHN(nn.Module):
    """The network: (N,3,H,W) in [0,1], any H and W -> the restoration."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.hierarchy = MultiPatch(config.levels, config.widths, config.blocks)
        start(self, [self.hierarchy], config.init)

    def forward(self, blurred: Tensor) -> tuple[Tensor]:
        height, width = blurred.shape[-2:]
        image = pad_to_multiple(blurred, 4 * GRIDS[self.config.levels - 1][0])
        restored, _ = self.hierarchy(image - 0.5)
        return (restored[..., :height, :width] + 0.5,)


@torch.no_grad()
def start(network: nn.Module, hierarchies: list[MultiPatch], init: str) -> None:
    """Draw all weights of a network's hierarchies, and set those of the identity if asked for.

    Raises:
        ValueError: for an unknown `init`.
    """
    if init not in ("normal", "identity"):
        raise ValueError(f"unknown init {init!r}; choose normal or identity")
    for layer in (layer for hierarchy in hierarchies for layer in hierarchy.modules()):
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, std=0.5 * (2 / (layer.kernel_size[0] ** 2 * layer.out_channels)) ** 0.5)
            nn.init.zeros_(layer.bias)
    if init == "identity":
        start_at_identity(hierarchies)
        open_units(network)


@torch.no_grad()
def start_at_identity(hierarchies: list[MultiPatch]) -> None:
    """Set weights so that every hierarchy returns its image: ours, for recipes of minutes; the graph is the same.

    Where level 1 meets its image first, the strided convolutions sort the pixels of each 4x4 block into 48 channels and
    the deconvolutions sort them back; all other encoders leave these channels alone, so that the other levels decode
    nothing. The second convolutions of residual blocks are zero. Widths of at least 3, 12, 48 are needed.
    """
    for i, hierarchy in enumerate(hierarchies):
        for block in hierarchy.modules():
            if isinstance(block, ResBlock):
                block.conv2.weight.zero_()
        for number, level in enumerate(hierarchy.levels):
            encoder, decoder = level.encoder, level.decoder
            encoder.down2.weight[:48] = 0
            if number:
                continue
            for up, channels in ((decoder.up1, 3), (decoder.up2, 12)):
                up.weight[:, :channels] = 0
                for phase, c, dy, dx in phases(channels):
                    up.weight[phase, c, 1 + dy, 1 + dx] = 1
            for down, channels in ((encoder.down1, 3), (encoder.down2, 12)) if i == 0 else ():
                down.weight[: 4 * channels] = 0
                for phase, c, dy, dx in phases(channels):
                    down.weight[phase, c, 1 + dy, 1 + dx] = 1
            for layer in (encoder.head, decoder.tail):
                layer.weight[:3] = 0
                layer.weight[range(3), range(3), 1, 1] = 1


def phases(channels: int) -> list[tuple[int, int, int, int]]:
    """The pixels of 2x2 blocks as channels: (new channel, channel, row, column in the block)."""
    return [(4 * c + 2 * dy + dx, c, dy, dx) for c, dy, dx in product(range(channels), range(2), range(2))]


@dataclass(frozen=True)
class StackConfig:
    stack: int = 4  # hierarchies
    levels: int = 3  # of each: 1-2-4
    widths: tuple[int, int, int] = (32, 64, 128)  # channels at sizes 1, 1/2, 1/4
    blocks: int = 2  # residual blocks at each size
    init: str = "normal"  # or "identity"


class StackDMPHN(nn.Module):
    """The network: (N,3,H,W) in [0,1], any H and W -> the restorations of all hierarchies, the last one first."""

    def __init__(self, config: StackConfig):
        super().__init__()
        self.config = config
        self.stack = nn.ModuleList(MultiPatch(config.levels, config.widths, config.blocks) for _ in range(config.stack))
        start(self, list(self.stack), config.init)

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


def first_hierarchy(network: nn.Module, inputs: tuple, outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The first hierarchy's image in place of the last one's."""
    return outputs[-1], *outputs[1:]


PARTS = {
    "later hierarchies": Part("", first_hierarchy, needs="stack.1"),
    **{f"level {n}": Part(rf"(hierarchy|stack\.\d)\.levels\.{n - 1}\.(en|de)coder", zero) for n in (4, 3, 2)},
}
"""Part of the design -> what stands in for it when it is taken out, see `deblur.models.parts`."""


_RENAMES = (
    (r"^(encoder|decoder)_lv(\d)\.", less(1, "hierarchy.levels.{1}.{0}.")),
    (r"^(encoder|decoder)_s(\d)_lv(\d)\.", less(1, "stack.{1}.levels.{2}.{0}.")),
    (
        r"(?<=\.)layer(\d+)(?=\.)",
        looked_up(
            "1 2 3 5 6 7 9 10 11 13 14 16 17 18 20 21 22 24",
            "head body1.0 body1.1 down1 body2.0 body2.1 down2 body3.0 body3.1 "
            "body3.0 body3.1 up2 body2.0 body2.1 up1 body1.0 body1.1 tail",
        ),
    ),
    (r"(\.body\d\.\d)\.0\.", r"\1.conv1."),
    (r"(\.body\d\.\d)\.2\.", r"\1.conv2."),
)


PUBLISHED: dict[str, Published | str] = {
    "dmphn": Published(
        "HongguangZhang/DMPHN-cvpr19-master",
        "checkpoints/DMPHN_1_2_4_8, with encoder_lv1.pkl to decoder_lv4.pkl",
        _RENAMES,
        parts=r"(en|de)coder_lv\d",
        trained_on=GOPRO,
    ),
    "dmphn_stack4": Published(
        "HongguangZhang/DMPHN-cvpr19-master",
        "checkpoints/SDNet4, with encoder_s1_lv1.pkl to decoder_s4_lv3.pkl",
        _RENAMES,
        parts=r"(en|de)coder_s\d_lv\d",
        trained_on=GOPRO,
        lookalikes=(
            Lookalike(
                "SDNet3, a stack of three, which leaves the fourth hierarchy in its folder unused",
                "decoder_s4_lv1.layer24.bias",
                (0.000155843954, -0.00478429161, -0.00421937695),
            ),
        ),
    ),
}
"""Network -> what its project published, or why there is nothing to import."""
