"""The training recipes side by side: what each paper prints, and what fits a smaller machine.

A scale changes widths, depth counts, kernel size, crop, batch and steps; never the graph. Budgets are steps.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from deblur.errors import unknown

SCALES = ("smoke", "mini", "bench", "paper")
BUDGETS = ("main", "more", "row", "time", "study")
RUNGS = ("axes", "directions", "lengths")
"""Scales of the study alone: full-size networks on the tasks of `data.ladder`."""


@dataclass(frozen=True)
class Recipe:
    steps: int  # optimiser steps of the main run
    row_steps: int  # of every row of an ablation table, the full model included
    batch: int
    crop: int  # px, square
    lr: float
    schedule: str = "polynomial"  # name in schedules.SCHEDULES
    schedule_args: dict = field(default_factory=dict)
    warm_up: int = 0  # steps over which the rate rises to that of the schedule
    betas: tuple[float, float] = (0.9, 0.999)  # Adam
    eps: float = 1e-8  # Adam
    weight_decay: float = 0.0  # decoupled, as in AdamW
    lr_factors: dict[str, float] = field(default_factory=dict)  # part of a parameter's name -> factor on lr
    clip_norm: dict[str, float] = field(default_factory=dict)  # part of a name -> bound on those gradients' norm
    average: float = 0.0  # decay of the moving average of the weights, which is what is kept; 0: the last weights
    loss: str = ""  # name in losses.LOSSES
    loss_args: dict = field(default_factory=dict)
    config: dict = field(default_factory=dict)  # differences from the network's Config at this scale
    data: str = "tree"  # one of `runs.wiring.SOURCES`: crops of stored pairs, or exposed anew
    augment: tuple[str, ...] = ("flip_ud", "flip_lr")  # names in loading.AUGMENTATIONS, in this order
    curriculum: bool = True  # of photographs: few kinds of motion first; else all of it from the first step on
    growth: dict[float, int] = field(default_factory=dict)  # share of the steps -> factor on the crop's side from there
    edge: float = 0.0  # share of the crop by which windows are drawn towards the frame's border
    test_pairs: int | None = None  # score only so many pairs (None: all)
    log_every: int = 100
    checkpoint_every: int = 1000
    validate_every: int = 10000  # steps; the validation split is only watched, the last weights are taken
    channels_last: bool = False
    precision: str = "32-true"  # as Lightning Fabric names it
    accumulate: int = 1  # parts that a process takes its share of the batch in
    compile: bool = False  # torch.compile; needs a C++ compiler on a CPU
    workers: int = 0  # loader processes


ATTENTIVE = {
    # Sec. 4.2; 4000 epochs of floor(2103 / 16) batches are 524,000 steps (chosen: SRN's code, whose words these are).
    "paper": Recipe(
        steps=524_000,
        row_steps=524_000,
        batch=16,
        crop=256,
        lr=1e-4,
        loss="attentive",
        workers=8,
        channels_last=True,
    ),
    "mini": Recipe(
        steps=1200,
        row_steps=130,
        batch=8,
        crop=64,
        lr=1e-3,
        warm_up=20,
        loss="attentive",
        # Reduction 8 keeps the paper's hidden widths 2/4/8 in the attention MLPs.
        config={"widths": (16, 32, 64), "kernel": 3, "blocks": 1, "reduction": 8, "init": "identity"},
        data="synthesis",
        edge=0.25,
        log_every=20,
        checkpoint_every=200,
        validate_every=400,
        channels_last=True,
    ),
    "smoke": Recipe(
        steps=4,
        row_steps=2,
        batch=2,
        crop=32,
        lr=1e-3,
        loss="attentive",
        config={"widths": (4, 4, 8), "kernel": 3, "blocks": 1, "init": "identity"},
        test_pairs=4,
        log_every=1,
        checkpoint_every=2,
        validate_every=2,
    ),
}

SRN = {
    # 4000 epochs of floor(2103 / 16) batches, no flips (authors' code: run_model.py, models/model.py; Sec. 4 prints
    # 2000 epochs, their weights are of step 523,000). LSTM gradients clipped to norm 3 (stated, Sec. 4; off in their
    # code).
    "paper": Recipe(
        steps=524_000,
        row_steps=524_000,
        batch=16,
        crop=256,
        lr=1e-4,
        clip_norm={"lstm": 3.0},
        loss="srn",
        augment=(),
        workers=8,
        channels_last=True,
    ),
    "mini": Recipe(
        steps=1200,
        row_steps=130,
        batch=8,
        crop=64,
        lr=1e-3,
        warm_up=20,
        clip_norm={"lstm": 3.0},
        loss="srn",
        config={"widths": (16, 32, 64), "kernel": 3, "blocks": 1, "init": "identity"},
        data="synthesis",
        edge=0.25,
        log_every=20,
        checkpoint_every=200,
        validate_every=400,
        channels_last=True,
    ),
    "smoke": Recipe(
        steps=4,
        row_steps=2,
        batch=2,
        crop=32,
        lr=1e-3,
        clip_norm={"lstm": 3.0},
        loss="srn",
        config={"widths": (4, 4, 8), "kernel": 3, "blocks": 1, "init": "identity"},
        test_pairs=4,
        log_every=1,
        checkpoint_every=2,
        validate_every=2,
    ),
}

RAIDNET = {
    # Sec. IV-C: 2000 epochs of floor(2103 / 16) batches; lr, crop and the share of step 1 are chosen, lr as SRN's.
    "paper": Recipe(
        steps=262_000,
        row_steps=262_000,
        batch=16,
        crop=256,
        lr=1e-4,
        schedule="warm_restarts",
        schedule_args={"epoch": 131},
        loss="raidnet",
        augment=(),
        workers=8,
        channels_last=True,
    ),
    # Epochs of 9 steps: the main run ends with its seventh cosine, after 127 of them. The rows' 130 steps are 14.4 of
    # the 15 that would end the fourth: their last rate is 4 % of the first (on paper, 2000 of 2047 epochs: 0.5 %).
    "mini": Recipe(
        steps=1143,
        row_steps=130,
        batch=8,
        crop=64,
        lr=1e-3,
        warm_up=20,
        schedule="warm_restarts",
        schedule_args={"epoch": 9},
        clip_norm={"": 0.1},  # chosen: LRR is cubic in its features, and its first steps are wild
        loss="raidnet",
        loss_args={"switch": 31 / 127},  # a restart of the main run
        config={"base_channels": 8, "kernel": 3, "blocks": 1, "init": "identity"},
        data="synthesis",
        edge=0.25,
        log_every=20,
        checkpoint_every=200,
        validate_every=400,
        channels_last=True,
    ),
    "smoke": Recipe(
        steps=7,
        row_steps=3,
        batch=2,
        crop=32,
        lr=1e-3,
        schedule="warm_restarts",
        schedule_args={"epoch": 1},
        loss="raidnet",
        loss_args={"switch": 3 / 7},
        config={"base_channels": 8, "kernel": 3, "blocks": 1, "init": "identity"},
        test_pairs=4,
        log_every=1,
        checkpoint_every=2,
        validate_every=7,
    ),
}

# Baselines are rows of the tables only: at mini their one training is the row. All start as the identity there, which
# is ours. Where a paper trains against a critic, a pixel loss stands here at every scale (chosen).
_MINI_ROW = Recipe(
    steps=130,
    row_steps=130,
    batch=8,
    crop=64,
    lr=1e-3,
    warm_up=20,
    loss="mse",
    data="synthesis",
    edge=0.25,
    log_every=10,
    checkpoint_every=200,
    validate_every=400,
    channels_last=True,
)
_SMOKE_ROW = Recipe(
    steps=2,
    row_steps=2,
    batch=2,
    crop=32,
    lr=1e-3,
    loss="mse",
    test_pairs=4,
    log_every=1,
    checkpoint_every=2,
    validate_every=2,
)


def _baseline(paper: Recipe, mini: dict, smoke: dict, **mini_fields: Any) -> dict[str, Recipe]:
    """A baseline's recipes: the paper's, and the common ones of the smaller scales with the same loss.

    Args:
        mini, smoke: differences from the network's Config, which start as the identity besides.
        mini_fields: what is not common in the recipe at mini.
    """
    mini, smoke = mini | {"init": "identity"}, smoke | {"init": "identity"}
    common: dict[str, Any] = {"loss": paper.loss, "loss_args": paper.loss_args}
    return {
        "paper": replace(paper, row_steps=paper.steps, workers=8, channels_last=True),
        "mini": replace(_MINI_ROW, config=mini, **common, **mini_fields),
        "smoke": replace(_SMOKE_ROW, config=smoke, **common),
    }


def _paper(steps: int, batch: int, lr: float, loss: str, crop: int = 256, **fields: Any) -> Recipe:
    """A baseline's recipe at paper size; most train on crops of 256 px."""
    return Recipe(steps=steps, row_steps=steps, batch=batch, crop=crop, lr=lr, loss=loss, **fields)


