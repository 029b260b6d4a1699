"""The ledger as it is read: `results/claims.csv`, a row a contrast, and `results/CLAIMS.md`, a row a claim."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from deblur import paths, recipes, writing
from deblur.study import ledger, overview
from deblur.study.claims import PAPERS, TIERS, claims
from deblur.study.overview import Listed
from deblur.talk import table

TITLES = {
    "attentive": "Attentive network (Xu et al.)",
    "radn": "RADN",
    "raidnet": "RAID-Net",
    "sgenet": "SGENet",
    "simplenet": "SimpleNet",
}

HEAD = """# What the papers claim, and what came out

Written by `deblur claims --write` from the records in `results/study/`; nothing here was typed. `deblur study` makes
the records, `results/claims.csv` has every contrast with its numbers.

A verdict belongs to a scale:

{tiers}

It falls when all planned seeds are there. *No effect*: the 95 % interval lies within the smallest effect that matters
(0.1 dB, or a third of the printed one). *Holds*, *fails*: it leaves out zero, on the side that the claim expects or on
the other. *Undecided*: neither, after the correction below (an interval that leaves out zero by a little may be
undecided); the smallest effect that would have been seen stands beside it. *Nothing learnt*: not
even the better arm is above a Wiener filter that learns nothing. *Part inert*: most of what is looked at inside the
networks is constant, or sends its taps off the map. What is counted holds everywhere; what is timed is decided on a GPU
alone (`deblur study --checks`). Seeds and scenes both count as drawn at random;
contrasts of one table are corrected together (Holm). How often these rules err, and what they see, is simulated in
`results/study/simulation.csv`.

What is scored are moving averages of the weights, which hold a share of the untrained ones: {shares}.
Effects early in a training are of networks that were held back so, all arms alike.
"""


def write() -> list[Path]:
    """Write the ledger's table and its page; returns both files.

    Raises:
        OSError: if something else is there, or they cannot be written.
    """
    page, table = (_ours(paths.results_dir() / name, start) for name, start in _STARTS.items())
    with writing.delivering(page, overwrite=True) as page_draft, writing.delivering(table, overwrite=True) as draft:
        rows = ledger.table()
        draft.write_text(rows.to_csv(index=False), encoding="utf-8")
        page_draft.write_text(markdown(rows), encoding="utf-8")
    return [page, table]


_STARTS = {"CLAIMS.md": HEAD.partition("\n")[0], "claims.csv": ",".join(ledger.COLUMNS[:3])}
"""Name of a file -> what it begins with if it is of an earlier call."""


def _ours(file: Path, start: str) -> Path:
    """A file that may be replaced."""
    writing.check_file(file, overwrite=True)
    if file.is_file() and not file.read_bytes().startswith(start.encode()):
        raise writing.InTheWayError(f"{file} is already there, and not of an earlier call; move it away")
    return file


def markdown(rows: pd.DataFrame) -> str:
    """The page, of what `ledger.table` gives for all papers."""
    tiers = "\n".join(f"- *{name}*: {tier.words}; {tier.seeds} seeds." for name, tier in TIERS.items())
    parts = [HEAD.format(tiers=tiers, shares="; ".join(map(_untrained, TIERS)))]
    for paper in PAPERS:
        own = rows[rows["paper"] == paper]
        listed = _listed(paper, own)
        cited = overview.paragraph(TITLES[paper], paper, listed, own)
        parts += [f"## {TITLES[paper]}\n\n{summary(listed)}\n\n*To cite*: {cited}\n", _lines(listed, own)]
    return "\n".join([*parts, *filter(None, map(_networks, TIERS))])


def _untrained(tier: str) -> str:
    """How much of the untrained weights is in a tier's averages, after each share of a training that is looked at."""
    recipe = recipes.recipe(PAPERS[0], scale=TIERS[tier].scale, budget="study")
    held = [f"{100 * recipe.average ** (share * recipe.steps):.1f} %" for share in ledger.SHARES]
    return f"in {tier} {held[0]} after a quarter, {held[1]} after half, {held[2]} at the end"


