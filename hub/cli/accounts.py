"""``sepe hub nats-accounts``: who may come in, for nats-servers that others run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.broker_access import BrokerAccess
from hub.cli.common import Directory, now_ms, opened, say
from hub.merge import registry
from hub.merge.store import HubStore
from sepe.errors import InvalidInputError
from sepe_io.files import AS_USUAL, replace_file
from sepe_io.sqlite import translated

PROVINCE_CHARS = 2


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("nats-accounts")(nats_accounts)


def nats_accounts(
    directory: Directory,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Replaced in one step when it changes.")],
    leaf: Annotated[bool, typer.Option("--leaf", help="For a leaf node: the offices' account alone.")] = False,
    province: Annotated[str, typer.Option(metavar="NN", help="Only offices of this province, as 53.")] = "",
) -> None:
    """Write the accounts part of a nats-server's configuration: the hub's key and every office's, public keys all.

    For deploy/nats/*.conf, which include the file; reload the servers when it changed (exit code 0 either way).
    `sepe hub run` and `sepe hub broker` tell their own servers by themselves.

    Example: sepe hub nats-accounts ./hub --out accounts.conf && nats-server --signal reload
    """
    with opened(directory) as store:
        count, is_new = write_accounts(store, out, leaf=leaf, province=province)
    say(f"{count} keys written to {out}: reload the server" if is_new else f"{count} keys, as before")


def write_accounts(store: HubStore, out: Path, *, leaf: bool, province: str) -> tuple[int, bool]:
    """Write the accounts of the hub and its offices, or of a leaf; how many keys, and whether any changed.

    Raises:
        InvalidInputError: ``province`` is not two digits.
    """
    if province and not (province.isascii() and province.isdigit() and len(province) == PROVINCE_CHARS):
        raise InvalidInputError("a province is two digits", field="--province", value=province, hint="NTT is 53.")
    with translated():
        senders = tuple(
            (node, key) for node, key in registry.senders(store.connection, now_ms=now_ms())
            if node.startswith(province)
        )  # fmt: skip
    accounts = BrokerAccess(Path("server.pem"), store.signer.public_key, senders).config()["accounts"]
    text = json.dumps({"accounts": _of_leaf(accounts) if leaf else accounts}, indent=1)
    if out.is_file() and out.read_text(encoding="utf-8") == text:
        return len(senders), False
    # Public keys all, and the server that reads them may run as another user.
    replace_file(out, text.encode(), mode=AS_USUAL)
    return len(senders), True


def _of_leaf(accounts: dict[str, Any]) -> dict[str, Any]:
    """A leaf has the offices only: what they send crosses into the hub's account at the cluster."""
    return {"OFFICES": {"users": accounts["OFFICES"]["users"]}}