# Each fact is stated (in its paper), of the authors' code (a file in their repository), or chosen. Where paper and code
# differ, the paper is followed, but for SRN and NAFNet: their published weights come from the code.

# Batch 6, 3000 epochs, a tenth of the rate (stated) each 1000 (authors' code). The last batch of an epoch is smaller:
# 351 (authors' code). DMPHN_1_2_4_8.py runs 4000 epochs, SDNet4.py 3000.
_DMPHN = _paper(
    1_053_000,
    6,
    1e-4,
    "mse",
    schedule="staircase",
    schedule_args={"every": 351_000, "factor": 0.1},
    augment=(),
)
# 3000 epochs of 526 batches, half of the rate each 500 (stated).
_MIMOUNET = _paper(
    1_578_000,
    4,
    1e-4,
    "mimounet",
    schedule="staircase",
    schedule_args={"every": 263_000, "factor": 0.5},
    augment=("flip_lr",),
)
_DEBLURGAN = _paper(
    300_000,
    1,
    1e-4,
    "mse",
    schedule_args={"power": 1.0, "hold": 0.5},
    betas=(0.5, 0.999),
    augment=("flip_lr",),
)
# Of width 32; see below.
_NAFNET = _paper(
    200_000,
    32,
    1e-3,
    "psnr",
    schedule="cosine",
    schedule_args={"floor": 1e-7},
    betas=(0.9, 0.9),
    weight_decay=1e-3,
    clip_norm={"": 0.01},
    augment=("flip_ud", "flip_lr", "rot90"),
)
BASELINES = {
    "dmphn": _baseline(_DMPHN, {"widths": (8, 16, 48), "blocks": 1}, {"widths": (3, 12, 48), "blocks": 1}, lr=5e-4),
    # As DMPHN, with turns and saturation (authors' code: SDNet4.py, datasets.py). There whole frames are turned and
    # keep their format, which gives two thirds of them black bars; here crops are turned (chosen).
    "dmphn_stack4": _baseline(
        replace(_DMPHN, augment=("turn", "saturation")),
        {"stack": 2, "widths": (6, 12, 48), "blocks": 1},
        {"stack": 2, "widths": (3, 12, 48), "blocks": 1},
        lr=5e-4,
    ),
    # Batch 2, 9e5 steps, a tenth of the rate after each 3e5, augmentations (stated) but one sharp input in ten
    # (authors' code: code/donkey.lua). That code takes as many samples, 450 epochs of 4000, in batches of 4
    # (code/opts.lua), lets the rate fall once, after a third (code/main.lua), and changes the saturation of one pair in
    # ten. Not built: the critic, and crops on a grid of 4 px, from another sequence each (code/donkey.lua), which
    # `loading.Tree` cannot tell.
    "mscnn": _baseline(
        _paper(
            900_000,
            2,
            5e-5,
            "mse",
            schedule="staircase",
            schedule_args={"every": 300_000, "factor": 0.1},
            augment=("sharp_input", "flip_ud", "flip_lr", "rot90", "channels", "hsv_saturation", "noise"),
        ),
        {"width": 16, "kernel": 3, "blocks": 4},
        {"width": 4, "kernel": 3, "blocks": 1},
    ),
    # As SRN, by the same group (chosen: their repository trains nothing).
    "pss_nsc": _baseline(
        _paper(524_000, 16, 1e-4, "mse", augment=()),
        {"widths": (4, 8, 16), "blocks": 2},
        {"widths": (4, 4, 8), "blocks": 2},
    ),
    # 300 epochs of 1000 single images; the rate is constant for half of them, then falls to zero (stated). Moments and
    # flips (authors' code: options/train_options.py, data/aligned_dataset.py). Not built: images at half their size.
    "deblurgan": _baseline(
        _DEBLURGAN,
        {"width": 16, "blocks": 3},
        {"width": 4, "blocks": 1},
    ),
    # As DeblurGAN (chosen), with Adam's own moments (authors' code: train.py).
    "deblurgan_v2": _baseline(
        replace(_DEBLURGAN, betas=(0.9, 0.999)),
        {"backbone": 0.35, "pyramid": 32, "heads": 16},
        {"backbone": 0.1, "pyramid": 8, "heads": 4},
        lr=3e-3,
    ),
    "deblurgan_v2_inception": _baseline(
        replace(_DEBLURGAN, betas=(0.9, 0.999)),
        {"width": 0.125, "blocks": (2, 4), "pyramid": 32, "heads": 16},
        {"width": 1 / 32, "blocks": (1, 1), "pyramid": 8, "heads": 4},
        lr=3e-3,
        crop=128,  # its unpadded layers need it; as many pixels a step as the others
        batch=2,
    ),
    # Steps and schedule chosen, as the paper's are those of a GAN.
    "dbgan": _baseline(
        _paper(524_000, 4, 1e-4, "mse"),
        {"width": 12, "growth": 4, "blocks": 1},
        {"width": 4, "growth": 2, "blocks": 1},
    ),
    # Batch 16, flips, one cosine to 1e-6 over 4e5 steps (stated): rounded, since 3000 epochs of 132 batches are 396,000
    # (authors' code: Deblurring/training.yml). Three epochs of these warm up (Deblurring/train.py, a stair each). Not
    # built: saturation and all eight symmetries, which Deblurring/dataset_RGB.py has and the paper does not.
    "mprnet": _baseline(
        _paper(396_000, 16, 2e-4, "mprnet", schedule="cosine", schedule_args={"floor": 1e-6, "warm_up": 396}),
        {"width": 8, "widen": 4, "widen_last": 4, "cabs": 1, "orb_cabs": 1},
        {"width": 4, "widen": 2, "widen_last": 2, "cabs": 1, "orb_cabs": 1},
    ),
    "mimounet": _baseline(_MIMOUNET, {"width": 12, "blocks": 1}, {"width": 4, "blocks": 1}, lr=2e-3),
    "mimounet_plus": _baseline(_MIMOUNET, {"width": 12, "blocks": 3}, {"width": 4, "blocks": 2}, lr=2e-3),
    # Chosen: the paper trains iteration by iteration on targets that pairs do not have.
    "mtrnn": _baseline(
        _paper(524_000, 16, 1e-4, "l1"),
        {"widths": (8, 16, 32), "blocks": 1, "iterations": 3},
        {"widths": (4, 4, 8), "blocks": 1, "iterations": 2},
    ),
    # Batch 64, crops of 128, 80,000 steps, 5e-3 for 24,000 of them, half of the rate each 8000 from there, flips and
    # rotations (stated; the text is not at hand). Not built: frames at a half, a third and a quarter of their size.
    "dbn": _baseline(
        _paper(
            80_000,
            64,
            5e-3,
            "mse",
            crop=128,
            schedule="held_staircase",
            schedule_args={"hold": 24_000, "every": 8000, "factor": 0.5},
            augment=("flip_ud", "flip_lr", "rot90"),
        ),
        {"widths": (12, 16, 32, 48)},
        {"widths": (4, 4, 8, 8), "last": 4},
    ),
    # Batch 20, crops of 128, 2e5 steps, rate and its polynomial decay, squared error (stated); the power, twice the
    # rate for biases, no augmentation (authors' code: matlab/train/model/solver.prototxt, train.prototxt). Not built:
    # weight decay of 1e-6, which in Caffe Adam's moments see.
    "svrnn": _baseline(
        _paper(200_000, 20, 1e-4, "mse", crop=128, schedule_args={"power": 2.0}, lr_factors={"bias": 2.0}, augment=()),
        {"features": (8, 8), "guidance": (8, 16, 32, 32)},
        {"features": (4, 4), "guidance": (4, 4, 8, 8), "recurrences": 2},
    ),
    # Batch 32, 2e5 steps, rate, moments, clipped gradients, flips and rotations (stated, Sec. 5). The gradients' bound
    # is that of basicsr/models/image_restoration_model.py, weight decay and the cosine's floor of options/train/GoPro
    # (authors' code); Sec. 5.1 prints no decay and a floor of 1e-6.
    "nafnet": _baseline(
        _NAFNET, {"width": 16, "encoder": (1, 1, 1, 2)}, {"width": 4, "encoder": (1, 1, 1, 1)}, lr=2e-3
    ),
    # Twice the batch and twice the steps (stated, Sec. 5.2).
    "nafnet_64": _baseline(
        replace(_NAFNET, steps=400_000, batch=64),
        {"width": 32, "encoder": (1, 1, 1, 2)},
        {"width": 8, "encoder": (1, 1, 1, 1)},
        lr=2e-3,
    ),
    # Rate, its cosine to 1e-7, flips and rotations (stated). Batch and steps chosen: no training of it is planned. Not
    # built: MixUp, and the Charbonnier form of the absolute error beside that of the spectrum.
    "maxim": _baseline(
        _paper(
            600_000,
            64,
            2e-4,
            "mimounet",
            schedule="cosine",
            schedule_args={"floor": 1e-7},
            augment=("flip_ud", "flip_lr", "rot90"),
        ),
        {"width": 8, "stages": 2, "groups": 1, "bottlenecks": 1, "sides": (8, 4)},
        {"width": 4, "stages": 2, "groups": 1, "bottlenecks": 1, "sides": (4, 2)},
    ),
}

