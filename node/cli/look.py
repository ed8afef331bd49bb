"""``node status``, ``outbox``, ``report``, ``doctor``, ``export-unsent``: look at one machine, carry its news."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from node.cli.common import EXIT_PART, AsJson, Dir, note, opened, print_json, print_table, write_line
from node.cli.words import say
from node.clock import now_ms
from node.storage.store import NodeStore
from sepe import hlc
from sepe.errors import InvalidInputError
from sepe.events import Kind
from sepe.ids import EventId
from sepe.nik import Nik


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="status")(show_status)
    app.command(name="outbox")(show_outbox)
    app.command(name="report")(show_report)
    app.command(name="doctor")(show_doctor)
    app.command(name="export-unsent")(export_unsent)


def show_status(folder: Dir, as_json: AsJson = False) -> None:
    """What has reached the centre, what waits at the printer, and what needs a person's eye.

    Example: sepe node status ./oebobo --json
    """
    from node.desk.proof import last_proof
    from node.desk.status import status, warnings

    with opened(folder) as store:
        document = status(store, now_ms())
        found = list(warnings(store, now_ms()))
        proof = last_proof(store)
    if as_json:
        texts = [{"code": one.code, "text": say(one.indonesian, one.english)} for one in found]
        print_json({**document, "warnings": texts})
        return
    write_line(say("Node", "Node") + f"            {document['node']}  (epoch {str(document['epoch'])[:8]})")
    write_line(
        say("Sampai di pusat", "At the centre") + f": {document['durable_seq']} / {document['last_seq']}, "
        + say("menunggu", "waiting") + f" {document['pending']}"
        + (f" ({document['oldest_pending_seconds']} s)" if document["pending"] else "")
    )  # fmt: skip
    if document["attachments_pending"]:
        write_line(
            say("Lampiran menunggu", "Attachments waiting") + f": {document['attachments_pending']}"
            f" ({document['attachments_pending_bytes']} B)"
        )
    if proof is not None:
        write_line(say(f"Bukti: {proof.indonesian()}", f"Proof: {proof.english()}"))
    write_line(say("Sambungan", "Link") + f": {document['link']}")
    for title, key in ((say("Cetakan", "Prints"), "prints"), (say("Blangko", "Blanks"), "blanks")):
        counts = document[key]
        assert isinstance(counts, dict)
        write_line(f"{title}: " + (", ".join(f"{name} {count}" for name, count in counts.items()) or "-"))
    supplies = document["supplies"]
    assert isinstance(supplies, list)
    for one in supplies:
        ribbon = "-" if one["ribbon_left"] is None else one["ribbon_left"]
        limit = f" / {one['day_cards']}" if one["day_cards"] else ""
        write_line(
            say(f"Pencetak {one['printer']}: pita {ribbon} kartu, hari ini {one['cards_today']}{limit}",
                f"Printer {one['printer']}: ribbon {ribbon} cards, today {one['cards_today']}{limit}")
        )  # fmt: skip
    if document["news_unread"]:
        write_line(
            say(f"Berita belum dibaca: {document['news_unread']} (sepe node news DIR --read)",
                f"Unread news: {document['news_unread']} (sepe node news DIR --read)")
        )  # fmt: skip
    for caution in found:
        write_line("! " + say(caution.indonesian, caution.english))


def show_outbox(
    folder: Dir,
    limit: Annotated[int, typer.Option(min=1, help="How many events, oldest unsent first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The events that the centre does not hold yet.

    Example: sepe node outbox ./oebobo --limit 5
    """
    from node.desk.people import names_of, shown

    with opened(folder) as store:
        position = store.position()
        events = [row for _, row in zip(range(limit), store.events_after(position.durable_seq), strict=False)]
        names = {} if as_json else names_of(store, {row.nik for row in events})
        rows = [
            {
                "event": str(EventId(store.node, position.epoch, row.seq)),
                "seq": row.seq,
                "kind": _kind(row.kind),
                "nik": Nik.from_number(row.nik).masked if row.nik else "",
                "stamp": row.stamp,
                "recorded_ms": hlc.wall_ms_of(row.stamp),
                "bytes": len(row.body),
            }
            for row in events
        ]
    if as_json:
        print_json(
            {
                "epoch": position.epoch.hex(),
                "last_seq": position.last_seq,
                "durable_seq": position.durable_seq,
                "pending": position.last_seq - position.durable_seq,
                "events": rows,
            }
        )
        return
    print_table(
        ("seq", "kind", say("warga", "resident"), "bytes"),
        [(row.seq, _kind(row.kind), shown(row.nik, names) if row.nik else "", len(row.body)) for row in events],
    )
    note(
        say(
            f"{position.last_seq - position.durable_seq} menunggu, {position.durable_seq} sudah di pusat",
            f"{position.last_seq - position.durable_seq} waiting, {position.durable_seq} at the centre",
        )
    )


