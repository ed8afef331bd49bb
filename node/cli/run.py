"""``node run``, ``node sync``, ``node enrol``: the office on the line."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer

from node.cli.common import EXIT_BUSY, AsJson, Dir, note, opened, print_json, write_line
from node.cli.words import say
from sepe.errors import InvalidInputError

SYNC_TIMEOUT_S = 30.0

Hub = Annotated[str, typer.Option("--hub", metavar="HOST:PORT", help="Instead of the hub in node.toml.")]
Nats = Annotated[str, typer.Option("--nats", metavar="URL", help="Instead of the NATS in node.toml.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def run(  # noqa: PLR0917 - options of a command
        folder: Dir,
        http: Annotated[
            str,
            typer.Option(metavar="HOST:PORT", help="Where its page listens, else 127.0.0.1:7490; port 0: any."),
        ] = "",
        printer: Annotated[
            list[str] | None,
            typer.Option(help="A printer to use from now on, instead of those used before; may be repeated."),
        ] = None,
        hub: Hub = "",
        nats: Nats = "",
        log: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
        hear: Annotated[
            float,
            typer.Option(min=0, help="Seconds that printing waits at the start for the centre's first word."),
        ] = 3.0,
    ) -> None:
        """Send what is recorded to the centre and print what waits, until SIGTERM or Ctrl-C.

        Prints one JSON line when it is ready; logs go to stderr. Works for days without any line. Printing begins
        when the centre was heard or after --hear seconds: a machine put back from a backup hears what it printed.

        Example: sepe node run ./oebobo --http 127.0.0.1:7490
        """
        from importlib.metadata import version

        from node.run import RunOptions, run_node
        from sepe_io.address import split_address
        from sepe_io.logs import set_up

        if log.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise InvalidInputError("one of DEBUG, INFO, WARNING, ERROR", field="--log", value=log)
        set_up(log)
        options = RunOptions(
            folder=folder,
            http=split_address(http, field="--http") if http else None,
            printers=tuple(printer or ()),
            hub=_address(hub),
            nats=nats,
            software=f"sepe {version('sepe')}",
            hear_s=hear,
        )
        asyncio.run(run_node(options, _say_ready))

    @app.command()
    def sync(
        folder: Dir,
        timeout: Annotated[float, typer.Option(min=0, help="Seconds to try.")] = SYNC_TIMEOUT_S,
        hub: Hub = "",
        nats: Nats = "",
        as_json: AsJson = False,
    ) -> None:
        """Try now: bring everything to the centre and say how far it came.

        While `node run` works in the directory, it does the sending. Exit code 3: something is still waiting.

        Example: sepe node sync ./oebobo --timeout 60
        """
        from node.sync import sync as sync_now
        from sepe_io.logs import set_up

        set_up("ERROR")
        report = sync_now(folder, timeout, hub=_address(hub), nats=nats)
        if as_json:
            print_json(
                {
                    "last_seq": report.last_seq,
                    "durable_seq": report.durable_seq,
                    "pending": report.pending,
                    "confirmed": report.confirmed,
                    "attachments_pending": report.attachments_pending,
                    "link": report.link,
                    "reason": report.reason,
                }
            )
        else:
            write_line(
                say(
                    f"Dikonfirmasi pusat: {report.confirmed} peristiwa; diterima {report.durable_seq} dari "
                    f"{report.last_seq} (jalur: {report.link})",
                    f"Confirmed by the centre: {report.confirmed} events; received {report.durable_seq} of "
                    f"{report.last_seq} (link: {report.link})",
                )
            )
        if report.pending:
            note(
                say(
                    f"Masih menunggu {report.pending} peristiwa: {report.reason or 'belum ada jalur ke pusat'}. "
                    "Tidak ada yang hilang; kiriman menyusul sendiri selama `sepe node run` berjalan.",
                    f"Still waiting: {report.pending} events: {report.reason or 'no line to the centre'}. "
                    "Nothing is lost; they follow by themselves while `sepe node run` works.",
                )
            )
            raise typer.Exit(EXIT_BUSY)

    @app.command()
    def enrol(
        folder: Dir,
        token: Annotated[str, typer.Option(help="One-time token from `sepe hub enrol`.")],
        hub: Hub = "",
    ) -> None:
        """Make this machine known to the centre with a token. Without a line it is kept and offered later.

        Example: sepe node enrol ./oebobo --token T
        """
        with opened(folder) as store:
            target = _address(hub) or store.settings.hub
            from node.link.enrol import TOKEN_KEY
            from node.link.notes import ENROL_REFUSAL_KEY
            from node.link.token import adopt_token

            secret = adopt_token(folder, token)
            with store.transaction():
                store.put(TOKEN_KEY, secret)
                store.put(ENROL_REFUSAL_KEY, None)
            outcome = asyncio.run(_enrol(folder, target))
        if outcome == "":
            note(say("Mesin ini dikenal pusat.", "The centre knows this machine."))
            return
        if outcome == "offline":
            note(
                say(
                    "Pusat belum terhubung. Token disimpan dan dipakai begitu ada jalur.",
                    "The centre cannot be reached. The token is kept and used once there is a line.",
                )
            )
            raise typer.Exit(EXIT_BUSY)
        raise InvalidInputError(
            "the centre refused the token", field="--token", value=outcome,
            hint="Ask the centre for another token.",
        )  # fmt: skip


async def _enrol(folder: Dir, target: str) -> str:
    """``""`` when accepted, ``offline``, or the hub's reason."""
    from node.link.enrol import Enrolling
    from node.link.link import LinkDownError
    from node.link.notes import ENROL_REFUSAL_KEY
    from node.link.trust import load_trust
    from node.outbox.worker import OutboxWorker
    from node.settings import KEY_NAME
    from node.storage.store import NodeStore
    from sepe_io import keys

    store = NodeStore.open(folder)
    trust = load_trust(folder, tls=store.settings.tls)
    worker = OutboxWorker(store, keys.load(folder / KEY_NAME), software="")
    try:
        enrolling = Enrolling(target, store.node, worker.signer, on_nats=lambda url: None, trust=trust)
        if await enrolling.attempt(worker):
            return ""
        return await worker.recall(ENROL_REFUSAL_KEY) or "refused"
    except LinkDownError:
        return "offline"
    finally:
        worker.close()
        store.close()


def _address(text: str) -> str:
    """``text`` itself when it is HOST:PORT or empty."""
    if text:
        from sepe_io.address import split_address

        split_address(text, field="--hub")
    return text


def _say_ready(node: str, http: str) -> None:
    write_line(json.dumps({"ready": True, "node": node, "http": f"http://{http}"}))
