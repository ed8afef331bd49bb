"""``node rotate-key``: a new signing key for this machine."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import suppress
from pathlib import Path

import typer

from node.cli.common import EXIT_BUSY, AsJson, Dir, note, opened, print_json
from node.cli.run import Hub
from node.cli.words import say
from sepe.errors import InvalidInputError, SepeError

NEXT_KEY_NAME = "node.key.next"
# After these the hub will never take the key that waits; the next attempt makes another.
_HOPELESS = frozenset({"bad_key", "bad_proof"})


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("rotate-key")
    def rotate_key(
        folder: Dir,
        hub: Hub = "",
        as_json: AsJson = False,
    ) -> None:
        """Give this machine a new signing key; the centre takes the old one for 30 days more.

        Needs the line. What waits in the outbox is sent with the new key; `node run` may go on meanwhile.

        Example: sepe node rotate-key ./oebobo
        """
        from node.link.link import LinkDownError
        from sepe_io.logs import set_up

        set_up("ERROR")
        try:
            key_id, until_ms = rotate(folder, hub=hub)
        except LinkDownError as exc:
            note(
                say(
                    f"Pusat belum terhubung ({exc}); kunci lama tetap dipakai. Ulangi perintah ini nanti.",
                    f"The centre cannot be reached ({exc}); the old key stays in use. Say this again later.",
                )
            )
            raise typer.Exit(EXIT_BUSY) from None
        until = time.strftime("%Y-%m-%d", time.gmtime(until_ms // 1000))
        if as_json:
            print_json({"key_id": key_id.hex(), "old_valid_until": until})
        else:
            note(say(f"Kunci baru dipakai. Kunci lama masih diterima sampai {until}.",
                     f"The new key is in use. The old one is taken until {until}."))  # fmt: skip


def rotate(folder: Path, *, hub: str = "") -> tuple[bytes, int]:
    """Make a key, have the hub accept it, take it in use; (its short name, until when the old one is taken).

    A kill at any point leaves a key that the hub knows; the next call goes on where this one stood.

    Raises:
        LinkDownError: no line; the new key waits beside the old one.
        InvalidInputError: the hub refuses; the old key stays in use.
    """
    from node.link.notes import EARLIER_KEYS_KEY, join_keys
    from node.link.rotate import rotate as ask
    from node.link.trust import load_trust
    from node.outbox.worker import NUDGE_KEY
    from node.settings import KEY_NAME
    from sepe_io import keys

    new: keys.Signer | None = None
    with opened(folder) as store:
        target = hub or store.settings.hub
        trust = load_trust(folder, tls=store.settings.tls, known_ms=store.clock().hub_ms)
        next_path = folder / NEXT_KEY_NAME
        with suppress(SepeError):
            # One that waits; half of one, after a power cut, was never shown to anybody.
            new = keys.load(next_path)
        if new is None:
            next_path.unlink(missing_ok=True)
            new = keys.Signer.generate()
            keys.save(new, next_path)
        old = keys.load(folder / KEY_NAME)
        answer = asyncio.run(ask(target, store.node, old, new, trust))
        if not answer.accepted:
            if answer.reason in _HOPELESS:
                next_path.unlink()
            raise InvalidInputError(
                "the centre refuses the new key", field="node.key", value=answer.reason,
                hint="Ask the centre for a token, then: sepe node enrol DIR --token T",
            )  # fmt: skip
        with store.transaction():
            # First: frames under the old key are ours for ever, also when the hub sends them back.
            store.put(EARLIER_KEYS_KEY, join_keys(store.get(EARLIER_KEYS_KEY) or "", old.public_key))
        next_path.replace(folder / KEY_NAME)
        store.put(NUDGE_KEY, secrets.token_hex(4))
    return new.key_id, answer.old_valid_until_ms
