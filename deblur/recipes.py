"""The training recipes side by side: what each paper prints, and what fits a smaller machine.

A scale changes widths, depth counts, kernel size, crop, batch and steps; never the graph. Budgets are steps.
"""

from dataclasses import dataclass, field, replace

SCALES = ("smoke", "mini", "paper")


@dataclass(frozen=True)
class Recipe:
    steps: int  # optimiser steps of the main run
    row_steps: int  # of every row of an ablation table, the full model included
    batch: int
    crop: int  # px, square
    lr: float
    schedule: str = "polynomial"  # name in schedules.SCHEDULES
    schedule_args: dict = field(default_factory=dict)
    betas: tuple[float, float] = (0.9, 0.999)  # Adam
    eps: float = 1e-8  # Adam
    weight_decay: float = 0.0  # decoupled, as in AdamW
    lr_factors: dict[str, float] = field(default_factory=dict)  # part of a parameter's name -> factor on lr
    clip_norm: dict[str, float] = field(default_factory=dict)  # part of a name -> bound on those gradients' norm
    loss: str = ""  # name in losses.LOSSES
    loss_args: dict = field(default_factory=dict)
    config: dict = field(default_factory=dict)  # differences from the network's Config at this scale
    data: str = "tree"  # crops from stored pairs, or "synthesis": exposed on the fly from the bundled scenes
    augment: tuple[str, ...] = ("flip_ud", "flip_lr")  # names in loading.AUGMENTATIONS, each with probability 1/2
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
    # Sec. 4.1; 4000 epochs of floor(2103 / 16) batches are 524,000 steps (chosen: SRN's code, whose words these are).
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
    # Its authors' code: 4000 epochs of floor(2103 / 16) batches, no flips, LSTM gradients clipped.
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

RECIPES: dict[str, dict[str, Recipe]] = {"attentive": ATTENTIVE, "srn": SRN}

LOSS_VARIANTS: dict[str, dict[str, dict]] = {
    "attentive": {
        "table7_single_scale": {"multi_scale": False, "lambda_grad": 0.0},
        "table7_single_scale_gradient": {"multi_scale": False},
        "table7_multi_scale": {"lambda_grad": 0.0},
    },
}
"""Network -> variant -> arguments of its loss that make the variant."""


def recipe(name: str, variant: str = "paper", scale: str = "mini", budget: str = "main") -> Recipe:
    """The recipe of a network's variant at a scale.

    Args:
        budget: "main" for the long run of the comparison table, "row" for the common budget of ablation rows.

    Raises:
        ValueError: for unknown names, listing the valid ones.
    """
    for what, value, known in (("network", name, RECIPES), ("budget", budget, ("main", "row"))):
        if value not in known:
            raise ValueError(f"unknown {what} {value!r}; choose one of {', '.join(known)}")
    if scale not in RECIPES[name]:
        raise ValueError(f"unknown scale {scale!r}; choose one of {', '.join(RECIPES[name])}")
    found = RECIPES[name][scale]
    loss_args = {**found.loss_args, **LOSS_VARIANTS.get(name, {}).get(variant, {})}
    steps = found.steps if budget == "main" else found.row_steps
    return replace(found, loss_args=loss_args, steps=steps)
