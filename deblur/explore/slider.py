"""Before and after in one picture, with a line between them that is moved: HTML that needs no script and no network."""

import base64
import html
import io

import numpy as np
from PIL import Image

CSS = """.before-after { position: relative; max-width: 640px; line-height: 0; --at: 50%; }
.before-after img { width: 100%; max-width: none; display: block; }
.before-after .before { position: absolute; inset: 0; clip-path: inset(0 calc(100% - var(--at)) 0 0); }
.before-after input {
  position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: ew-resize;
}
.before-after::after {
  content: ""; position: absolute; top: 0; bottom: 0; left: var(--at); width: 2px; background: white;
  box-shadow: 0 0 3px black; pointer-events: none;
}
.before-after:has(input:focus-visible) { outline: 3px solid currentColor; }
"""
"""How a slider looks: once a page, or in front of each."""


def slider(before: str, after: str, caption: str) -> str:
    """Two pictures of one size, the first left of a line that is moved by hand or by the arrow keys.

    Args:
        before, after: addresses of the pictures.
        caption: what they show, in plain text.
    """
    said = html.escape(caption, quote=True)
    moved = "this.parentNode.style.setProperty('--at', this.value + '%')"
    return f"""<figure style="margin: 1rem 0"><div class="before-after">
<img src="{after}" alt="right of the line: {said}">
<img class="before" src="{before}" alt="left of the line">
<input type="range" min="0" max="100" value="50" autocomplete="off" oninput="{moved}" aria-label="where the line is">
</div><figcaption>{said}</figcaption></figure>
"""


def address(pixels: np.ndarray) -> str:
    """A picture (h,w,3) uint8 as an address that holds it: PNG, so that nothing is lost."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="png")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
