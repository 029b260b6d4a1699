"""Scale-recurrent network (SRN) for deep image deblurring (Tao, Gao, Shen, Wang, Jia; CVPR 2018).

The baseline that all five papers list. The idea in five lines. One encoder-decoder with one weight set runs at three
scales, coarse to fine; each scale takes its blurred image and the coarser result, and a convolutional LSTM at the
bottleneck carries what was found to the next scale. Blocks are residual, two 5x5 convolutions without normalisation
(RB2). Every scale predicts its image, without a global residual; the loss is the squared error summed over scales.

Stages and shapes of one scale at 256x256 (the two coarser ones run it at 64 and 128 first):

    enc1  conv 5x5, 6->32, ReLU; 3 RB2              (32, 256, 256)
    enc2  conv 5x5 stride 2, 32->64, ReLU; 3 RB2    (64, 128, 128)
    enc3  conv 5x5 stride 2, 64->128, ReLU; 3 RB2   (128, 64, 64)
    lstm  conv 3x3, 256->512: gates i, j, f, o      (128, 64, 64)
    dec3  3 RB2; deconv 4x4, 128->64, ReLU          (64, 128, 128)   then + enc2
    dec2  3 RB2; deconv 4x4, 64->32, ReLU           (32, 256, 256)   then + enc1
    dec1  3 RB2; conv 5x5, 32->3                    (3, 256, 256)

Size: 8,061,411 parameters = 32.25 MB; the papers here print 33.6 MB (SimpleNet, Table 2), which no mode of the authors'
code gives: colour without LSTM 6,881,251 (`no_lstm`), one grey channel with LSTM 8,056,609. Theirs never joins colour
and LSTM; the network described in the paper does, so that is what is built.

Readings (stated: in the paper or in the authors' published TensorFlow code)
    Scales 1/4, 1/2, 1; coarser result bilinearly doubled, gradient stopped; blur twice at the coarsest   stated
    Widths 32/64/128, three RB2 a stage, kernels 5x5, 4x4 deconvolutions, additive skips                  stated
    RB2 = x + conv(ReLU(conv x)); ReLU after stage convolutions and deconvolutions                        stated
    ConvLSTM 3x3, forget bias 1, its state doubled bilinearly between scales, hidden state to the decoder stated
    Strided convolutions pad one row before and two behind (TensorFlow's SAME at even sizes)              stated
    Xavier-uniform weights, zero biases; LSTM weights of standard deviation 1e-3                          stated
    Bilinear resizing with half-pixel centres; reflect padding to a multiple of 16                        chosen
    The `identity` start is ours and belongs to the short recipes: see `start_at_identity`
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.models.layers import halve, pad_to_multiple, xavier_
from deblur.models.parts import Part, blurred_image, own_input, zero
from deblur.models.published import TENSORFLOW, Published
from deblur.models.starts import LIFT, open_units


@dataclass(frozen=True)
class Config:
    widths: tuple[int, int, int] = (32, 64, 128)  # channels of the three levels
    size: float = 1.0  # factor on the widths, for controls of equal size
    kernel: int = 5  # of every convolution but the LSTM's 3x3 and the 4x4 deconvolutions
    blocks: int = 3  # RB2s a level
    lstm: bool = True  # carry a state from scale to scale
    detach: bool = True  # stop gradients through the coarser scale's result
    init: str = "xavier"  # or "identity"


class RB2(nn.Module):
    """Residual block of two convolutions: x + conv(ReLU(conv(x)))."""

    def __init__(self, channels: int, kernel: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)
        self.conv2 = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(x)))


class Down(nn.Conv2d):
    """Convolution of stride 2 that halves even sizes, padded one row less before than behind (TensorFlow's SAME)."""

    def __init__(self, in_channels: int, channels: int, kernel: int):
        super().__init__(in_channels, channels, kernel, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        total = self.kernel_size[0] - 2
        before = total // 2
        return super().forward(F.pad(x, (before, total - before) * 2))


class ConvLSTM(nn.Module):
    """Convolutional LSTM cell: features (N,C,H,W) and the state -> hidden and cell state, (N,C,H,W) each."""

    def __init__(self, channels: int, kernel: int = 3):
        super().__init__()
        self.gates = nn.Conv2d(2 * channels, 4 * channels, kernel, padding=kernel // 2)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        hidden, cell = state or (torch.zeros_like(x), torch.zeros_like(x))
        i, j, f, o = self.gates(torch.cat([x, hidden], 1)).chunk(4, 1)
        cell = cell * torch.sigmoid(f + 1) + torch.sigmoid(i) * torch.tanh(j)
        return torch.tanh(cell) * torch.sigmoid(o), cell


class SRN(nn.Module):
    """The network: (N,3,H,W) in [0,1], any H and W -> restorations at scales 1, 1/2 and 1/4, finest first.

    `level_block` and `global_block` are where other papers put their modules in; here they are empty.
    """

    def __init__(self, config: Config):
        super().__init__()
        if config.init not in ("xavier", "identity"):
            raise ValueError(f"unknown init {config.init!r}; choose xavier or identity")
        self.config = config
        c1, c2, c3 = (round(config.size * width) for width in config.widths)
        k = config.kernel
        self.head = nn.Conv2d(6, c1, k, padding=k // 2)
        self.enc1 = self.level(c1)
        self.down1 = Down(c1, c2, k)
        self.enc2 = self.level(c2)
        self.down2 = Down(c2, c3, k)
        self.enc3 = self.level(c3)
        self.lstm = ConvLSTM(c3) if config.lstm else None
        self.dec3 = self.level(c3)
        self.up2 = nn.ConvTranspose2d(c3, c2, 4, 2, padding=1)
        self.dec2 = self.level(c2)
        self.up1 = nn.ConvTranspose2d(c2, c1, 4, 2, padding=1)
        self.dec1 = self.level(c1)
        self.tail = nn.Conv2d(c1, 3, k, padding=k // 2)
        xavier_(self)
        if self.lstm is not None:
            nn.init.normal_(self.lstm.gates.weight, std=1e-3)
        # Last, so that other papers' modules keep their own start and leave SRN's weights as they are without them.
        for level in (self.enc1, self.enc2, self.enc3, self.dec3, self.dec2, self.dec1):
            level.extend(self.level_block(level[0].conv1.in_channels))
        self.bottleneck = self.global_block(c3)
        if config.init == "identity":
            start_at_identity(self)

    def level(self, channels: int) -> nn.Sequential:
        """The RB2s of one level, as many in the encoder as in the decoder."""
        return nn.Sequential(*(RB2(channels, self.config.kernel) for _ in range(self.config.blocks)))

    def level_block(self, channels: int) -> list[nn.Module]:
        """What stands after the last RB2 of each of the six levels: nothing in SRN."""
        return []

    def global_block(self, channels: int) -> nn.Module:
        """What stands between the encoder and the LSTM: nothing in SRN."""
        return nn.Identity()

    def at_scale(
        self, blurred: Tensor, coarser: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """One scale: its blurred image and the coarser result at its size, (N,3,H,W) each -> restoration and state."""
        e1 = self.enc1(F.relu(self.head(torch.cat([blurred, coarser], 1))))
        e2 = self.enc2(F.relu(self.down1(e1)))
        features = self.bottleneck(self.enc3(F.relu(self.down2(e2))))
        if self.lstm is not None:
            state = self.lstm(features, state)
            features = state[0]
        d2 = F.relu(self.up2(self.dec3(features))) + e2
        d1 = F.relu(self.up1(self.dec2(d2))) + e1
        return self.tail(self.dec1(d1)), state

    def forward(self, blurred: Tensor) -> tuple[Tensor, ...]:
        height, width = blurred.shape[-2:]
        b1 = pad_to_multiple(blurred, 16)
        b2 = halve(b1)
        b3 = F.interpolate(b1, scale_factor=0.25, mode="bilinear", align_corners=False)
        d3, state = self.at_scale(b3, b3, None)
        d2, state = self.at_scale(b2, self.up(d3), double_state(state))
        d1, _ = self.at_scale(b1, self.up(d2), double_state(state))
        return tuple(d[..., : -(-height // factor), : -(-width // factor)] for d, factor in ((d1, 1), (d2, 2), (d3, 4)))

    def up(self, coarse: Tensor) -> Tensor:
        """The coarser result at twice its size, without gradient if `detach`."""
        return double(coarse.detach() if self.config.detach else coarse)


def double(image: Tensor) -> Tensor:
    """Bilinear enlargement by two, half-pixel centres."""
    return F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)


def double_state(state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor] | None:
    """The LSTM's state for the next scale; gradients flow through it."""
    return None if state is None else (double(state[0]), double(state[1]))


@torch.no_grad()
def start_at_identity(network: SRN) -> None:
    """Set weights so that every scale returns its image unchanged: ours, for recipes of minutes; same graph.

    The first three channels carry the image from the first convolution over the full-resolution skip to the last one;
    the second convolutions of all RB2s are zero, and the decoder lifts those channels by what the last one takes off
    again. No unit is dead.
    """
    centre = network.config.kernel // 2
    for layer in (network.head, network.tail):
        layer.weight[:3] = 0
        layer.weight[range(3), range(3), centre, centre] = 1
    network.up1.weight[:, :3] = 0
    network.up1.bias[:3] = LIFT
    network.tail.bias[:3] = -LIFT
    for block in network.modules():
        if isinstance(block, RB2):
            block.conv2.weight.zero_()
    open_units(network, [network.head, network.up1])


VARIANTS = {
    "paper": {},
    "no_lstm": {"lstm": False},
    "gradient_loss": {},  # changes the loss: see deblur.recipes
    "pvb_equal": {"size": 1.25},  # as large as the one with PVBs (SimpleNet, Table 5) at the trained widths
}
"""Variant -> its differences from `Config()`."""


def no_state(lstm: nn.Module, inputs: tuple, output: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """What the LSTM makes of its features alone."""
    return lstm.forward(inputs[0])


PARTS = {
    "coarser scales": Part("head", blurred_image),
    "LSTM, state": Part("lstm", no_state),
    "LGCR": Part("bottleneck", own_input, needs="bottleneck.gcrw"),  # these two in SimpleNet's Table 5
    "PVBs": Part(r"(enc|dec)\d\.\d+\.fuse", zero),
}
"""Part of the design -> what stands in for it when it is taken out, see `deblur.models.parts`."""


PUBLISHED: dict[str, Published | str] = {
    "srn": TENSORFLOW,
}
"""Network -> what its project published, or why there is nothing to import."""
