"""Commands that change something because a person decided so."""

from __future__ import annotations

import getpass
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.cli.common import PARTLY, AsJson, Directory, emit, now_ms, opened, say, table
from hub.merge.arrival import Outcome
from hub.merge.digest import digest
from hub.merge.proving import VIA_IMPORT, Arrival
from hub.merge.rebuild import rebuild as rebuild_log
from hub.merge.store import HubStore
from hub.quarantine import shelf
from hub.read.person import at_ms
from sepe.errors import InvalidInputError
from sepe.sync.centre import Judgement
from sepe_io.framefile import read_frames

FRAMES_PER_BATCH = 16
MERGED = (Judgement.ACCEPT, Judgement.DUPLICATE)

Ids = Annotated[list[int] | None, typer.Argument(metavar="ID…", help="Which, by the number in the list.")]
Reason = Annotated[str, typer.Option("--reason", help="Only those with this reason.")]
NodeName = Annotated[str, typer.Option("--node", help="Only those of this node.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(rebuild)
    app.command("import")(import_frames)
    quarantine = typer.Typer(no_args_is_help=True, help="Frames that were not merged: look, release, discard.")
    quarantine.command("list")(quarantine_list)
    quarantine.command("release")(quarantine_release)
    quarantine.command("discard")(quarantine_discard)
    app.add_typer(quarantine, name="quarantine")


def rebuild(directory: Directory, as_json: AsJson = False) -> None:
    """Fold the whole frame log again, beside a running hub; the digest must come out the same.

    Example: sepe hub rebuild ./hub
    """
    with opened(directory) as store:
        before = digest(store.connection).digest
        frames = rebuild_log(store.connection, lambda done, total: say(f"{done} of {total} frames"))
        store.project()
        after = digest(store.connection).digest
    document = {"frames": frames, "digest_before": before, "digest": after}
    if as_json:
        emit(document)
    else:
        print(f"{frames} frames; digest {after}")
    if before != after:
        say("sepe: the digest changed: frames came meanwhile, or the tables were wrong and are right now")


def import_frames(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="The hub's directory, else the current one.")],
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Made by `sepe node export-unsent`.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take in a file of frames that a courier brought; a second time changes nothing.

    Example: sepe hub import ./hub unsent.frames
    """
    if file is None:
        directory, file = Path(), directory
    if not file.is_file():
        raise InvalidInputError(
            "there is no such file", field="FILE", value=str(file), hint="Name it after the hub's directory."
        )
    counts: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    fault = ""
    with opened(directory) as store:
        try:
            for frames in _batches(read_frames(file)):
                now = now_ms()
                for outcome in store.merge([Arrival(frame, VIA_IMPORT, now) for frame in frames]):
                    counts["frames"] += 1
                    counts["events"] += outcome.events_merged
                    counts[_fate(outcome)] += 1
                    if outcome.judgement not in MERGED:
                        refused[_why(outcome)] += 1
        except InvalidInputError as exc:
            if not counts:
                raise
            fault = str(exc)
        store.project()
    names = ("frames", "merged", "duplicates", "refused", "events")
    document: dict[str, Any] = {name: counts[name] for name in names}
    document["reasons"] = dict(refused)
    document["error"] = fault or None
    if as_json:
        emit(document)
    else:
        print(", ".join(f"{name} {document[name]}" for name in names))
    for reason, number in refused.items():
        say(f"sepe: {number} frames refused: {reason}. {_next_step(reason)}")
    if fault:
        say(f"sepe: {fault}. What stands before the damage was taken in")
    if fault or refused:
        raise typer.Exit(PARTLY)


def quarantine_list(
    directory: Directory, reason: Reason = "", node: NodeName = "", as_json: AsJson = False
) -> None:
    """What is in quarantine and why.

    Example: sepe hub quarantine list ./hub --node 537104-1
    """
    with opened(directory) as store:
        found = shelf.held(store.connection, reason=reason, node=node)
    rows: list[dict[str, Any]] = [
        {
            "id": one.id, "reason": one.reason, "detail": one.detail, "node": one.node,
            "first_received": at_ms(one.first_received_ms), "last_received": at_ms(one.last_received_ms),
            "times": one.times, "via": one.via, "bytes": one.size,
        }
        for one in found
    ]  # fmt: skip
    if as_json:
        emit(rows)
        return
    shown = ("id", "reason", "node", "first_received", "times", "via", "bytes", "detail")
    table(shown, [[row[name] for name in shown] for row in rows])


def quarantine_release(  # noqa: PLR0917 - options of one command
    directory: Directory,
    ids: Ids = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    reason: Reason = "",
    node: NodeName = "",
    as_json: AsJson = False,
) -> None:
    """Merge frames out of quarantine, also of a machine that was shut out: you vouch for them.

    What cannot be merged stays. Releasing twice changes nothing.

    Example: sepe hub quarantine release ./hub --all --reason bad_signature
    """
    with opened(directory) as store:
        waiting = _chosen(store, ids, everything=everything, reason=reason, node=node)
        results = _release(store, waiting)
        store.project()
    left = [row for row in results if not row["released"]]
    if as_json:
        emit({"released": len(results) - len(left), "kept": len(left), "frames": results})
    else:
        print(f"{len(results) - len(left)} released, {len(left)} kept")
    for row in left:
        say(f"sepe: frame {row['id']}: {row['reason']}. {_next_step(row['reason'])}")
    if left:
        raise typer.Exit(PARTLY)


def quarantine_discard(
    directory: Directory, ids: Ids = None, reason: Reason = "", node: NodeName = "", as_json: AsJson = False
) -> None:
    """Throw frames out of quarantine for good.

    Example: sepe hub quarantine discard ./hub 17
    """
    with opened(directory) as store:
        chosen = _chosen(store, ids, everything=False, reason=reason, node=node)
        done = sum(store.discard(held_id) for held_id in chosen)
    if as_json:
        emit({"discarded": done})
    else:
        print(f"{done} discarded")
    if done < len(chosen):
        say("sepe: some were not there any more")
        raise typer.Exit(PARTLY)


def _chosen(store: HubStore, ids: list[int] | None, *, everything: bool, reason: str, node: str) -> list[int]:
    if ids:
        return ids
    if not (everything or reason or node):
        raise InvalidInputError(
            "which frames?", field="ID", hint="Give numbers of `sepe hub quarantine list`, --reason or --node."
        )
    return [one.id for one in shelf.held(store.connection, reason=reason, node=node)]


def _release(store: HubStore, waiting: list[int]) -> list[dict[str, Any]]:
    """Try until a round merges nothing: a frame may wait for one that stands behind it in the list."""
    results: dict[int, dict[str, Any]] = {}
    while waiting:
        left = []
        for held_id in waiting:
            outcome = store.release(held_id)
            done = outcome is not None and outcome.judgement in MERGED
            results[held_id] = {
                "id": held_id,
                "released": done,
                "events": outcome.events_merged if outcome else 0,
                "reason": "" if done else _why(outcome),
            }
            if not done and outcome is not None and outcome.judgement is Judgement.GAP:
                left.append(held_id)
        if len(left) == len(waiting):
            break
        waiting = left
    return list(results.values())


def _why(outcome: Outcome | None) -> str:
    if outcome is None:
        return "not_there"
    return outcome.reason or (outcome.judgement.value if outcome.judgement else "unknown")


def _fate(outcome: Outcome) -> str:
    match outcome.judgement:
        case Judgement.ACCEPT:
            return "merged"
        case Judgement.DUPLICATE:
            return "duplicates"
        case _:
            return "refused"


def _next_step(reason: str) -> str:
    steps = {
        "unknown_node": "Enrol the node, or bring its key: sepe hub keys import",
        "unknown_key": "Enrol the node's new key: sepe hub enrol",
        "gap": "Earlier events of the node are missing: bring those first",
        "fork": "Two machines wrote the same history: find the clone before you go on",
        "revoked": "The machine is shut out; if you trust this frame: sepe hub quarantine release",
    }
    return steps.get(reason, "It stays in quarantine: sepe hub quarantine list")


def _batches(frames: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Batches of frames; what was read before a fault in the file is given before the fault is raised."""
    source = iter(frames)
    while True:
        batch: list[bytes] = []
        try:
            for frame in islice(source, FRAMES_PER_BATCH):
                batch.append(frame)
        except InvalidInputError:
            if batch:
                yield batch
            raise
        if not batch:
            return
        yield batch


def login() -> str:
    """The name of whoever is logged in, for the record."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
