"""``python -m surge.chaos``: run, print the report, exit 1 when a check does not hold."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from random import SystemRandom

from sepe.errors import SepeError
from surge.chaos.run import Report, Settings, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m surge.chaos", description="Break real processes under load.")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=500.0, help="recordings a second over all offices")
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two strikes, on average")
    parser.add_argument("--seed", type=int, default=None, help="the same seed strikes in the same order")
    parser.add_argument("--keep", type=Path, default=None, help="keep all directories and logs here")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    wanted = parser.parse_args()
    seed = SystemRandom().randrange(1_000_000) if wanted.seed is None else wanted.seed
    settings = Settings(
        seconds=wanted.minutes * 60, rate=wanted.rate, nodes=wanted.nodes, seed=seed, every_s=wanted.every
    )
    say(f"seed {seed}")
    with tempfile.TemporaryDirectory(prefix="sepe-chaos-") as made:
        folder = wanted.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            report = asyncio.run(run(settings, folder, say))
        except (SepeError, TimeoutError) as exc:
            say(f"seed {seed}: {exc}")
            return 1
    print(json.dumps(report.document(), ensure_ascii=False) if wanted.json else text_of(report))
    return 0 if report.passed else 1


def text_of(report: Report) -> str:
    """The report as people read it."""
    wanted = report.settings
    lines = [
        f"seed {wanted.seed}: {report.recorded} recordings confirmed in {report.recording_s:.0f} s "
        f"at {wanted.nodes} offices ({report.recorded / report.recording_s:.0f}/s), "
        f"{report.unanswered} lines unanswered",
        f"strikes: {', '.join(f'{count} x {name}' for name, count in sorted(report.strikes.items()))}",
        f"restarts: {', '.join(f'{name} {count}' for name, count in report.restarts.items() if count)}",
        f"everything received {report.settle_s:.1f} s after the last strike",
    ]
    for check in report.checks:
        lines.append(f"{'ok ' if check.holds else 'BAD'} {check.name}: {check.found}"
                     + ("" if check.holds else f", expected {check.expected}"))  # fmt: skip
    return "\n".join(lines)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
