"""The notebooks as people see them: opened in a real JupyterLab by a real browser, in its light and its dark theme.

The executed copies are opened as they are; only the notebook to explore is run, since its controls live in the browser.
Running the others is nbval's work, see the Makefile. Skipped where there is no Chromium, but not with CI set.
"""

import base64
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import urllib.request

import chromium
import nbformat
import numpy as np
import pytest
from PIL import Image

from deblur import paths

pytestmark = chromium.skipped_without(chromium.PROGRAM, chromium.MISSING)

ROOT = paths.project_root()
NOTEBOOKS = {
    f"{path.parts[-3]}-{path.stem}": path
    for path in sorted((ROOT / "results").glob("*/*/*.ipynb"))
    if "smoke" not in path.parts
}
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
WIDTH = 1400
SMALLEST = 0.45
"""How far a figure may be reduced to fit: its smallest letters, 7 pt at 110 dpi, are then 5 px high."""

SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # all cells are drawn, not those in sight only
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}

LOOK = (
    f"(() => {{{chromium.CONTRAST}"
    + """
  const all = (selector, where = document) => [...where.querySelectorAll(selector)];
  const opaque = image => {
    const [width, height] = [image.naturalWidth, image.naturalHeight];
    const paint = Object.assign(document.createElement("canvas"), {width, height}).getContext("2d");
    paint.drawImage(image, 0, 0);
    // The sides of a drawing are no whole number of pixels: those at its rim are covered in part.
    return paint.getImageData(2, 2, width - 4, height - 4).data.every((value, i) => i % 4 < 3 || value === 255);
  };
  return {
    errors: all(".jp-OutputArea-output[data-mime-type$='.stderr']").length,
    images: all(".jp-OutputArea img").map(image => ({
      width: image.naturalWidth,
      height: image.naturalHeight,
      shown: image.clientWidth,
      opaque: opaque(image),
    })),
    tables: all(".jp-RenderedHTMLCommon table").map(table => {
      const box = table.closest(".jp-OutputArea-output, .jp-MarkdownOutput");
      return {
        begins: table.innerText.slice(0, 60),
        scrolls: box.scrollWidth > box.clientWidth,
        contrast: Math.min(...all("th, td", table).filter(cell => cell.innerText.trim()).map(contrast)),
      };
    }),
  };
})()
"""
)

RUN = "window.jupyterapp.commands.execute('notebook:run-all-cells'); true"
READY = """
document.querySelector(".jp-Notebook-ExecutionIndicator")?.dataset.status === "idle"
  && document.querySelector(".jp-KernelName")?.innerText.startsWith("Python")
"""
COUNTS = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(prompt => prompt.innerText)"
DROPDOWN = "document.querySelector('.jp-OutputArea .widget-dropdown select')"
IMAGES = (
    "[...document.querySelectorAll('.jp-OutputArea img')].map(image => image.src.length + image.src.slice(-400)).join()"
)
SETTLED = "document.querySelectorAll('.before-after').length === 1 && !document.body.innerText.includes('drawing ...')"
SLIDER = f"""
(() => {{
  {chromium.CONTRAST}
  const slider = document.querySelector(".before-after");
  return {{
    pictures: [...slider.querySelectorAll("img")].map(image => image.getBoundingClientRect().toJSON()),
    contrast: contrast(slider.parentElement.querySelector("figcaption")),
  }};
}})()
"""

DRAWN = """
document.querySelectorAll(".jp-Notebook .jp-Cell").length === %d
  && document.querySelectorAll(".jp-OutputArea-child").length === %d
  && [...document.querySelectorAll(".jp-OutputArea img")].every(image => image.complete && image.naturalWidth)
"""


