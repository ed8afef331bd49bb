"""Commands that only look."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hub import endpoints
from hub.attach.store import AttachmentStore
from hub.cli.blanks import BLANK_CONFLICT, conflict_case
from hub.cli.common import PARTLY, AsJson, Directory, emit, emit_line, masked, now_ms, opened, say, table
from hub.cli.setup import unknown_node
from hub.engine import place
from hub.merge.digest import deep_digest, digest
from hub.merge.store import HubStore
from hub.read import cases as read_cases
from hub.read import export as read_export
from hub.read import status as read_status
from hub.read.hints import hints as read_hints
from hub.read.person import LIFE_NAMES, at_ms
from hub.read.person import person as read_person
from hub.stock.index import stock_books
from sepe.errors import InvalidInputError
from sepe.ids import check_node
from sepe.nik import Nik
from sepe_io.framefile import write_frames
from sepe_io.sqlite import Connection

PROBE_TIMEOUT_S = 0.5
HINT_STEPS_MAX = 20


class What(StrEnum):
    """What `export` gives."""

    residents = "residents"
    cards = "cards"
    events = "events"
    cases = "cases"
    frames = "frames"


class CaseKind(StrEnum):
    """What `cases` lists."""

    nik_conflict = "nik_conflict"
    double_print = "double_print"
    blank_conflict = "blank_conflict"
    same_person = "same_person"
    life_elsewhere = "life_elsewhere"
    replaced_twice = "replaced_twice"


EXPORTS: dict[What, Callable[[Connection], Iterator[dict[str, Any]]]] = {
    What.residents: read_export.residents,
    What.cards: read_export.cards,
    What.events: read_export.events,
    What.cases: read_export.all_cases,
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (status, nodes, person, cases, export, exposure):
        app.command()(command)
    app.command("digest")(show_digest)


def status(
    directory: Directory,
    by_product: Annotated[
        bool, typer.Option("--products", help="Add the count per product; reads the whole log.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Counts, digest and services of the hub.

    Example: sepe hub status ./hub
    """
    with opened(directory, projected=True) as store:
        document: dict[str, Any] = read_status.as_json(read_status.counts(store.connection))
        document["digest"] = digest(store.connection).digest
        document.update(_attachments(store))
        document["storage"] = "postgresql" if place.is_postgres(store.connection) else "sqlite"
        document["storage_bytes"] = place.size_bytes(directory, store.connection)
        document["nats"] = nats_state(directory)
        if by_product:
            document["products"] = read_status.products(store.connection)
    if as_json:
        emit(document)
        return
    products = document.pop("products", {})
    table(("what", ""), list(document.items()))
    if products:
        print()
        for name, found in products.items():
            print(f"{name}: {', '.join(f'{state} {number}' for state, number in found.items())}")


def nodes(directory: Directory, as_json: AsJson = False) -> None:
    """Every node: how far the hub holds its history, how much is missing, what is wrong.

    Example: sepe hub nodes ./hub
    """
    with opened(directory) as store:
        found = read_status.nodes(store.connection, now_ms=now_ms())
    rows = [
        {
            "node": one.node,
            "epoch": one.epoch,
            "durable_seq": one.durable_seq,
            "last_seen": None if one.last_seen_ms is None else at_ms(one.last_seen_ms),
            "lag_events": one.lag_events,
            "link": one.link or "offline",
            "flags": list(one.flags),
            "events": one.events,
            "clock_skew_ms": one.clock_skew_ms,
            "software": one.software,
        }
        for one in found
    ]
    if as_json:
        emit(rows)
        return
    shown = ("node", "durable_seq", "lag_events", "link", "last_seen", "flags")
    table(
        shown,
        [
            [row["node"], row["durable_seq"], row["lag_events"], row["link"], row["last_seen"] or "never",
             " ".join(one.flags)]
            for row, one in zip(rows, found, strict=True)
        ],
    )  # fmt: skip