# Offsets learn at a tenth of the rate, as is usual (Dai et al. 2017): at the full one they leave the image within a
# short training. At paper scale nothing is stated, and nothing changed.
_OFFSETS = {"offset": 0.1}

RADN = {
    # Experimental Setup. Schedule and augmentation are unstated: none, and what the x8 self-ensemble assumes.
    "paper": Recipe(
        steps=1_000_000,
        row_steps=1_000_000,
        batch=16,
        crop=256,
        lr=1e-4,
        schedule="constant",
        loss="radn",
        augment=("flip_ud", "flip_lr", "rot90"),
        workers=8,
    ),
    # The last convolution starts at zero and sees hundreds of values: a twentieth of the rate keeps Adam's first steps
    # from making more noise than there is blur. Much of its width is spent at fine scales, where short blur is.
    "mini": Recipe(
        steps=1100,
        row_steps=130,
        batch=8,
        crop=64,
        lr=2e-3,
        warm_up=20,
        schedule="cosine",
        lr_factors={"recon": 0.05} | _OFFSETS,
        loss="radn",
        augment=("flip_ud", "flip_lr", "rot90"),
        config={
            "stem": 64,
            "blocks": (2, 3, 4),
            "growth": 16,
            "units": 3,
            "unit_growth": 16,
            "widths": (64, 64, 128),
            "bottlenecks": (48, 32, 32),
            "last": 64,
            "residual_widths": (16, 32, 64),
            "residual_blocks": 1,
        },
        data="synthesis",
        edge=0.25,
        log_every=20,
        checkpoint_every=200,
        validate_every=400,
    ),
    "smoke": Recipe(
        steps=4,
        row_steps=2,
        batch=2,
        crop=32,
        lr=1e-3,
        loss="radn",
        config={
            "stem": 8,
            "blocks": (1, 2, 2),
            "growth": 4,
            "units": 2,
            "unit_growth": 4,
            "widths": (16, 12, 8),
            "bottlenecks": (8, 4, 4),
            "last": 4,
            "residual_widths": (4, 8, 8),
            "residual_blocks": 1,
        },
        test_pairs=4,
        log_every=1,
        checkpoint_every=2,
        validate_every=2,
    ),
}

