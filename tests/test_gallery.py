"""The gallery as people see it: a site of files, whose links lead somewhere, that asks nobody else for anything.

Built by what `make gallery` puts into `build/gallery-env`. Skipped where that or Chromium is missing, but not with CI
set.
"""

import os
import re
import subprocess
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import chromium
import pandas as pd
import pytest

from deblur import paths
from deblur.explore import Choice
from deblur.reports import gallery
from deblur.study import ledger
from deblur.study.claims import PAPERS

ROOT = paths.project_root()
SPHINX = ROOT / "build" / "gallery-env" / "bin" / "python"
NO_SPHINX = "no build/gallery-env: run make build/gallery-env/ready"
with_sphinx = chromium.skipped_without(SPHINX.exists(), NO_SPHINX)
with_chromium = chromium.skipped_without(chromium.PROGRAM, chromium.MISSING)
pytestmark = pytest.mark.xdist_group("gallery")  # one worker builds the site, once


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gallery") / "source"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEBLUR_RESULTS", str(ROOT / "results"))
        patch.setenv("DEBLUR_WEIGHTS", str(ROOT / "weights"))
        patch.setattr(gallery, "SHOWN", [Choice("astronaut", "straight", 12.0)])
        ledger._records.cache_clear()
        gallery.main([str(folder)])
    ledger._records.cache_clear()
    return folder


@pytest.fixture(scope="module")
def site(source):
    assert SPHINX.exists(), NO_SPHINX
    out = source.parent / "site"
    command = [SPHINX, "-m", "sphinx", "-q", "-W", "--keep-going", str(source), str(out)]
    around = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=around, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return out


