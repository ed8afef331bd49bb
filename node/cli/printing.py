"""``node print``, ``prints``, ``resolve``, ``confirm``: the print ledger at the desk."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.common import EXIT_PART, AsJson, Dir, note, opened, print_json, print_table
from node.cli.queue import Times, finishes
from node.cli.words import say
from node.clock import now_ms
from node.desk.people import names_of, shown
from node.printing.batches import Batches
from node.printing.door import Door
from node.printing.due import due_today
from node.printing.job import Job
from node.printing.ledger import Ledger
from node.printing.spool import NO_CARD, WAITING, JobState
from node.storage.store import NodeStore
from sepe.dispatch.outlook import Limit
from sepe.errors import InvalidInputError
from sepe.nik import Nik

if TYPE_CHECKING:
    from sepe.handing import Receiver

# A job in one of these is on its way; in any other it is done or waits for something that printing cannot bring.
MOVING = (JobState.QUEUED, JobState.READY, JobState.RESERVED, JobState.SUBMITTED)
POLL_SECONDS = 0.2
HEAR_S = 3.0

Operator = Annotated[str, typer.Option("--operator", help="Who does it; goes into the event.")]
Niks = Annotated[list[str] | None, typer.Argument(metavar="[NIK …]", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command(name="print")
    def print_now(  # noqa: PLR0917 - options of a command
        folder: Dir,
        niks: Niks = None,
        everything: Annotated[bool, typer.Option("--all", help="Everything that waits.")] = False,
        printer: Annotated[str, typer.Option(help="This printer alone, this once.")] = "",
        override: Annotated[bool, typer.Option(help="Print without the right; a supervisor's decision.")] = False,
        reason: Annotated[str, typer.Option(help="Why, with --override; the centre reads it.")] = "",
        operator: Operator = "",
        wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the printer.")] = 60.0,
        as_json: AsJson = False,
    ) -> None:
        """Print what waits for these residents, or everything, and say what became of it.

        Works while the node runs: then its press does the printing. Exit code 1: not everything was printed.

        Example: sepe node print ./oebobo 5371044101909001
        """
        if bool(niks) == everything:
            raise InvalidInputError("name residents or say --all", field="NIK", hint="sepe node print DIR --all")
        with opened(folder) as store:
            wished = _wish(store, niks, override=override, reason=reason, operator=operator)
            jobs = [job.id for job in wished]
            held = Batches(store).held_jobs(jobs)
            for name in sorted(set(held.values())):
                note(say(f"Kelompok {name} belum dilepas: sepe node batch DIR {name} --release",
                         f"Batch {name} is not released: sepe node batch DIR {name} --release"))  # fmt: skip
            movable = [job for job in wished if job.id not in held]
            if any(job.state in MOVING or job.state in WAITING for job in movable):
                import asyncio

                asyncio.run(_bring(store, printer, [job.id for job in movable], wait))
            ledger = Ledger(store)
            now = [ledger.job(job) for job in jobs]
        _show(now, as_json=as_json, full=True)
        if not all(job.state in (JobState.PRINTED, JobState.HANDED_OVER) for job in now):
            raise typer.Exit(EXIT_PART)

    @app.command()
    def prints(
        folder: Dir,
        nik: Annotated[str | None, typer.Option("--nik", help="Only this resident.")] = None,
        state: Annotated[str | None, typer.Option("--state", help="Only this state, such as in_doubt.")] = None,
        limit: Annotated[int, typer.Option(min=1, help="How many, latest first.")] = 50,
        as_json: AsJson = False,
    ) -> None:
        """The print ledger: every attempt, its state, its blank, and why it waits.

        Example: sepe node prints ./oebobo --state in_doubt
        """
        from node.desk.hand_over import receivers

        with opened(folder) as store:
            ledger = Ledger(store)
            if nik is not None:
                jobs = ledger.of_resident(Nik.parse(nik).number)[::-1]
            elif state is not None:
                jobs = ledger.in_state(_state(state))[::-1]
            else:
                jobs = ledger.all(limit)
            if state is not None:
                jobs = [job for job in jobs if job.state == _state(state)]
            times = finishes(store) if any(job.state in WAITING for job in jobs[:limit]) else {}
            names = names_of(store, {job.nik for job in jobs[:limit]})
            taken = receivers(store, jobs[:limit]) if as_json else {}
        _show(jobs[:limit], as_json=as_json, times=times, names=names, taken=taken)

    @app.command(name="resolve")
    def resolve_doubt(  # noqa: PLR0917 - options of a command
        folder: Dir,
        job: Annotated[int, typer.Argument(metavar="JOB", help="Number from `sepe node prints`.")],
        came_out: Annotated[
            str, typer.Option("--came-out", help="yes or no: does the card lie in the tray?")
        ] = "",
        blank_spoiled: Annotated[bool, typer.Option(help="The blank is unusable; destroy it.")] = False,
        reason: Annotated[str, typer.Option(help="Why it is: print-failure, encode-failure, no-chip …")] = "",
        printer_gone: Annotated[
            bool, typer.Option("--printer-gone", help="It will never answer again: broken, or carried away.")
        ] = False,
        destroyed: Annotated[
            bool, typer.Option("--destroyed", help="A card that was said not to have come out was found; it is.")
        ] = False,
        operator: Operator = "",
        as_json: AsJson = False,
    ) -> None:
        """Settle a job in doubt: you looked into the printer's tray.

        The printer is asked first. A job that it still holds is cancelled there, and you look once more: a card
        that is made again while the printer has the old job would be two. no: the card is made again, by a new
        job. --blank-spoiled counts the blank as spoiled, also that of a printed card that proves to be no good;
        the new card gets another number.

        Example: sepe node resolve ./oebobo 17 --came-out yes
        """
        import asyncio

        from node.desk.confirm import settle_doubt
        from node.printing.withdrawal import Withdrawals
        from node.stock import spoil_reason

        if came_out not in ("yes", "no", "ya", "tidak") and not (destroyed and not came_out):
            raise InvalidInputError("say yes or no", field="--came-out", value=came_out)
        with opened(folder) as store:
            if destroyed:
                Withdrawals(store).destroyed(job)
                _show([Ledger(store).job(job)], as_json=as_json, full=True)
                return
            settled, successor = asyncio.run(
                settle_doubt(
                    store, job, came_out=came_out in ("yes", "ya"), is_spoiled=blank_spoiled, operator=operator,
                    now_ms=now_ms(), spoiled_by=spoil_reason(reason or "print-failure"),
                    is_printer_gone=printer_gone,
                )
            )  # fmt: skip
        _show([settled] if successor is None else [settled, successor], as_json=as_json, full=True)

    @app.command(name="confirm")
    def confirm_card(
        folder: Dir,
        serial: Annotated[str, typer.Argument(metavar="SERIAL", help="Number of the blank, or the card's code.")],
        job: Annotated[int | None, typer.Option("--job", help="Whose card it is, if asked.")] = None,
        operator: Operator = "",
        as_json: AsJson = False,
    ) -> None:
        """Scan a card that came out: that is the proof that it was printed.

        A blank other than the ledger expected becomes the card's; the expected one goes back to stock.

        Example: sepe node confirm ./oebobo A00012007
        """
        from node.desk.confirm import confirm

        with opened(folder) as store:
            found = confirm(store, serial, job_id=job, operator=operator, now_ms=now_ms())
        _show([found], as_json=as_json, full=True)


def _wish(store: NodeStore, niks: list[str] | None, *, override: bool, reason: str, operator: str) -> list[Job]:
    """The jobs that are meant, marked as wanted; a resident whose attempts all failed gets a new one."""
    ledger = Ledger(store)
    if niks is None:
        return ledger.in_state(*WAITING)
    wished: list[Job] = []
    with store.transaction():
        for text in niks:
            jobs = ledger.of_resident(Nik.parse(text).number)
            if not jobs:
                raise InvalidInputError(
                    "tidak ada permintaan cetak untuk NIK ini di sini",
                    field="nik",
                    value=text,
                    hint="Rekam dahulu: sepe node record DIR -",
                )
            latest = {(job.product, job.issue): job for job in jobs}.values()
            for one in latest:
                job = one
                if one.state in NO_CARD:
                    again = ledger.retry(one.id, now_ms()).id
                    job = Door(store).look(again, today=due_today(store, now_ms()), now_ms=now_ms())
                if override and job.state in (JobState.WAITING_RIGHT, JobState.HELD, JobState.QUEUED):
                    job = ledger.override(job.id, reason=reason, operator=operator, now_ms=now_ms())
                ledger.want(job.id)
                wished.append(job)
    return wished


async def _bring(store: NodeStore, printer: str, jobs: list[int], wait_seconds: float) -> None:
    """Press here if nobody else does, until the jobs stand still or the time is over."""
    import asyncio

    from filelock import Timeout

    from node.printing.press import press_lock

    until = time.monotonic() + wait_seconds
    ledger = Ledger(store)
    lock = press_lock(store.folder)
    try:
        with lock.acquire(timeout=0):
            await _press(store, printer, jobs, until)
    except Timeout:
        note(say("Node sedang berjalan; menunggu pencetaknya …", "The node is running; waiting for its printer …"))
        # The other press is another process: nothing but the database can tell.
        while _moving(ledger, jobs) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)


async def _press(store: NodeStore, printer: str, jobs: list[int], until: float) -> None:
    import asyncio

    from node.link.rights import GrpcRights
    from node.link.trust import load_trust
    from node.printing.paper import Paper
    from node.printing.press import EVERY_MEDIUM, Press
    from node.printing.printers import Mode, Printer, Printers
    from node.settings import KEY_NAME
    from sepe_io import keys
    from sepe_io.logs import set_up

    set_up("WARNING")  # Without it structlog writes to stdout, where the answer goes.
    own = NodeStore.open(store.folder)
    used = [Printer(printer, "", EVERY_MEDIUM, Mode.ON)] if printer else Printers(own).adopt()
    if not used:
        own.close()
        raise InvalidInputError(
            "no printer is set",
            field="printer",
            hint="Say --printer folder:PATH, or: sepe node printers DIR --add …",
        )
    trust = load_trust(store.folder, tls=store.settings.tls)
    rights = GrpcRights(store.settings.hub, store.node, keys.load(store.folder / KEY_NAME), trust=trust)
    press = Press(own, None, Paper(own), rights=rights, now_ms=now_ms)
    ledger = Ledger(store)
    try:
        await press.use(used)
        await press.examine()
        await _hear(store, rights_hub=store.settings.hub)
        while True:
            moved = await press.turn()
            if not _moving(ledger, jobs) or time.monotonic() > until:
                break
            if not moved:
                await asyncio.sleep(POLL_SECONDS)
    finally:
        await press.close()
        own.close()
        await rights.close()


async def _hear(store: NodeStore, *, rights_hub: str) -> None:
    """Greet the centre before the first card, where it may know of cards that this ledger does not."""
    from node.printing.witness import Witness
    from node.sync import hear

    witness = Witness(store)
    if not rights_hub or not witness.wants_hub(now_ms()):
        return
    note(say("Menanyakan pusat dahulu …", "Asking the centre first …"))
    if await hear(store.folder, HEAR_S):
        witness.heard_hub()


def _moving(ledger: Ledger, jobs: list[int]) -> bool:
    return any(ledger.job(job).state in MOVING for job in jobs)


def _state(text: str) -> JobState:
    try:
        return JobState(text)
    except ValueError:
        raise InvalidInputError("no such state", field="--state", value=text, hint=", ".join(JobState)) from None


def _show(
    jobs: list[Job], *, as_json: bool, full: bool = False, times: Mapping[int, Times] | None = None,
    names: Mapping[int, str] | None = None, taken: Mapping[int, Receiver] | None = None,
) -> None:  # fmt: skip
    """``full``: the NIK of the few that somebody named; else as a list shows residents, by ``names``."""
    found, receivers = times or {}, taken or {}
    if as_json:
        print_json([job_document(job, receivers.get(job.id)) | _times_of(found.get(job.id)) for job in jobs])
        return
    print_table(
        (
            "job",
            "nik" if full else say("warga", "resident"),
            "product",
            "issue",
            "state",
            "serial",
            say("selesai", "done"),
            "reason",
        ),
        [
            (
                job.id,
                _nik(job) if full else shown(job.nik, names or {}),
                job.product,
                job.issue,
                str(job.state),
                job.serial,
                found[job.id].clock if job.id in found else "-",
                job.reason or _batch_of(found.get(job.id)),
            )
            for job in jobs
        ],
    )


def _batch_of(times: Times | None) -> str:
    """That a job waits for its batch: nothing else of it says so."""
    is_held = times is not None and Limit.BATCH in times.waits_for
    return say("menunggu kelompoknya dilepas", "waits for its batch to be released") if is_held else ""


def _times_of(times: Times | None) -> dict[str, object]:
    return {} if times is None else {"finish_ms": times.finish_ms, "waits_for": list(times.waits_for)}


def _nik(job: Job) -> str:
    return f"{job.nik:016d}"


def job_document(job: Job, receiver: Receiver | None = None) -> dict[str, object]:
    """One job as scripts read it, with the full number."""
    document: dict[str, object] = {
        "job": job.id, "name": job.name, "nik": _nik(job), "product": job.product, "issue": job.issue,
        "state": str(job.state), "serial": job.serial, "fence": job.fence, "printer": job.printer,
        "due": job.due_day, "override": job.override, "reason": job.reason, "operator": job.operator,
        "created_ms": job.created_ms, "changed_ms": job.changed_ms,
    }  # fmt: skip
    if receiver is not None:
        document |= {
            "received_by": receiver.received_by, "receiver_name": receiver.name,
            "receiver_document": receiver.document,
        }  # fmt: skip
    return document