class Lab:
    """A running JupyterLab: where its files lie, and where they are opened."""

    def __init__(self, root):
        self.work, self.settings, self.token = root / "work", root / "settings", secrets.token_hex()
        self.work.mkdir()
        for name, content in SETTINGS.items():
            self.set(name, content)
        own = {f"JUPYTER_{name}_DIR": str(root / name.lower()) for name in ("RUNTIME", "CONFIG", "DATA")}
        own |= {"JUPYTERLAB_SETTINGS_DIR": str(self.settings), "JUPYTERLAB_WORKSPACES_DIR": str(root / "workspaces")}
        options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0", f"--ServerApp.root_dir={self.work}"]
        options += ["--expose-app-in-browser", "--LabApp.extension_manager=readonly"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            env={**os.environ, **own, "JUPYTER_TOKEN": self.token},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self.url = chromium.wait_for(lambda: self.answer(root / "runtime"), 120)
        except BaseException:
            self.close()
            raise

    def answer(self, runtime):
        """The server's address, once it answers."""
        try:
            url = json.loads(next(runtime.glob("jpserver-*.json")).read_text())["url"]
            return url if urllib.request.urlopen(f"{url}api?token={self.token}", timeout=10).status == 200 else ""
        except (StopIteration, ValueError, OSError):
            return ""

    def set(self, name, content):
        path = self.settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    def open(self, browser, path, theme):
        """Open a copy of a notebook, alone on the page, and wait until all of it is drawn."""
        shutil.copy(path, self.work)
        self.set("apputils-extension/themes", {"theme": THEMES[theme]})
        browser.open(f"{self.url}doc/tree/{path.name}?token={self.token}&reset")
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        counts = len(cells), sum(len(cell.get("outputs", [])) for cell in cells)
        chromium.wait_for(lambda: browser.ask(DRAWN % counts), 120)
        light = f"document.body.dataset.jpThemeLight === '{str(theme == 'light').lower()}'"
        chromium.wait_for(lambda: browser.ask(light), 60)

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    running = Lab(tmp_path_factory.mktemp("lab"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = chromium.Chromium(tmp_path_factory.mktemp("profile"), WIDTH)
    yield opened
    opened.close()


def faults(seen):
    """What is wrong with a notebook, in words."""
    found = [f"{seen['errors']} errors or warnings"] if seen["errors"] else []
    for number, image in enumerate(seen["images"], 1):
        if min(image["width"], image["height"]) < 100 or image["shown"] < SMALLEST * image["width"]:
            found.append(f"image {number} is too small: {image}")
        if not image["opaque"]:
            found.append(f"image {number} is transparent")
    for table in seen["tables"]:
        if table["scrolls"]:
            found.append(f"table is too wide: {table['begins']}")
        if table["contrast"] < 4.5:  # what WCAG asks for text
            found.append(f"table is faint: {table['begins']}")
    return found


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_an_executed_notebook_looks_as_it_should(lab, browser, name, theme):
    path = NOTEBOOKS[name]
    lab.open(browser, path, theme)
    seen = browser.ask(LOOK)
    assert not faults(seen)
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    pictures = sum("image/png" in data or "image/jpeg" in data for data in outputs)
    drawings = sum("".join(data.get("text/html", "")).startswith("<img ") for data in outputs)
    assert len(seen["images"]) == pictures + drawings > 0
    assert len(seen["tables"]) >= sum("<table" in "".join(data.get("text/html", "")) for data in outputs) > 0
    assert path.stat().st_size < 2_000_000


def test_what_would_be_wrong_is_seen(lab, browser, tmp_path):
    Image.fromarray(np.zeros((50, 4000, 4), np.uint8)).save(tmp_path / "clear.png")
    picture = {"image/png": base64.b64encode((tmp_path / "clear.png").read_bytes()).decode()}
    wide = {"text/html": f"<table><tr>{''.join(f'<td>{k:_>12}</td>' for k in range(40))}</tr></table>"}
    outputs = [nbformat.v4.new_output("display_data", data) for data in (picture, wide)]
    outputs.append(nbformat.v4.new_output("error", ename="E", evalue="x", traceback=["x"]))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=outputs)])
    nbformat.write(notebook, tmp_path / "wrong.ipynb")
    lab.open(browser, tmp_path / "wrong.ipynb", "dark")
    found = " ".join(faults(browser.ask(LOOK)))
    for fault in ("1 errors or warnings", "image 1 is too small", "image 1 is transparent", "table is too wide"):
        assert fault in found


def test_the_notebook_to_explore_runs_and_answers_to_its_controls(lab, browser, tmp_path):
    notebook = nbformat.read(ROOT / "notebooks" / "explore.ipynb", as_version=4)
    cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    cell.source = cell.source.replace('"mini"', '"smoke"')
    for cell in notebook.cells:
        cell |= {"outputs": []} if cell.cell_type == "code" else {}
    nbformat.write(notebook, tmp_path / "explore.ipynb")
    lab.open(browser, tmp_path / "explore.ipynb", "dark")
    chromium.wait_for(lambda: browser.ask(READY), 120)
    browser.ask(RUN)
    chromium.wait_for(lambda: all(re.search(r"\d", count) for count in browser.ask(COUNTS)), 240)
    chromium.wait_for(lambda: browser.ask(f"{DROPDOWN} !== null"), 60)
    seen = browser.ask(LOOK)
    assert not faults(seen)
    drag_and_look(browser)
    before = browser.ask(IMAGES)
    assert before
    browser.ask(f"{DROPDOWN}.selectedIndex += 1; {DROPDOWN}.dispatchEvent(new Event('change', {{bubbles: true}}))")
    chromium.wait_for(lambda: browser.ask(IMAGES) != before and browser.ask(SETTLED), 60)
    assert not faults(browser.ask(LOOK))
    browser.ask("window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})")
    chromium.wait_for(lambda: browser.ask("document.body.dataset.jpThemeLight === 'true'"), 60)
    drag_and_look(browser)


def drag_and_look(browser):
    """The slider that was just drawn: its line follows the mouse from the middle, its pictures lie on each other."""
    assert browser.ask(chromium.LINE) == pytest.approx(0.5)
    browser.drag(".before-after input", 0.2)
    assert browser.ask(chromium.LINE) == pytest.approx(0.2, abs=0.03)
    seen = browser.ask(SLIDER)
    assert seen["pictures"][0] == seen["pictures"][1]
    assert seen["pictures"][0]["width"] > 300
    assert seen["contrast"] > 4.5
