"""The comparison of networks: means and spreads against hand-made tables, and places against brute force."""

import itertools

import numpy as np
import pandas as pd
import pytest

from deblur import comparison, models, recipes
from deblur.evaluation.complexity import on_meta, parameters


def per_image(gains, kinds=("global", "local"), lengths=None):
    count = len(gains)
    table = pd.DataFrame({"name": [f"{i}" for i in range(count)], "gain_db": gains, "kind": np.resize(kinds, count)})
    table["path_px"] = np.arange(count) if lengths is None else lengths
    return table.assign(psnr_db=30 + table["gain_db"], ssim_gauss_rgb=0.9, ssim_matlab_volume=0.95)


def test_summary_is_the_mean_over_images_then_seeds_with_its_range():
    scores = {("a", 0): per_image([1, 2, 3, 4]), ("a", 1): per_image([3, 4, 5, 6]), ("b", 0): per_image([0, 0, 0, 1])}
    found = comparison.summary(scores).set_index("method")
    assert found.index.tolist() == ["a", "b"]
    names = ["seeds", "gain_db", "gain_db_lowest", "gain_db_highest", "gain_db_global", "gain_db_local", "psnr_db"]
    assert found.loc["a", names].tolist() == [2, 3.5, 2.5, 4.5, 3.0, 4.0, 33.5]
    assert found.loc["b", names].tolist() == [1, 0.25, 0.25, 0.25, 0.0, 0.5, 30.25]
    assert found["place"].tolist() == ["1", "2"]


def test_what_stands_beside_the_others_takes_no_place():
    scores = {(name, 0): per_image([gain, gain]) for name, gain in (("a", 1), ("oracle", 3), ("b", 2))}
    rows = comparison.summary(scores, ["oracle", "not there"]).set_index("method")
    assert rows["place"].to_dict() == {"oracle": "", "b": "1", "a": "2"}


def test_summary_where_kinds_are_unknown():
    table = per_image([1.0, 2.0]).drop(columns=["kind", "path_px"])
    assert [name for name in comparison.summary({("a", 0): table}) if name.startswith("gain_db_g")] == []
    assert comparison.by_length({("a", 0): table}).empty


@pytest.mark.parametrize("seed", range(20))
def test_places_are_all_those_that_some_value_within_the_spreads_gives(seed):
    """Brute force: each method anywhere in its spread, every order that this allows."""
    rng = np.random.default_rng(seed)
    lowest = pd.Series(rng.uniform(0, 1, 4), index=list("abcd"))
    highest = lowest + rng.uniform(0, 0.5, 4)
    possible = {name: set() for name in lowest.index}
    for order in itertools.permutations(lowest.index):
        # An order is possible if each method can lie below all before it: not wholly above any of them.
        if all(lowest[after] <= highest[before] for before, after in itertools.combinations(order, 2)):
            for place, name in enumerate(order, 1):
                possible[name].add(place)
    for name, text in comparison.places(lowest, highest).items():
        first, *last = map(int, text.split(" to "))
        assert set(range(first, (last or [first])[0] + 1)) == possible[name]


def test_places_refuse_ends_that_are_swapped():
    with pytest.raises(ValueError, match="lowest exceeds highest: x"):
        comparison.places(pd.Series({"x": 2.0}), pd.Series({"x": 1.0}))


def test_ranked_counts_among_the_chosen_only():
    scores = {(name, 0): per_image([gain, gain]) for name, gain in (("a", 3), ("b", 2), ("c", 1))}
    found = comparison.ranked(comparison.summary(scores), ["b", "c"])
    assert found.set_index("method")["place"].to_dict() == {"b": "1", "c": "2"}


def test_by_length_splits_images_into_equal_parts():
    lengths = [9, 1, 5, 3, 7, 11]
    scores = {("a", seed): per_image([length + seed for length in lengths], lengths=lengths) for seed in (0, 1)}
    found = comparison.by_length(scores)
    assert found["path_px"].tolist() == [2, 6, 10]
    assert found["gain_db"].tolist() == [2.5, 6.5, 10.5]
    assert found["pairs"].tolist() == [2, 2, 2]


