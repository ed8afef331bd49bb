"""The benchmarks: `python3 run.py bench [--json FILE] [--only NAME]`.

Every figure stands beside a reference that runs in the same minute on the same machine (raw SQLite, a bare HTTP
POST, the library alone), because these machines are shared and only the ratio can be compared. Each module of this
folder with a ``run() -> list[dict]`` is one benchmark; a row has name, value, unit, reference, reference_value and
ratio.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
MODULES = ("office", "merge", "postgres", "verify", "ingest", "relay", "printing", "rights")


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


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 run.py bench", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows and the machine as JSON")
    parser.add_argument("--only", choices=MODULES, action="append", help="run this one; may be repeated")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in options.only or MODULES:
        print(f"bench: {name} …", file=sys.stderr, flush=True)
        rows += [{"bench": name, **row} for row in importlib.import_module(f"bench.{name}").run()]
    described = machine()
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({"machine": described, "rows": rows}, indent=1) + "\n")
    table = Table(title=f"{described['cpu']}, {described['cores']} cores, commit {described['commit']}")
    for heading in ("", "value", "unit", "reference", "value", "ratio"):
        table.add_column(heading, justify="right" if heading in {"value", "ratio"} else "left")
    for row in rows:
        reference = row.get("reference_value")
        table.add_row(
            row["name"],
            f"{row['value']:,.4g}" if row["value"] < 1000 else f"{row['value']:,.0f}",
            row["unit"],
            str(row.get("reference", "")),
            "" if reference is None else f"{reference:,.4g}" if reference < 1000 else f"{reference:,.0f}",
            "" if row.get("ratio") is None else f"{row['ratio']:.2f}",
        )
    Console(width=150).print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
