"""``python -m surge.trials NAME``: play one, print what came of it, exit 1 when a check does not hold. Linux.

majority   three nats-servers lose their majority for a minute, gRPC carries; then they come back
sleeper    a worker is stopped inside a transaction for a minute, longer than its lease, and wakes among its heirs
failover   a PostgreSQL server is lost and its synchronous standby promoted; --asynchronous: one that lags
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from sepe.errors import SepeError
from surge.trials import failover, majority, sleeper
from surge.trials.report import TrialReport

SECONDS = {"majority": 60.0, "sleeper": 60.0, "failover": 3.0}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m surge.trials", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=SECONDS)
    parser.add_argument(
        "--seconds", type=float, default=None, help="how long the fault lasts; else 60, failover 3"
    )
    parser.add_argument("--asynchronous", action="store_true", help="failover: the standby is not waited for")
    parser.add_argument("--keep", type=Path, default=None, help="keep all directories and logs in this folder")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    wanted = parser.parse_args()
    seconds = SECONDS[wanted.name] if wanted.seconds is None else wanted.seconds
    with tempfile.TemporaryDirectory(prefix="sepe-trial-") as made:
        folder = (wanted.keep or Path(made)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            report = asyncio.run(_play(wanted.name, folder, seconds, is_synchronous=not wanted.asynchronous))
        except SepeError as exc:
            print(f"{wanted.name}: {exc}", file=sys.stderr)
            return 1
    print(json.dumps(report.document(), ensure_ascii=False) if wanted.json else report.text())
    return 0 if report.passed else 1


async def _play(name: str, folder: Path, seconds: float, *, is_synchronous: bool) -> TrialReport:
    if name == "majority":
        return await majority.play(folder, seconds)
    if name == "sleeper":
        return await sleeper.play(folder, seconds)
    return await failover.play(folder, seconds, is_synchronous=is_synchronous)


if __name__ == "__main__":
    sys.exit(main())
