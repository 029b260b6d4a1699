"""The notebooks as files, and the code that runs them."""

import ast
import dis
import json
import logging
import re
import subprocess
import sys
import threading
from collections import defaultdict
from types import CodeType

import nbformat
import pandas as pd
import papermill
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from papermill.exceptions import PapermillExecutionError

from deblur import evaluation, models, notebooks, paths, recipes, runs, tables, writing
from deblur.data import copies
from deblur.runs import provenance
from deblur.upkeep import notebooks as upkeep_notebooks

NOTEBOOKS = sorted((paths.project_root() / "notebooks").glob("*.ipynb"))
GOOD = {"scale": "mini", "data_root": "", "seed": 0}


def read(path):
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_clean(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    tagged = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    assert tagged[0] is code[0]
    content = json.loads(path.read_text(encoding="utf-8"))
    assert upkeep_notebooks.stripped(content) == content, (
        f"stale output: python -m deblur.upkeep.notebooks strip {path}"
    )
    for cell in code:
        assert len(cell.source.splitlines()) <= 20
        assert "class " not in cell.source
        assert "backward()" not in cell.source
    assert ("assert " if path.stem == notebooks.EXPLORE else "notebooks.finish(") in code[-1].source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_parameters_are_plain_annotated_literals(path):
    cell = next(c for c in read(path).cells if "parameters" in c.metadata.get("tags", []))
    namespace = {}
    exec(cell.source, namespace)
    assert {name: type(namespace[name]) for name in namespace["__annotations__"]} == notebooks.PARAMETERS
    assert namespace["scale"] == "mini"


def test_check_parameters_takes_good_ones_beside_what_the_notebook_made():
    made = {"In": ["", "scale = 1", "# Parameters\nseed = 0"], "_": 1, "get_ipython": print, "rows": [1], "table": 2}
    assert notebooks.check_parameters(GOOD | made) == GOOD


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"In": ["# Parameters\nscale = 'mini'\nnonsense = 1"]},
            "unknown parameter 'nonsense'.*scale.*data_root.*seed",
        ),
        ({"seed": "1"}, "seed='1' must be a int"),
        ({"seed": True}, "seed=True must be a int"),
        ({"scale": "huge"}, "scale='huge' must be one of smoke, mini, bench, paper"),
        ({"scale": "paper"}, "give data_root"),
    ],
)
def test_check_parameters_refuses(wrong, message):
    with pytest.raises(ValueError, match=message):
        notebooks.check_parameters(GOOD | wrong)


def test_a_parameter_that_is_not_set_is_named():
    with pytest.raises(ValueError, match="parameter 'data_root' is not set: run the cell above"):
        notebooks.check_parameters({"scale": "mini", "seed": 0})


def read_and_made(source):
    """The names that a cell takes from others, and those that it makes."""
    reads, makes = set(), set()

    def look(code):
        for step in dis.get_instructions(code):
            if step.opname == "STORE_NAME":
                makes.add(step.argval)
            elif step.opname in ("LOAD_NAME", "LOAD_GLOBAL") and step.argval not in makes:
                reads.add(step.argval)
            elif isinstance(step.argval, CodeType):
                look(step.argval)

    look(compile(source, "cell", "exec"))
    return reads, makes


def changed(source):
    """The names whose contents a cell changes."""
    for node in ast.walk(ast.parse(source)):
        stores = isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store)
        calls = isinstance(node, ast.Attribute) and node.attr in ("pop", "update", "append", "setdefault", "insert")
        if stores or calls:
            base = node.value
            while not isinstance(base, ast.Name) and hasattr(base, "value"):
                base = base.value
            if isinstance(base, ast.Name):
                yield base.id


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_any_cell_may_be_run_again(path):
    """A name that cells share is made by one cell, and changed by none else."""
    cells = {cell.id: cell.source for cell in read(path).cells if cell.cell_type == "code"}
    makers, wrong = defaultdict(set), []
    for name, source in cells.items():
        for made in read_and_made(source)[1]:
            makers[made].add(name)
    for name, source in cells.items():
        reads, makes = read_and_made(source)
        wrong += [f"{name}: {shared} is made by {makers[shared]}" for shared in reads if len(makers[shared]) > 1]
        wrong += [f"{name}: {own} is made here of itself" for own in reads & makes]
        wrong += [f"{name}: {shared} is changed" for shared in changed(source) if shared in makers.keys() - makes]
    assert not wrong


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_first_cells_run_again_in_one_kernel_with_another_scale(path, mini_root):
    """Up to the imports, as cells are run by a kernel; then with `scale` changed and names of the notebook's own."""
    shell = InteractiveShell()
    code = [cell.source for cell in read(path).cells if cell.cell_type == "code"][:3]
    for scale in ("smoke", "mini", "smoke"):
        for source in (code[0], f"{notebooks.INJECTED}\nscale = {scale!r}", *code[1:], code[1], "table = 1"):
            shell.run_cell(source, store_history=True).raise_error()
        assert shell.user_ns["parameters"] == GOOD | {"scale": scale}
    shell.run_cell(f"{notebooks.INJECTED}\nsclae = 'mini'", store_history=True).raise_error()
    assert "sclae" in str(shell.run_cell(code[1], store_history=True).error_in_exec)


