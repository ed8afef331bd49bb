"""How long the centre takes to have a recording and to have looked at it, as measured here.

The centre confirms a recording once it is merged, and a conflict of identities comes by the list of news right
after. Which recordings are confirmed is looked at with every question for news, so the time is right to twenty
seconds.
"""

from __future__ import annotations

import json

from node.storage.store import NodeStore

SAMPLES_MAX = 60
_KEY = "check_took"


def note_checks(store: NodeStore, now_ms: int) -> None:
    """Note how long the recordings took that the centre has confirmed since the last look."""
    last, took = _noted(store)
    position = store.position()
    with store.transaction():
        rows = store.connection.execute(
            "SELECT id, created_ms FROM job WHERE id > ? AND asked_day <> '' "
            "AND epoch = (SELECT max(number) FROM epoch) AND seq <= ? ORDER BY id LIMIT 500",
            (last, position.durable_seq),
        ).fetchall()
        if rows:
            took += [max(0, now_ms - created_ms) for _, created_ms in rows]
            store.put(_KEY, json.dumps([rows[-1][0], took[-SAMPLES_MAX:]]))


def check_took_ms(store: NodeStore) -> int:
    """The middle of the latest times from a recording to its confirmation, 0 before the first."""
    _, took = _noted(store)
    return sorted(took)[len(took) // 2] if took else 0


def _noted(store: NodeStore) -> tuple[int, list[int]]:
    text = store.get(_KEY)
    if text is None:
        return 0, []
    last, took = json.loads(text)
    return int(last), [int(one) for one in took]
