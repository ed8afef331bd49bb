"""Commands that make a hub and say who may send to it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub import endpoints
from hub.cli.common import AsJson, Directory, emit, now_ms, opened, say
from hub.endpoints import Endpoints
from hub.engine import place
from hub.merge import registry
from hub.merge.store import HubStore
from hub.read.person import at_ms
from hub.tls import HubTls
from sepe.errors import InvalidInputError
from sepe.ids import check_node
from sepe_io.certificates import with_authority
from sepe_io.files import AS_USUAL, replace_file
from sepe_io.sqlite import transaction

HOUR_MS = 3_600_000
VALID_HOURS_MAX = 24 * 90


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(init)
    app.command()(enrol)
    app.command()(revoke)
    app.command()(certificate)
    keys = typer.Typer(no_args_is_help=True, help="Public keys of nodes, for a second hub.")
    keys.command("export")(keys_export)
    keys.command("import")(keys_import)
    app.add_typer(keys, name="keys")


Names = Annotated[
    list[str] | None,
    typer.Option("--name", metavar="HOST", help="A host name or IP address of this hub; may be given again."),
]


def init(
    directory: Directory,
    name: Names = None,
    db: Annotated[
        str, typer.Option(metavar="URL", help="An empty PostgreSQL database for its data, else hub.db in DIR.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Make a new hub in DIR, with its own certificates. With --name its lines speak TLS from the first run on.

    Example: sepe hub init ./hub --name hub.kupang.go.id
    """
    database = place.check_url(db) if db else ""
    with HubStore.create(directory, now_ms=now_ms(), database=database) as store:
        key_id = store.key_id.hex()
    HubTls(directory).ensure(name or (), now_ms=now_ms())
    if name:
        endpoints.write(directory, Endpoints(tls=True))
    if as_json:
        emit({"directory": str(directory), "key_id": key_id})
    else:
        print(f"hub made in {directory}; run it with: sepe hub run {directory}")


def enrol(
    directory: Directory,
    node: Annotated[str, typer.Option("--node", help="Which machine, for example 537104-1.")],
    valid_hours: Annotated[int, typer.Option(min=1, max=VALID_HOURS_MAX, help="How long it may be used.")] = 168,
    as_json: AsJson = False,
) -> None:
    """Print a one-time token that lets a new node in.

    When the hub speaks TLS, the token carries the hub's certificate, so it is long: hand it over in one piece.

    Example: sepe hub enrol ./hub --node 537104-1
    """
    now = now_ms()
    is_secured = endpoints.read(directory).tls
    with opened(directory) as store:
        token = store.enrol_token(node, now_ms=now, valid_ms=valid_hours * HOUR_MS)
    if is_secured:
        tls = HubTls(directory)
        tls.ensure(now_ms=now)
        token = with_authority(token, tls.ca_pem)
    if as_json:
        emit({"node": node, "token": token, "expires": at_ms(now + valid_hours * HOUR_MS), "tls": is_secured})
    else:
        print(token)


def certificate(
    directory: Directory,
    name: Names = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Key and certificate for another server, as a NATS."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Renew the hub's certificate, with further names; a running hub takes it up within seconds.

    Offices need nothing: they trust whatever this hub's authority signed.

    Example: sepe hub certificate ./hub --name hub2.kupang.go.id
    """
    with opened(directory):
        tls = HubTls(directory)
    if not tls.is_made:
        tls.ensure(name or (), now_ms=now_ms())
    if out is not None:
        tls.issue_to(out, name or (), now_ms=now_ms())
        document = {"file": str(out), "names": name or []}
    else:
        tls.renew(name or (), now_ms=now_ms())
        document = {"names": tls.names(), "until": at_ms(tls.until_ms())}
    if as_json:
        emit(document)
    else:
        print(", ".join(f"{key}: {value}" for key, value in document.items()))


def revoke(
    directory: Directory,
    node: Annotated[str, typer.Argument(metavar="NODE", help="Which machine to shut out.")],
    as_json: AsJson = False,
) -> None:
    """Shut a lost machine out; what it sends from now on goes to quarantine.

    Example: sepe hub revoke ./hub 537104-1
    """
    check_node(node)
    with opened(directory) as store:
        if not store.revoke(node, now_ms=now_ms()):
            raise unknown_node(node)
    if as_json:
        emit({"node": node, "revoked": True})
    else:
        print(f"{node} is shut out. Whose data was on it: sepe hub exposure {directory} {node}")


def keys_export(directory: Directory, file: Annotated[Path, typer.Argument(metavar="FILE")]) -> None:
    """Write the public keys of all nodes to FILE, so that another hub can accept their frames.

    Example: sepe hub keys export ./hub keys.json
    """
    with opened(directory) as store:
        replace_file(file, registry.export_keys(store.connection).encode(), mode=AS_USUAL)


def keys_import(
    directory: Directory, file: Annotated[Path, typer.Argument(metavar="FILE")], as_json: AsJson = False
) -> None:
    """Accept the nodes whose public keys another hub exported to FILE.

    Example: sepe hub keys import ./second-hub keys.json
    """
    try:
        document = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidInputError("the file cannot be read", field="FILE", value=str(file)) from exc
    with opened(directory) as store, transaction(store.connection):
        added = registry.import_keys(store.connection, document)
    if as_json:
        emit({"added": added})
    else:
        say(f"{added} new keys")


def unknown_node(node: str) -> InvalidInputError:
    """No such node here."""
    return InvalidInputError(
        "this hub knows no such node", field="NODE", value=node, hint="`sepe hub nodes DIR` lists them."
    )
