"""What the released networks do on blur of full size: scores, figures and pictures of the test split of `bench`.

`python -m deblur.reports.releases` writes `results/bench/`: `scores.csv` (a row a method and pair), `summary.csv` (a
row a method: gain by kind of blur, steps, devices and seconds of its training), `gain_by_kind.png`,
`gain_by_length.png`, `training.png`, `pictures.png` and, for each network, `inside_NAME.png`. Methods are the networks,
and the Wiener floor and oracle. A network whose scores are not those of its card is refused.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib import pyplot
from matplotlib.figure import Figure
from torch import nn

from deblur import comparison, evaluation, explore, figures, paths, runs, writing
from deblur.data import bench, copies, official
from deblur.evaluation import classical
from deblur.figures import networks as draw
from deblur.figures import raidnet as causes
from deblur.figures.explore import inside
from deblur.weights import released


def methods() -> dict[str, evaluation.Restore]:
    """Name of a released network -> what restores an image."""
    restorers = {name: evaluation.restorer(released.load(name)) for name in released.cards()}
    if not restorers:
        raise SystemExit(f"{paths.weights_dir()} holds no weights: there is nothing to report")
    return restorers


def score(data: copies.Data, restorers: Mapping[str, evaluation.Restore]) -> dict[tuple[str, int], pd.DataFrame]:
    """(Method, seed) -> a row a test pair, with `gain_db`; the floor and the oracle are among the methods.

    Raises:
        ValueError: if a network does not score what its card says.
    """
    cards, blurred, tables = released.cards(), runs.blurred_scores(data), {}
    for name, restore in restorers.items():
        scores = evaluation.add_gain(evaluation.evaluate(restore, data.pairs("test"), name), blurred)
        made, gain = cards.get(name), scores["gain_db"].mean()
        said = made.gain_db if made else None
        if said is not None and abs(gain - said) > 2e-3:
            raise ValueError(f"{name} gains {gain:+.4f} dB, its card says {said:+.4f}: release it anew")
        tables[name, (made.recipe or {}).get("seed", 0) if made else 0] = scores
    return tables | {(name, 0): evaluation.add_gain(part, blurred) for name, part in runs.bounds(data).items()}


def summary(scores: Mapping[tuple[str, int], pd.DataFrame], data: copies.Data) -> pd.DataFrame:
    """`comparison.summary` with what each network is and how it was trained; best first."""
    cards = released.cards()
    trained = {
        name: {
            "parameters": made.parameters,
            "steps": made.steps,
            "seed": made.recipe["seed"],
            "training_seconds": made.training["training_seconds"],
            "trained_on_device": made.training["device"],
        }
        for name, made in cards.items()
        if made.recipe and made.training
    }
    stamps = {"scale": "bench", "data": data.label, "protocol": "full_rgb8"}
    table = comparison.summary(scores).drop(columns=["seeds", "place"])
    return table.assign(**stamps).join(pd.DataFrame(trained).T, on="method")


def training(logs: Mapping[str, pd.DataFrame]) -> Figure:
    """Validation PSNR over the steps of each network's training, the shares of the curriculum shaded."""
    figure, axis = pyplot.subplots(figsize=(7, 3), layout="constrained")
    for name, log in logs.items():
        watched = log.dropna(subset="val_psnr_db")
        axis.plot(watched["step"], watched["val_psnr_db"], "o-", markersize=4, label=name)
    last = max(log["step"].max() for log in logs.values())
    for phase, (start, end) in bench.CURRICULUM.items():
        axis.axvspan(start * last, end * last, color="gray", alpha=0.15)
        axis.text((start + end) / 2 * last, 0.02, phase, transform=axis.get_xaxis_transform(), ha="center", fontsize=8)
    axis.set(xlabel="step", ylabel="dB", title="validation PSNR on all kinds of blur (watched, never selected on)")
    figure.legend(loc="outside right upper", fontsize=8)  # inside it would cover somebody's end
    return figure


def one_of_each_kind(pairs: Sequence[official.Pair]) -> dict[str, official.Pair]:
    """Kind of blur -> a pair of it: the first from a scene that no kind before it shows, or the first there is."""
    of_kind: dict[str, list[official.Pair]] = {}
    for pair in pairs:
        of_kind.setdefault(str(official.read_truth(pair)["kind"]), []).append(pair)
    chosen: dict[str, official.Pair] = {}
    for kind, candidates in of_kind.items():
        shown = {pair.sequence for pair in chosen.values()}
        chosen[kind] = next((pair for pair in candidates if pair.sequence not in shown), candidates[0])
    return chosen


def pictures(data: copies.Data, best: str, restore: evaluation.Restore) -> Figure:
    """Blurred, restored by the best network, sharp: a pair of each kind of blur."""
    rows, labels = [], []
    for kind, pair in one_of_each_kind(data.pairs("test")).items():
        images = evaluation.restore_all({best: restore}, *official.read_pair(pair))
        psnr = evaluation.psnr_labels(images)
        rows.append(list(images.values()))
        labels.append([f"{kind}: {psnr['blurred']:.2f} dB", f"{best}: {psnr[best]:.2f} dB", "sharp"])
    return figures.panels(rows, labels=labels, width=3.8)


def seen_inside(data: copies.Data, network: nn.Module, verdicts: Mapping[str, str]) -> Figure:
    """Attention, offsets, masks and the like on a pair with a moving object, below its true motion.

    Args:
        verdicts: of the network's parts, by its card.
    """
    of_kind = one_of_each_kind(data.pairs("test"))
    pair = of_kind.get("local") or next(iter(of_kind.values()))
    (blurred, _), truth = official.read_pair(pair), official.read_truth(pair)
    images = {"blurred": blurred, "true path (bright: long)": figures.heat(truth["path_px"], blurred.shape[:2])}
    return inside(images | {"cause": causes.coloured(truth["label"])}, explore.inside(network, blurred, verdicts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=paths.results_dir() / "bench")
    out = parser.parse_args().out
    report(copies.open_data(scale="bench"), out)
    print(out)


def report(data: copies.Data, out: Path) -> None:
    """Write the tables and figures of all released networks on some data into a folder."""
    restorers, cards = methods(), released.cards()
    scores = score(data, restorers)
    table, names = summary(scores, data), list(restorers)
    rows = pd.concat([part.assign(method=name) for (name, _), part in scores.items()])
    writing.write_text(out / "scores.csv", rows.round(4).to_csv(index=False))
    writing.write_text(out / "summary.csv", table.round(4).to_csv(index=False))
    best = next(name for name in table["method"] if name in restorers)
    logs = {name: pd.read_csv(paths.weights_dir() / f"{name}.csv") for name in names}
    drawn = {
        "gain_by_kind": draw.gain_by_kind({data.label: table}, names),
        "gain_by_length": draw.gain_by_length(comparison.by_length(scores), names, classical.BOUNDS),
        "training": training(logs),
        "pictures": pictures(data, best, restorers[best]),
        **{f"inside_{name}": seen_inside(data, released.load(name), cards[name].verdicts) for name in names},
    }
    for name, figure in drawn.items():
        with writing.replacing(out / f"{name}.png") as draft:
            figure.savefig(draft, dpi=80, bbox_inches="tight", format="png", metadata={"Software": None})


if __name__ == "__main__":
    main()
