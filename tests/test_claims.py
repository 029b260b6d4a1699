"""The claims as data: complete, consistent with the networks, and fixed before the study began."""

import hashlib
from collections import Counter

import pytest

from deblur import models, paths, recipes
from deblur.study import making
from deblur.study.claims import PAPERS, TESTS, TIERS, Arm, claims, contrasts

COUNTS = {"attentive": ("A", 20), "radn": ("R", 17), "raidnet": ("N", 16), "sgenet": ("G", 11), "simplenet": ("S", 20)}

FIXED = {
    "attentive": "1a9c7fb20a44f4f8",
    "radn": "7fc29b13ddc9a2ef",
    "raidnet": "e48768b29160af13",
    "sgenet": "0a13da26fddd1668",
    "simplenet": "b6100280c5b31e8c",
}
"""Paper -> hash of its contrasts as they were before the first training of the study."""

EVERY = [contrast for paper in PAPERS for contrast in contrasts(paper)]
ARMS = sorted({arm for contrast in EVERY for arm in contrast.arms})


def test_all_84_claims_are_there_once():
    for paper, (letter, count) in COUNTS.items():
        assert [claim.id for claim in claims(paper)] == [f"{letter}{number}" for number in range(1, count + 1)]
    assert sum(count for _, count in COUNTS.values()) == 84


@pytest.mark.parametrize("paper", PAPERS)
def test_claims_say_how_they_are_tested_or_why_not(paper):
    deciding = {contrast.claim for contrast in contrasts(paper) if not contrast.family.endswith(("beside", "controls"))}
    for claim in claims(paper):
        assert claim.test in TESTS
        assert claim.claim.endswith(".")
        assert claim.place
        assert claim.printed
        assert bool(claim.reason) == (claim.test == "none")
        assert (claim.id in deciding) == (claim.test in ("ablation", "removal", "transfer"))
    assert {contrast.claim for contrast in contrasts(paper)} <= {claim.id for claim in claims(paper)}


@pytest.mark.parametrize("paper", PAPERS)
def test_contrasts_are_those_of_before_the_study(paper):
    lines = (paths.printed_dir() / paper / "contrasts.csv").read_text(encoding="utf-8").splitlines()
    before = "\n".join(line for line in lines if not line.endswith(",exploratory"))
    assert hashlib.sha256(before.encode()).hexdigest()[:16] == FIXED[paper]


@pytest.mark.parametrize("contrast", EVERY, ids=lambda one: f"{one.claim} {one.tier} {one.name}")
def test_bounds_follow_the_rule(contrast):
    largest, digits = (0.001, 4) if contrast.measure == "ssim_gauss_rgb" else (0.1, 3)
    wanted = largest if contrast.printed_db is None else min(largest, abs(contrast.printed_db) / 3)
    assert contrast.bound_db == pytest.approx(wanted, abs=0.6 * 10**-digits)
    assert contrast.tier in TIERS
    assert contrast.family
    assert contrast.plus
    assert bool(contrast.minus) != bool(contrast.without)


@pytest.mark.parametrize("arm", ARMS, ids=str)
def test_arms_are_networks_that_are_built_and_trained(arm):
    assert Arm.of(str(arm)) == arm
    for tier in {contrast.tier for contrast in EVERY if arm in contrast.arms}:
        recipe = recipes.recipe(arm.network, arm.variant, TIERS[tier].scale, "study")
        models.config(arm.network, arm.variant, **recipe.config)


def test_parts_that_are_taken_out_exist():
    removed = {(contrast.plus, contrast.without) for contrast in EVERY if contrast.without}
    assert len(removed) > 15
    for (arm,), part in removed:
        config = recipes.recipe(arm.network, arm.variant, "mini", "study").config
        assert part in models.parts_of(models.build(arm.network, arm.variant, **config))


def test_two_arms_of_a_contrast_differ_in_what_is_trained():
    for contrast in EVERY:
        scale = TIERS[contrast.tier].scale
        trained = [
            (arm.network, str(models.config(arm.network, arm.variant, **recipe.config)), str(recipe))
            for arm in contrast.arms
            for recipe in [recipes.recipe(arm.network, arm.variant, scale, "study")]
        ]
        assert len(set(trained)) == len(trained), contrast


def test_data_besides_the_exam_have_a_protocol():
    for contrast in EVERY:
        name = contrast.on.partition(":")[0]
        assert name == "exam" or name in making.PROTOCOLS


def test_depth_asks_every_paper_and_the_square_of_attention_and_loss():
    depth = [contrast for contrast in EVERY if contrast.tier == "depth"]
    assert set(Counter(contrast.paper for contrast in depth)) == set(PAPERS)
    square = {
        Arm("attentive", v) for v in ("paper", "table5_without_all", "table7_multi_scale", "without_all_multi_scale")
    }
    assert any(set(contrast.arms) == square for contrast in depth)
    assert 10 <= len(depth) <= 13


def test_text_of_an_arm():
    assert str(Arm.of("attentive")) == "attentive"
    assert Arm.of("attentive/eq6@3e-4") == Arm("attentive", "eq6", "3e-4")
