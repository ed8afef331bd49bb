"""``sepe hub leaf``: what a province's server needs, in a folder to be carried there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub.broker_leaf import ACCOUNTS_FILE, CA_FILE, SEED_FILE, SERVER_FILE
from hub.cli.accounts import write_accounts
from hub.cli.common import AsJson, Directory, emit, now_ms, opened
from hub.tls import RENEW_BEFORE_MS, HubTls
from sepe.errors import InvalidInputError, SepeError
from sepe_io import certificates, keys
from sepe_io.files import replace_file

KEY_FILE = "leaf.key"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(leaf)


def leaf(
    directory: Directory,
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where the four files go; made if missing.")
    ],
    name: Annotated[
        list[str],
        typer.Option(metavar="HOST", help="Under which name offices reach that server; more than one may be."),
    ],
    province: Annotated[str, typer.Option(metavar="NN", help="Only offices of this province, as 53.")] = "",
    as_json: AsJson = False,
) -> None:
    """Write what a province's server needs, for `sepe hub broker --up` or deploy/nats/leaf.conf.

    Its certificate, the hub's authority, the leaves' seed (secret: carry the folder as you would a key) and the
    offices that may come in. Do it again whenever offices were enrolled or shut out and copy accounts.conf there;
    a running `hub broker` takes it up by itself. All leaves prove one key; its public half is printed: it is
    --leaf-key of the cluster's servers.

    Example: sepe hub leaf ./hub --out ./ntt --name nats-ntt.example.id --province 53
    """
    if (out / "hub.key").exists():
        raise InvalidInputError(
            "a province's server must not hold the hub's key", field="--out", value=str(out),
            hint="Choose a folder of its own, as --out ./ntt.",
        )  # fmt: skip
    with opened(directory) as store:
        tls = HubTls(directory)
        tls.ensure(now_ms=now_ms())
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        senders, _ = write_accounts(store, out / ACCOUNTS_FILE, leaf=True, province=province)
    signer = _leaf_key(directory / KEY_FILE)
    replace_file(out / SEED_FILE, f"nkey: {keys.nats_seed(signer)}\n".encode())
    if _is_due(out, name, tls.ca_pem):
        tls.issue_to(out / SERVER_FILE, name, now_ms=now_ms())
        replace_file(out / CA_FILE, tls.ca_pem)
    public = keys.nats_name(signer.public_key)
    if as_json:
        emit({"folder": str(out), "offices": senders, "leaf_key": public})
    else:
        print(f"{senders} offices in {out}; at the cluster: --leaf-key {public}")


def _leaf_key(path: Path) -> keys.Signer:
    """The key that all leaves prove, made when there is none yet."""
    if not path.exists():
        keys.save(keys.Signer.generate(), path)
    return keys.load(path)


def _is_due(folder: Path, names: list[str], ca_pem: bytes) -> bool:
    """Whether the certificate there is missing, another authority's, for other names, or near its end."""
    try:
        if (folder / CA_FILE).read_bytes() != ca_pem:
            return True
        pem = (folder / SERVER_FILE).read_bytes()
        known, until_ms = certificates.names_of(pem), certificates.dates_of(pem).until_ms
    except (OSError, ValueError, SepeError):
        return True
    return not set(names) <= {*known, *certificates.LOCAL_NAMES} or until_ms - now_ms() < RENEW_BEFORE_MS