SIMPLENET = {
    # Sec. 3.5. Its decay rate prints as sqrt(10/10), that is none: read as sqrt(10)/10. Crop and flips are chosen.
    "paper": Recipe(
        steps=2_200_000,
        row_steps=2_200_000,
        batch=8,
        crop=256,
        lr=1e-4,
        schedule="staircase",
        schedule_args={"every": 630_000, "factor": 10**-0.5},
        loss="simplenet",
        augment=("flip_lr",),
        workers=8,
    ),
    # A staircase of 630/2200 of the steps would not leave its first rate within the rows' budget: polynomial instead.
    "mini": Recipe(
        steps=600,
        row_steps=130,
        batch=8,
        crop=64,
        lr=2e-3,
        warm_up=20,
        lr_factors=_OFFSETS,
        loss="simplenet",
        config={"widths": (8, 16, 32), "init": "identity"},
        data="synthesis",
        edge=0.25,
        log_every=20,
        checkpoint_every=200,
        validate_every=400,
    ),
    "smoke": Recipe(
        steps=4,
        row_steps=2,
        batch=2,
        crop=32,
        lr=1e-3,
        loss="simplenet",
        config={"widths": (4, 4, 8), "rank": 4, "init": "identity"},
        test_pairs=4,
        log_every=1,
        checkpoint_every=2,
        validate_every=2,
    ),
}

