"""What is looked at in networks: each quantity on maps and networks whose answer is known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deblur import models
from deblur.evaluation import maps
from deblur.study import quantities as look
from deblur.study import views
from deblur.study.views import View

H, W = 64, 96
HALF_DB = 20 * np.log10(2)
"""What is gained where half of the error goes."""


def view(seed=0, scene="a", kind="local", **truth):
    """A noisy pair whose path, object and motion are made up: the path rises to the right, the object is a box."""
    rng = np.random.default_rng(seed)
    sharp = rng.integers(60, 190, (H, W, 3)).astype(np.uint8)
    made = object.__new__(View)
    label = np.zeros((H, W), np.uint8)
    label[16:40, 20:60] = {"global": 0, "local": 1, "sampling": 2}[kind]
    angle = rng.uniform(0, np.pi)
    path = np.tile(np.linspace(2.5, 8, W), (H, 1))
    motion = path[..., None] * np.array([np.cos(angle), np.sin(angle)])
    made.pair, made.name, made.scene, made.kind = None, f"{scene}/{seed}", scene, kind
    error = rng.choice([-40, 40], (H, W, 3))
    made.__dict__["images"] = (np.uint8(sharp + error), sharp)
    made.__dict__["truth"] = {"path_px": path, "label": label, "displacement": motion, "kind": kind} | truth
    return made


class Maps(nn.Module):
    """A map (h,w), or several, in the place of what a module would return."""

    def __init__(self, values):
        super().__init__()
        self.values = torch.as_tensor(np.asarray(values)).float()

    def forward(self, x, *_):
        values = self.values.expand(x.shape[0], -1, -1, -1) if self.values.ndim > 2 else self.values[None, None]
        return F.interpolate(values, size=x.shape[-2:], mode="area")


class Images(nn.Module):
    """A network that returns the same images (H,W,3) for everything."""

    def __init__(self, *images):
        super().__init__()
        self.images = [torch.from_numpy(np.asarray(i) / 255).permute(2, 0, 1)[None].float() for i in images]
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, blurred):
        return tuple(self.images)


def mended(one, where):
    """The blurred image with half of its error gone in some pixels."""
    return np.where(where[..., None], (one.blurred.astype(int) + one.sharp) // 2, one.blurred).astype(np.uint8)


def put(network, place, module):
    """Replace a module of a network by its name."""
    around, _, name = place.rpartition(".")
    setattr(network.get_submodule(around), name, module)


# --------------------------------------------------------------------------------------------------------------- maps


def test_correlations():
    rng = np.random.default_rng(1)
    given, own, other = rng.normal(size=(3, H, W))
    assert maps.correlation(given + own, given) == pytest.approx(
        np.corrcoef((given + own).ravel(), given.ravel())[0, 1]
    )
    design = np.stack([np.ones(H * W), given.ravel()], 1)
    freed = [
        c - design @ np.linalg.lstsq(design, c, rcond=None)[0] for c in ((own + given).ravel(), (other + given).ravel())
    ]
    partial = maps.correlation(own + given, other + given, given)
    assert partial == pytest.approx(np.corrcoef(*freed)[0, 1])
    assert abs(partial) < 0.1 < maps.correlation(own + given, other + given)
    assert maps.correlation(own, np.kron(own, np.ones((2, 2)))) == pytest.approx(1)  # means over areas


@pytest.mark.parametrize("level", [0.0, 1.0, -3.0])
def test_constant_maps_are_refused(level):
    noise = np.random.default_rng(0).normal(size=(H, W))
    assert np.isnan(maps.correlation(np.full((H, W), level), noise))
    assert np.isnan(maps.correlation(10 + 0.01 * noise, noise))
    assert not maps.is_constant(10 + noise)


# ---------------------------------------------------------------------------------------------------------- attentive


@pytest.fixture(scope="module")
def attentive():
    return models.build("attentive", widths=(4, 6, 8), blocks=1)


def test_attention_maps(attentive):
    one = view()
    edges = maps.edges(one.blurred)
    for group, values in {
        "eg1": edges,
        "eg2": -edges,
        "eg3": np.ones((H, W)),
        "dg1": -one.path,
        "dg2": one.path,
    }.items():
        put(attentive, f"scales.0.{group}.blocks.0.attention.sa", Maps(values))
    put(attentive, "scales.0.dg3.blocks.0.attention.sa", Maps(edges))
    values = look.attention_maps(attentive, one)
    assert values["SA encoder 1, edges"] == pytest.approx(1)
    assert values["SA encoder 2, edges"] == pytest.approx(-1, abs=0.05)
    assert np.isnan(values["SA encoder 3, edges"])
    assert values["SA decoder 1, path"] == pytest.approx(-1, abs=0.02)
    assert values["SA decoder 2, path"] == pytest.approx(1, abs=0.02)
    assert abs(values["SA decoder 3, path"]) < 0.1  # edges alone
    even = view(path_px=np.full((H, W), 4.0))
    assert not any("path" in name for name in look.attention_maps(attentive, even))


def test_loss_ratio_by_hand():
    # An error of +-a in columns: squared it is a^2, its differences along x are (2 a)^2; coarser scales are perfect.
    def network(blurred):
        columns = 0.1 * (1 - 2 * (torch.arange(W) % 2))
        return sharp + columns, *(F.interpolate(sharp, scale_factor=s, mode="bilinear") for s in (0.5, 0.25))

    one = view()
    sharp = torch.from_numpy(one.sharp / 255).permute(2, 0, 1)[None].float()
    stub = nn.Module()
    stub.forward = network
    (seen, values), *rest = look.loss_ratio(stub, [one])
    assert seen is one
    assert not rest
    assert values["error over gradient"] == pytest.approx(0.25, rel=1e-4)
    assert values["error over gradient, blurred input"] > 0


def test_gain_at_rims():
    one = view()
    rim = np.zeros((H, W), bool)
    rim[10:46, 14:66] = True
    values = look.gain_of(Images(mended(one, rim)), one)
    assert values["gain at rims less global"] == pytest.approx(
        HALF_DB, rel=0.2
    )  # half of the error, almost all of the rim
    assert look.gain_of(Images(one.blurred), one) == {"gain": 0, "gain at rims less global": 0}
    assert "gain at rims less global" not in look.gain_of(Images(one.blurred), view(kind="global"))


def test_pages_of_text_are_scenes(monkeypatch):
    monkeypatch.setattr(look, "PAGES", 2)

    class Identity(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, blurred):
            return (blurred,)

    pages = list(look.text_gain(Identity(), []))
    assert [page.scene for page, _ in pages] == ["page 1", "page 2"]
    assert [values for _, values in pages] == [{"gain on text": 0.0}] * 2
    assert (pages[0][0].images[0] != pages[1][0].images[0]).any()


# --------------------------------------------------------------------------------------------------------------- radn


@pytest.fixture
def radn():
    return models.build(
        "radn", stem=8, blocks=(1, 1, 1), growth=8, units=2, unit_growth=8, widths=(8, 8, 8), last=8
    ).eval()


def bend(network, offsets, ddm="body.ddm2"):
    """Offsets (18,h,w) for all deformable convolutions of a module."""
    for name in [name for name, _ in network.named_modules()]:
        if name.startswith(ddm) and name.endswith(".offset"):
            put(network, name, Maps(offsets))


def test_taps_that_follow_motion(radn):
    one, other = view(0), view(1)
    dx, dy = np.moveaxis(one.truth["displacement"], 2, 0) / 10
    taps = np.zeros((18, H, W))
    reach = np.linspace(-1, 1, 9)[:, None, None]
    taps[0::2], taps[1::2] = reach * dy, reach * dx
    bend(radn, taps)
    (_, values), *_ = look.offset_direction(radn, [one, other])
    assert values["DDM 2 direction"] == pytest.approx(1, abs=1e-3)
    assert values["DDM 2 direction, other motion"] < 0.9
    assert all(np.isnan(values[f"DDM {module} direction"]) for module in (1, 3))  # each module has its own offsets
    bend(radn, taps, "body.ddm3")
    (_, values), *_ = look.offset_direction(radn, [one, other])
    assert values["DDM 3 direction"] == pytest.approx(1, abs=1e-3)
    taps[1::2] = np.array([-1, 0, 1] * 3)[:, None, None] * np.abs(dx)
    bend(radn, taps)
    assert look.offset_width(radn, one)["DDM 2 width, motion along x"] == pytest.approx(1, abs=0.02)
    assert look.offset_width(radn, view(path_px=np.ones((H, W)))) == {}


def test_taps_that_stay_or_leave_are_refused(radn):
    one = view()
    assert np.isnan(look.offset_width(radn, one)["DDM 2 width, motion along x"])  # offsets start at zero
    (_, values), *_ = look.offset_direction(radn, [one, view(1)])
    assert all(np.isnan(value) for value in values.values())
    ((_, values),) = look.offset_length(radn, [view(seed) for seed in range(3)])
    assert np.isnan(values["offset length, path"])
    bend(radn, 1000 * (1 + np.random.default_rng(0).random((18, H, W))))
    assert np.isnan(look.offset_width(radn, one)["DDM 2 width, motion along x"])


def test_offsets_that_grow_with_the_path(radn):
    class Growing(nn.Module):
        def forward(self, x):
            return torch.full((1, 18, *x.shape[-2:]), Growing.length / 16)

    growing = [view(seed, path_px=np.full((H, W), 2.0 + seed)) for seed in range(4)]
    for name in [name for name, _ in radn.named_modules() if name.endswith(".offset")]:
        put(radn, name, Growing())
    radn.register_forward_pre_hook(lambda *_: setattr(Growing, "length", lengths.pop(0)))
    for turn, sign in (([2.0, 3, 4, 5], 1), ([5.0, 4, 3, 2], -1)):
        lengths = list(turn)
        ((seen, values),) = look.offset_length(radn, growing)
        assert seen.scene == "a"
        assert values["offset length, path"] == pytest.approx(sign)


def test_what_attention_adds(radn):
    one = view()
    channels = radn.body.encoder.channels[-1]
    put(radn, "body.attention.attend", Maps(np.stack([one.path * (-1) ** c for c in range(channels)])))
    assert look.attention_residual(radn, one)["SA residual, path"] == pytest.approx(1, abs=0.02)
    put(radn, "body.attention.attend", Maps(np.ones((channels, H, W))))
    assert np.isnan(look.attention_residual(radn, one)["SA residual, path"])


def test_eight_inputs(monkeypatch):
    """An error that turns with nothing is averaged away; a network that turns along gains none."""

    class Tilted(nn.Module):
        def __init__(self, tilt):
            super().__init__()
            self.tilt = nn.Parameter(torch.tensor(tilt))

        def forward(self, blurred):
            return (blurred + self.tilt * torch.linspace(-1, 1, blurred.shape[-1]),)

    one = view()
    one.__dict__["images"] = (one.sharp, one.sharp)
    monkeypatch.setattr(look, "spread", lambda pairs, limit: [one] * limit)
    ((_, values),) = look.ensemble_gain(Tilted(0.2), [one, view(1)])
    assert values["x8 gain"] > 10
    one.__dict__["images"] = view().images
    ((_, values),) = look.ensemble_gain(Tilted(0.0), [one])
    assert values["x8 gain"] == pytest.approx(0, abs=1e-6)


# ------------------------------------------------------------------------------------------------------------ raidnet


def test_stages():
    one = view()
    alone = one.where(views.GLOBAL)
    coarse = mended(one, alone)
    final = np.where(alone[..., None], coarse, mended(one, ~alone))
    values = look.stages(Images(final, coarse), one)
    assert values["stage 1, global less other"] == pytest.approx(HALF_DB, abs=0.2)
    assert values["stage 2, other less global"] == pytest.approx(HALF_DB, abs=0.2)
    assert np.isnan(look.stages(Images(coarse, coarse), one)["stage 2, other less global"])  # stage 2 does nothing
    assert look.stages(Images(final, coarse), view(kind="global")) == {}


def test_masks_that_know_their_own_object():
    boxes = np.zeros((4, H, W), np.uint8)
    for number, box in enumerate(boxes):
        box[4 : 4 + 10, 2 + 11 * number : 12 + 11 * number] = 1
    pairs = [view(n, scene="ab"[n % 2] + str(n // 2), label=box) for n, box in enumerate(boxes)]

    class Knowing(nn.Module):
        def __init__(self, know):
            super().__init__()
            self.lrr = nn.Module()
            self.lrr.attention = nn.Module()
            self.lrr.attention.masks = nn.Identity()
            self.weight, self.know = nn.Parameter(torch.zeros(1)), know

        def forward(self, blurred):
            flat = torch.ones(H, W)
            number = [
                bool((blurred[0].permute(1, 2, 0) * 255).round().byte().equal(torch.from_numpy(p.blurred)))
                for p in pairs
            ].index(True)
            own = torch.from_numpy(pairs[number].truth["label"]).float()
            return (self.lrr.attention.masks(torch.stack([flat, 1 + own if self.know else flat])[None]),)

    seen = list(look.region_masks(Knowing(True), pairs))
    assert [one.name for one, _ in seen] == [one.name for one in pairs]
    mean = 1 + 100 / (H * W)
    for _, values in seen:  # twice the mask on its own box, once on the others, which do not touch it
        assert values["masks on local blur"] == pytest.approx(1 / mean, abs=1e-3)
    assert all(np.isnan(values["masks on local blur"]) for _, values in look.region_masks(Knowing(False), pairs))


def test_heads_are_chosen_on_other_scenes(monkeypatch):
    """The best of many random heads is nothing special where it was not chosen."""
    rng = np.random.default_rng(0)
    pairs = [view(n, scene=f"{n // 2}", label=np.roll(view().truth["label"], 7 * n, 1)) for n in range(12)]
    monkeypatch.setattr(look, "captured", lambda *_: {"lrr.attention.masks": rng.random((64, 4, 6))})
    values = [values["masks on local blur"] for _, values in look.region_masks(nn.Module(), pairs)]
    assert abs(np.mean(values)) < 0.1


def test_lift_against_that_of_the_others():
    """Lift: a mask's share in a region over the region's share of the image."""
    rng = np.random.default_rng(0)
    masks = [rng.random((2, 8, 12)) for _ in range(3)]
    regions = [rng.random((H, W)) < 0.3 for _ in range(3)]

    def lift(i, j, head):
        mask = torch.from_numpy(masks[i][None, head : head + 1])
        full = nn.functional.interpolate(mask, (H, W), mode="bilinear")[0, 0].numpy()
        return full[regions[j]].sum() / full.sum() / regions[j].mean()

    expected = [
        [lift(i, i, h) - np.mean([lift(i, j, h) for j in range(3) if j != i]) for h in range(2)] for i in range(3)
    ]
    np.testing.assert_allclose(look.excess_lift(masks, regions), expected)


# ------------------------------------------------------------------------------------------------------------- sgenet


def coarse(image, factor):
    return image.reshape(H // factor, factor, W // factor, factor, 3).mean((1, 3))


def test_predicted_edges():
    one = view()
    true = [coarse(one.sharp, factor) for factor in (1, 2, 4)]
    given = [coarse(one.blurred, factor) for factor in (1, 2, 4)]
    better = look.predicted_edges(Images(one.sharp, *true), one)["edges of predictions"]
    assert 0.1 < better < 1
    none = look.predicted_edges(Images(one.blurred, *given), one)["edges of predictions"]
    assert none == pytest.approx(0, abs=1e-3)


def test_sharpness_and_ringing():
    one = view()
    step = np.full((H, W, 3), 60, np.uint8)
    step[:, W // 2 :] = 180
    soft, ringing = step.copy(), step.astype(int)
    soft[:, W // 2 - 2 : W // 2 + 2] = 120
    ringing[:, W // 2 + 4 : W // 2 + 8] += 30
    one.__dict__["images"] = (soft, step)
    perfect, unsharp, rings = (look.sharpness(Images(i), one) for i in (step, soft, np.uint8(ringing)))
    assert perfect["sharpness"] == 0
    assert unsharp["sharpness"] < -0.5
    assert rings["sharpness"] == 0
    assert rings["calm beside edges"] < perfect["calm beside edges"] - 1


# ---------------------------------------------------------------------------------------------------------- simplenet


def test_offsets_on_equal_edges():
    rng = np.random.default_rng(0)
    edges = rng.random((H, W))
    inside = np.zeros((H, W), bool)
    inside[:, : W // 2] = True
    assert look.on_equal_edges(np.where(inside, 2.0, 1.0), edges, inside) == pytest.approx(np.log(2))
    # Offsets that follow edges alone, where the region's are stronger.
    biased = np.where(inside, edges**0.2, edges)
    naive = np.log(biased[inside].mean() / biased[~inside].mean())
    assert abs(look.on_equal_edges(biased, biased, inside)) < 0.02 < naive
    assert look.on_equal_edges(edges, edges, np.zeros((H, W), bool)) is None


def test_offsets_at_outlines():
    network = models.build("simplenet", widths=(4, 8, 8), rank=2)
    one = view()
    inside = one.where(views.LOCAL)
    put(network, "dec1.dr.deformable.offset", Maps(np.stack([np.where(inside, 2.0, 1.0)] * 27)))
    seen = look.offsets_at_outlines(network, one)
    assert seen["offsets at outlines"] == pytest.approx(np.log(2))
    put(network, "dec1.dr.deformable.offset", Maps(np.zeros((27, H, W))))
    assert np.isnan(look.offsets_at_outlines(network, one)["offsets at outlines"])
    assert look.offsets_at_outlines(network, view(kind="global")) == {}


def test_weights_that_know_the_path():
    one, other = view(), view(1, path_px=np.tile(np.linspace(2, 8, H)[:, None], (1, W)))
    network = models.build("simplenet", widths=(4, 8, 8), rank=2)
    own = np.stack([one.path * (c + 1) for c in range(8)])
    put(network, "context.gcrw", Maps(own))
    (_, values), _ = look.weights_and_path(network, [one, other])
    assert values["GCRW, path"] == pytest.approx(1, abs=1e-3)
    put(network, "context.gcrw", Maps(np.ones((8, H, W))))
    assert all(np.isnan(v["GCRW, path"]) for _, v in look.weights_and_path(network, [one, other]))
    noise = np.random.default_rng(0).random((8, H, W))
    assert look.explained(noise, one.path) < 0.05


def test_gains_by_motion():
    one = view()
    long = one.path >= np.quantile(one.path, 2 / 3)
    values = look.gains_by_motion(Images(mended(one, long)), one)
    assert values["gain, long less short paths"] == pytest.approx(HALF_DB, abs=0.2)
    assert values["gain, long paths"] == pytest.approx(HALF_DB, abs=0.2)
    values = look.gains_by_motion(Images(mended(one, one.where(views.LOCAL))), one)
    assert values["gain, local less global"] == pytest.approx(HALF_DB, abs=0.2)
    assert look.gains_by_motion(Images(one.sharp), view(kind="global", path_px=np.ones((H, W)))) == {}
