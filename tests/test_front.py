"""The pages that people read first: every link leads somewhere, tables say what the ledger says, README is short."""

import json
import re
from importlib.util import find_spec

import pytest
import yaml

from deblur import cli, notebooks, paths
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


# ----------------------------------------------------------------------------------------- workflows, forms, container


def steps(text):
    """The commands that a workflow runs."""
    return [step["run"] for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"] if "run" in step]


def workflows():
    example = re.search(r"```yaml\n(.*?)```", (ROOT / "docs" / "ci.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    files = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    return {"docs/ci.md": example} | {path.name: path.read_text(encoding="utf-8") for path in files}


@pytest.mark.parametrize("name", ["docs/ci.md", "gallery.yml", "test.yml"])
def test_a_workflow_calls_what_there_is(name):
    assert workflows().keys() >= {name}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for command in steps(workflows()[name]):
        program, *words = command.split()
        assert program == "make" or program.startswith(".venv/bin/")
        assert program != "make" or set(words) <= targets
        files = [word for word in words if re.fullmatch(r"(tests|notebooks)/\S+", word)]
        assert all((ROOT / file).exists() for file in files), command
        if program.endswith("deblur"):
            assert cli.parser().parse_args(words).run
        if "-m" in words and not words[words.index("-m") + 1].startswith("pytest"):
            assert find_spec(words[words.index("-m") + 1]), command


def test_forms_ask_for_what_the_doctor_says():
    forms = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")}
    assert forms.keys() == {"config", "fault", "paper"}
    assert any("deblur doctor" in part["attributes"]["label"] for part in forms["fault"]["body"])
    choices = next(part["attributes"]["options"] for part in forms["paper"]["body"] if part["type"] == "dropdown")
    assert set(choices) == {*PAPERS, "another"}


def test_the_container_brings_what_the_set_up_asks_for():
    content = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    text = (ROOT / ".devcontainer" / content["build"]["dockerfile"]).read_text()
    assert re.search(r"^FROM python:3\.1[1-9]", text, re.MULTILINE)
    assert {"chromium", "git", "make"} <= {*text.split()}
