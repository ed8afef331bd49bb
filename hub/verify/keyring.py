"""The nodes' public keys, read back: a key is named by its own hash, so an altered one gives itself away."""

from __future__ import annotations

from hub.verify.report import Fate, Finding, What
from sepe_io.keys import key_id_of
from sepe_io.sqlite import Connection, transaction


def mend(connection: Connection) -> list[Finding]:
    """Put altered keys right from the tokens that they were made known with."""
    found: list[Finding] = []
    for node, key_id, public_key in connection.execute("SELECT node, key_id, public_key FROM key").fetchall():
        if _is_named(public_key, key_id):
            continue
        given = [
            row[0]
            for row in connection.execute("SELECT public_key FROM token WHERE node = ?", (node,))
            if row[0] is not None and _is_named(row[0], key_id)
        ]
        if not given:
            detail = "its public key was altered; give the node a new token: sepe hub enrol"
            found.append(Finding(What.key, str(node), Fate.person, detail))
            continue
        with transaction(connection):
            connection.execute(
                "UPDATE key SET public_key = ? WHERE node = ? AND key_id = ?", (given[0], node, key_id)
            )
        found.append(Finding(What.key, str(node), Fate.mended, "public_key"))
    return found


def _is_named(public_key: object, key_id: bytes) -> bool:
    return isinstance(public_key, bytes) and key_id_of(public_key) == key_id
