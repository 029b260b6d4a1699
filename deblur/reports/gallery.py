"""The gallery: what is in `results/` and `weights/`, as the source of a static site that `make gallery` builds.

`python -m deblur.reports.gallery FOLDER` writes the source: a page a paper, its executed notebooks, all claims, a
comparison, a page a released network. It takes whatever results there are, and trains nothing.
"""

import argparse
import html
import json
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import yaml
from matplotlib.figure import Figure
from PIL import Image

from deblur import columns, paths, stale, tables, writing
from deblur.evaluation import metrics
from deblur.explore import Choice, expose, slider
from deblur.figures.claims import forest
from deblur.photos import restoration
from deblur.study import ledger, page
from deblur.study.claims import PAPERS, TIERS
from deblur.talk import say
from deblur.weights import released
from deblur.weights.cards import Card

SHOWN = [Choice(*one, seed=0) for one in (("astronaut", "straight", 12.0), ("motorcycle", "global", 12.0))]
"""Test scenes that sliders show."""

SCALES = ("bench", "mini")
"""Of executed notebooks; `paper` comes first where there are any."""

WORDS = {
    "attentive": "Attentive",
    "radn": "Region-Adaptive Dense",
    "raidnet": "RAID-Net",
    "sgenet": "SGENet",
    "simplenet": "Light Global Context",
}
"""Paper -> words of its title in CITATION.cff."""

DOCUMENTS = ("glossary", "photos", "benchmarks", "disagreements", "training", "status", "install", "ci", "house")


def write(out: Path) -> None:
    """Write the source of the site into a folder that is new, empty, or of an earlier call.

    Raises:
        OSError: if something else is there.
    """
    with writing.delivering_folder(out, writing.listed_in("gallery.json")) as draft:
        assets = paths.project_root() / "docs" / "gallery"
        (draft / "_static").mkdir()
        shutil.copy(assets / "conf.py", draft)
        for name in ("gallery.css", "gallery.js"):
            shutil.copy(assets / name, draft / "_static")
        (draft / "_static" / "slider.css").write_text(slider.CSS, encoding="utf-8")
        rows = ledger.table()
        sliders = _sliders(draft)
        notebooks = {paper: _notebooks(draft, paper) for paper in (*PAPERS, "comparison")}
        _write(draft, "index", _index(sliders))
        for paper in PAPERS:
            _write(draft, f"paper-{paper}", _paper(draft, paper, rows, notebooks[paper]))
        _write(draft, "claims", _claims(draft, rows))
        _write(draft, "comparison", _comparison(draft, notebooks["comparison"]))
        for name, card in tables.released_cards().items():
            _write(draft, f"network-{name}", _network(name, card, sliders.get(name, "")))
        _documents(draft)
        files = paths.hashes(draft)
        writing.write_text(draft / "gallery.json", json.dumps({"files": files}, indent=1))


def _write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.md").write_text(text, encoding="utf-8")


