"""The hub's tables.

Truth is `frame` (the bytes as they came), `epoch` (how far each history reaches), `key` and `meta`; `wanted` and
`proof` are what reading the log back found. The rest is folded from them and can be made again: `head` (one
narrow row per NIK), `parked`, `right`, `likeness` and its tables, and for the few NIK that a person must look at,
`folded` and `resident_case`. `dirty` names the NIK whose last two are out of date; it is filled by triggers inside
the merge's own transaction, so no kill can leave a NIK forgotten.
"""

from __future__ import annotations

# `is_suspect` of sepe.head, on the row that a trigger sees.
_SUSPECT = """(
    ({row}.claims > 1 AND {row}.identity_min <> {row}.identity_max) OR {row}.prints > 1 OR {row}.decisions > 0
)"""

HEAD_COLUMNS = "nik, events, claims, identity_min, identity_max, prints, decisions, checksum, refs"

_HEAD_TABLE = """
CREATE TABLE {table} (
    nik INTEGER PRIMARY KEY,
    events INTEGER NOT NULL,
    claims INTEGER NOT NULL,
    identity_min INTEGER NOT NULL,
    identity_max INTEGER NOT NULL,
    prints INTEGER NOT NULL,
    decisions INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    refs BLOB NOT NULL
);
"""

_PARKED_TABLE = """
CREATE TABLE {table} (
    frame INTEGER NOT NULL,
    place INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (frame, place)
) WITHOUT ROWID;
"""

_RIGHT_TABLE = """
CREATE TABLE {table} (
    nik INTEGER NOT NULL,
    product TEXT NOT NULL,
    issue INTEGER NOT NULL,
    holder TEXT NOT NULL,
    fence INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (nik, product, issue)
) WITHOUT ROWID;
"""

_ROLL_RIGHT_TABLE = """
CREATE TABLE {table} (
    kecamatan INTEGER PRIMARY KEY,
    holder TEXT NOT NULL,
    fence INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    reason TEXT NOT NULL
);
"""

# What officers decided on cards and blanks that are to go elsewhere: the newest decision on each subject.
_REROUTE_TABLE = """
CREATE TABLE {table} (
    nik INTEGER NOT NULL,
    product TEXT NOT NULL,
    issue INTEGER NOT NULL,
    from_node TEXT NOT NULL,
    to_node TEXT NOT NULL,
    until_ms INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    reason TEXT NOT NULL,
    officer TEXT NOT NULL,
    PRIMARY KEY (nik, product, issue)
) WITHOUT ROWID;
"""

_BLANKS_ORDER_TABLE = """
CREATE TABLE {table} (
    product TEXT NOT NULL,
    from_node TEXT NOT NULL,
    to_node TEXT NOT NULL,
    count INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    reason TEXT NOT NULL,
    officer TEXT NOT NULL,
    PRIMARY KEY (product, from_node, to_node)
) WITHOUT ROWID;
"""

# NOT EXISTS, because the upsert's own conflict rule would override an OR IGNORE in the trigger.
_FIRST_TRIGGERS = tuple(
    f"CREATE TRIGGER head_{name} AFTER {change} ON head WHEN {_SUSPECT.format(row='new')}"
    " BEGIN INSERT INTO dirty SELECT new.nik WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE nik = new.nik); END"
    for name, change in (("made_suspect", "INSERT"), ("became_suspect", "UPDATE"))
)

# Of a new row its writer knows whether it is suspect, and marks it.
HEAD_TRIGGERS = _FIRST_TRIGGERS[1:]

# Every suspect head, for a rebuild.
SUSPECT_HEADS = f"SELECT nik FROM head WHERE {_SUSPECT.format(row='head')}"
# One head that was put in place by hand, if it is suspect.
MARK_SUSPECT = f"INSERT OR IGNORE INTO dirty (nik) {SUSPECT_HEADS} AND nik = ?"

# Tables that a rebuild makes anew, by the name they have in use.
_REBUILT_FIRST = {"head": _HEAD_TABLE, "parked": _PARKED_TABLE, "print_right": _RIGHT_TABLE}
_REBUILT_MOVES = {
    "reroute": _REROUTE_TABLE, "blanks_order": _BLANKS_ORDER_TABLE
}  # fmt: skip
REBUILT = {**_REBUILT_FIRST, "roll_right": _ROLL_RIGHT_TABLE, **_REBUILT_MOVES}

