"""``python -m surge.printer`` as the demo uses it: a process with a tray file, killed without warning."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from node.printing.driver import JobOutcome, PrinterUnreachableError, open_driver
from tests.support.printing import card_document


@asynccontextmanager
async def printer_process(*options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, str]]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "surge.printer", *options,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            first = await process.stdout.readline()
        yield process, json.loads(first)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def command(process: asyncio.subprocess.Process, **what: object) -> dict[str, object]:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(what).encode() + b"\n")
    async with asyncio.timeout(10):
        answer: dict[str, object] = json.loads(await process.stdout.readline())
    return answer


def posted(url: str, what: object) -> dict[str, object]:
    request = urllib.request.Request(url, data=json.dumps(what).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: dict[str, object] = json.load(answer)
    return found


def tray_of(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


async def until_printed(url: str, job_name: str) -> None:
    driver = open_driver(url)
    async with asyncio.timeout(10):
        while True:
            if await driver.outcome(job_name) is JobOutcome.PRINTED:
                return
            await asyncio.sleep(0.01)


async def test_a_killed_printer_leaves_an_audit_of_what_came_out(tmp_path: Path) -> None:
    tray = tmp_path / "tray.jsonl"
    async with printer_process("--tray", str(tray)) as (process, where):
        await open_driver(where["url"]).submit(card_document("job-1"))
        await until_printed(where["url"], "job-1")
        process.kill()
        await process.wait()
    with pytest.raises(PrinterUnreachableError):
        await open_driver(where["url"]).report()
    port = where["url"].split(":")[2].split("/")[0]
    async with printer_process("--tray", str(tray), "--port", port) as (_, again):
        assert again["url"] == where["url"]
        assert await open_driver(again["url"]).outcome("job-1") is JobOutcome.UNKNOWN
        await open_driver(again["url"]).submit(card_document("job-2"))
        await until_printed(again["url"], "job-2")
    assert [(line["job_name"], line["spoiled"]) for line in tray_of(tray)] == [("job-1", False), ("job-2", False)]


async def test_it_is_jammed_and_cleared_from_stdin_and_over_http() -> None:
    async with printer_process() as (process, where):
        driver = open_driver(where["url"])
        assert await command(process, do="jam") == {"ok": True, "reasons": ["media-jam-error"]}
        assert (await driver.report()).reasons == ("media-jam-error",)
        control = f"{where['http']}/control"
        assert await asyncio.to_thread(posted, control, {"do": "clear-jam"}) == {"reasons": ["none"]}
        assert (await driver.report()).reasons == ()
        answer = await command(process, do="explode")
        assert answer["ok"] is False and "no such command" in str(answer["error"])
        assert (await command(process, do="load", blanks=-1))["ok"] is False


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, None])
async def test_it_ends_cleanly_on_a_signal_or_when_stdin_closes(end: signal.Signals | None) -> None:
    async with printer_process() as (process, _):
        if end is None:
            assert process.stdin is not None
            process.stdin.close()
        else:
            process.send_signal(end)
        async with asyncio.timeout(5):
            assert await process.wait() == 0
