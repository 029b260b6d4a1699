"""The pages that people read first: every link leads somewhere, tables say what the ledger says, README is short."""

import re

import pytest

from deblur import notebooks, paths
from deblur.study import ledger, page
from deblur.study.claims import PAPERS

ROOT = paths.project_root()
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.fixture(autouse=True)
def committed_results(monkeypatch):
    monkeypatch.setenv("DEBLUR_RESULTS", str(ROOT / "results"))
    ledger._records.cache_clear()
    yield
    ledger._records.cache_clear()


def anchors(text):
    """What the headings of a page are called in links."""
    return {page._anchor(title.strip()) for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def broken(path):
    """Links of a page that lead to no file of the project, or to no heading of it."""
    wrong = []
    for link in LINK.findall(path.read_text(encoding="utf-8")):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if re.match("https://", link):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path):
    assert not broken(path)


def test_a_broken_link_is_seen(tmp_path):
    (tmp_path / "a.md").write_text("# One Two\n[x](#one-two) [y](#three) [z](b.md) [w](https://example.org/x)")
    assert broken(tmp_path / "a.md") == ["#three", "b.md"]


def test_readme_is_short_and_has_its_doors():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 200
    for door in ("Does it hold up?", "Read and run a paper", "My photo", "My CI"):
        assert f"(#{page._anchor(door)})" in text
        section = text.split(f"\n## {door}\n")[1].split("\n## ")[0]
        assert "\n```\n" in section.partition("|")[0], f"{door}: no first command"
    assert all(f"(notebooks/{paper}.ipynb)" in text for paper in notebooks.PAPERS)


def test_readme_holds_the_verdicts_of_the_ledger():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.split(page.VERDICTS[0])[1].split(page.VERDICTS[1])[0].strip()
    assert table == page.verdicts(), "run 'deblur status --write'"
    assert len(table.splitlines()) == 2 + len(PAPERS)


def test_a_row_of_verdicts_counts_what_the_page_of_claims_says():
    """The sentences that head a paper's claims, counted another way: from the page as it is committed."""
    claims = (ROOT / "results" / "CLAIMS.md").read_text(encoding="utf-8")
    for line, paper in zip(page.verdicts().splitlines()[2:], PAPERS, strict=True):
        title, total, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        section = claims.split(f"## {page.TITLES[paper]}\n")[1].split("\n## ")[0]
        assert page.TITLES[paper] in title
        assert int(total) == len(re.findall(r"^\| [A-Z]\d+ \|", section, re.MULTILINE))
        assert section.count("| not testable here:") == int(cells[-1].replace("-", "0"))


def test_the_glossary_is_in_order():
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    terms = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(terms) > 20
    assert terms == sorted(terms, key=str.lower)