def test_a_misspelt_parameter_stops_papermill(tmp_path):
    out = tmp_path / "out.ipynb"
    with pytest.raises(papermill.PapermillExecutionError, match=r"valid parameters: scale \(str\)"):
        papermill.execute_notebook(NOTEBOOKS[0], out, {"nonsense": 1}, progress_bar=False)


def test_reproduce_names_the_papers_there_are():
    with pytest.raises(ValueError, match=r"no notebook for nobody; choose one of attentive"):
        notebooks.reproduce(["nobody"])


def test_prepare_injects_the_scale_and_runs_nothing(tmp_path):
    copies = upkeep_notebooks.prepare(tmp_path / "copies")
    assert [copy.stem for copy in copies] == [*notebooks.available(), notebooks.EXPLORE]
    assert notebooks.EXPLORE not in notebooks.available()  # what `make reproduce` runs
    for copy in copies:
        cells = read(copy).cells
        injected = [cell for cell in cells if "injected-parameters" in cell.metadata.get("tags", [])]
        assert [cell.source.strip().splitlines()[-1] for cell in injected] == ['scale = "smoke"']


def test_deliver_leaves_no_path_of_this_machine(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    notebook.metadata["papermill"] = {"input_path": "/home/me/x.ipynb", "parameters": {"scale": "mini"}}
    notebook.cells[0].metadata["papermill"] = {"duration": 1.0}
    draft = tmp_path / "draft.ipynb"
    nbformat.write(notebook, draft)
    writing.write_text(tmp_path / "out" / "run.json", '{"files": {}}')
    delivered = notebooks._deliver(draft, tmp_path / "out" / "x.ipynb")
    assert "/home/me" not in delivered.read_text()
    assert json.loads(delivered.read_text())["metadata"]["papermill"] == {"parameters": {"scale": "mini"}}
    assert not draft.exists()
    assert tables.listed(tmp_path / "out") == {"x.ipynb": paths.file_sha256(delivered), "run.json": None}


def test_the_stamp_names_commit_device_and_data(mini_root):
    text = notebooks.provenance_note(copies.open_data(mini_root))
    origin = provenance.provenance()
    assert (origin["commit"] or "unknown")[:10] in text
    assert "mini gopro (blur)" in text
    assert ("uncommitted" in text) == bool(origin["dirty"])
    assert notebooks.provenance_note() == f"{text.partition('; data: ')[0]}."


def test_the_outcome_is_read_from_the_measurements():
    main = {"steps": 90, "gain_db": 1.234, "gain_db_local": -0.5}
    text = notebooks.outcome(main, {"steps": 10, "gain_db": 0.2}, pairs=4)
    for part in ("90 steps", "**+1.23 dB**", "4 held-out pairs (local -0.50 dB)", "10 steps", "+0.20 dB"):
        assert part in text
    assert "kinds of blur unknown" in notebooks.outcome({"steps": 1, "gain_db": 0}, {"steps": 1, "gain_db": 0}, 2)


def test_another_benchmark_by_its_protocol(mini_root, tmp_path, monkeypatch):
    """A network at its identity start scores as the blurred input does, and both scores are found again."""
    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path))
    plan = runs.Plan(copies.open_data(mini_root), "attentive", "paper", "smoke", "row")
    plan.files.write_weights(plan.network())
    plan.files.write_json("provenance.json", {"device": "nowhere"})
    koehler = copies.open_data(name="koehler")
    threads = torch.get_num_threads()
    both = {"start": runs.Run(plan), "again": runs.Run(plan)}
    blurred, rows = notebooks.by_protocol(both, koehler, "koehler_best_frame", limit=2)
    assert torch.get_num_threads() == threads  # those that score use one each
    assert rows.pop("again") == rows["start"]
    assert rows["start"]["gain_db"] == pytest.approx(0, abs=0.02)  # 8-bit rounding
    assert rows["start"]["psnr_db"] == pytest.approx(blurred["psnr_db"] + rows["start"]["gain_db"])
    assert (rows["start"]["protocol"], rows["start"]["data"]) == ("koehler_best_frame", "mini koehler")
    monkeypatch.setattr(evaluation, "score_pairs", None)
    assert notebooks.by_protocol({"start": runs.Run(plan)}, koehler, "koehler_best_frame", 2) == (blurred, rows)


