"""Nodes, their keys and one-time tokens: who may send to this hub."""

from __future__ import annotations

import hashlib
import json
import secrets

from sepe.errors import InvalidInputError, PeerProtocolError
from sepe.ids import HUB_NODE, check_node
from sepe_io.keys import key_id_of
from sepe_io.sqlite import Connection

# Sixty random bits in groups that can be read over the telephone; a token lives for hours and a wrong guess
# costs a round trip.
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_TOKEN_CHARS = 16
# A key that was replaced is good for as long as an office keeps what the hub holds already, so frames in the pipe
# (a week at most), on a stick or from a machine put back from a backup still come through.
RETIRE_AFTER_MS = 30 * 24 * 3_600_000
KEYS_FORMAT = "sepe-keys-1"


def new_token(connection: Connection, node: str, *, now_ms: int, valid_ms: int) -> str:
    """A token that makes one key of ``node`` known, once; only its digest is stored.

    Raises:
        InvalidInputError: ``node`` is not a node's name.
    """
    check_node(node)
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_TOKEN_CHARS))
    token = "-".join(letters[start : start + 4] for start in range(0, _TOKEN_CHARS, 4))
    connection.execute(
        "INSERT INTO token (digest, node, expires_ms) VALUES (?, ?, ?)", (_digest(token), node, now_ms + valid_ms)
    )
    return token


def redeem(connection: Connection, node: str, token: str, public_key: bytes, *, now_ms: int) -> tuple[bool, str]:
    """Make a key known; (accepted, reason). The same token with the same key gives the same answer again."""
    row = connection.execute(
        "SELECT node, expires_ms, used_ms, public_key FROM token WHERE digest = ?", (_digest(token),)
    ).fetchone()
    if row is None:
        return False, "unknown_token"
    token_node, expires_ms, used_ms, used_key = row
    if token_node != node:
        return False, "wrong_node"
    if used_ms is not None:
        return (True, "") if used_key == public_key else (False, "used_token")
    if now_ms > expires_ms:
        return False, "expired_token"
    if len(public_key) != 32:
        return False, "bad_key"
    known = connection.execute(
        "SELECT revoked_ms FROM key WHERE node = ? AND key_id = ?", (node, key_id_of(public_key))
    ).fetchone()
    if known is not None and known[0] is not None:
        return False, "revoked"
    add_key(connection, node, public_key, now_ms=now_ms)
    connection.execute(
        "UPDATE token SET used_ms = ?, public_key = ? WHERE digest = ?", (now_ms, public_key, _digest(token))
    )
    return True, ""


def add_key(connection: Connection, node: str, public_key: bytes, *, now_ms: int) -> None:
    """Make a key known without a token; a node that was shut out is let in again by its new key."""
    connection.execute(
        "INSERT OR IGNORE INTO key (node, key_id, public_key, enrolled_ms) VALUES (?, ?, ?, ?)",
        (node, key_id_of(public_key), public_key, now_ms),
    )
    if node != HUB_NODE:
        connection.execute(
            "INSERT INTO node (node, enrolled_ms) VALUES (?, ?)"
            " ON CONFLICT DO UPDATE SET enrolled_ms = excluded.enrolled_ms, revoked_ms = NULL",
            (node, now_ms),
        )


def rotate(
    connection: Connection, node: str, old_key_id: bytes, new_key: bytes, *, now_ms: int
) -> tuple[bool, str, int]:
    """Let a key name its successor; (accepted, reason, until when the old key signs).

    The caller has checked both signatures. A key that has a successor names no other: whoever stole it after that
    gets no further than the days it has left.
    """
    try:
        public_key_of(connection, node, old_key_id, now_ms=now_ms)
    except PeerProtocolError as exc:
        return False, exc.reason, 0
    if len(new_key) != 32 or key_id_of(new_key) == old_key_id:
        return False, "bad_key", 0
    retired_ms = connection.execute(
        "SELECT retired_ms FROM key WHERE node = ? AND key_id = ?", (node, old_key_id)
    ).fetchone()[0]
    known = connection.execute(
        "SELECT revoked_ms, retired_ms FROM key WHERE node = ? AND key_id = ?", (node, key_id_of(new_key))
    ).fetchone()
    if known is not None and known[0] is not None:
        return False, "revoked", 0
    if retired_ms is not None:
        is_repeat = known is not None and known[1] is None
        return (True, "", int(retired_ms)) if is_repeat else (False, "retired_key", 0)
    if known is not None and known[1] is not None:
        return False, "retired_key", 0
    add_key(connection, node, new_key, now_ms=now_ms)
    until_ms = now_ms + RETIRE_AFTER_MS
    connection.execute("UPDATE key SET retired_ms = ? WHERE node = ? AND key_id = ?", (until_ms, node, old_key_id))
    return True, "", until_ms


def public_key_of(
    connection: Connection, node: str, key_id: bytes, *, even_revoked: bool = False, now_ms: int | None = None
) -> bytes:
    """The public key that may sign for ``node``.

    Args:
        even_revoked: a person released the frame and vouches for it: the signature must fit, nothing else.
        now_ms: for keys that have a successor; ``None`` leaves them their voice.

    Raises:
        PeerProtocolError: ``unknown_node``, ``unknown_key``, ``revoked`` or ``retired_key``.
    """
    row = connection.execute(
        "SELECT public_key, revoked_ms, retired_ms FROM key WHERE node = ? AND key_id = ?", (node, key_id)
    ).fetchone()
    if row is None:
        known = connection.execute("SELECT 1 FROM key WHERE node = ? LIMIT 1", (node,)).fetchone()
        raise PeerProtocolError("unknown_key" if known else "unknown_node", node[:20])
    if row[1] is not None and not even_revoked:
        raise PeerProtocolError("revoked", node)
    if row[2] is not None and now_ms is not None and now_ms > row[2] and not even_revoked:
        raise PeerProtocolError("retired_key", node)
    return bytes(row[0])