# SRN with SimpleNet's modules is trained as SRN is; 3-D convolutions know no channels-last.
SRN_PLUS = {
    scale: replace(srn, channels_last=False, lr_factors={} if scale == "paper" else _OFFSETS)
    for scale, srn in SRN.items()
}

SGENET = {
    # Sec. 4.1: 3000 epochs ("3,0" survives) of 526 batches, one cosine to 1e-7. The first rate lost its mantissa: 2e-4,
    # as MPRNet; batch 4 is chosen, since 16 crops need more memory than the paper's one card had.
    "paper": Recipe(
        steps=1_578_000,
        row_steps=1_578_000,
        batch=4,
        crop=256,
        lr=2e-4,
        schedule="cosine",
        schedule_args={"floor": 1e-7},
        loss="sgenet",
        workers=8,
        channels_last=True,
    ),
    "mini": Recipe(
        steps=900,
        row_steps=130,
        batch=8,
        crop=64,
        lr=2e-3,
        warm_up=20,
        schedule="cosine",
        schedule_args={"floor": 1e-7},
        loss="sgenet",
        config={"widths": (6, 12, 24), "rdms": 1, "init": "identity"},
        data="synthesis",
        edge=0.25,
        log_every=20,
        checkpoint_every=200,
        validate_every=400,
        channels_last=True,
    ),
    "smoke": Recipe(
        steps=4,
        row_steps=2,
        batch=2,
        crop=32,
        lr=1e-3,
        schedule="cosine",
        schedule_args={"floor": 1e-7},
        loss="sgenet",
        config={"widths": (3, 6, 6), "rdms": 1, "init": "identity"},
        test_pairs=4,
        log_every=1,
        checkpoint_every=2,
        validate_every=2,
    ),
}