_FIRST = (
    """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE node (
    node TEXT PRIMARY KEY,
    enrolled_ms INTEGER,
    last_seen_ms INTEGER,
    via TEXT NOT NULL DEFAULT '',
    clock_skew_ms INTEGER,
    epoch BLOB,
    told_seq INTEGER NOT NULL DEFAULT 0,
    forked_ms INTEGER,
    revoked_ms INTEGER,
    software TEXT NOT NULL DEFAULT '',
    contract INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE key (
    node TEXT NOT NULL,
    key_id BLOB NOT NULL,
    public_key BLOB NOT NULL,
    enrolled_ms INTEGER NOT NULL,
    revoked_ms INTEGER,
    PRIMARY KEY (node, key_id)
) WITHOUT ROWID;
CREATE TABLE token (
    digest BLOB PRIMARY KEY,
    node TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    used_ms INTEGER,
    public_key BLOB
) WITHOUT ROWID;
CREATE TABLE epoch (
    node TEXT NOT NULL,
    epoch BLOB NOT NULL,
    durable_seq INTEGER NOT NULL,
    chain BLOB NOT NULL,
    first_seen_ms INTEGER NOT NULL,
    last_seen_ms INTEGER NOT NULL,
    forked_ms INTEGER,
    PRIMARY KEY (node, epoch)
) WITHOUT ROWID;
CREATE TABLE frame (
    number INTEGER PRIMARY KEY,
    node TEXT NOT NULL,
    epoch BLOB NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    skip INTEGER NOT NULL,
    chain_after BLOB NOT NULL,
    received_ms INTEGER NOT NULL,
    cap_ms INTEGER NOT NULL,
    via TEXT NOT NULL,
    data BLOB NOT NULL
);
CREATE UNIQUE INDEX frame_of_epoch ON frame (node, epoch, last_seq);
CREATE TABLE dirty (nik INTEGER PRIMARY KEY);
CREATE TABLE folded (
    nik INTEGER PRIMARY KEY,
    claims INTEGER NOT NULL,
    identities INTEGER NOT NULL,
    cards INTEGER NOT NULL
);
CREATE TABLE resident_case (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    nik INTEGER NOT NULL,
    subject TEXT NOT NULL,
    is_open INTEGER NOT NULL,
    opened_ms INTEGER NOT NULL,
    decided_ms INTEGER,
    detail TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX case_of_nik ON resident_case (nik);
CREATE INDEX case_open ON resident_case (opened_ms) WHERE is_open;
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    node TEXT NOT NULL,
    bucket TEXT NOT NULL,
    first_received_ms INTEGER NOT NULL,
    last_received_ms INTEGER NOT NULL,
    times INTEGER NOT NULL,
    via TEXT NOT NULL,
    size INTEGER NOT NULL,
    data BLOB NOT NULL
);
CREATE INDEX quarantine_of_bucket ON quarantine (bucket, reason, size);
CREATE TABLE quarantine_overflow (
    bucket TEXT NOT NULL,
    reason TEXT NOT NULL,
    times INTEGER NOT NULL,
    last_received_ms INTEGER NOT NULL,
    PRIMARY KEY (bucket, reason)
) WITHOUT ROWID;
"""
    + "".join(template.format(table=table) for table, template in _REBUILT_FIRST.items())
    + "".join(f"{trigger};\n" for trigger in _FIRST_TRIGGERS)
)

# A key that named its successor signs until then.
_RETIRED_KEYS = "ALTER TABLE key ADD COLUMN retired_ms INTEGER;"

# seal: of what a frame's own signature does not cover; see hub.merge.log.
# wanted: events that the log lost or cannot read, by the run that is asked for. number: the row whose bytes are
# damaged, NULL when no row is left. before, after: the digests between which what comes must fit.
# proof: how many events of a history were last read back, how far it was followed, and the digest there.
_READING_BACK = """
ALTER TABLE frame ADD COLUMN seal BLOB;
CREATE TABLE wanted (
    node TEXT NOT NULL,
    epoch BLOB NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    number INTEGER,
    before BLOB,
    after BLOB NOT NULL,
    found_ms INTEGER NOT NULL,
    asked INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (node, epoch, first_seq)
) WITHOUT ROWID;
CREATE TABLE proof (
    node TEXT NOT NULL,
    epoch BLOB NOT NULL,
    events INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    chain BLOB NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (node, epoch)
) WITHOUT ROWID;
"""

