"""CONTRIBUTING's "Add a sixth paper", done: a toy network in a copy of the package, from model file to results."""

import json
import os
import re
import shutil
import subprocess
import sys

import nbformat
import pandas as pd
import pytest

from deblur import paths, tables

ROOT = paths.project_root()
GUIDE = ROOT / "CONTRIBUTING.md"
STEPS = re.search(r"## Add a sixth paper\n(.*?)\n## ", GUIDE.read_text(encoding="utf-8"), re.DOTALL)[1]

MODEL = '''"""Toy: one convolution. No Paper, 2026."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from deblur.models.parts import Part, zero
from deblur.models.published import UNKNOWN


@dataclass(frozen=True)
class Config:
    kernel: int = 5  # of the only convolution
    skip: bool = True  # add the blurred image


class Toy(nn.Module):
    """(N,3,H,W) in [0,1] -> the restoration."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.conv = nn.Conv2d(3, 3, config.kernel, padding=config.kernel // 2)

    def forward(self, blurred: Tensor) -> tuple[Tensor]:
        residual = self.conv(blurred)
        return (blurred + residual if self.config.skip else residual,)


VARIANTS: dict[str, dict] = {"paper": {}, "table1_no_skip": {"skip": False}}
PARTS = {"convolution": Part("conv", zero)}
PUBLISHED = {"toy": UNKNOWN}
'''

RECIPE = """TOY = {
    "paper": Recipe(steps=1000, row_steps=1000, batch=16, crop=256, lr=1e-4, loss="mse"),
    "mini": replace(_MINI_ROW, config={"kernel": 3}),
    "smoke": replace(_SMOKE_ROW, config={"kernel": 3}),
}

"""

EDITS = {  # file -> its lines before and after
    "deblur/models/__init__.py": {
        "    svrnn,\n)": "    svrnn,\n    toy,\n)",
        '    "dmphn": _of(dmphn, ': '    "toy": _of(toy, toy.Toy),\n    "dmphn": _of(dmphn, ',
    },
    "deblur/recipes.py": {
        "def _bench(": f"{RECIPE}def _bench(",
        "        **BASELINES,": '        "toy": TOY,\n        **BASELINES,',
    },
    "deblur/methods.py": {"    # Nah et al. 2017\n": '    "Toy": "toy",\n    # Nah et al. 2017\n'},
    "deblur/notebooks.py": {'"raidnet")\nNOTEBOOKS': '"raidnet", "toy")\nNOTEBOOKS'},
}
ENTRIES = ("import `toy`", '"toy": _of(toy, toy.Toy)', "`TOY`", '"toy": TOY', '"Toy": "toy"', "`PAPERS`")

PRINTED = """method,citation,psnr_db,ssim,size_mb,own
SRN,[1],30.26,0.934,33.60,0
Toy without skip,,28.00,0.900,0.00,1
Toy,,31.00,0.940,0.00,1
"""

CELLS = (
    'scale: str = "mini"\ndata_root: str = ""\nseed: int = 0',
    "from deblur import notebooks\n\nnotebooks.check_parameters(globals())",
    """from deblur import evaluation, models, recipes, runs, tables
from deblur.data import copies
from deblur.evaluation import complexity

data = copies.open_data(data_root, scale=scale)
limit = recipes.recipe("toy", scale=scale).test_pairs
variants = {"Toy": "paper", "Toy without skip": "table1_no_skip"}
plans = {method: runs.Plan(data, "toy", variant, scale, "row", seed) for method, variant in variants.items()}
others = {method: name for method, name in tables.peers("toy", models.NETWORKS).items() if name != "toy"}
plans |= {method: runs.Plan(data, name, "paper", scale, "row", seed) for method, name in others.items()}
done = dict(zip(plans, runs.load_or_run(list(plans.values()))))""",
    """blurred = runs.blurred_scores(data, limit)
rows = {method: notebooks.measurement(evaluation.summarise(run.scores(), blurred), run) for method, run in done.items()}
rows = {method: row | complexity.cost(done[method].plan.name) for method, row in rows.items()}
table1 = tables.beside_printed("toy", 1, rows, reference="Toy")
tables.save(table1, scale, "toy", "table1")
tables.show(table1, tables.caption(table1), tables.QUALITY)""",
    'notebooks.finish("toy", scale, data, list(done.values()), [rows[m] for m in done], ["tables/table1.csv"])',
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the project with the toy added."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("deblur", "tests", "results/printed"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    (root / "deblur/models/toy.py").write_text(MODEL)
    for name, changes in EDITS.items():
        text = (root / name).read_text(encoding="utf-8")
        for before, after in changes.items():
            assert text.count(before) == 1, (name, before)
            text = text.replace(before, after)
        (root / name).write_text(text, encoding="utf-8")
    (root / "results/printed/toy").mkdir()
    (root / "results/printed/toy/table1.csv").write_text(PRINTED)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    notebook.cells[0].metadata["tags"] = ["parameters"]
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    (root / "notebooks").mkdir()
    nbformat.write(notebook, root / "notebooks/toy.ipynb")
    return root


def run(checkout, data_dir, *arguments):
    """`python -m ...` in the checkout, with the package that lies there."""
    places = {"PYTHONPATH": str(checkout), "DEBLUR_DATA": str(data_dir)}
    own = {"DEBLUR_RUNS": str(checkout / "runs"), "DEBLUR_RESULTS": str(checkout / "results")}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(
        command, cwd=checkout, env={**os.environ, **places, **own}, capture_output=True, text=True, check=False
    )


def test_the_readme_names_every_file_and_entry():
    for name in (*EDITS, "deblur/models/toy.py", "results/printed/toy/table1.csv", "notebooks/toy.ipynb"):
        assert f"`{name}`" in STEPS
    for entry in ENTRIES:
        assert entry in STEPS
    assert "pytest tests/test_models.py -k toy" in STEPS
    assert "deblur reproduce toy --scale smoke" in STEPS
    assert len(STEPS.strip().splitlines()) <= 20


def test_the_toy_keeps_the_networks_contract(checkout, mini_root):
    done = run(checkout, mini_root.parent, "pytest", "-n0", "tests/test_models.py", "-k", "toy")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_toy_is_trained_and_its_table_printed_beside_measured(checkout, mini_root, monkeypatch):
    done = run(checkout, mini_root.parent, "deblur.cli", "reproduce", "toy", "--scale", "smoke")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = checkout / "results/smoke/toy"
    table = pd.read_csv(folder / "tables/table1.csv").set_index("method")
    assert list(table.index) == ["SRN", "Toy without skip", "Toy"]
    assert table["psnr_db_printed"].tolist() == [30.26, 28.0, 31.0]
    assert table["psnr_db_measured"].between(3, 40).all()
    assert table.loc["Toy", "psnr_db_measured"] > table.loc["Toy without skip", "psnr_db_measured"]
    assert table.loc["Toy", ["delta_db_printed", "delta_db_measured"]].tolist() == [0, 0]
    assert table["steps"].tolist() == [2, 2, 2]
    assert table["parameters"].tolist()[1:] == [3 * 3 * 25 + 3] * 2
    record = json.loads((folder / "run.json").read_text())
    assert [entry["paper"] for entry in record["runs"]] == ["toy", "toy", "srn"]
    assert (folder / "toy.ipynb").is_file()
    monkeypatch.setenv("DEBLUR_RESULTS", str(checkout / "results"))
    assert "| toy | smoke | mini gopro (blur) |" in tables.status()
    assert "T1 3/3" in tables.status()
