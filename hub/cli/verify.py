"""``sepe hub verify``: read everything back, put right what was altered, prove to each office what is held."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Annotated

import typer

from hub.cli.common import PARTLY, AsJson, Directory, emit, now_ms, opened, say
from hub.cli.setup import unknown_node
from hub.merge.digest import digest
from hub.read.person import at_ms
from hub.verify import check
from hub.verify.report import Fate, Finding, What
from hub.verify.standing import standings
from sepe.ids import check_node

_STEPS = {
    What.torn: "a frame of another history lies in the log: restore a backup, the offices send the rest",
    What.key: "give the node a new token: sepe hub enrol",
    What.frame: "bring the hub's own frames from a backup or another hub: sepe hub import",
    What.hole: "bring the hub's own frames from a backup or another hub: sepe hub import",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)


def verify(
    directory: Directory,
    node: Annotated[str, typer.Option("--node", help="Show the proof of this node only.")] = "",
    repair: Annotated[bool, typer.Option(help="Put right what is altered; --no-repair only looks.")] = True,
    as_json: AsJson = False,
) -> None:
    """Read every frame, signature and head back, beside a running hub, and mend what was altered or lost.

    Exit 1 while something is not as it was written: its office is asked for it, or a person must act.

    Example: sepe hub verify ./hub --node 537104-1
    """
    if node:
        check_node(node)
    with opened(directory, projected=True) as store:
        report = check.verify(directory, now_ms(), repairs=repair)
        shown = standings(store.connection, node)
        found = digest(store.connection)
    if node and not shown:
        raise unknown_node(node)
    if as_json:
        emit(
            {
                "ok": report.is_well,
                "frames": report.frames,
                "events": report.events,
                "at": at_ms(report.at_ms),
                "digest": found.digest,
                "nodes": [{**asdict(one), "at": at_ms(one.at_ms), "line": one.line()} for one in shown],
                "found": [asdict(one) for one in report.findings],
                "kecamatan": dict(Counter(one.kecamatan for one in report.findings if one.kecamatan)),
            }
        )
    else:
        for one in shown:
            print(one.line())
        print(f"{report.frames:,} frames, {report.events:,} events read back; digest {found.digest}")
        for finding in report.findings:
            print(_line(finding))
    for finding in report.findings:
        if finding.fate is Fate.person:
            say(f"sepe: {finding.what.value} {finding.where}: {_STEPS.get(finding.what, 'look at it')}")
    if not report.is_well:
        raise typer.Exit(PARTLY)


def _line(finding: Finding) -> str:
    fates = {
        Fate.mended: "mended", Fate.asked: "asked for", Fate.person: "LOOK", Fate.found: "not as written",
    }  # fmt: skip
    where = f"{finding.where} of kecamatan {finding.kecamatan}" if finding.kecamatan else finding.where
    return (
        f"{fates[finding.fate]:14}  {finding.what.value}: {where}{': ' if finding.detail else ''}{finding.detail}"
    )