def person(
    directory: Directory,
    nik: Annotated[str, typer.Argument(metavar="NIK", help="16 digits.")],
    as_json: AsJson = False,
) -> None:
    """All that is known of one resident: the page that shows the full number.

    Example: sepe hub person ./hub 5371044101909001
    """
    number = Nik.parse(nik)
    with opened(directory) as store:
        document = read_person(store.connection, number)
        if document is not None:
            # A running hub keeps up by itself; a backlog of millions is not for one page to work off.
            for _ in range(HINT_STEPS_MAX):
                if not store.step_hints():
                    break
            document["same_person"] = read_hints(store.connection, include_decided=True, nik=number.number)
    if document is None:
        say(f"sepe: NIK {number.masked}: no event names it. Its office may not have sent it yet: sepe hub nodes")
        raise typer.Exit(PARTLY)
    if as_json:
        emit(document)
        return
    print(f"{document['nik']}  {document['life']}{'  CARD ON HOLD' if document['card_on_hold'] else ''}")
    table(
        ("field", "value", "since", "by"),
        [(name, one["value"], one["at"], one["node"]) for name, one in document["fields"].items()],
    )
    for title in (
        "claims",
        "cards",
        "handed_over",
        "withdrawn",
        "attachments",
        "cases",
        "same_person",
        "decisions",
        "history",
    ):
        for entry in document[title]:
            print(f"{title}: {json.dumps(entry, ensure_ascii=False)}")


def cases(
    directory: Directory,
    everything: Annotated[bool, typer.Option("--all", help="Decided ones too.")] = False,
    kind: Annotated[CaseKind | None, typer.Option("--kind", help="Only these; same_person: the hints.")] = None,
    as_json: AsJson = False,
) -> None:
    """What an officer must decide. The list masks the NIK; --json is for the officer's own screen.

    Hints that two NIK may be one person hold no card up, so only --kind same_person lists them.

    Example: sepe hub cases ./hub --kind same_person
    """
    if kind is CaseKind.same_person:
        _show_hints(directory, include_decided=everything, as_json=as_json)
        return
    with opened(directory, projected=True) as store:
        found = read_cases.cases(store.connection, include_decided=everything)
        found += [conflict_case(one) for one in stock_books(store).conflicts]
        hints = len(read_hints(store.connection))
    found = [one for one in found if kind in (None, one["kind"])]
    if as_json:
        emit(found)
        return
    if hints and kind is None:
        say(f"also {hints} hints that two NIK are one person: sepe hub cases {directory} --kind same_person")
    for one in found:
        if one["kind"] == BLANK_CONFLICT:
            print(f"{one['kind']}  {one['subject']}  {' and '.join(one['nodes'])}  open: sepe hub blanks DIR")
            continue
        state = "open" if one["open"] else f"decided {one['decided']}"
        print(f"{one['id']}  {one['kind']}  {masked(one['nik'])}  {one['subject']}  {state}")
        for claim in one.get("claims", ()):
            times = f", {claim['claims']} times" if claim["claims"] > 1 else ""
            print(
                f'  {claim["number"]}  "{claim["name"]}" {claim["birth_date"]} {claim["sex"]}'
                f" from {claim['node']}{times}"
            )
        for card in one.get("cards", ()):
            print(f"  {'valid ' if card['valid'] else 'recall'}  {card['serial']} from {card['node']}")
        if change := one.get("change"):
            state = LIFE_NAMES.get(change["state"], change["state"])
            print(f"  {state} by {change['document']} from {change['node']}")
        for word in one.get("words", ()):
            print(
                f"  {masked(word['new_nik'])} ({word['why']}) by {word['officer']} {word['at']}: {word['reason']}"
            )
        for word in one.get("revised", ()):
            print(f"  revised: {_decided(word, one)}")
        if decision := one.get("decision"):
            print(f"  {_decided(decision, one)}")


def _decided(decision: dict[str, Any], case: dict[str, Any]) -> str:
    """Who kept what, when and why."""
    numbers = {claim["event"]: f"claim {claim['number']}" for claim in case.get("claims", ())}
    kept = numbers.get(decision["keep"], decision["keep"] or "nothing")
    if "change" in case:
        kept = "accepted" if decision["keep"] else "refused"
    return f"{kept} kept by {decision['officer']} {decision['at']}: {decision['reason']}"


