"""The training loop: interrupted anywhere and continued equals uninterrupted, bit for bit; nothing is half-written."""

import io
import math
import multiprocessing
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from safetensors.torch import load_file
from torch import nn

from deblur import losses, paths, recipes, schedules, training, writing
from deblur.data.loading import Batches
from deblur.runs import store
from deblur.weights import tensors

RECIPE = recipes.Recipe(
    steps=12, row_steps=12, batch=2, crop=8, lr=1e-2, log_every=2, checkpoint_every=3, validate_every=5
)


class Noise:
    """Blurred crops are mixtures of the sharp one with noise."""

    def crop(self, rng, size, edge=0.0):
        sharp = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
        return (sharp // 2 + rng.integers(0, 128, sharp.shape)).astype(np.uint8), sharp


class Tiny(nn.Module):
    """Two scales, and perhaps dropout, so that the state of the random generator matters."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.last = nn.Conv2d(6, 3, 3, padding=1)
        self.dropout = dropout
        self.modes = []

    def forward(self, blurred):
        self.modes.append(self.training)
        features = self.first(blurred).relu()
        if self.dropout:
            features = F.dropout(features, self.dropout, self.training)
        restored = self.last(features)
        return restored, F.avg_pool2d(restored, 2)


def tiny(seed=0, dropout=0.0):
    torch.manual_seed(seed)
    return Tiny(dropout)


def validate(network):
    assert not network.training
    grey = torch.full((1, 3, 4, 4), 0.5, device=next(network.parameters()).device)
    return {"psnr_db": float(network(grey)[0].detach().mean())}


def run(folder, recipe=RECIPE, loss=losses.attentive, seed=0, dropout=0.0, fabric=None, on_step=None):
    """Trains; a run that can be continued is given other weights and another random state, which must not matter."""
    continued = (folder / "state.pt").exists()
    network = tiny(continued, dropout)
    torch.manual_seed(1 + continued)
    batches = Batches(Noise(), recipe.crop, recipe.batch, seed)
    fabric = fabric or Fabric(accelerator="cpu", devices=1, precision=recipe.precision)
    kept, progress = store.Checkpoints(store.Folder(folder, "test")), partial(stepping, on_step) if on_step else iter
    training.train(network, loss, schedules.polynomial, recipe, batches, kept, validate, fabric, progress)
    return network


def stepping(on_step, steps):
    """Steps, and a call after each."""
    for step in steps:
        yield step
        on_step()


def outcome(folder):
    """What a finished run left: weights and log, as bytes."""
    return {name: (folder / name).read_bytes() for name in ("model.safetensors", "log.csv")}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    run(folder)
    return outcome(folder)


def raising_at(call, error=KeyboardInterrupt):
    """A function that raises when it is called for the `call`-th time."""
    calls = iter(range(1, call + 1))

    def count():
        if next(calls) == call:
            raise error

    return count


# --------------------------------------------------------------------------------------- interrupted, continued


@pytest.mark.parametrize("step", range(1, 13))
@pytest.mark.parametrize("inside", ["loss", "on_step"])
def test_interrupted_at_any_step_and_continued_equals_uninterrupted(tmp_path, uninterrupted, step, inside):
    stop = raising_at(step)

    def loss(outputs, sharp, progress):
        stop()
        return losses.attentive(outputs, sharp)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, loss=loss) if inside == "loss" else run(tmp_path, on_step=stop)
    assert not (tmp_path / "model.safetensors").exists()
    assert (tmp_path / "state.pt").exists() == (step > (3 if inside == "loss" else 2))
    run(tmp_path)
    assert outcome(tmp_path) == uninterrupted


def test_interrupted_again_and_again(tmp_path, uninterrupted):
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, on_step=raising_at(4))
    run(tmp_path)
    assert outcome(tmp_path) == uninterrupted


@pytest.mark.parametrize("options", [{"channels_last": True}, {"workers": 1}])
def test_layout_and_workers_continue_too(tmp_path, uninterrupted, options):
    recipe = replace(RECIPE, **options)
    run(tmp_path / "whole", recipe)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", recipe, on_step=raising_at(8))
    run(tmp_path / "parts", recipe)
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")
    if "workers" in options:
        assert outcome(tmp_path / "whole") == uninterrupted


def test_networks_that_draw_at_random_continue_too(tmp_path):
    run(tmp_path / "whole", dropout=0.3)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", dropout=0.3, on_step=raising_at(8))
    run(tmp_path / "parts", dropout=0.3)
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")


@pytest.mark.parametrize("options", [{"average": 0.9}, {"warm_up": 5}, {"average": 0.5, "warm_up": 9}])
def test_averages_and_rising_rates_continue_too(tmp_path, options):
    recipe = replace(RECIPE, **options)
    run(tmp_path / "whole", recipe)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", recipe, on_step=raising_at(8))
    run(tmp_path / "parts", recipe)
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")


def test_the_average_is_kept_and_validated_and_the_steps_are_those_without_it(tmp_path):
    """By hand: the weights after each step, with the decay."""
    decay, after = 0.8, []
    folder = tmp_path / "averaged"
    recipe = replace(RECIPE, average=decay, steps=6)
    batches = Batches(Noise(), recipe.crop, recipe.batch, 0)
    network, seen = tiny(), []

    def look(network):
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        return {"psnr_db": 0.0}

    def stepped(steps):
        for step in steps:
            yield step
            after.append({name: value.clone() for name, value in network.state_dict().items()})

    kept = store.Checkpoints(store.Folder(folder, "test"))
    fabric = Fabric(accelerator="cpu", devices=1)
    training.train(network, losses.attentive, schedules.polynomial, recipe, batches, kept, look, fabric, stepped)
    expected = after[0]
    for weights in after[1:]:
        expected = {name: decay * expected[name] + (1 - decay) * weights[name] for name in weights}
    final = load_file(folder / "model.safetensors")
    for name, value in expected.items():
        torch.testing.assert_close(final[name], value)
        assert torch.equal(seen[-1][name], final[name])
        assert not torch.equal(final[name], after[-1][name])
    plain = tiny()
    bare = store.Checkpoints(store.Folder(tmp_path / "plain", "test"))
    how = (losses.attentive, schedules.polynomial, replace(recipe, average=0.0), batches, bare, None, fabric)
    training.train(plain, *how)
    assert all(torch.equal(plain.state_dict()[name], value) for name, value in after[-1].items())


def test_the_rate_rises_evenly_to_that_of_the_schedule(tmp_path):
    run(tmp_path, replace(RECIPE, warm_up=5, log_every=1))
    rates = pd.read_csv(tmp_path / "log.csv")["lr"]
    full = [schedules.polynomial(RECIPE.lr, step, RECIPE.steps) for step in range(12)]
    np.testing.assert_allclose(rates, [rate * min((k + 1) / 5, 1) for k, rate in enumerate(full)])


def test_seconds_of_all_calls_are_added_up_by_device(tmp_path, monkeypatch):
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(training.time, "monotonic", lambda: next(clock))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, on_step=raising_at(8))  # six steps are kept, in two parts of ten seconds
    kept = torch.load(tmp_path / "state.pt", weights_only=True)
    assert kept["seconds"] == {"": 20}
    keeper = store.Checkpoints(store.Folder(tmp_path, "test"))
    how = (losses.attentive, schedules.polynomial, RECIPE, Batches(Noise(), 8, 2, 0), keeper)
    training.train(tiny(), *how, fabric=Fabric(accelerator="cpu", devices=1), device="other")
    assert keeper.seconds == {"": 20, "other": 20}


@pytest.mark.parametrize("call", range(1, 13))
def test_snapshots_are_those_of_their_steps_and_of_the_best_however_often_it_stopped(tmp_path, call):
    recipe = replace(RECIPE, average=0.5, checkpoint_every=3, validate_every=3)
    scores = iter([0.0, 2.0, 2.0, 1.0])
    seen = []

    def look(network):
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        return {"psnr_db": next(scores)}

    def train(folder, validating, on_step=None):
        batches, network = Batches(Noise(), recipe.crop, recipe.batch, 0), tiny()
        keeper = store.Snapshots(store.Folder(folder, "test"), steps=(3, 9))
        progress = partial(stepping, on_step) if on_step else iter
        fabric = Fabric(accelerator="cpu", devices=1)
        how = (losses.attentive, schedules.polynomial, recipe, batches, keeper, validating, fabric, progress)
        training.train(network, *how)

    train(tmp_path / "whole", look)
    names = {store.snapshot(name): step for name, step in (("best", 6), (3, 3), (9, 9))}
    for name, step in names.items():
        weights = load_file(tmp_path / "whole" / name)
        assert all(torch.equal(weights[entry], value) for entry, value in seen[step // 3 - 1].items())

    def again(network):  # by step, since a step may be looked at twice
        state = [torch.equal(one["first.weight"], network.state_dict()["first.weight"]) for one in seen]
        return {"psnr_db": [0.0, 2.0, 2.0, 1.0][state.index(True)]}

    with suppress(KeyboardInterrupt):
        train(tmp_path / "stopped", again, raising_at(call))
    train(tmp_path / "stopped", again)
    for name in names:
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_two_runs_with_one_seed_are_equal_and_seeds_differ(tmp_path, uninterrupted):
    run(tmp_path / "same")
    run(tmp_path / "other", seed=5)
    assert outcome(tmp_path / "same") == uninterrupted
    assert outcome(tmp_path / "other") != uninterrupted


def test_logging_and_checkpoints_do_not_touch_the_weights(tmp_path, uninterrupted):
    run(tmp_path, replace(RECIPE, log_every=1, checkpoint_every=100, validate_every=100))
    assert outcome(tmp_path)["model.safetensors"] == uninterrupted["model.safetensors"]


def test_a_finished_run_is_not_trained_again(tmp_path, uninterrupted):
    run(tmp_path)
    steps = []
    run(tmp_path, on_step=lambda: steps.append(1))
    assert steps == []
    assert outcome(tmp_path) == uninterrupted


# ---------------------------------------------------------------------------------------- several processes

TWO_PROCESSES = """
import os
import sys
from pathlib import Path

import torch
from lightning_fabric import Fabric

sys.path.insert(0, sys.argv[1])
import test_training

if __name__ == "__main__":
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
    fabric.launch()
    torch.set_num_threads(1)
    steps = []

    def stop():
        steps.append(1)
        if len(steps) == int(sys.argv[3]):
            os._exit(3)  # as abruptly as a kill

    test_training.run(Path(sys.argv[2]), fabric=fabric, on_step=stop)
"""


def train_with_two(folder, stop=0):
    """Two processes, which leave after `stop` steps if that is not zero."""
    script = folder.with_suffix(".py")
    script.write_text(TWO_PROCESSES)
    command = [sys.executable, str(script), str(Path(__file__).parent), str(folder), str(stop)]
    # A process that waits for the other for ever is an error too.
    done = subprocess.run(command, timeout=300, capture_output=True, text=True, check=False)
    assert done.returncode == (3 if stop else 0), done.stderr


@pytest.mark.parametrize("stop", [0, 7])
def test_two_processes_train_as_one(tmp_path, stop):
    """Each takes half of every batch; gradients are summed in another order, so equal to float32 rounding.

    A training that two processes began can be finished by one.
    """
    train_with_two(tmp_path / "two", stop)
    if stop:
        assert torch.load(tmp_path / "two" / "state.pt")["step"] == 6
        run(tmp_path / "two")
    run(tmp_path / "one")
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=0, atol=1e-5)
    logs = [pd.read_csv(tmp_path / name / "log.csv") for name in ("one", "two")]
    np.testing.assert_allclose(logs[0], logs[1], rtol=1e-4)
    assert torch.load(tmp_path / "two" / "state.pt")["step"] == 12


# --------------------------------------------------------------------------------------------------- killed


def killed_in_step(folder, step):
    stop = raising_at(step, RuntimeError)

    def on_step():
        try:
            stop()
        except RuntimeError:
            os.kill(os.getpid(), signal.SIGKILL)

    run(folder, on_step=on_step)


def killed_while_writing(folder, call):
    """Dies in the `call`-th replacement of a file, the draft written and the old file still there."""
    real, stop = os.replace, raising_at(call, RuntimeError)

    def replace(draft, path):
        try:
            stop()
        except RuntimeError:
            os.kill(os.getpid(), signal.SIGKILL)
        real(draft, path)

    paths.os.replace = replace  # in a process that is about to die
    run(folder)


@pytest.mark.parametrize(
    ("victim", "when"),
    [(killed_in_step, 7), (killed_in_step, 12)] + [(killed_while_writing, call) for call in (1, 2, 4, 7, 8, 9, 10)],
)
def test_killed_anywhere_and_called_again_completes_and_equals(tmp_path, uninterrupted, victim, when):
    process = multiprocessing.get_context("fork").Process(target=victim, args=(tmp_path, when))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert not (tmp_path / "model.safetensors").exists()
    for path in tmp_path.glob("[!.]*"):  # drafts begin with a dot
        assert torch.load(path) if path.suffix == ".pt" else len(pd.read_csv(path))
    run(tmp_path)
    assert outcome(tmp_path) == uninterrupted


# ------------------------------------------------------------------------------------------------ divergence


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_non_finite_step_stops_and_leaves_the_last_checkpoint(tmp_path, value, where):
    calls = iter(range(1, 100))

    def loss(outputs, sharp, progress):
        terms = losses.attentive(outputs, sharp)
        if next(calls) == 8:
            if where == "loss":
                terms["gradient"] = terms["gradient"] * value
            else:
                terms["mse"].register_hook(lambda gradient: gradient * value)
        return terms

    with pytest.raises(training.DivergedError, match=r"step 8: .*not updated.*lr \(now"):
        run(tmp_path, loss=loss)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.csv", "manifest.json", "state.pt"]
    assert torch.load(tmp_path / "state.pt")["step"] == 6
    assert pd.read_csv(tmp_path / "log.csv")["step"].tolist() == [2, 4, 5, 6]


def test_after_a_divergence_a_mended_loss_continues(tmp_path, uninterrupted):
    calls = iter(range(1, 100))

    def loss(outputs, sharp, progress):
        return {"mse": losses.multi_scale_mse(outputs, sharp) / (0 if next(calls) == 8 else 1)}

    with pytest.raises(training.DivergedError):
        run(tmp_path, loss=loss)
    run(tmp_path, loss=loss)
    assert torch.load(tmp_path / "state.pt")["step"] == 12


# ------------------------------------------------------------------------------------------- what a step does


def test_the_loop_is_plain_adam_with_the_recipes_decay(tmp_path):
    """Against a loop of six lines, without Fabric, checkpoints or dropout's generator."""
    recipe = replace(RECIPE, steps=5, betas=(0.8, 0.95), eps=1e-6)
    network, reference = (nn.Sequential(nn.Conv2d(3, 3, 3, padding=1)) for _ in range(2))
    reference.load_state_dict(network.state_dict())

    def loss(restored, sharp, progress):
        return {"mse": F.mse_loss(restored, sharp)}

    batches = Batches(Noise(), recipe.crop, recipe.batch, seed=0)
    fabric = Fabric(accelerator="cpu", devices=1)
    decay = partial(schedules.polynomial, power=0.7)
    training.train(
        network, loss, decay, recipe, batches, store.Checkpoints(store.Folder(tmp_path, "test")), fabric=fabric
    )

    optimiser = torch.optim.Adam(reference.parameters(), betas=(0.8, 0.95), eps=1e-6)
    for step in range(5):
        optimiser.param_groups[0]["lr"] = 1e-2 * (1 - step / 5) ** 0.7
        optimiser.zero_grad()
        blurred, sharp = batches[step]
        F.mse_loss(reference(blurred), sharp).backward()
        optimiser.step()
    for name, parameter in reference.state_dict().items():
        torch.testing.assert_close(load_file(tmp_path / "model.safetensors")[name], parameter, rtol=0, atol=0)


def test_the_loss_is_told_how_far_the_training_is(tmp_path):
    heard = []

    def loss(outputs, sharp, progress):
        heard.append(progress)
        return losses.attentive(outputs, sharp)

    run(tmp_path, loss=loss)
    assert heard == [step / 12 for step in range(12)]


def weights_after(folder, **changes):
    run(folder, replace(RECIPE, **changes))
    return load_file(folder / "model.safetensors")


def test_a_batch_taken_in_parts_gives_the_same_weights_and_log(tmp_path):
    whole, parts = (weights_after(tmp_path / str(n), batch=4, accumulate=n) for n in (1, 2))
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=0, atol=1e-6)
    logs = [pd.read_csv(tmp_path / str(n) / "log.csv") for n in (1, 2)]
    np.testing.assert_allclose(logs[0]["loss"], logs[1]["loss"], rtol=1e-5)


