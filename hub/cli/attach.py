"""``hub attachment``: open what offices sent beside their events."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.common import Directory, opened, say
from sepe.attach import SHA256_BYTES
from sepe.errors import InvalidInputError, PeerProtocolError, SepeError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(attachment)


def attachment(
    directory: Directory,
    sha: Annotated[str, typer.Argument(metavar="SHA", help="SHA-256 of the file, as its event names it.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="A new file; it holds personal data.")],
) -> None:
    """Open a photo, signature or template that an office sent, for an officer.

    `sepe hub person DIR NIK` lists a resident's; `sepe hub status DIR` counts those that are under way.

    Example: sepe hub attachment ./hub SHA --out photo.jpg
    """
    from hub.attach.store import AttachmentStore

    digest = _digest_of(sha)
    with opened(directory) as hub:
        store = AttachmentStore.open(hub)
        try:
            data = store.plain_of(digest)
        except PeerProtocolError as exc:
            raise SepeError(
                f"the file on the hub's disk is damaged ({exc.reason}): move it away, and the office sends it "
                "again if it still keeps it"
            ) from exc
        finally:
            store.close()
    try:
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
    except OSError as exc:
        raise InvalidInputError(
            f"the file cannot be written: {exc.strerror}", field="--out", value=str(out), hint="Name a new file."
        ) from exc
    say(f"{len(data)} bytes; delete the file when it is no longer needed")


def _digest_of(text: str) -> bytes:
    try:
        digest = bytes.fromhex(text.strip())
    except ValueError:
        digest = b""
    if len(digest) != SHA256_BYTES:
        raise InvalidInputError(
            "a SHA-256 is 64 hexadecimal digits", field="SHA", value=text, hint="`sepe hub person` shows it."
        )
    return digest