def _networks(tier: str) -> str:
    """What the networks of a tier gain; empty before there are any."""
    rows = overview.networks(tier)
    if rows.empty:
        return ""
    floor, oracle = (f"{rows[name].iloc[0]:+.2f}" for name in ("floor", "oracle"))
    lines = [
        f"## The networks of {tier}\n",
        f"Gains over the blurred input in dB on the exam ({TIERS[tier].words}):",
        f"the mean of the seeds, the lowest and the highest. A Wiener filter that guesses gains {floor},",
        f"one that is told the kernels {oracle}.\n",
        "| training | seeds | parameters | gain | lowest | highest | time of training |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for row in rows.itertuples():
        gains = " | ".join(f"{gain:+.2f}" for gain in (row.gain, row.lowest, row.highest))
        lines.append(f"| {row.arm} | {row.seeds} | {row.parameters:,} | {gains} | {row.time} |")
    return "\n".join(lines) + "\n"


def _listed(paper: str, rows: pd.DataFrame) -> Listed:
    """A paper's claims with their verdicts, of its rows of the ledger."""
    return [(claim, ledger.of_claim(claim, rows)) for claim in claims(paper)]


def summary(listed: Listed) -> str:
    """How many claims came out how, a sentence a tier, and one for all that is counted or timed."""
    sentences = [f"{place}: {_words(counts)}." for place, counts in _counts(listed).items()]
    if rest := _untiered(listed):
        sentences.append(f"Of {len(listed)} claims, {_words(rest)}.")
    return " ".join(sentences)


def _counts(listed: Listed) -> dict[str, Counter[str]]:
    """Where claims are decided, in words -> how many came out how; places without any are left out."""
    places = {**{tier.capitalize(): (tier,) for tier in TIERS}, "Counted or timed": _others(listed)}
    counts = {
        place: Counter(_kind(verdicts[tier]) for _, verdicts in listed for tier in tiers if tier in verdicts)
        for place, tiers in places.items()
    }
    return {place: count for place, count in counts.items() if count}


def _untiered(listed: Listed) -> Counter[str]:
    return Counter(_kind(verdicts[""]) for _, verdicts in listed if "" in verdicts)


def _words(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.most_common())


VERDICTS = ("<!-- verdicts: written by `deblur status --write` -->", "<!-- end of verdicts -->")


def verdicts() -> str:
    """How the claims of each paper came out: a Markdown table, a row a paper that leads to its claims."""
    places = [*(tier.capitalize() for tier in TIERS), "Counted or timed"]
    lines = [f"| paper | claims | {' | '.join(places)} | {ledger.NOT_HERE} |", "|---|---|" + "---|" * (len(places) + 1)]
    rows = ledger.table()
    for paper in PAPERS:
        listed = _listed(paper, rows[rows["paper"] == paper])
        counts = _counts(listed)
        cells = [_words(counts.get(place, Counter())) or "-" for place in places]
        link = f"[{TITLES[paper]}](results/CLAIMS.md#{_anchor(TITLES[paper])})"
        lines.append(f"| {link} | {len(listed)} | {' | '.join(cells)} | {_untiered(listed).total() or '-'} |")
    return "\n".join(lines)


def _anchor(title: str) -> str:
    """What a heading is called in a link, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def write_verdicts() -> Path:
    """Put `verdicts` between its two marks in README.md; not a byte beside it changes.

    Raises:
        ValueError: if the marks are not there, each once.
        OSError: if there is no such file.
    """
    path = paths.project_root() / "README.md"
    writing.write_between(path, VERDICTS, verdicts)
    return path


def _others(listed: Listed) -> tuple[str, ...]:
    """What claims are about that no tier decides."""
    return tuple({tier for _, verdicts in listed for tier in verdicts} - {*TIERS, ""})


def _kind(verdict: str) -> str:
    """A verdict without what it waits for or why."""
    return verdict.partition(":")[0] if verdict.startswith(("not yet", ledger.NOT_HERE)) else verdict


def _lines(listed: Listed, rows: pd.DataFrame) -> str:
    lines = ["| | claim | printed | measured | verdict |", "|---|---|---|---|---|"]
    for claim, verdicts in listed:
        own = rows[(rows["claim"] == claim.id) & rows["decides"]]
        effects = "<br>".join(filter(None, (effect(row) for row in own.to_dict("records"))))
        lines.append(f"| {claim.id} | {claim.claim} ({claim.place}) | {claim.printed} | {effects} | {said(verdicts)} |")
    return "\n".join(lines) + "\n"


def said(verdicts: Mapping[str, str]) -> str:
    """A claim's verdicts, as Markdown."""
    return "; ".join(f"{tier}: **{verdict}**" if tier else verdict for tier, verdict in verdicts.items())


def effect(row: Mapping) -> str:
    """A contrast's effect with its interval, in words; empty before there is one."""
    if row["tier"] not in TIERS:
        return row["contrast"]
    if pd.isna(row["effect"]):
        return ""
    half = "" if pd.isna(row["half"]) else f", {row['half']:+.{overview.digits_of(row)}f} at half its length"
    seeds = f"{row['seeds']} of {row['planned']} seeds ({row['tier']})"
    return f"{row['contrast']}: {overview.effect(row)}{half}, {seeds}"


def text(papers: Sequence[str] = PAPERS) -> str:
    """Claims and verdicts of some papers, to read on a terminal."""
    lines = []
    for paper in papers:
        rows = ledger.table([paper])
        for claim in claims(paper):
            verdicts = ledger.of_claim(claim, rows)
            said = "; ".join(f"{tier}: {verdict}" if tier else _kind(verdict) for tier, verdict in verdicts.items())
            lines.append([claim.id, claim.claim, said])
    return table(["claim", "says", "verdict"], lines)
