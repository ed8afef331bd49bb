"""``node news``, ``node find``: what the centre said, and who is who at this office."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from node.cli.common import EXIT_PART, AsJson, Dir, note, opened, print_json, print_table
from node.cli.words import say
from node.clock import now_ms


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="news")(show_news)
    app.command(name="find")(find)


def show_news(
    folder: Dir,
    limit: Annotated[int, typer.Option(min=1, help="How many, unread first.")] = 50,
    read: Annotated[bool, typer.Option("--read", help="What is shown counts as read from now on.")] = False,
    as_json: AsJson = False,
) -> None:
    """What the centre said that concerns this office: decisions, recalls, rights and cards that moved, blanks.

    Items are kept for 60 days.

    Example: sepe node news ./oebobo --read
    """
    from node.desk import news
    from node.desk.day import zone_of
    from node.desk.headlines import words
    from node.desk.people import names_of, shown

    with opened(folder) as store:
        found = news.listing(store, limit)
        zone = zone_of(store.node).tzinfo
        names = names_of(store, {one.headline.nik for one in found})
        if read:
            news.mark_read(store, [one.number for one in found if not one.is_read], now_ms())
        left = news.unread(store)

    def clock(ms: int) -> str:
        return datetime.fromtimestamp(ms / 1000, zone).strftime("%d-%m-%Y %H.%M")

    rows = []
    for one in found:
        it = one.headline
        whose = shown(it.nik, names) if it.nik else ""
        new = "" if not it.new_nik else f"{it.new_nik:016d}" if as_json else shown(it.new_nik, {})
        text = say(*words(it, whose=whose, until=clock(it.until_ms), new=new))
        rows.append((one, it, text))
    if as_json:
        print_json(
            [
                {
                    "number": one.number, "at": datetime.fromtimestamp(one.at_ms / 1000, zone).isoformat(),
                    "at_ms": one.at_ms, "read": one.is_read, "kind": str(it.kind),
                    "nik": f"{it.nik:016d}" if it.nik else None, "name": names.get(it.nik),
                    "product": it.product or None, "issue": it.issue or None, "serial": it.serial or None,
                    "node": it.node or None, "count": it.count or None,
                    "new_nik": f"{it.new_nik:016d}" if it.new_nik else None, "reason": it.reason or None,
                    "text": text,
                }
                for one, it, text in rows
            ]
        )  # fmt: skip
        return
    print_table(
        ("", say("nomor", "number"), say("waktu", "when"), say("berita", "news")),
        [("" if one.is_read else "*", one.number, clock(one.at_ms), text) for one, _, text in rows],
    )
    note(say(f"{left} belum dibaca", f"{left} unread"))


def find(
    folder: Dir,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Words of a name, part of a NIK, a serial, a KK.")],
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many, best first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Find residents of this office: by how words of the name begin, part of the NIK or KK, a card's serial.

    Capitals, accents and apostrophes do not matter. Exit code 1: nobody.

    Example: sepe node find ./oebobo "mar taek"
    """
    from node.desk.find import find as search
    from node.desk.people import shown

    with opened(folder) as store:
        found, total = search(store, text, limit)
    if as_json:
        print_json(
            [
                {
                    "nik": f"{one.nik:016d}", "name": one.name, "birth_date": one.birth_date, "sex": one.sex,
                    "kk": one.kk, "address": one.address, "kelurahan": one.kelurahan,
                    "recorded_ms": one.recorded_ms, "by": one.by,
                    "cards": [
                        {"job": job.id, "product": job.product, "issue": job.issue, "state": str(job.state),
                         "serial": job.serial}
                        for job in one.jobs
                    ],
                }
                for one in found
            ]
        )  # fmt: skip
    elif found:
        print_table(
            (say("warga", "resident"), say("lahir", "born"), say("kelurahan", "kelurahan"),
             say("kartu", "cards")),
            [
                (shown(one.nik, {one.nik: one.name}), one.birth_date, one.kelurahan or "-",
                 ", ".join(f"{job.product} {job.state} {job.serial}".strip() for job in one.jobs) or "-")
                for one in found
            ],
        )  # fmt: skip
    if total > len(found):
        note(say(f"{total} cocok, {len(found)} ditampilkan; tulis lebih lengkap atau --limit",
                 f"{total} match, {len(found)} are shown; say more, or --limit"))  # fmt: skip
    if not found:
        note(say("tidak ada yang cocok di kantor ini", "nobody at this office matches"))
        raise typer.Exit(EXIT_PART)