def _contents(caption: str, names: Iterable[str]) -> str:
    listed = "\n".join(names)
    return f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```\n"


def _entry(name: str) -> str:
    """An executed notebook in a list of contents: several of one paper have one title."""
    return f"notebook at {name.split('-')[1]} <{name}>"


# -------------------------------------------------------------------------------------------------------- pictures


def _sliders(draft: Path) -> dict[str, str]:
    """Released network -> sliders over what it makes of `SHOWN`, best network first."""
    folder, cards = draft / "_static", tables.released_cards()
    made = {}
    for name in dict.fromkeys([*released.by_gain(cards), *cards]):
        network, parts = released.load(name), []
        for choice in SHOWN:
            seen = expose(choice)
            before, after = f"{choice.photograph}.png", f"{choice.photograph}-{name}.png"
            restored = restoration.restore(seen.blurred, network)
            for file, pixels in ((before, seen.blurred), (after, restored)):
                Image.fromarray(pixels).save(folder / file)
            assert seen.truth is not None
            levels = [metrics.psnr_db(image, seen.truth.sharp) for image in (seen.blurred, restored)]
            words = (
                f"{choice.kind} blur of {choice.length_px:.0f} px: {levels[0]:.2f} dB before, {levels[1]:.2f} dB after"
            )
            caption = f"{choice.photograph}, {words}, restored by {name}. Left of the line before, right of it after."
            parts.append(slider.slider(f"_static/{before}", f"_static/{after}", caption))
        made[name] = "\n".join(parts)
    return made


def _drawn(draft: Path, name: str, figure: Figure, alt: str) -> str:
    """A figure as a picture of the site, on white."""
    from matplotlib import pyplot

    figure.savefig(draft / "_static" / f"{name}.png", dpi=110, facecolor="white")
    pyplot.close(figure)
    return f"![{alt}](_static/{name}.png)\n"


# ---------------------------------------------------------------------------------------------------------- tables


def _table(titles: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A table that sorts by a click on its head, in a box that scrolls."""
    head = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(_cell(cell))}</td>" for cell in row) + "</tr>\n" for row in rows)
    opened = '<div class="sortable table-scroll"><table class="table">'
    return f"{opened}<thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>\n"


def _cell(value: object) -> str:
    """Numbers to four digits, empty where nothing is known."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _of_file(path: Path, without: Iterable[str] = ("data", "protocol", "scale", "seed")) -> str:
    """A table's file, the gains before the other scores."""
    frame = pd.read_csv(path)
    shown = [name for name in frame if name not in without and frame[name].notna().any()]
    frame = frame[sorted(shown, key=lambda name: (name != "method", not name.startswith("gain_db")))]
    cells = [columns.texts(name, frame[name]) for name in frame]
    return _table(map(columns.header, frame), zip(*cells, strict=True))


# ----------------------------------------------------------------------------------------------------------- pages


def _index(sliders: Mapping[str, str]) -> str:
    best = next(iter(sliders), "")
    networks = [f"network-{name}" for name in sliders]
    papers = ", ".join(f"[{page.TITLES[paper]}](paper-{paper}.md)" for paper in PAPERS)
    return f"""# Five motion-deblurring papers, put to the test

Five papers say how a neural network can sharpen a photo that motion has blurred. Here their networks are built again,
trained, and their claims are tested. No training here is as long as a paper's.

- Does it hold up? [All claims](claims.md), with verdicts.
- Read a paper: {papers}.
- My photo: drag the line below, then see [how to restore your own](doc-photos.md).
- My CI: [a workflow to copy](doc-ci.md).

{sliders.get(best, "")}

## Verdicts so far

*Depth* trains few claims long, *breadth* many briefly. A claim is *not yet* decided until all its trainings are there.

{_verdicts()}

{_contents("Papers", [f"paper-{paper}" for paper in PAPERS])}
{_contents("Results", ["claims", "comparison"])}
{_contents("Released networks", networks)}
{_contents("Documents", [f"doc-{name}" for name in DOCUMENTS])}
"""


def _verdicts() -> str:
    """The table of README, with links into this site."""
    return re.sub(r"results/CLAIMS\.md#[\w-]+", "claims.md", page.verdicts())


def _citation(paper: str) -> Mapping:
    content = yaml.safe_load((paths.project_root() / "CITATION.cff").read_text(encoding="utf-8"))
    return next(entry for entry in content["references"] if WORDS[paper] in entry["title"])


def _cited(entry: Mapping) -> str:
    """Authors, place, year and address of a paper, as far as they are known, and what must be said of that."""
    people = [
        " ".join(filter(None, (a.get("given-names"), a.get("family-names") or a.get("name")))) for a in entry["authors"]
    ]
    who = "authors unknown" if people == ["unknown"] else ", ".join(people)
    where = entry.get("journal") or entry["conference"]["name"]
    when = str(entry.get("year", "year unknown"))
    address = f"https://doi.org/{entry['doi']}" if "doi" in entry else entry.get("url")
    said = [who, where, when, f"<{address}>" if address else "no DOI known to us", entry.get("notes")]
    return ". ".join(f"{text[0].upper()}{text[1:]}" for text in said if text) + "."


def _paper(draft: Path, paper: str, rows: pd.DataFrame, notebooks: Iterable[str]) -> str:
    entry, own = _citation(paper), rows[rows["paper"] == paper]
    names = list(notebooks)
    links = "\n".join(f"- [Executed notebook, scale {name.split('-')[1]}]({name}.ipynb)" for name in names)
    code = (paths.PACKAGE / "models" / f"{paper}.py").read_text(encoding="utf-8")
    return f"""# {page.TITLES[paper]}

*{entry["title"]}*. {_cited(entry)}

{links or "No notebook has been executed yet: `deblur reproduce` does it."}

{_contents("Notebooks", map(_entry, names)) if names else ""}

## Claims

{_of_claims(draft, paper, own)}

## The network in code

```{{code-block}} python
{code}
```
"""


def _of_claims(draft: Path, paper: str, rows: pd.DataFrame) -> str:
    """A paper's claims with verdicts, and forest plots of what was measured."""
    listed = page._listed(paper, rows)
    said = [(claim.id, claim.claim, claim.printed, page.said(verdicts).replace("**", "")) for claim, verdicts in listed]
    parts = [page.summary(listed), _table(("", "claim", "printed", "verdict"), said)]
    for tier in TIERS:
        if figure := forest(rows[rows["tier"] == tier]):
            alt = f"effects measured in {tier}, with intervals, beside the printed ones"
            parts += [
                f"*{tier.capitalize()}*: {TIERS[tier].words}.",
                _drawn(draft, f"forest-{paper}-{tier}", figure, alt),
            ]
    return "\n\n".join(parts)


def _claims(draft: Path, rows: pd.DataFrame) -> str:
    head = (paths.results_dir() / "CLAIMS.md").read_text(encoding="utf-8").partition("\n## ")[0]
    parts = [f"## {page.TITLES[paper]}\n\n{_of_claims(draft, paper, rows[rows['paper'] == paper])}" for paper in PAPERS]
    return "\n\n".join([head, *parts])


def _comparison(draft: Path, notebooks: Iterable[str]) -> str:
    parts = ["# Networks side by side\n\nA click on the head of a column sorts."]
    names = list(notebooks)
    parts += [f"[Executed notebook]({name}.ipynb)" for name in names] + (
        [_contents("Notebooks", map(_entry, names))] if names else []
    )
    tabled = {
        "bench/summary.csv": "Released networks and bounds, blur of full size",
        "mini/comparison/tables/equal_steps.csv": "Equal steps, small blur",
        "mini/comparison/tables/equal_time.csv": "Equal time, small blur",
        "mini/comparison/tables/costs.csv": "Size and time",
    }
    for name, title in tabled.items():
        if (path := paths.results_dir() / name).is_file():
            parts.append(f"## {title}\n\n{_of_file(path)}")
    for name, alt in {"gain_by_kind": "gain by kind of blur", "gain_by_length": "gain by length of the path"}.items():
        if (path := paths.results_dir() / "bench" / f"{name}.png").is_file():
            shutil.copy(path, draft / "_static")
            parts.append(f"![{alt}](_static/{name}.png)")
    return "\n\n".join(parts)


def _network(name: str, card: Card, sliders: str) -> str:
    """A released network: what it cannot do, what it gains, its parts, its card."""
    scores, parts = card.scores or {}, card.parts or {}
    gains = [
        (key.removeprefix("gain_db").strip("_").replace("_", " ") or "all", columns.number(value, 2, signed=True))
        for key, value in scores.items()
        if "gain_db" in key
    ]
    changes = [(part, columns.number(e["change_db"], 3, signed=True), e["verdict"]) for part, e in parts.items()]
    old = "\n:::{note}\nMade by earlier code: the present code might give other numbers.\n:::\n"
    kept = {key: value for key, value in vars(card).items() if key not in ("parts", "more") and value is not None}
    return f"""# {name}

{page.TITLES.get(card.network, card.network)}, {card.parameters or 0:,} parameters, {card.steps or 0:,} steps.
{old if f"weights/{name}" in stale.listed() else ""}
{sliders}

## What it cannot do

{chr(10).join(f"- {limit}" for limit in card.limits or ["Nothing is said of it."])}

## What it gains

Over the blurred input, in dB, on the test pairs.

{_table(("blur", "gain in dB"), gains)}

## What its parts do

Change of PSNR when a part is taken out of the trained network; negative: it is missed.

{_table(("part", "change in dB", "verdict"), changes)}

## Its card

```{{code-block}} json
{json.dumps(kept, indent=1)}
```
"""


# ------------------------------------------------------------------------------------------- notebooks and documents


def _notebooks(draft: Path, paper: str) -> list[str]:
    """Copy a paper's executed notebooks; returns the names of their pages, the largest scale first."""
    names = []
    for scale in ("paper", *SCALES):
        path = paths.results_dir() / scale / paper / f"{paper}.ipynb"
        if path.is_file():
            notebook = nbformat.read(path, as_version=4)
            for cell in notebook.cells:
                if cell.cell_type == "markdown":
                    cell.source = _without_links(cell.source)
            nbformat.write(notebook, draft / f"notebook-{scale}-{paper}.ipynb")
            names.append(f"notebook-{scale}-{paper}")
    return names


def _documents(draft: Path) -> None:
    """The documents of `docs/`: links among them stay, others out of the site become words."""
    for name in DOCUMENTS:
        text = (paths.project_root() / "docs" / f"{name}.md").read_text(encoding="utf-8")
        for path in re.findall(r"\]\(\.\./(results/[\w/]+\.png)\)", text):
            shutil.copy(paths.project_root() / path, draft / "_static")
        text = re.sub(r"\]\(\.\./results/(?:[\w]+/)*([\w]+\.png)\)", r"](_static/\1)", text)
        text = text.replace("](../results/CLAIMS.md)", "](claims.md)")
        text = re.sub(
            r"```mermaid\n.*?```", "*(The drawing needs a reader that knows Mermaid.)*", text, flags=re.DOTALL
        )
        text = re.sub(rf"\]\(({'|'.join(DOCUMENTS)})\.md", r"](doc-\1.md", text)
        _write(draft, f"doc-{name}", _without_links(text))


def _without_links(text: str) -> str:
    """Markdown whose links to files that are no page of the site are words."""
    return re.sub(r"(?<!!)\[([^\]]*)\]\((?!https?:|#|doc-|claims\.md)[^)]*\)", r"\1", text)


def main(arguments: list[str] | None = None) -> None:
    """Write the source of the site."""
    parser = argparse.ArgumentParser(prog="python -m deblur.reports.gallery", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the source of the site is written")
    folder = parser.parse_args(arguments).folder
    write(folder)
    say(f"wrote {folder}")


if __name__ == "__main__":
    main()
