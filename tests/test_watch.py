"""The watch on training steps: networks whose dead channels, lost taps and gates are known, and trainings beside it."""

from dataclasses import replace
from functools import partial

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from conftest import redraw
from lightning_fabric import Fabric
from torch import nn

from deblur import losses, models, recipes, runs, schedules, training
from deblur.data import copies
from deblur.data.loading import Batches
from deblur.evaluation.watch import watching
from deblur.models.deform import DeformConv2d, sent_away
from deblur.runs import store, train


class Watched(nn.Module):
    """Four channels, of which a ReLU closes one for all images and another for the first alone; two gates."""

    def __init__(self):
        super().__init__()
        self.act = nn.ReLU()
        self.slope = nn.PReLU(init=0.0)

    def forward(self, x):
        first, others = x[:1], x[1:]
        levels = torch.tensor([-1.0, 1, 2, 3])[:, None, None]
        signs = torch.tensor([1.0, -1, 1, 1])[:, None, None]
        values = torch.cat([(first + 1) * levels * signs, (others + 1) * levels])
        gates = torch.sigmoid(torch.tensor([-2.0, 3.0]))
        return (self.slope(self.act(values)) * gates[0] + gates[1],)


@pytest.fixture
def x():
    return torch.rand(3, 4, 5, 6)


def test_dead_channels_and_gates_of_a_network_that_is_known(x):
    network = Watched()
    with watching(network) as seen:
        network(x)
        F.relu(-x)  # not the network's
        torch.sigmoid(9 * x)
    # Of ReLU and PReLU one of four channels each.
    assert seen == pytest.approx({"watch_dead": 0.25, "watch_gate_low": 0.1192, "watch_gate_high": 0.9526}, abs=1e-4)


def test_a_channel_that_lives_in_another_call_is_not_dead(x):
    network = Watched()
    with watching(network) as seen:
        network(x)
        network(-x - 2)  # where x + 1 was positive, all of it is negative
    assert seen["watch_dead"] == 0


def test_an_activation_that_blocks_share_is_told_apart():
    """MPRNet's blocks of different widths share one PReLU."""
    network = redraw(models.build("mprnet", **recipes.recipe("mprnet", scale="smoke").config))
    with watching(network) as seen:
        network(torch.rand(1, 3, 16, 16))
    assert 0 <= seen["watch_dead"] < 1


def test_taps_that_offsets_send_off_the_map():
    height, width = 4, 6
    offset = torch.zeros(1, 18, height, width)
    assert sent_away(offset) == 0  # those that lie outside anyway do not count
    offset[:, 8] = 2.0  # dy of the middle tap, which reads two rows below its place
    inside = sum(
        0 <= y + dy < height and 0 <= x + dx < width
        for y in range(height)
        for x in range(width)
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
    )
    assert sent_away(offset) == pytest.approx(2 * width / inside)
    assert sent_away(torch.full_like(offset, 0.9)) == 0  # between the last row and nothing: a little of it is read
    assert sent_away(torch.full_like(offset, 50.0)) == 1


@pytest.mark.parametrize("modulated", [False, True])
def test_offsets_are_watched_without_their_masks(modulated):
    convolution = DeformConv2d(3, 2, modulated=modulated)
    with torch.no_grad():
        convolution.offset.bias[18:] = 99.0
    network = nn.Sequential(convolution)
    with watching(network) as seen:
        network(torch.rand(2, 3, 8, 8))
    assert seen.pop("watch_away") == 0
    assert set(seen) == ({"watch_gate_low", "watch_gate_high"} if modulated else set())


@pytest.mark.parametrize("name", models.NETWORKS)
def test_every_network_can_be_watched_and_notices_nothing(name):
    network = redraw(models.build(name, **recipes.recipe(name, scale="smoke").config)).eval()
    image = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        before = network(image)[0]
        with watching(network) as seen:
            assert torch.equal(network(image)[0], before)
    assert all(0 <= value <= 1 for value in seen.values())
    assert seen or name in ("nafnet", "nafnet_64", "dbgan", "mtrnn")
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_hooks_go_when_a_step_fails(x):
    network = Watched()
    with pytest.raises(RuntimeError, match="size"), watching(network):
        network(x[:, :3])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


# -------------------------------------------------------------------------------------------------------- trainings

RECIPE = recipes.Recipe(steps=5, row_steps=5, batch=2, crop=16, lr=1e-3, log_every=2, accumulate=2)


class Noise:
    def crop(self, rng, size, edge=0.0):
        return tuple(rng.integers(0, 256, (2, size, size, 3), dtype="uint8"))


def trained(folder, recipe=RECIPE, **options):
    torch.manual_seed(0)
    network = models.build("simplenet", **recipes.recipe("simplenet", scale="smoke").config)
    batches = Batches(Noise(), recipe.crop, recipe.batch, 0)
    kept = store.Checkpoints(store.Folder(folder, "test"))
    fabric = Fabric(accelerator="cpu", devices=1, precision=recipe.precision)
    loss = partial(losses.LOSSES["mse"])
    training.train(network, loss, schedules.constant, recipe, batches, kept, None, fabric, **options)
    return pd.read_csv(folder / "log.csv"), (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_watched_training_is_the_same_and_logs_what_was_seen(precision, tmp_path):
    recipe = replace(RECIPE, precision=precision)
    log, weights = trained(tmp_path / "watched", recipe, watch=watching)
    plain, same = trained(tmp_path / "plain", recipe)
    assert weights == same
    names = ["watch_dead", "watch_away", "watch_gate_low", "watch_gate_high"]
    assert [*log] == [*plain, *names]
    pd.testing.assert_frame_equal(log[[*plain]], plain)
    assert log["step"].tolist() == [2, 4, 5]
    assert log[names].notna().all().all()
    assert (log["watch_gate_low"] <= 0.5).all()  # masks of the deformable convolutions start there
    assert (log["watch_gate_high"] >= 0.5).all()


def test_only_logged_steps_are_watched(tmp_path):
    watched = []

    def watch(network):
        watched.append(network)
        return watching(network)

    trained(tmp_path, watch=watch)
    assert len(watched) == 3


@pytest.mark.parametrize(("compiled", "first"), [(False, True), (True, True), (False, False)])
def test_runs_are_watched_by_their_first_process_unless_compiled(compiled, first, tmp_path, monkeypatch, mini_root):
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path))
    monkeypatch.setattr(Fabric, "is_global_zero", first)
    given = []
    monkeypatch.setattr(training, "train", lambda *arguments: given.append(arguments[-1]))
    options = {"compile": True} if compiled else {}
    plan = runs.Plan(copies.open_data(mini_root), "radn", scale="smoke", options=options)
    train.train_plan(plan, plan.network())
    assert given == [watching if first and not compiled else None]