def test_parts_that_do_not_divide_a_batch_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"accumulate=2 does not divide .* 3 of 3"):
        run(tmp_path, replace(RECIPE, batch=3, accumulate=2))


def test_a_factor_of_zero_freezes_what_it_names_and_nothing_else(tmp_path):
    start, free, held = tiny(0).state_dict(), weights_after(tmp_path / "free"), {}
    held = weights_after(tmp_path / "held", lr_factors={"last": 0.0})
    for name, tensor in start.items():
        assert torch.equal(held[name], tensor) == name.startswith("last")
        assert not torch.equal(free[name], tensor)


def test_weights_decay_apart_from_their_gradients(tmp_path):
    """With a loss that pulls at nothing only the decay moves them: one factor of 1 - lr decay a step."""
    start = tiny(0).state_dict()

    def loss(outputs, sharp, progress):
        return {"nothing": 0.0 * outputs[0].mean()}

    run(tmp_path, replace(RECIPE, weight_decay=0.5), loss=loss)
    shrunk = math.prod(1 - 0.5 * schedules.polynomial(RECIPE.lr, step, 12) for step in range(12))
    for name, tensor in load_file(tmp_path / "model.safetensors").items():
        torch.testing.assert_close(tensor, start[name] * shrunk)


def test_clipping_bounds_the_norm_of_what_it_names(tmp_path, monkeypatch):
    norms = []
    step = torch.optim.AdamW.step

    def spy(optimiser, *arguments, **options):
        gradients = {p.shape: p.grad for group in optimiser.param_groups for p in group["params"]}
        first, last = gradients[(6, 3, 3, 3)], gradients[(3, 6, 3, 3)]
        norms.append([float(first.norm()), float(last.norm())])
        return step(optimiser, *arguments, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    run(tmp_path / "free", replace(RECIPE, steps=3))
    run(tmp_path / "clipped", replace(RECIPE, steps=3, clip_norm={"first.weight": 1e-3}))
    free, clipped = np.array(norms[:3]), np.array(norms[3:])
    assert (free[:, 0] > 2e-3).all()
    np.testing.assert_allclose(clipped[:, 0], 1e-3, rtol=1e-3)
    np.testing.assert_allclose(clipped[0, 1], free[0, 1], rtol=1e-6)
    logged = [pd.read_csv(tmp_path / name / "log.csv")["gradient_norm"].iloc[0] for name in ("free", "clipped")]
    assert logged[1] > 2e-3  # the norm is logged as it was


def test_training_mode_but_for_validation(tmp_path):
    """Called once in a step, and once more in evaluation mode after steps 5, 10 and 12."""
    modes = run(tmp_path).modes
    assert modes == [True] * 5 + [False] + [True] * 5 + [False] + [True] * 2 + [False]


def test_the_loss_falls(tmp_path):
    run(tmp_path, replace(RECIPE, steps=150, log_every=1, checkpoint_every=150, validate_every=150))
    loss = pd.read_csv(tmp_path / "log.csv")["loss"]
    assert loss.tail(15).mean() < 0.7 * loss.head(5).mean()


def test_the_log(uninterrupted):
    log = pd.read_csv(io.BytesIO(uninterrupted["log.csv"]))
    assert log["step"].tolist() == [2, 4, 5, 6, 8, 10, 12]
    always = log[["step", "lr", "loss", "mse", "gradient", "gradient_norm"]]
    assert np.isfinite(always.to_numpy()).all()
    assert (always > 0).all(axis=None)
    assert log.loc[log["val_psnr_db"].notna(), "step"].tolist() == [5, 10, 12]
    assert np.isfinite(log["val_psnr_db"].dropna()).all()
    np.testing.assert_allclose(log["loss"], log["mse"] + log["gradient"], rtol=1e-6)
    np.testing.assert_allclose(
        log["lr"], [schedules.polynomial(RECIPE.lr, step - 1, RECIPE.steps) for step in log["step"]]
    )


# -------------------------------------------------------------------------------------------------- weights


def test_weights_survive_the_file(tmp_path):
    network, other = tiny(0), tiny(1)
    network.to(memory_format=torch.channels_last)
    with writing.replacing(tmp_path / "deep" / "model.safetensors") as draft:
        tensors.save_weights(network, draft)
    tensors.load_weights(other, tmp_path / "deep" / "model.safetensors")
    for name, tensor in network.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["model.safetensors"]


def test_the_weights_of_a_run_are_those_of_the_network(tmp_path):
    network = run(tmp_path)
    for name, tensor in load_file(tmp_path / "model.safetensors").items():
        assert torch.equal(network.state_dict()[name], tensor)


def test_wrong_weights_are_refused_in_words(tmp_path):
    path = tmp_path / "model.safetensors"
    tensors.save_weights(tiny(), path)
    wider = tiny()
    wider.last = nn.Conv2d(6, 4, 3)
    wider.extra = nn.Linear(2, 2)
    del wider.first
    before = {name: tensor.clone() for name, tensor in wider.state_dict().items()}
    with pytest.raises(ValueError, match="another network or size") as caught:
        tensors.load_weights(wider, path)
    message = str(caught.value)
    assert str(path) in message
    for part in (
        "(6 differences)",
        "missing extra.bias",
        "missing extra.weight",
        "unknown first.bias",
        "unknown first.weight",
        "last.bias is (3,), the network has (4,)",
        "last.weight is (3, 6, 3, 3), the network has (4, 6, 3, 3)",
    ):
        assert part in message
    assert all(torch.equal(wider.state_dict()[name], tensor) for name, tensor in before.items())


def test_a_long_list_of_differences_is_cut(tmp_path):
    path = tmp_path / "model.safetensors"
    tensors.save_weights(nn.Sequential(*(nn.Linear(1, 1) for _ in range(20))), path)
    with pytest.raises(ValueError, match=r"40 differences|38 differences") as caught:
        tensors.load_weights(nn.Sequential(nn.Linear(1, 1)), path)
    assert len(str(caught.value)) < 400 + len(str(path))