def test_scores_side_by_side_belong_to_whom_they_were_asked_for(monkeypatch):
    """Whoever is first; each thread computes alone."""
    monkeypatch.setattr(notebooks, "cpu_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    quick_is_there = threading.Event()

    def slow():
        assert quick_is_there.wait(30)  # one after the other it would never come
        return pd.DataFrame({"threads": [torch.get_num_threads()]})

    def quick():
        quick_is_there.set()
        return pd.DataFrame({"quick": [1]})

    scores = notebooks.side_by_side({"slow": slow, "quick": quick})
    assert list(scores) == ["slow", "quick"]
    assert scores["slow"]["threads"].tolist() == [1]
    assert scores["quick"]["quick"].tolist() == [1]
    with pytest.raises(ZeroDivisionError):
        notebooks.side_by_side({"quick": quick, "bad": lambda: 1 / 0})


def test_finish_refuses_what_is_missing_empty_infinite_or_blank(tmp_path):
    from PIL import Image

    with pytest.raises(FileNotFoundError):
        notebooks._assert_whole(tmp_path / "table1.csv")
    (tmp_path / "table1.csv").write_text("a,b\n1,inf\n")
    with pytest.raises(AssertionError, match=r"table1\.csv"):
        notebooks._assert_whole(tmp_path / "table1.csv")
    (tmp_path / "table1.csv").write_text("a,b\n")
    with pytest.raises(AssertionError, match=r"table1\.csv"):
        notebooks._assert_whole(tmp_path / "table1.csv")
    Image.new("RGB", (9, 9), "white").save(tmp_path / "fig1.png")
    with pytest.raises(AssertionError, match=r"fig1\.png is blank"):
        notebooks._assert_whole(tmp_path / "fig1.png")


def test_every_paper_with_a_notebook_has_recipes_and_a_network():
    assert set(notebooks.PAPERS) < set(notebooks.available())
    for paper in notebooks.PAPERS:
        assert paper in models.NETWORKS
        assert set(recipes.SCALES) <= set(recipes.RECIPES[paper])


def test_the_documented_command_checks_marked_cells_of_an_executed_copy(tmp_path):
    """As in docs/ci.md, on a copy of a notebook that papermill ran: other cells may print what they like."""
    guide = (paths.project_root() / "docs" / "ci.md").read_text(encoding="utf-8")
    command = re.search(r"`\.venv/bin/(python -m pytest --nbval-lax .+) out\.ipynb`", guide)[1]
    cells = ["seed: int = 0", "import time\nprint(time.time())", f"# {upkeep_notebooks.CHECKED}\nprint(seed + 1)"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    notebook.cells[0].metadata["tags"] = ["parameters"]
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(notebook, tmp_path / "notebook.ipynb")
    right, wrong = tmp_path / "right.ipynb", tmp_path / "wrong.ipynb"
    papermill.execute_notebook(tmp_path / "notebook.ipynb", right, {"seed": 7}, progress_bar=False)
    text = right.read_text(encoding="utf-8")
    assert text.count('"8\\n"') == 1
    wrong.write_text(text.replace('"8\\n"', '"9\\n"'), encoding="utf-8")
    program = [sys.executable, *command.split()[1:], "-p", "no:cacheprovider"]
    ends = [
        subprocess.Popen([*program, copy], cwd=tmp_path, stdout=subprocess.PIPE, text=True) for copy in (right, wrong)
    ]
    passed, failed = (end.communicate()[0] for end in ends)
    assert "4 passed" in passed  # papermill's cell of parameters among them
    assert "1 failed" in failed
    assert [end.returncode for end in ends] == [0, 1]


@pytest.mark.parametrize(
    "raised", [KeyboardInterrupt(), PapermillExecutionError(1, 1, "", "KeyboardInterrupt", "", [])]
)
def test_ctrl_c_during_a_notebook_is_a_sentence(raised, tmp_path, monkeypatch):
    """Whether this process notices first, or the kernel."""

    def stopped(*_, **__):
        raise raised

    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DEBLUR_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr("papermill.execute_notebook", stopped)
    monkeypatch.setattr(logging.getLogger("asyncio"), "setLevel", lambda level: None)
    with pytest.raises(KeyboardInterrupt, match=f"what was trained is kept in {tmp_path / 'runs'}; the same command"):
        notebooks.reproduce(["radn"], scale="smoke")


def test_errors_of_a_notebook_stay_what_they_are(tmp_path, monkeypatch):
    def failed(*_, **__):
        raise PapermillExecutionError(1, 1, "", "ValueError", "wrong", [])

    monkeypatch.setenv("DEBLUR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DEBLUR_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr("papermill.execute_notebook", failed)
    with pytest.raises(PapermillExecutionError, match="Exception encountered"):
        notebooks.reproduce(["radn"], scale="smoke")