BENCH_STEPS = {"attentive": 6400, "raidnet": 3000, "sgenet": 1500, "radn": 2100, "simplenet": 1400}
"""Network -> steps at bench, as time on a GPU allowed: the best one had most of it."""

AVERAGES = {"attentive": 0.999, "raidnet": 0.999}
"""Network -> decay of the averaged weights at bench, 0.98 for the others. An average keeps `average ** steps` of the
weights that it starts from, which after 1,500 steps of 0.999 is 22 %."""

MORE_STEPS = {"attentive": 160, "raidnet": 600, "radn": 320, "sgenet": 40, "simplenet": 40}
"""Network -> steps of a training that goes on at bench: all motion from the first step on, at a lower rate; 160 for the
networks that are not named."""


def _bench(name: str, mini: Recipe, **config: Any) -> Recipe:
    """Full-size blur for the networks of mini: one recipe for all, ours, but each paper's own loss, of which the
    geometric mean over the batch is taken (`losses.geometric`).

    The size is what a GPU trains in minutes and two CPU cores in days. Small crops learn faster; towards the end they
    grow, since networks that look at the whole image must have seen more than a crop. The averaged weights are kept.

    Args:
        config: differences from the network's Config at mini. Coarse levels, where long blur is seen, are wide: they
            cost little time.
    """
    return replace(
        mini,
        steps=BENCH_STEPS.get(name, 6000),
        row_steps=8,  # the rows show that every variant runs at this size; the networks as printed are what is trained
        batch=32,
        crop=128,
        growth={0.6: 2},
        average=AVERAGES.get(name, 0.98),
        lr=1e-3,
        warm_up=200,
        clip_norm={"": 1.0},
        config=mini.config | config,
        schedule="cosine",
        schedule_args={"floor": 1e-6},
        augment=("flip_ud", "flip_lr", "rot90"),
        loss="mse" if mini.loss == "psnr" else mini.loss,  # PSNR is a logarithm, and negative: its own would rise
        data="photographs",
        log_every=100,
        checkpoint_every=100,
        validate_every=1000,
    )


