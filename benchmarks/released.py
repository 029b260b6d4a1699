"""What the released networks do on blur of full size: scores, figures and pictures of the test split of `bench`.

`python -m benchmarks.released` writes `results/bench/`: `scores.csv` (a row a network and pair), `summary.csv` (a row a
network: gain by kind of blur, steps, device and seconds of its training, those of the last part if it was `continued`
after a break), `gain_by_kind.png`, `gain_by_length.png`, `training.png`, `pictures.png` and, for each network,
`inside_NAME.png`. A network whose scores are not those of its card is refused.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib import pyplot
from matplotlib.figure import Figure
from torch import nn

from deblur import classical, comparison, evaluation, explore, figures, paths, restoration, runs
from deblur.data import bench, official
from deblur.figures import networks as draw
from deblur.figures import raidnet as causes
from deblur.figures.explore import inside

FLOOR = "Wiener filter"


def methods() -> dict[str, evaluation.Restore]:
    """Name -> what restores an image: the released networks, and the filter that knows no direction."""
    found = {name: evaluation.restorer(restoration.load(name)) for name in restoration.cards()}
    if not found:
        raise SystemExit(f"{paths.weights_dir()} holds no weights: there is nothing to report")
    return found | {FLOOR: classical.wiener_floor}


def score(data: runs.Data, restorers: Mapping[str, evaluation.Restore]) -> dict[tuple[str, int], pd.DataFrame]:
    """(Method, seed) -> a row a test pair, with `gain_db`.

    Raises:
        ValueError: if a network does not score what its card says.
    """
    cards, blurred, found = restoration.cards(), runs.blurred_scores(data), {}
    for name, restore in restorers.items():
        scores = evaluation.add_gain(evaluation.evaluate(restore, data.pairs("test"), name), blurred)
        made, gain = cards.get(name), scores["gain_db"].mean()
        if made and abs(gain - made["scores"]["gain_db"]) > 2e-3:
            raise ValueError(
                f"{name} gains {gain:+.4f} dB, its card says {made['scores']['gain_db']:+.4f}: release it anew"
            )
        found[name, made["recipe"]["seed"] if made else 0] = scores
    return found


def summary(scores: Mapping[tuple[str, int], pd.DataFrame], data: runs.Data) -> pd.DataFrame:
    """`comparison.summary` with what each network is and how it was trained; best first."""
    cards = restoration.cards()
    trained = {
        name: {
            "parameters": made["parameters"],
            "steps": made["recipe"]["steps"],
            "seed": made["recipe"]["seed"],
            "training_seconds": made["training"]["training_seconds"],
            "continued": made["training"].get("continued", False),
            "trained_on_device": made["training"]["device"],
        }
        for name, made in cards.items()
    }
    stamps = {"scale": "bench", "data": data.label, "protocol": "full_rgb8"}
    found = comparison.summary(scores).drop(columns=["seeds", "place"])
    return found.assign(**stamps).join(pd.DataFrame(trained).T, on="method")


def training(logs: Mapping[str, pd.DataFrame]) -> Figure:
    """Validation PSNR over the steps of each network's training, the shares of the lessons shaded."""
    figure, axis = pyplot.subplots(figsize=(7, 3), layout="constrained")
    for name, log in logs.items():
        watched = log.dropna(subset="val_psnr_db")
        axis.plot(watched["step"], watched["val_psnr_db"], "o-", markersize=4, label=name)
    last = max(log["step"].max() for log in logs.values())
    for lesson, (start, end) in bench.LESSONS.items():
        axis.axvspan(start * last, end * last, color="gray", alpha=0.15)
        axis.text((start + end) / 2 * last, 0.02, lesson, transform=axis.get_xaxis_transform(), ha="center", fontsize=8)
    axis.set(xlabel="step", ylabel="dB", title="validation PSNR on all kinds of blur (watched, never selected on)")
    figure.legend(loc="outside right upper", fontsize=8)  # inside it would cover somebody's end
    return figure


def one_of_each_kind(pairs: Sequence[official.Pair]) -> dict[str, official.Pair]:
    """Kind of blur -> a pair of it: the first from a scene that no kind before it shows, or the first there is."""
    of_kind: dict[str, list[official.Pair]] = {}
    for pair in pairs:
        of_kind.setdefault(str(official.read_truth(pair)["kind"]), []).append(pair)
    chosen: dict[str, official.Pair] = {}
    for kind, found in of_kind.items():
        shown = {pair.sequence for pair in chosen.values()}
        chosen[kind] = next((pair for pair in found if pair.sequence not in shown), found[0])
    return chosen


def pictures(data: runs.Data, best: str, restore: evaluation.Restore) -> Figure:
    """Blurred, restored by the best network, sharp: a pair of each kind of blur."""
    rows, labels = [], []
    for kind, pair in one_of_each_kind(data.pairs("test")).items():
        images = evaluation.restore_all({best: restore}, *official.read_pair(pair))
        psnr = evaluation.psnr_labels(images)
        rows.append(list(images.values()))
        labels.append([f"{kind}: {psnr['blurred']:.2f} dB", f"{best}: {psnr[best]:.2f} dB", "sharp"])
    return figures.panels(rows, labels=labels, width=3.8)


def seen_inside(data: runs.Data, network: nn.Module) -> Figure:
    """Attention, offsets, masks and the like on a pair with a moving object, below its true motion."""
    of_kind = one_of_each_kind(data.pairs("test"))
    pair = of_kind.get("local") or next(iter(of_kind.values()))
    (blurred, _), truth = official.read_pair(pair), official.read_truth(pair)
    known = {"blurred": blurred, "true way (red: long)": figures.heat(truth["path_px"], blurred.shape[:2])}
    return inside(known | {"cause": causes.coloured(truth["label"])}, explore.inside(network, blurred))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=paths.results_dir() / "bench")
    out = parser.parse_args().out
    report(runs.open_data(scale="bench"), out)
    print(out)


def report(data: runs.Data, out: Path) -> None:
    """Write the tables and figures of all released networks on some data into a folder."""
    restorers = methods()
    scores = score(data, restorers)
    table, names = summary(scores, data), [name for name in restorers if name != FLOOR]
    rows = pd.concat([part.assign(method=name) for (name, _), part in scores.items()])
    paths.write_text(out / "scores.csv", rows.round(4).to_csv(index=False))
    paths.write_text(out / "summary.csv", table.round(4).to_csv(index=False))
    best = next(name for name in table["method"] if name != FLOOR)
    logs = {name: pd.read_csv(paths.weights_dir() / f"{name}.csv") for name in names}
    drawn = {
        "gain_by_kind": draw.gain_by_kind({data.label: table}, names),
        "gain_by_length": draw.gain_by_length(comparison.by_length(scores), names, FLOOR),
        "training": training(logs),
        "pictures": pictures(data, best, restorers[best]),
        **{f"inside_{name}": seen_inside(data, restoration.load(name)) for name in names},
    }
    for name, figure in drawn.items():
        with paths.replacing(out / f"{name}.png") as draft:
            figure.savefig(draft, dpi=80, bbox_inches="tight", format="png", metadata={"Software": None})


if __name__ == "__main__":
    main()
