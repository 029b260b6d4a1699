"""A headless Chromium that opens pages and answers questions about them, over its own DevTools protocol."""

import base64
import json
import os
import shutil
import subprocess
import time
import urllib.request

import pytest
import websocket

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"),
)

MISSING = "no Chromium: install the package chromium"


def skipped_without(thing, missing):
    """A mark that skips tests where a thing is missing; with CI set they run, and fail."""
    return pytest.mark.skipif(not thing and not os.environ.get("CI"), reason=missing)


CONTRAST = """
  const numbers = colour => colour.match(/[0-9.]+/g).map(Number);
  const linear = value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = colour => {
    const [r, g, b] = numbers(colour).map(value => linear(value / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = node => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if ((numbers(colour)[3] ?? 1) > 0.5) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const contrast = node => {
    const pair = [light(getComputedStyle(node).color), light(behind(node))];
    return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
  };
"""
"""JavaScript: `contrast(node)` is how far a text stands out from what is behind it, 1 to 21; WCAG asks for 4.5."""

LINE = """
1 - parseFloat(getComputedStyle(document.querySelector(".before-after .before")).clipPath.split(" ")[1]) / 100
"""
"""JavaScript: where the line of the first slider before and after is, as a share of its width."""

PLACE = """
new Promise(done => setTimeout(done, %d)).then(() => document.querySelector("%s").getBoundingClientRect().toJSON())
"""


class Chromium:
    """One page of a browser with a profile of its own, `width` px wide; leave it with `close`."""

    def __init__(self, profile, width, height=1000):
        assert PROGRAM, MISSING
        self.process = subprocess.Popen(
            [PROGRAM, *QUIET, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port = wait_for(lambda: _first_line(profile / "DevToolsActivePort"), 60)
            address = f"http://127.0.0.1:{port}/json/list"
            page = wait_for(lambda: _first_page(address), 60)
            self.socket = websocket.create_connection(page, suppress_origin=True, timeout=300)
            self.calls = 0
            self("Page.enable")
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            self("Emulation.setDeviceMetricsOverride", **size)
        except BaseException:
            self.process.kill()
            raise

    def __call__(self, method, **parameters):
        """Call a method of the protocol and return its result; events in between are not looked at."""
        self.calls += 1
        self.socket.send(json.dumps({"id": self.calls, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.calls:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, address):
        self("Page.navigate", url=address)

    def ask(self, expression):
        """The value of a JavaScript expression, promises awaited."""
        answer = self("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def drag(self, selector, share):
        """Move the mouse from the middle of a thing, its button pressed, to that share of its width."""
        box = wait_for(lambda: self._still(selector), 30)
        middle, target = (box["x"] + at * box["width"] for at in (0.5, share))
        for kind, x in (("mousePressed", middle), ("mouseMoved", target), ("mouseReleased", target)):
            place = {"x": x, "y": box["y"] + box["height"] / 2}
            self("Input.dispatchMouseEvent", type=kind, button="left", buttons=1, clickCount=1, **place)

    def _still(self, selector):
        """Where a thing is, in the middle of what is to be seen; nothing while the page still moves."""
        self.ask(f"document.querySelector('{selector}').scrollIntoView({{block: 'center'}})")
        first, second = (self.ask(PLACE % (wait, selector)) for wait in (0, 300))
        return second if first == second else None

    def picture(self):
        """What is to be seen, as PNG bytes."""
        return base64.b64decode(self("Page.captureScreenshot", format="png")["data"])

    def close(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait(30)


def wait_for(condition, seconds):
    """The first true value of `condition()`, asked again and again."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"nothing after {seconds} s"
        time.sleep(0.1)
    return found


def _first_line(path):
    return path.read_text().partition("\n")[0] if path.is_file() else ""


def _first_page(address):
    with urllib.request.urlopen(address, timeout=30) as answer:
        pages = [entry for entry in json.load(answer) if entry["type"] == "page"]
    return pages[0]["webSocketDebuggerUrl"] if pages else None