_BENCH_CONFIGS: dict[str, dict[str, Any]] = {
    "attentive": {"widths": (16, 64, 128)},
    "raidnet": {"base_channels": 18},
    "sgenet": {"widths": (12, 30, 54)},
    "simplenet": {"widths": (18, 36, 72)},
    "radn": {
        "blocks": (3, 6, 8),
        "units": 2,
        "unit_growth": 24,
        "widths": (160, 112, 80),
        "bottlenecks": (96, 64, 48),
        "last": 24,
    },
}

RECIPES: dict[str, dict[str, Recipe]] = {
    name: by_scale | {"bench": _bench(name, by_scale["mini"], **_BENCH_CONFIGS.get(name, {}))}
    for name, by_scale in {
        "attentive": ATTENTIVE,
        "srn": SRN,
        "raidnet": RAIDNET,
        "sgenet": SGENET,
        "radn": RADN,
        "simplenet": SIMPLENET,
        "srn_lgcr": SRN_PLUS,
        "srn_pvb": SRN_PLUS,
        **BASELINES,
    }.items()
}

EQUAL_TIME_S = 8.2
EQUAL_TIME = {
    "attentive": 53,
    "radn": 35,
    "simplenet": 17,
    "sgenet": 36,
    "raidnet": 63,
    "srn": 47,
    "mscnn": 113,
    "pss_nsc": 35,
    "dmphn": 43,
    "dmphn_stack4": 35,
    "deblurgan": 76,
    "deblurgan_v2": 130,
    "deblurgan_v2_inception": 130,
    "dbgan": 70,
    "mtrnn": 68,
    "svrnn": 65,
    "dbn": 114,
    "mprnet": 33,
    "mimounet_plus": 42,
    "nafnet": 60,
}
"""The networks of the comparison: steps at mini in the time in which the fastest does the rows' 130, `EQUAL_TIME_S`
on one thread, as measured once by `python -m deblur.reports.equal_time` on a CPU; RAID-Net had time for 75, which is 12
steps after a restart of its rate. MIMO-UNet is there as its larger form, which the tables mean."""

LOSS_VARIANTS: dict[str, dict[str, dict]] = {
    "attentive": {
        "table7_single_scale": {"multi_scale": False, "lambda_grad": 0.0},
        "table7_single_scale_gradient": {"multi_scale": False},
        "table7_multi_scale": {"lambda_grad": 0.0},
        "table7_single_scale_gradient_attached": {"multi_scale": False},
        "without_all_multi_scale": {"lambda_grad": 0.0},
        "without_all_multi_scale_constant": {"lambda_grad": 0.0},
        "lambda_1": {"lambda_grad": 1.0},
    },
    "raidnet": {
        "without_ssim": {"lambda_ssim": 0.0},
    },
    "sgenet": {
        "without_edge_loss": {"lambda_edge": 0.0},
        "cem_unsupervised": {"images": "stages"},
        "loss_three": {"images": "three"},
    },
}
"""Network -> variant -> arguments of its loss that make the variant."""

