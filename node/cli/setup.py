"""``node init``: make one office machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.cli.common import Dir, note
from node.cli.words import say
from node.clock import now_ms
from node.settings import (
    KEY_NAME,
    PHOTO_DAYS,
    NodeSettings,
    check_bytes_per_hour,
    check_photo_days,
    is_node_folder,
    save_settings,
)
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.ids import check_node, kecamatan_of

TOKEN_KEY = "enrol_token"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def init(  # noqa: PLR0917 - options of a command
        folder: Dir,
        node: Annotated[str, typer.Option("--node", help="Kecamatan code, hyphen, machine number: 537104-1.")],
        hub: Annotated[str, typer.Option("--hub", help="The hub's gRPC address, HOST:PORT.")],
        nats: Annotated[str, typer.Option(help="The hub's NATS address; else the hub names it.")] = "",
        token: Annotated[str, typer.Option(help="One-time token from `sepe hub enrol`.")] = "",
        printer: Annotated[str, typer.Option(help="folder:PATH or ipp://HOST[:PORT]/PATH.")] = "",
        insecure_lab: Annotated[
            bool, typer.Option("--insecure-lab", help="Plain lines beyond this machine. Never with people's data.")
        ] = False,
        blanks: Annotated[int, typer.Option(min=0, max=100_000, help="Opening stock of each kind of blank.")] = 0,
        bytes_per_hour_max: Annotated[
            int, typer.Option(min=0, help="What photos may cost the line in an hour, events counted; 0: no limit.")
        ] = 0,
        photo_days: Annotated[int, typer.Option(min=0, help="Days that plain photos stay here.")] = PHOTO_DAYS,
    ) -> None:
        """Make a node directory: signing key, database, settings. Needs no network.

        Example: sepe node init ./oebobo --node 537104-1 --hub hub.kupang.go.id:7443 --token T
        """
        check_node(node)
        check_address(hub)
        if printer:
            from node.printing.driver import open_driver

            open_driver(printer)
        if is_node_folder(folder):
            raise InvalidInputError(
                "this directory is a node already",
                field="DIR",
                value=str(folder),
                hint="Take another directory; `sepe node status DIR` shows what this one is.",
            )
        settings = NodeSettings(
            node, hub, nats, printer, "off" if insecure_lab else "",
            check_bytes_per_hour(bytes_per_hour_max), check_photo_days(photo_days),
        )  # fmt: skip
        make_node(folder, settings, token=token, blanks=blanks, now_ms=now_ms())
        from sepe_io.regions import region_table

        place = region_table().kecamatan(kecamatan_of(node))
        name = f"{place.district}, {place.regency}" if place else say("kode tidak dikenal", "unknown code")
        note(say(f"Node {node} ({name}) siap di {folder}", f"Node {node} ({name}) is ready in {folder}"))
        if not token:
            note(
                say(
                    "Belum ada token: minta ke pusat, lalu jalankan `sepe node enrol DIR --token T`",
                    "No token yet: ask the centre for one, then run `sepe node enrol DIR --token T`",
                )
            )


def make_node(folder: Path, settings: NodeSettings, *, token: str, blanks: int, now_ms: int) -> None:
    """Everything of a new node; the settings come last, so a kill half-way is finished by the next ``init``.

    Raises:
        InvalidInputError: no directory can be made there, or the token is not whole.
    """
    from node.link.token import adopt_token
    from node.printing.witness import Witness
    from sepe_io import keys

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise InvalidInputError(
            f"the directory cannot be made: {exc.strerror}", field="DIR", value=str(folder)
        ) from exc
    key_path = folder / KEY_NAME
    if not key_path.exists():
        keys.save(keys.Signer.generate(), key_path)
    secret = adopt_token(folder, token) if token else ""
    store = NodeStore.create(folder, settings, now_ms=now_ms)
    try:
        Witness(store).examine()
        if secret:
            store.put(TOKEN_KEY, secret)
        if blanks:
            from node.stock import Stock, Story, opening_range

            opening = Story(reason="opening")
            for product in ("ktp-el", "kia"):
                Stock(store).receive(opening_range(settings.node, product, blanks), story=opening, now_ms=now_ms)
    finally:
        store.close()
    save_settings(folder, settings)


def check_address(text: str) -> None:
    """HOST:PORT with a port from 1 to 65535.

    Raises:
        InvalidInputError: it is not.
    """
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise InvalidInputError("an address is HOST:PORT", field="hub", value=text, hint="Example: 10.0.0.5:7443")
