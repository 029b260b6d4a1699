"""The pages that people read first: every link leads somewhere, tables say what the ledger says, README is short."""

import json
import re
import shutil
import subprocess
from importlib.util import find_spec

import chromium
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


def ci(tmp_path, **programs):
    """What `.ci/run` says and calls on a machine that has these programs besides those of every machine."""
    programs = {"make": 'echo "make $*, CI=${CI-}"', "timeout": 'shift; exec "$@"', **programs}
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!{shutil.which('bash')}\n{body}\n")
        (tmp_path / name).chmod(0o755)
    for name in ("bash", "dirname", "chmod"):
        (tmp_path / name).symlink_to(shutil.which(name))
    around = {"PATH": str(tmp_path), "CI": "true"}
    done = subprocess.run([ROOT / ".ci" / "run"], env=around, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


CALLS = ["make setup build/gallery-env/ready, CI=1", "make test, CI=1"]


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome"])
def test_ci_runs_all_tests_where_there_is_chromium(tmp_path, name):
    assert ci(tmp_path, **{name: "", "id": "echo 0", "apt-get": "echo called >&2; exit 1"}) == CALLS


def test_ci_installs_chromium_where_it_may(tmp_path):
    install = f'[ "$2" = update ] || {{ > {tmp_path}/chromium; chmod +x {tmp_path}/chromium; }}'
    assert ci(tmp_path, **{"id": "echo 0", "apt-get": install}) == CALLS


@pytest.mark.parametrize(
    "programs", [{"id": "echo 1000", "apt-get": "exit 0"}, {"id": "echo 0", "apt-get": "exit 100"}]
)
def test_ci_says_so_where_chromium_cannot_be_had(tmp_path, programs):
    said, *calls = ci(tmp_path, **programs)
    assert said.startswith("no Chromium, and it cannot be installed here")
    assert calls == [call.replace("CI=1", "CI=") for call in CALLS]


@pytest.mark.parametrize(("ci", "skips"), [("", True), ("1", False)])
def test_with_ci_set_a_missing_browser_fails(monkeypatch, tmp_path, ci, skips):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(chromium, "PROGRAM", None)
    mark = chromium.skipped_without(chromium.PROGRAM, chromium.MISSING).mark
    assert mark.args == (skips,)
    assert chromium.skipped_without("chromium", chromium.MISSING).mark.args == (False,)
    with pytest.raises(AssertionError, match="install the package chromium"):
        chromium.Chromium(tmp_path, 400)


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
        assert program in ("make", ".ci/run") or program.startswith(".venv/bin/")
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