def test_printed_scores_of_the_networks_that_are_here():
    found = comparison.printed_psnr().set_index("network")
    assert found.loc["sgenet"].tolist() == [32.96, 32.96]
    assert found.loc["raidnet"].tolist() == [30.90, 30.90]
    assert found.loc["radn"].tolist() == [31.76, 31.76]
    assert found.loc["srn", "lowest"] == 30.10  # SRN's own paper says 30.26, one table less
    assert found.loc["srn", "highest"] == 30.26
    assert {"attentive", "simplenet", "mprnet", "dmphn_stack4"} <= set(found.index)
    assert found.loc["deblurgan_v2_inception"].tolist() == [29.55, 29.55]
    assert "deblurgan_v2" not in found.index  # no table prints scores of its MobileNet form


def test_order_agreement_against_closed_forms():
    measured = pd.Series({"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0})
    same = comparison.order_agreement(measured, pd.Series({"a": 10, "b": 20, "c": 30, "e": 5}))
    assert (same["methods"], same["spearman"]) == (3, pytest.approx(1))
    swapped = comparison.order_agreement(measured, pd.Series({"a": 2, "b": 1, "c": 3, "d": 4}))
    assert swapped["spearman"] == pytest.approx(1 - 6 * 2 / (4 * 15))
    few = comparison.order_agreement(measured, pd.Series({"a": 1, "b": 2}))
    assert few["methods"] == 2
    assert np.isnan(few["spearman"])


def test_sizes_in_the_published_unit():
    found = comparison.sizes({"attentive": 2**20, "simplenet": 10**6, "sgenet": 19_500_000, "raidnet": 5})
    rows = found.set_index("network")
    assert rows["ours"].tolist()[:3] == [4.0, 4.0, 19.5]
    assert rows.loc["sgenet", "difference_pct"] == pytest.approx(0)
    assert rows.loc["simplenet", "difference_pct"] == pytest.approx(100 * (4 / 25.1 - 1))
    assert np.isnan(rows.loc["raidnet", "ours"])
    assert rows.loc["raidnet", "remark"] == "none printed"


def test_every_network_of_the_comparison_has_its_published_size():
    counts = {name: parameters(on_meta(name)) for name in (*recipes.EQUAL_TIME, "mimounet")}
    table = comparison.sizes(counts)
    known = table.dropna(subset="published")
    assert len(known) >= 16
    same = known["ours"].round(1) == known["published"].round(1)  # most are printed with one decimal
    unexplained = known[~same & (known["difference_pct"].abs() > 0.5) & (known["remark"] == "")]
    assert unexplained.empty, unexplained["network"].tolist()
    assert same.sum() >= 11


def test_equal_time_takes_every_network_and_nobody_more_than_a_row():
    modules = {"srn_lgcr", "srn_pvb"}  # SimpleNet's Table 5
    other_sizes = {"mimounet", "nafnet_64"}  # the tables mean the larger MIMO-UNet
    yardsticks = {"maxim"}  # which no table has, and whose published weights can be had
    assert set(recipes.EQUAL_TIME) == set(models.NETWORKS) - modules - other_sizes - yardsticks
    for name, steps in recipes.EQUAL_TIME.items():
        assert recipes.recipe(name, budget="time").steps == steps
        assert 0 < steps <= recipes.recipe(name, budget="row").steps
        assert recipes.recipe(name, scale="smoke", budget="time") == recipes.recipe(name, scale="smoke", budget="row")
    with pytest.raises(ValueError, match="no steps of equal time were measured for srn at scale paper"):
        recipes.recipe("srn", scale="paper", budget="time")
    with pytest.raises(ValueError, match="for srn_lgcr at scale mini"):
        recipes.recipe("srn_lgcr", budget="time")