OTHER_WIDTHS = {("raidnet", "table2_minus", "bench"): {"heads": 6}}
"""Network, variant and scale -> differences from the scale's Config, where its widths do not go with the variant: the
bottleneck of RAID-Net(-) has 36 channels at bench, which eight heads do not divide."""

OTHER_LOSSES = {"srn": {"gradient_loss": "attentive"}}
"""Network -> variant -> the loss that makes the variant."""

STUDY_CONFIGS: dict[str, dict[str, Any]] = {
    "radn": {"residual_blocks": 3},
    "mprnet": {"width": 16, "widen": 8, "widen_last": 8},
}
"""Network -> differences from its Config at mini: RADN's second network has the printed six layers in its trunk, MPRNet
the size of what it is compared with."""


def _study(name: str, scale: str) -> Recipe:
    """What all arms of the study share: steps, a constant rate, and averaged weights, which are scored on the way."""
    if scale == "mini":
        base = RECIPES[name]["mini"]
        config = base.config | STUDY_CONFIGS.get(name, {})
        base, every = replace(base, config=config, steps=1200, warm_up=20, average=0.99), 100
    else:
        base = replace(RECIPES[name]["bench"], data=scale, batch=8, crop=64, growth={})
        base, every = replace(base, steps=3000, warm_up=100, average=0.998), 150
    return replace(base, lr=1e-3, schedule="constant", schedule_args={}, checkpoint_every=every, validate_every=every)


def recipe(name: str, variant: str = "paper", scale: str = "mini", budget: str = "main") -> Recipe:
    """The recipe of a network's variant at a scale.

    Args:
        budget: "main" for the long run of the comparison table, "more" for one that goes on at bench from the weights
            of a long run, "row" for the common budget of ablation rows, "time" for the steps that take all networks
            equally long, which were measured for mini only (smoke: as "row"), "study" for what claims are judged by, at
            mini and on the rungs of the ladder.

    Raises:
        ValueError: for unknown names, listing the valid ones.
    """
    for what, value, valid in (("network", name, RECIPES), ("budget", budget, BUDGETS)):
        if value not in valid:
            raise unknown(what, value, valid)
    if scale not in (scales := (*RECIPES[name], *RUNGS)):
        raise unknown("scale", scale, scales)
    if (scale in RUNGS and budget != "study") or (budget == "study" and scale not in ("mini", *RUNGS)):
        studied = f"mini, {', '.join(RUNGS)}"
        raise ValueError(f"no budget {budget} at scale {scale}; study goes with {studied}, and rungs with study alone")
    base = _study(name, scale) if budget == "study" else RECIPES[name][scale]
    config = base.config | OTHER_WIDTHS.get((name, variant, scale), {})
    base = replace(base, config=config, loss=OTHER_LOSSES.get(name, {}).get(variant, base.loss))
    loss_args = {**base.loss_args, **LOSS_VARIANTS.get(name, {}).get(variant, {})}
    if budget == "study":
        return replace(base, loss_args=loss_args)
    if budget == "more":
        if scale != "bench":
            raise ValueError(f"no training goes on from earlier weights at scale {scale}; choose bench, or main or row")
        return replace(
            base, loss_args=loss_args, steps=MORE_STEPS.get(name, 160), lr=1e-4, warm_up=10, curriculum=False
        )
    steps = base.steps if budget == "main" else base.row_steps
    if budget == "time" and scale != "smoke":
        if scale != "mini" or name not in EQUAL_TIME:
            raise ValueError(f"no steps of equal time were measured for {name} at scale {scale}; choose main or row")
        steps = EQUAL_TIME[name]
    average = base.average if budget == "main" else 0.0  # of few steps it would be the start
    return replace(base, loss_args=loss_args, steps=steps, average=average)