# feed: the newest word on each subject, for each machine; see hub.dispatch.feed.
# right_wish, right_ask: claims that were denied and what the holder was asked and said. No truth: they come again.
# forced_card, recalled_card: what `hub.dispatch.watch` found. card_mark: marks of a
# worker of the version before, which go to `dirty`.
_DISPATCH = (
    _ROLL_RIGHT_TABLE.format(table="roll_right")
    + """
CREATE TABLE feed (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    node TEXT NOT NULL,
    kind TEXT NOT NULL,
    nik INTEGER NOT NULL,
    product TEXT NOT NULL,
    issue INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE UNIQUE INDEX feed_subject ON feed (nik, kind, product, issue, node);
CREATE INDEX feed_of_node ON feed (node, number);
CREATE TABLE right_wish (
    nik INTEGER NOT NULL,
    product TEXT NOT NULL,
    issue INTEGER NOT NULL,
    node TEXT NOT NULL,
    wished_ms INTEGER NOT NULL,
    PRIMARY KEY (nik, product, issue, node)
) WITHOUT ROWID;
CREATE INDEX right_wish_age ON right_wish (wished_ms);
CREATE TABLE right_ask (
    nik INTEGER NOT NULL,
    product TEXT NOT NULL,
    issue INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    asked_ms INTEGER NOT NULL,
    kept TEXT NOT NULL,
    PRIMARY KEY (nik, product, issue)
) WITHOUT ROWID;
CREATE TABLE card_mark (nik INTEGER PRIMARY KEY);
CREATE TABLE forced_card (
    nik INTEGER NOT NULL,
    attempt TEXT NOT NULL,
    product TEXT NOT NULL,
    issue INTEGER NOT NULL,
    node TEXT NOT NULL,
    serial TEXT NOT NULL,
    state INTEGER NOT NULL,
    reason TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (nik, product, issue, attempt)
) WITHOUT ROWID;
CREATE TABLE recalled_card (
    nik INTEGER NOT NULL,
    attempt TEXT NOT NULL,
    product TEXT NOT NULL,
    issue INTEGER NOT NULL,
    node TEXT NOT NULL,
    serial TEXT NOT NULL,
    reason TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (nik, product, issue, attempt)
) WITHOUT ROWID;
"""
)

# What hub.merge.likeness keeps. likeness: of each resident a sketch, and the decisions on pairs in which his is
# the lesser NIK; likeness_key: what he is found by; likeness_hint: pairs that may be one person; likeness_unread:
# frames to be looked at again.
_LIKENESS = """
CREATE TABLE likeness (
    nik INTEGER PRIMARY KEY,
    sketch TEXT NOT NULL,
    settled TEXT NOT NULL,
    first_ms INTEGER NOT NULL
);
CREATE TABLE likeness_key (
    key INTEGER NOT NULL,
    nik INTEGER NOT NULL,
    PRIMARY KEY (key, nik)
) WITHOUT ROWID;
CREATE TABLE likeness_hint (
    nik INTEGER NOT NULL,
    other INTEGER NOT NULL,
    reasons TEXT NOT NULL,
    PRIMARY KEY (nik, other)
) WITHOUT ROWID;
CREATE INDEX likeness_hint_of_other ON likeness_hint (other);
CREATE TABLE likeness_unread (frame INTEGER PRIMARY KEY);
"""

# What a machine last told of its printers: a serialised PrintRoom.
_PRINT_ROOM = """
CREATE TABLE print_room (
    node TEXT PRIMARY KEY,
    told_ms INTEGER NOT NULL,
    room BLOB NOT NULL
) WITHOUT ROWID;
"""

# left_card: cards that a machine told it will not print today, in the order of its queue. No truth: told anew.
_MOVES = (
    "".join(template.format(table=table) for table, template in _REBUILT_MOVES.items())
    + """
CREATE TABLE left_card (
    node TEXT NOT NULL,
    place INTEGER NOT NULL,
    nik INTEGER NOT NULL,
    product TEXT NOT NULL,
    issue INTEGER NOT NULL,
    finish_ms INTEGER NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (node, place)
) WITHOUT ROWID;
"""
)

_LIFE_CASES = """
CREATE INDEX case_of_kind ON resident_case (nik) WHERE kind = 'life_elsewhere';
"""

# forced: what a supervisor did without: right, incomplete, due_day.
_FORCED = """
ALTER TABLE forced_card ADD COLUMN forced TEXT NOT NULL DEFAULT 'right';
"""

STEPS = [_FIRST, _RETIRED_KEYS, _READING_BACK, _DISPATCH, _LIKENESS, _PRINT_ROOM, _MOVES, _LIFE_CASES, _FORCED]
