"""What paired differences say: against written-out formulas, scipy's own, and effects that are known."""

import numpy as np
import pytest
from scipy import stats

from deblur.study import simulation
from deblur.study.statistics import Effect, compound, effect, holm, verdicts


def random_differences(rng, mean=0.1):
    return mean + rng.normal(0, 0.05, (int(rng.integers(2, 6)), int(rng.integers(2, 20))))


@pytest.mark.parametrize("seed", range(5))
def test_an_effect_is_the_mean_with_the_errors_of_seeds_and_of_scenes(seed):
    differences = random_differences(np.random.default_rng(seed))
    seeds, scenes = differences.shape
    one = effect(differences)
    assert (one.seeds, one.scenes) == (seeds, scenes)
    assert one.mean == pytest.approx(differences.mean())
    assert one.seed == pytest.approx(stats.sem(differences.mean(axis=1)))
    assert one.scene == pytest.approx(stats.sem(differences.mean(axis=0)))
    squares = (stats.t.ppf(0.975, seeds - 1) * one.seed) ** 2 + (stats.t.ppf(0.975, scenes - 1) * one.scene) ** 2
    assert one.half_width() == pytest.approx(np.sqrt(squares))
    assert one.interval == pytest.approx((one.mean - np.sqrt(squares), one.mean + np.sqrt(squares)))


def test_the_half_width_of_seeds_alone_is_students():
    one = Effect(mean=0.0, seed=0.02, scene=0.0, seeds=4, scenes=16)
    low, high = stats.t.interval(0.9, 3, scale=0.02)
    assert one.half_width(0.1) == pytest.approx((high - low) / 2)


@pytest.mark.parametrize("seed", range(5))
def test_p_values_are_the_levels_at_which_intervals_touch(seed):
    one = effect(random_differences(np.random.default_rng(seed)))
    assert one.half_width(one.p_sign) == pytest.approx(abs(one.mean), rel=1e-6)
    bound = abs(one.mean) + 0.5 * one.half_width()
    assert abs(one.mean) + one.half_width(2 * one.p_none(bound)) == pytest.approx(bound, rel=1e-6)
    assert one.p_none(0.99 * abs(one.mean)) == 1


def test_one_seed_or_scene_gives_no_interval_and_no_verdict():
    one = effect(np.full((1, 16), 3.0))
    assert one.half_width() == np.inf
    assert verdicts([one], [0.1], [1]) == ["undecided"]
    assert effect(np.full((4, 1), 3.0)).half_width() == np.inf


def test_holm_goes_down_the_list_until_one_is_too_large():
    assert holm([0.01, 0.04, 0.03, 0.005], 0.05) == [True, False, False, True]
    assert holm([0.01, 0.02, 0.03], 0.05) == [True, True, True]
    assert holm([0.02, 0.03, 0.04], 0.05) == [False, False, False]
    assert holm([], 0.05) == []


@pytest.mark.parametrize(
    ("mean", "error", "bound", "sign", "said"),
    [
        (0.01, 0.01, 0.1, 1, "no effect"),
        (0.05, 0.001, 0.1, 1, "no effect"),  # asked first, though zero lies outside
        (0.3, 0.01, 0.1, 1, "holds"),
        (0.3, 0.01, 0.1, -1, "fails"),
        (-0.3, 0.01, 0.1, 1, "fails"),
        (-0.3, 0.01, 0.1, -1, "holds"),
        (0.15, 0.01, 0.02, 1, "holds"),
        (0.1, 0.1, 0.1, 1, "undecided"),
    ],
)
def test_verdicts_follow_from_interval_bound_and_sign(mean, error, bound, sign, said):
    assert verdicts([Effect(mean, error, error, 4, 16)], [bound], [sign]) == [said]


def test_a_family_asks_more_of_each_of_its_contrasts():
    weak, strong = Effect(0.1, 0.02, 0.02, 4, 16), Effect(1.0, 0.02, 0.02, 4, 16)
    assert verdicts([weak], [0.01], [1]) == ["holds"]
    assert verdicts([weak] * 4, [0.01] * 4, [1] * 4) == ["undecided"] * 4
    assert verdicts([weak], [0.01], [1], waiting=3) == ["undecided"]
    assert verdicts([strong, weak], [0.01] * 2, [1] * 2, waiting=2) == ["holds", "undecided"]
    assert verdicts([strong, strong, strong, weak], [0.01] * 4, [1] * 4) == ["holds"] * 4  # the last has no others left


def test_what_would_have_been_seen_lies_above_the_interval():
    one = Effect(0.0, 0.02, 0.02, 4, 16)
    power = np.hypot(stats.t.ppf(0.8, 3) * 0.02, stats.t.ppf(0.8, 15) * 0.02)
    assert one.detectable == pytest.approx(one.half_width() + power)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (["holds", "holds"], "holds"),
        (["holds", "fails", "no effect"], "fails"),
        (["no effect", "no effect"], "no effect"),
        (["holds", "no effect"], "undecided"),
        (["undecided"], "undecided"),
    ],
)
def test_a_claim_of_several_contrasts(parts, said):
    assert compound(parts) == said


def test_the_simulation_sees_what_is_large_and_seldom_errs():
    row = simulation.row(simulation.Case(seeds=4, seed_db=0.02, family=2), draws=150)
    assert row["false_sign"] <= 5
    assert row["false_none"] <= 9  # of 150 families, where 5 % are allowed
    assert row["none"] > 60
    assert row["holds_0.3"] > 99 > row["holds_0.05"]


def test_the_simulation_notices_a_rule_that_is_too_bold(monkeypatch):
    monkeypatch.setattr(Effect, "half_width", lambda self, alpha=0.05: 0.5 * self.scene)
    row = simulation.row(simulation.Case(seeds=4, seed_db=0.02, family=2), draws=50)
    assert row["false_none"] > 30