class Links(HTMLParser):
    """What a page asks for, where it leads to, and what can be led to in it."""

    def __init__(self, path):
        super().__init__()
        self.asked, self.leads, self.ids = [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids |= {values[name] for name in ("id", "name") if values.get(name)}
        if tag == "a" and values.get("href"):
            self.leads.append(values["href"])
        elif tag in ("script", "img", "iframe") and values.get("src"):
            self.asked.append(values["src"])
        elif tag == "link" and values.get("rel") != "canonical" and values.get("href"):
            self.asked.append(values["href"])


def broken(folder):
    """Page and link of whatever leads nowhere, or fetches from another place."""
    pages = {path: Links(path) for path in folder.glob("*.html")}  # templates lie in _static
    wrong = []
    for path, links in pages.items():
        for link in [*links.asked, *links.leads]:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https", "mailto", "data", "javascript"):
                wrong += [(path.name, link)] if link in links.asked and parts.scheme != "data" else []
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file() or (parts.fragment and target in pages and not _has(pages[target], parts.fragment)):
                wrong.append((path.name, link))
    return wrong


def _has(page, fragment):
    return unquote(fragment) in page.ids


def test_a_page_a_paper_and_a_network_and_every_executed_notebook(source):
    names = {path.stem for path in source.glob("*.md")}
    networks = {path.stem for path in (ROOT / "weights").glob("*.safetensors")}
    assert {f"paper-{paper}" for paper in PAPERS} | {"index", "claims", "comparison"} <= names
    assert {name.removeprefix("network-") for name in names if name.startswith("network-")} == networks
    executed = [*(ROOT / "results").glob("mini/*/*.ipynb"), *(ROOT / "results").glob("bench/*/*.ipynb")]
    assert {path.stem for path in source.glob("*.ipynb")} == {f"notebook-{p.parts[-3]}-{p.stem}" for p in executed}
    claims = (source / "claims.md").read_text()
    assert claims.count("<tr><td>") == 84


def test_what_a_network_cannot_do_stands_on_its_page(source):
    text = (source / "network-attentive.md").read_text()
    assert "defocus, noise and compression are not removed" in text
    assert "22.4" in text.split("dB before")[0].rpartition("px: ")[2]  # PSNR of the astronaut under this blur
    assert "<td>SA decoder</td><td>-0.145</td><td>used</td>" in text


def test_a_folder_of_somebody_else_is_not_written_into(tmp_path):
    (tmp_path / "thesis.txt").write_text("thesis")
    with pytest.raises(OSError, match=str(tmp_path)):
        gallery.write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_tables_are_escaped_and_short():
    text = gallery._table(("a<b", "c"), [(1234567, 0.123456), (None, float("nan")), ("<script>", 2.0)])
    assert "a&lt;b" in text
    assert "<td>1,234,567</td><td>0.1235</td>" in text
    assert "<td></td><td></td>" in text
    assert "<td>&lt;script&gt;</td><td>2</td>" in text


def test_gains_stand_before_the_other_scores(tmp_path):
    (tmp_path / "t.csv").write_text("psnr_db,method,gain_db,seed,gain_db_local,steps\n30,a,1,0,2,\n")
    head = gallery._of_file(tmp_path / "t.csv").split("</thead>")[0]
    assert re.findall("<th>(.*?)</th>", head) == ["method", "gain, dB", "gain, local, dB", "PSNR, dB"]


def test_only_links_into_the_site_stay():
    text = "[a](../results/x.csv) [b](doc-house.md#words) [c](https://example.org) ![d](_static/d.png) [e](#f)"
    kept = "a [b](doc-house.md#words) [c](https://example.org) ![d](_static/d.png) [e](#f)"
    assert gallery._without_links(text) == kept


@with_sphinx
def test_no_link_is_broken_and_nothing_is_fetched(site):
    assert len([*site.glob("*.html")]) > 30
    assert not broken(site)


def test_what_is_broken_is_seen(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="b.html">x</a> <a href="#none">x</a> <script src="https://example.org/x.js"></script> <p id="y">'
        '<a href="#y">y</a> <a href="https://example.org">z</a>'
    )
    assert broken(tmp_path) == [("a.html", link) for link in ("https://example.org/x.js", "b.html", "#none")]


# --------------------------------------------------------------------------------------------------------- Chromium

WATCH = """
window.faults = [];
const missing = node => `not there: ${node.src || node.href}`;
addEventListener("error", event => faults.push(event.message || missing(event.target)), true);
addEventListener("unhandledrejection", event => faults.push(String(event.reason)));
const before = console.error;
console.error = (...words) => { faults.push(words.join(" ")); before(...words); };
"""

LOOK = (
    f"(() => {{{chromium.CONTRAST}"
    + """
  const texts = [...document.querySelectorAll(".bd-article :is(p, li, td, th, h1, h2, a, figcaption)")];
  const faint = texts.filter(node => node.innerText.trim() && node.offsetParent && contrast(node) < 4.5);
  return {
    faults: window.faults,
    theme: document.documentElement.dataset.theme,
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    faint: faint.slice(0, 3).map(node => `${node.tagName} ${node.innerText.slice(0, 40)}`),
    small: Math.min(...texts.map(node => node.offsetParent ? parseFloat(getComputedStyle(node).fontSize) : 99)),
    images: [...document.querySelectorAll(".bd-article img")].filter(image => !image.naturalWidth).length,
  };
})()
"""
)
PAGES = ("index", "claims", "comparison", "paper-radn", "network-attentive", "notebook-mini-attentive", "doc-photos")


@pytest.fixture(scope="module", params=[390, 1400], ids=["phone", "desk"])
def browser(request, tmp_path_factory):
    opened = chromium.Chromium(tmp_path_factory.mktemp("profile"), request.param)
    opened("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
    yield opened
    opened.close()


def visit(browser, site, name, theme="light"):
    browser("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
    address = (site / f"{name}.html").as_uri()
    browser.open(address)
    ready = f"document.readyState === 'complete' && location.href === '{address}'"
    chromium.wait_for(lambda: browser.ask(ready), 60)


@with_sphinx
@with_chromium
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_legible(site, browser, name, theme):
    visit(browser, site, name, theme)
    seen = browser.ask(LOOK)
    assert seen.pop("small") >= 11
    assert seen == {"faults": [], "theme": theme, "wide": 0, "faint": [], "images": 0}


@with_sphinx
@with_chromium
def test_a_slider_moves_and_a_table_sorts(site, browser):
    visit(browser, site, "index")
    assert browser.ask(chromium.LINE) == pytest.approx(0.5, abs=0.01)
    browser.drag(".before-after input", 0.2)
    assert browser.ask(chromium.LINE) == pytest.approx(0.2, abs=0.03)
    visit(browser, site, "comparison")
    column = "[...document.querySelector('.sortable table').tBodies[0].rows].map(row => row.cells[1].innerText)"
    browser.ask("document.querySelector('.sortable th:nth-child(2)').click()")
    rising = [float(text) for text in browser.ask(column)]
    browser.ask("document.querySelector('.sortable th:nth-child(2)').click()")
    assert rising == sorted(rising) == [float(text) for text in browser.ask(column)][::-1]
    assert len(rising) == len(pd.read_csv(ROOT / "results/bench/summary.csv"))