def show_report(
    folder: Dir,
    day: Annotated[str, typer.Option("--day", help="YYYY-MM-DD; today when left out.")] = "",
    as_json: AsJson = False,
) -> None:
    """The day by product: recordings in parts that add up, and how far their prints have come.

    Example: sepe node report ./oebobo --day 2024-11-23
    """
    from node.desk.day import day_of
    from node.desk.report import STATUSES, day_report

    with opened(folder) as store:
        report = day_report(store, _day(day) if day else day_of(now_ms(), store.node))
    if as_json:
        print_json(
            {
                "day": report.day.isoformat(),
                "recorded": report.recorded,
                "closes": report.closes,
                "products": [
                    {
                        "product": line.product, "recorded": line.recorded, "parts": dict(line.parts),
                        "prints": dict(line.prints), "closes": line.closes,
                    }
                    for line in report.lines
                ],
            }
        )  # fmt: skip
        return
    rows: list[list[object]] = [
        [line.product, line.recorded, *(line.parts.get(status, 0) for status in STATUSES),
         ", ".join(f"{state} {count}" for state, count in line.prints.items())]
        for line in report.lines
    ]  # fmt: skip
    parts = (sum(line.parts.get(status, 0) for line in report.lines) for status in STATUSES)
    print_table(
        ("product", "recorded", *STATUSES, "prints"),
        [
            *rows,
            [say("jumlah", "total"), report.recorded, *parts, say("cocok", "closes") if report.closes else "!"],
        ],
    )


def show_doctor(
    folder: Dir,
    as_json: AsJson = False,
    seen: Annotated[bool, typer.Option("--seen", help="Take back an alarm that you have looked into.")] = False,
) -> None:
    """Examine everything: database, chain of events, key, photos, prints, blanks. Changes nothing but --seen.

    Example: sepe node doctor ./oebobo
    """
    from node.desk.doctor import examine
    from node.link.notes import ALARM_KEY

    with opened(folder) as store:
        if seen:
            store.put(ALARM_KEY, None)
        findings = examine(store)
    if as_json:
        print_json(
            {
                "ok": all(one.is_ok for one in findings),
                "checks": [{"check": one.check, "ok": one.is_ok, "detail": one.detail} for one in findings],
            }
        )
    else:
        print_table(
            ("check", "ok", "detail"), [(one.check, "ok" if one.is_ok else "!", one.detail) for one in findings]
        )
    if not all(one.is_ok for one in findings):
        raise typer.Exit(EXIT_PART)


def export_unsent(
    folder: Dir,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Made anew; it holds personal data.")],
    as_json: AsJson = False,
) -> None:
    """Write what the centre lacks into a file for a courier; there: sepe hub import FILE.

    Nothing changes here, and importing twice changes nothing there.

    Example: sepe node export-unsent ./oebobo /media/usb/oebobo.frames
    """
    from sepe_io.framefile import write_frames

    with opened(folder) as store:
        position = store.position()
        try:
            frames = write_frames(file, sealed_frames(store, position.durable_seq))
        except OSError as exc:
            raise InvalidInputError(
                f"the file cannot be written: {exc.strerror}",
                field="FILE",
                value=str(file),
                hint="Check the medium.",
            ) from exc
    events = position.last_seq - position.durable_seq
    if as_json:
        print_json({"file": str(file), "frames": frames, "events": events})
    else:
        note(
            say(
                f"{events} peristiwa dalam {frames} bingkai: {file}", f"{events} events in {frames} frames: {file}"
            )
        )


def sealed_frames(store: NodeStore, after_seq: int) -> Iterator[bytes]:
    """The current epoch's events above ``after_seq`` as signed frames."""
    from node.settings import KEY_NAME
    from sepe_io import keys
    from sepe_io.frames import seal_frame

    signer = keys.load(store.folder / KEY_NAME)
    epoch = store.epoch
    while (page := store.page(after_seq)) is not None:
        yield seal_frame(
            node=store.node,
            epoch=epoch,
            first_seq=page.first_seq,
            chain_before=page.chain_before,
            columns=page.columns,
            signer=signer,
        )
        after_seq = page.last_seq


def _kind(number: int) -> str:
    try:
        return Kind(number).name.lower()
    except ValueError:
        return str(number)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidInputError("a day is YYYY-MM-DD", field="--day", value=text) from None