def _show_hints(directory: Path, *, include_decided: bool, as_json: bool) -> None:
    with opened(directory) as store:
        store.project_hints()
        found = read_hints(store.connection, include_decided=include_decided)
    if as_json:
        emit(found)
        return
    for one in found:
        state = "open" if one["open"] else f"decided {one['decided']}"
        print(f"{one['id']}  {one['kind']}  {', '.join(one['reasons'])}  {state}")
        for person in one["people"]:
            names = " or ".join(
                f'"{claim["name"]}" {claim["birth_date"]} {claim["sex"]}' for claim in person["identities"]
            )
            mother = person["mother_name"] or "-"
            print(f"  {masked(person['nik'])}  {names}  {person['birth_place']}  mother {mother}")


def show_digest(
    directory: Directory,
    deep: Annotated[bool, typer.Option("--deep", help="Fold every resident; slow, proves more.")] = False,
    as_json: AsJson = False,
) -> None:
    """One number for the whole state, and one per kecamatan: equal states give equal numbers.

    Example: sepe hub digest ./hub --deep
    """
    with opened(directory) as store:
        found = deep_digest(store.connection) if deep else digest(store.connection)
    if as_json:
        emit({"digest": found.digest, "kecamatan": found.kecamatan})
        return
    print(found.digest)
    for code, part in found.kecamatan.items():
        print(f"{code}  {part}")


def export(
    directory: Directory,
    what: Annotated[What, typer.Option("--what", help="residents, cards, events, cases, or frames (to a file).")],
    out: Annotated[Path | None, typer.Option("--out", help="Write here instead of stdout.")] = None,
) -> None:
    """Everything the hub holds, as JSON lines; frames as a file that `sepe hub import` takes.

    Example: sepe hub export ./hub --what residents --out residents.jsonl
    """
    with opened(directory, projected=True) as store:
        if what is What.cases:
            store.project_hints()
        if what is What.frames:
            if out is None:
                raise InvalidInputError(
                    "frames are binary and need a file", field="--out", hint="Add: --out all.frames"
                )
            say(f"{write_frames(out, read_export.frames(store.connection))} frames")
            return
        lines = EXPORTS[what](store.connection)
        if out is None:
            for line in lines:
                emit_line(line)
            return
        with out.open("w", encoding="utf-8") as file:
            for line in lines:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


def exposure(
    directory: Directory,
    node: Annotated[str, typer.Argument(metavar="NODE", help="The lost machine.")],
    as_json: AsJson = False,
) -> None:
    """Whose data came from a machine, for the notice that the law asks for; --json gives the full numbers.

    Example: sepe hub exposure ./hub 537104-1
    """
    check_node(node)
    with opened(directory) as store:
        last = [one for one in read_status.nodes(store.connection, now_ms=now_ms()) if one.node == node]
        if not last:
            raise unknown_node(node)
        document = read_export.exposure(store.connection, node)
    document["last_seen"] = None if last[0].last_seen_ms is None else at_ms(last[0].last_seen_ms)
    if as_json:
        emit(document)
        return
    print(f"{node}: {document['residents']} residents, {document['events']} events")
    print(f"last seen {document['last_seen']}; what it recorded since is not known here")
    for one in document["people"]:
        print(f"{masked(one['nik'])}  {one['events']}")


def _attachments(store: HubStore) -> dict[str, int]:
    """Attachments that are whole here, and those that events name and that are not."""
    files = AttachmentStore.open(store)
    try:
        while not files.scan():
            pass
        found = files.counts()
    finally:
        files.close()
    return {
        "attachments_complete": found.complete,
        "attachments_waiting": found.waiting,
        "attachments_begun": found.begun,
        "attachments_bytes": found.complete_bytes,
    }


def nats_state(directory: Path) -> str:
    """The broker's address when it answers there, else ``stopped``; ``none`` when no hub ever ran here."""
    url = endpoints.read(directory).nats
    if not url:
        return "none"
    host, _, port = url.rpartition("://")[2].rpartition("@")[2].rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_TIMEOUT_S):
            return url
    except (OSError, ValueError, OverflowError):
        return "stopped"
