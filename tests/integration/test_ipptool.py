"""CUPS' own ``ipptool`` drives the virtual printer. Debian: ``apt-get install cups-ipp-utils``.

A machine without ipptool fails here rather than skip: the virtual printer stands for real ones in every
other test, and this is what entitles it to.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from node.printing.render import render
from surge.printer import VirtualPrinter
from tests.support.printing import content

SUITES = Path("/usr/share/cups/ipptool")
POSTSCRIPT = "%!PS-Adobe-3.0\nshowpage\n%%EOF\n"
# What the printer does not offer, by choice: it fetches no URIs, takes no PostScript, holds no US Letter,
# adds no banner sheets, holds no job and has one print quality.
NOT_OFFERED = re.compile(
    r"Print-URI|Send-URI|section 4\.2\.4: Create-Job Operation|US Letter|PostScript|JPEG on 4x6|2-Up|job-hold-until|"
    r"Release-Job|Draft|Normal|Best|Standard Sheet"
)


@dataclass(frozen=True)
class Verdict:
    code: int
    passed: list[str]
    failed: list[str]
    skipped: list[str]
    output: str


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Every suite beside the documents it names, which Debian leaves out; ours are real ones of each kind."""
    for suite in SUITES.glob("*.test"):
        shutil.copy(suite, tmp_path)
    paper = render(content("akta-kelahiran"))
    for size in ("a4", "letter"):
        (tmp_path / f"document-{size}.pdf").write_bytes(paper)
        (tmp_path / f"document-{size}.ps").write_text(POSTSCRIPT)
    for name, mode in (("color", "RGB"), ("gray", "L")):
        Image.new(mode, (400, 600)).save(tmp_path / f"{name}.jpg")
    (tmp_path / "card.pdf").write_bytes(render(content()))
    return tmp_path


async def run_suite(files: Path, suite: str, url: str, document: str = "card.pdf") -> Verdict:
    tool = shutil.which("ipptool")
    assert tool is not None, "ipptool is missing: apt-get install cups-ipp-utils"
    process = await asyncio.create_subprocess_exec(
        tool, "-tI", "-f", str(files / document), url, str(files / suite),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(90):
            raw, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    output = raw.decode()
    marked = re.findall(r"^ {4}(\S.*?)\s*\[(PASS|FAIL|SKIP)\]", output, re.MULTILINE)
    named = {mark: [name for name, found in marked if found == mark] for mark in ("PASS", "FAIL", "SKIP")}
    return Verdict(process.returncode or 0, named["PASS"], named["FAIL"], named["SKIP"], output)


@pytest.mark.parametrize(
    ("suite", "document"),
    [
        ("get-printer-attributes.test", "card.pdf"),
        ("print-job.test", "card.pdf"),
        ("print-job.test", "color.jpg"),
        ("print-job-and-wait.test", "card.pdf"),
        ("print-job-media-col.test", "card.pdf"),
        ("validate-job.test", "card.pdf"),
        ("create-job.test", "card.pdf"),
        ("get-jobs.test", "card.pdf"),
        ("get-completed-jobs.test", "card.pdf"),
    ],
)
async def test_ipptool_passes(suite: str, document: str, files: Path) -> None:
    async with VirtualPrinter() as printer:
        verdict = await run_suite(files, suite, printer.url, document)
    assert verdict.code == 0 and verdict.passed and not verdict.failed and not verdict.skipped, verdict.output


@pytest.mark.parametrize(("suite", "passed_min"), [("ipp-1.1.test", 34), ("ipp-2.0.test", 35)])
async def test_ipptool_finds_no_fault_in_the_whole_protocol(suite: str, passed_min: int, files: Path) -> None:
    # Eight places: the suite sends documents back to back and does not wait for a printer that is busy.
    async with VirtualPrinter(jobs_max=8) as printer:
        verdict = await run_suite(files, suite, printer.url)
        papers = [sheet for sheet in printer.tray if sheet.media.startswith("iso_a4")]
    assert verdict.code == 0 and not verdict.failed, verdict.output
    assert len(verdict.passed) >= passed_min, verdict.output
    # A skipped test is one for something the printer does not claim, never one that was forgotten.
    assert [name for name in verdict.skipped if not NOT_OFFERED.search(name)] == []
    assert papers


async def test_ipptool_gets_busy_from_a_printer_with_a_job(files: Path) -> None:
    async with VirtualPrinter(pace_s=60) as printer:
        first = await run_suite(files, "print-job.test", printer.url)
        second = await run_suite(files, "print-job.test", printer.url)
    assert first.code == 0
    assert second.code != 0 and "server-error-busy" in second.output
