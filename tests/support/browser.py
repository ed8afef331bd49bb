"""A page in a real headless Chromium: what it says on its console, what it loads, and whether anything is cut."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

# Measured in the page itself after everything has been laid out; written where --dump-dom shows it.
PROBE = """
<script>
addEventListener("load", () => {
  // Asking for a place makes the browser lay everything out.
  const width = document.documentElement.getBoundingClientRect().width, opened = performance.now(), cut = [], over = [];
  for (const one of document.querySelectorAll("main *")) {
    const box = one.getBoundingClientRect();
    if (box.width && (box.right > width + 1 || box.left < -1)) cut.push(one.tagName + " " + one.textContent.slice(0, 40));
  }
  for (const drawing of document.querySelectorAll("svg")) {
    const frame = drawing.getBoundingClientRect();
    const texts = [...drawing.querySelectorAll("text:not(.number)")].map((one) => [one, one.getBoundingClientRect()]);
    for (const [one, box] of texts)
      if (box.right > frame.right + 1 || box.left < frame.left - 1 || box.bottom > frame.bottom + 1 || box.top < frame.top - 1)
        cut.push("text " + one.textContent);
    texts.forEach(([one, a], index) => texts.slice(index + 1).forEach(([other, b]) => {
      if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3)
        over.push(one.textContent + " / " + other.textContent);
    }));
  }
  const steps = [];
  for (const step of (window.STEPS || [])) steps.push(step());
  document.body.dataset.probe = JSON.stringify({
    opened, cut, over, steps, loaded: performance.getEntriesByType("resource").map((one) => one.name),
    rows: document.querySelectorAll("#offices tbody tr").length, scroll: document.documentElement.scrollWidth, width,
  });
});
</script>
"""


@dataclass(frozen=True, slots=True)
class Opened:
    """A page after it was drawn.

    Attributes:
        opened_ms: from the start of loading until it stood, by the browser's clock.
        cut: what reaches out of the window or of its drawing. over: texts of a drawing that lie over each other.
        loaded: what it asked for besides itself.
        steps: what the script of the test gave back.
    """

    opened_ms: float
    cut: list[str]
    over: list[str]
    loaded: list[str]
    rows: int
    scroll_width: int
    width: int
    console: list[str]
    steps: list[Any]


def open_page(html: str, folder: Path, *, width: int = 1366, height: int = 768, steps: str = "[]") -> Opened:
    """Open a page in Chromium.

    Args:
        steps: a JavaScript list of functions; what each returns is in `Opened.steps`.
    """
    page = folder / "page.html"
    steps_script = f"<script>window.STEPS = {steps};</script>"
    page.write_text(html.replace("</body>", f"{steps_script}{PROBE}</body>"), encoding="utf-8")
    done = _chromium(
        folder, "--enable-logging=stderr", f"--window-size={width},{height}", "--dump-dom", page.as_uri()
    )
    found = re.search(r'data-probe="([^"]*)"', done.stdout)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    probe = json.loads(unescape(found[1]))
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Opened(
        probe["opened"], probe["cut"], probe["over"], probe["loaded"], probe["rows"], probe["scroll"], probe["width"],
        console, probe["steps"],
    )  # fmt: skip


def print_page(html: str, folder: Path) -> bytes:
    """The page on paper, as PDF."""
    page, pdf = folder / "print.html", folder / "print.pdf"
    page.write_text(html, encoding="utf-8")
    _chromium(folder, "--no-pdf-header-footer", f"--print-to-pdf={pdf}", page.as_uri())
    return pdf.read_bytes()


def _chromium(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "Chromium is missing; `python3 run.py test` installs it"
    return subprocess.run(
        [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder / 'profile'}",
         *arguments],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
