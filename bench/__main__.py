"""The benchmarks: `python3 run.py bench [--json FILE] [--markdown FILE] [--only NAME] [--full]`.

Every figure stands beside a reference that runs in the same minute on the same machine (raw SQLite, a bare HTTP
POST, the library alone), because these machines are shared and only the ratio can be compared. What is wanted of a
figure stands behind it, with *reached* or *missed*. Each module named below is one benchmark: its ``run`` gives
rows (`bench.table.Row`).
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import platform
import subprocess
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.table import MISSED, Row, Target, shown

HERE = Path(__file__).resolve().parent
# In the order in which they run; what each measures.
MODULES = {
    "merge": "the hub's merge from memory, rebuilding, digests",
    "postgres": "the hub's merge into PostgreSQL, one worker and two",
    "size": "the merge into a hub of 1,000,000 residents (--full: 5,000,000, and PostgreSQL)",
    "relay": "a backlog from an outbox through NATS and gRPC to the hub's disk and back",
    "office": "recording at the desk, one by one and from a file",
    "latency": "one recording on an idle system, from its commit to the hub's word",
    "wire": "bytes that leave the office for each event",
    "competitors": "PouchDB, one call and one INSERT per record, pycrdt, loro: the same records",
    "memory": "the hub's memory while a long backlog comes in (--full: 1,000,000 events)",
    "verify": "greetings and reading back beside the merge",
    "attachments": "photos into the hub, each byte synced before its word",
    "ingest": "ready-made frames of many offices into a running hub",
    "printing": "cards drawn, sent to printers, a queue planned again",
    "rights": "licences to print, claimed and decided",
    "offices": "hundreds of virtual offices of `surge run` on one machine with their hub (--full: 1,000)",
}

# For modules that give plain mappings.
WANTED = {
    "merge": Target(ratio_min=2.0),
    "merge, PostgreSQL, one worker": Target(ratio_min=1.0),
    "merge, PostgreSQL, two workers": Target(ratio_min=1.5),
    "merge, PostgreSQL, two workers that prove in themselves": Target(ratio_min=1.5),
}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    import pysqlite3

    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    )
    cpu = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        "unknown",
    )
    return {
        "commit": commit.stdout.strip(),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": pysqlite3.sqlite_version,
        "system": platform.platform(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []


def rows_of(name: str, *, full: bool) -> list[Row]:
    """The rows of one benchmark, measured now."""
    run = importlib.import_module(f"bench.{name}").run
    options = {"full": full} if "full" in inspect.signature(run).parameters else {}
    rows = [Row.of(row) for row in run(**options)]
    return [row if row.target else replace(row, target=WANTED.get(row.name)) for row in rows]


def _table(title: str, rows: list[tuple[str, Row]]) -> Table:
    table = Table(title=title)
    for heading in ("", "value", "unit", "reference", "value", "ratio", "wanted", ""):
        table.add_column(heading, justify="right" if heading in {"value", "ratio", "wanted"} else "left")
    for _, row in rows:
        table.add_row(
            row.name,
            shown(row.value),
            row.unit,
            row.reference,
            shown(row.reference_value),
            "" if row.ratio is None else f"{row.ratio:.2f}",
            "" if row.target is None else str(row.target),
            row.verdict,
            style="bold" if row.verdict == MISSED else None,
        )
    return table


def _markdown(described: dict[str, Any], rows: list[tuple[str, Row]]) -> str:
    """The table as ``docs/performance.md`` shows it."""
    lines = [
        f"Measured on {described['time'][:10]}: {described['cpu']}, {described['cores']} cores, "
        f"Python {described['python']}, SQLite {described['sqlite']}, commit {described['commit']}.",
        "",
        "| What | Value | Unit | Reference | Value | Ratio | Wanted | |",
        "|---|---:|---|---|---:|---:|---:|---|",
    ]
    for _, row in rows:
        cells = (
            row.name, shown(row.value), row.unit, row.reference, shown(row.reference_value),
            "" if row.ratio is None else f"{row.ratio:.2f}", "" if row.target is None else str(row.target),
            row.verdict,
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 run.py bench", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows and the machine as JSON")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table as the docs show it")
    parser.add_argument("--only", choices=MODULES, action="append", help="run this one; may be repeated")
    parser.add_argument("--list", action="store_true", help="name the benchmarks and what they measure")
    parser.add_argument(
        "--full", action="store_true", help="the long forms too: 1,000,000 events, 200,000 records"
    )
    options = parser.parse_args()
    if options.list:
        for name, measures in MODULES.items():
            print(f"{name:12} {measures}")
        return 0
    rows: list[tuple[str, Row]] = []
    failed: list[str] = []
    for name in options.only or MODULES:
        print(f"bench: {name} …", file=sys.stderr, flush=True)
        try:
            rows += [(name, row) for row in rows_of(name, full=options.full)]
        except Exception:
            # The others take an hour to measure again; the exit code tells.
            traceback.print_exc()
            failed.append(name)
    described = machine()
    if options.json:
        document = {
            "machine": described,
            "rows": [{"bench": name, **row.to_json()} for name, row in rows],
            "failed": failed,
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(_markdown(described, rows), "utf-8")
    title = f"{described['cpu']}, {described['cores']} cores, commit {described['commit']}"
    Console(width=170).print(_table(title, rows))
    for name in failed:
        print(f"bench: {name} failed, see above", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