def senders(connection: Connection, *, now_ms: int) -> list[tuple[str, bytes]]:
    """(node, public key) of every office machine that may send now, in a fixed order."""
    rows = connection.execute(
        "SELECT node, public_key FROM key WHERE node <> ? AND revoked_ms IS NULL"
        " AND (retired_ms IS NULL OR retired_ms >= ?) ORDER BY node, key_id",
        (HUB_NODE, now_ms),
    )
    return [(node, bytes(key)) for node, key in rows]


def keys_of(connection: Connection, node: str) -> list[bytes]:
    """Every public key that ``node`` ever had, the oldest first."""
    rows = connection.execute("SELECT public_key FROM key WHERE node = ? ORDER BY enrolled_ms, key_id", (node,))
    return [bytes(row[0]) for row in rows]


def revoke(connection: Connection, node: str, *, now_ms: int) -> bool:
    """Shut a node out: all its keys and unused tokens; ``False`` when it is not known."""
    known = connection.execute("UPDATE node SET revoked_ms = ? WHERE node = ?", (now_ms, node)).rowcount
    connection.execute("UPDATE key SET revoked_ms = ? WHERE node = ? AND revoked_ms IS NULL", (now_ms, node))
    connection.execute("DELETE FROM token WHERE node = ? AND used_ms IS NULL", (node,))
    return bool(known)


def is_enrolled(connection: Connection, node: str) -> bool:
    """Whether the node may send now."""
    row = connection.execute("SELECT 1 FROM key WHERE node = ? AND revoked_ms IS NULL LIMIT 1", (node,)).fetchone()
    return row is not None


def last_seen_ms(connection: Connection, node: str) -> int:
    """When a machine was last heard; 0 for never."""
    row = connection.execute("SELECT last_seen_ms FROM node WHERE node = ?", (node,)).fetchone()
    return 0 if row is None or row[0] is None else max(int(row[0]), 0)


def export_keys(connection: Connection) -> str:
    """Every public key, revoked ones included, as a JSON document for another hub. No secret is in it."""
    rows = connection.execute(
        "SELECT node, public_key, enrolled_ms, revoked_ms, retired_ms FROM key ORDER BY node, enrolled_ms, key_id"
    )
    keys = [
        {
            "node": node,
            "public_key": bytes(key).hex(),
            "enrolled_ms": enrolled,
            "revoked_ms": revoked,
            "retired_ms": retired,
        }
        for node, key, enrolled, revoked, retired in rows
    ]
    return json.dumps({"format": KEYS_FORMAT, "keys": keys}, indent=1)


def import_keys(connection: Connection, document: str) -> int:
    """Make another hub's keys known; return how many were new. A key revoked on either side stays revoked.

    Raises:
        InvalidInputError: not such a document; nothing was changed when the caller's transaction ends with it.
    """
    refusal = InvalidInputError(
        "this is not a file of keys", field="file", hint="It is made by `sepe hub keys export`."
    )
    try:
        parsed = json.loads(document)
        if parsed["format"] != KEYS_FORMAT:
            raise refusal
        rows = [
            (
                key["node"] if key["node"] == HUB_NODE else check_node(key["node"]),
                bytes.fromhex(key["public_key"]),
                int(key["enrolled_ms"]),
                None if key["revoked_ms"] is None else int(key["revoked_ms"]),
                None if key.get("retired_ms") is None else int(key["retired_ms"]),
            )
            for key in parsed["keys"]
        ]
    except (ValueError, KeyError, TypeError) as exc:
        raise refusal from exc
    before = connection.execute("SELECT COUNT(*) FROM key").fetchone()[0]
    for node, public_key, enrolled_ms, revoked_ms, retired_ms in rows:
        if len(public_key) != 32:
            raise refusal
        is_new = not is_enrolled(connection, node)
        key_id = key_id_of(public_key)
        connection.execute(
            "INSERT INTO key (node, key_id, public_key, enrolled_ms, revoked_ms, retired_ms)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " revoked_ms = COALESCE(key.revoked_ms, excluded.revoked_ms),"
            " retired_ms = COALESCE(key.retired_ms, excluded.retired_ms)",
            (node, key_id, public_key, enrolled_ms, revoked_ms, retired_ms),
        )
        if node != HUB_NODE:
            connection.execute(
                "INSERT INTO node (node, enrolled_ms, revoked_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (node, enrolled_ms, revoked_ms),
            )
            if is_new and revoked_ms is None:
                connection.execute("UPDATE node SET revoked_ms = NULL WHERE node = ?", (node,))
    return int(connection.execute("SELECT COUNT(*) FROM key").fetchone()[0]) - int(before)


def _digest(token: str) -> bytes:
    return hashlib.sha256(b"sepe-token-1\0" + token.strip().upper().encode("utf-8", "surrogatepass")).digest()
