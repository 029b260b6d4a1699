"""All networks side by side on the same data: means and spread over seeds, and no rank where spreads overlap.

Scores are tables with one row per image, as `evaluation.evaluate` gives them with `add_gain`; spread is the range from
the lowest to the highest seed, since three seeds carry no deviation worth the name.
"""

from collections.abc import Mapping, Sequence

import pandas as pd
from scipy.stats import spearmanr

from deblur import methods, paths, tables

SCORES = ("psnr_db", "ssim_gauss_rgb", "ssim_matlab_volume", "gain_db")

PRINTED = {
    "attentive": (1, "psnr_db", (1, "psnr_db", "Ours")),
    "radn": (1, "psnr_db", (1, "psnr_db", "RADN(Final)")),
    "simplenet": (1, "psnr_db", (1, "psnr_db", "Ours")),
    "sgenet": (1, "psnr_db", (1, "psnr_db", "SGENet")),
    "raidnet": (3, "gopro_psnr_db", (2, "psnr_db", "RAID-Net")),  # its Table 3 has the large size only
}
"""Paper -> its comparison table and that table's column of PSNR on GoPro, and where its own network stands."""


def summary(scores: Mapping[tuple[str, int], pd.DataFrame], beside: Sequence[str] = ()) -> pd.DataFrame:
    """One row a method, best first: means over images and seeds, spread over seeds, place.

    Args:
        scores: (method, seed) -> one row per image, with `gain_db`.
        beside: methods that compete for no place, such as one that is told the blur.

    Returns:
        method, seeds, the mean of each score, `gain_db_<kind>` where kinds of blur are known, `gain_db_lowest` and
        `gain_db_highest` over the seeds, `place` as `places` gives it.
    """
    rows = []
    for (method, _), table in scores.items():
        row = {"method": method} | {name: table[name].mean() for name in SCORES}
        kinds = table.groupby("kind")["gain_db"].mean() if "kind" in table else {}
        rows.append(row | {f"gain_db_{kind}": gain for kind, gain in dict(kinds).items()})
    seeds = pd.DataFrame(rows).groupby("method")
    means = seeds.mean()
    means.insert(0, "seeds", seeds.size())
    means["gain_db_lowest"], means["gain_db_highest"] = seeds["gain_db"].min(), seeds["gain_db"].max()
    competing = means.drop(index=[method for method in beside if method in means.index])
    means["place"] = places(competing["gain_db_lowest"], competing["gain_db_highest"]).reindex(
        means.index, fill_value=""
    )
    return means.sort_values("gain_db", ascending=False).reset_index()


def places(lowest: pd.Series, highest: pd.Series) -> pd.Series:
    """The places that each method may hold, e.g. "2" or "3 to 6": one is better only if the spreads do not overlap.

    Args:
        lowest, highest: ends of the spread of a score of which more is better, one index a method. A method without
            spread (one seed) overlaps whatever contains it.
    """
    if (lowest > highest).any():
        raise ValueError(f"lowest exceeds highest: {', '.join(map(str, lowest.index[lowest > highest]))}")
    better = [int((lowest > highest[method]).sum()) for method in lowest.index]
    worse = [int((highest < lowest[method]).sum()) for method in lowest.index]
    first, last = pd.Series(better) + 1, len(lowest) - pd.Series(worse)
    names = [str(a) if a == b else f"{a} to {b}" for a, b in zip(first, last)]
    return pd.Series(names, index=lowest.index)


def by_length(scores: Mapping[tuple[str, int], pd.DataFrame], parts: int = 3) -> pd.DataFrame:
    """Mean gain in equally large parts of the images, by the mean length of their pixels' paths; empty if unknown.

    Returns:
        method, `path_px` (mean of the part), `pairs`, `gain_db` (mean over seeds and images), shortest paths first.
    """
    by_seed = []
    for (method, _), table in scores.items():
        if "path_px" in table:
            part = pd.qcut(table["path_px"].rank(method="first"), parts, labels=False)
            grouped = table.groupby(part)
            means = (
                grouped[["path_px", "gain_db"]].mean().assign(method=method, part=range(parts), pairs=grouped.size())
            )
            by_seed.append(means)
    if not by_seed:
        return pd.DataFrame(columns=["method", "path_px", "pairs", "gain_db"])
    means = pd.concat(by_seed).groupby(["method", "part"], sort=False)[["path_px", "pairs", "gain_db"]].mean()
    return means.reset_index().drop(columns="part").astype({"pairs": int})


def printed_psnr() -> pd.DataFrame:
    """PSNR on GoPro as the five papers' tables print it for the networks that are here: network, lowest, highest."""
    rows = []
    for paper, (number, column, ours) in PRINTED.items():
        table = tables.printed(paper, number).set_index("method")[column]
        named = tables.peers(paper, set(methods.NETWORK_OF.values()))
        rows += [(named[method], float(value)) for method, value in table.items() if method in named and value]
        number, column, method = ours
        rows.append((paper, float(tables.printed(paper, number).set_index("method").loc[method, column])))
    grouped = pd.DataFrame(rows, columns=["network", "psnr_db"]).groupby("network")["psnr_db"]
    return grouped.agg(["min", "max"]).set_axis(["lowest", "highest"], axis=1).reset_index()


def order_agreement(measured: pd.Series, printed: pd.Series) -> dict[str, float]:
    """Spearman's rank correlation of measured and printed scores over the methods that both have.

    Returns:
        `methods` (how many), `spearman`, `p_value` (two-sided); nan with fewer than three.
    """
    both = pd.concat([measured.rename("measured"), printed.rename("printed")], axis=1).dropna()
    if len(both) < 3:
        return {"methods": len(both), "spearman": float("nan"), "p_value": float("nan")}
    correlation = spearmanr(both["measured"], both["printed"])
    return {"methods": len(both), "spearman": float(correlation.statistic), "p_value": float(correlation.pvalue)}


def ranked(table: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """The rows of some methods of a `summary`, with the places that they hold among each other."""
    rows = table[table["method"].isin(methods)].set_index("method")
    return rows.assign(place=places(rows["gain_db_lowest"], rows["gain_db_highest"])).reset_index()


UNITS = {"M": 1e-6, "MB": 4e-6, "MiB": 4 / 2**20}
"""Size of one parameter in millions, and of its four bytes in MB and MiB."""


def sizes(parameters: Mapping[str, int]) -> pd.DataFrame:
    """Parameters beside the size that somebody published: `published`, `ours` in its unit, `difference_pct`, `remark`.

    Args:
        parameters: network -> number of learned values.
    """
    table = pd.read_csv(paths.printed_dir() / "comparison" / "sizes.csv").set_index("network").loc[list(parameters)]
    count = pd.Series(parameters)
    ours = count * table["unit"].map(UNITS)
    table.insert(0, "parameters", count)
    table.insert(3, "ours", ours)
    table.insert(4, "difference_pct", 100 * (ours / table["published"] - 1))
    return table.fillna({"unit": "", "source": "", "remark": ""}).reset_index(names="network")
