"""Schema of ``node.db``, one script per version; see `sepe_io.sqlite.migrate`.

The outbox is the record of truth of this machine until the hub holds it. Everything below it is a projection
that answers questions at the desk: who was recorded here, what is to be printed, which blanks are left.

A commit writes every page it touched, so what a recording does *not* touch is chosen with care: the last seq,
chain and stamp are read from the outbox's last row instead of being kept beside it.
"""

from __future__ import annotations

VERSION_1 = """
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per epoch of this machine, the current one last.
-- durable_seq: the hub's watermark. pruned_seq: rows up to here are gone, pruned_chain is the digest there.
-- stamp_floor: the last stamp before this epoch. carried_seq: rows up to here repeat rows of the epoch before.
CREATE TABLE epoch (
    number INTEGER PRIMARY KEY,
    epoch BLOB NOT NULL UNIQUE,
    opened_ms INTEGER NOT NULL,
    reason TEXT NOT NULL,
    stamp_floor INTEGER NOT NULL DEFAULT 0,
    durable_seq INTEGER NOT NULL DEFAULT 0,
    durable_ms INTEGER NOT NULL DEFAULT 0,
    pruned_seq INTEGER NOT NULL DEFAULT 0,
    pruned_chain BLOB,
    carried_seq INTEGER NOT NULL DEFAULT 0
) STRICT;

-- epoch is the epoch's number above; chain is the digest after the event.
CREATE TABLE outbox (
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    nik INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    body BLOB NOT NULL,
    chain BLOB NOT NULL,
    PRIMARY KEY (epoch, seq)
) STRICT, WITHOUT ROWID;

-- What this machine last heard of the hub's clock; heard_ms and skew_ms are by our own.
CREATE TABLE clock (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    hub_ms INTEGER NOT NULL DEFAULT 0,
    heard_ms INTEGER NOT NULL DEFAULT 0,
    skew_ms INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO clock (one) VALUES (1);

-- known: a serialised Recorded with the latest given value of every field. identity: of the first claim.
CREATE TABLE resident (
    nik INTEGER PRIMARY KEY,
    claims INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    identity BLOB NOT NULL,
    is_disputed INTEGER NOT NULL,
    known BLOB NOT NULL
) STRICT;

-- Recordings of a day by product and what became of them: the parts of the daily report.
CREATE TABLE tally (
    day TEXT NOT NULL,
    product TEXT NOT NULL,
    status TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (day, product, status)
) STRICT, WITHOUT ROWID;

-- The print ledger: one row per attempt to make one card or paper. States: node/printing/spool.py.
-- name: what the printer knows it by. fence: NULL until there is a right. body: the recording, copied here
-- when the outbox row (epoch, seq) is pruned. announced: the last card state that went to the outbox.
-- override: why a supervisor printed without the right. asked_day: of the recording; '' for a further attempt.
CREATE TABLE job (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    nik INTEGER NOT NULL,
    product TEXT NOT NULL,
    issue INTEGER NOT NULL,
    state TEXT NOT NULL,
    fence INTEGER,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    due_day TEXT NOT NULL,
    asked_day TEXT NOT NULL DEFAULT '',
    retry_ms INTEGER NOT NULL DEFAULT 0,
    wanted INTEGER NOT NULL DEFAULT 0,
    announced INTEGER NOT NULL DEFAULT 0,
    override TEXT NOT NULL DEFAULT '',
    serial TEXT NOT NULL DEFAULT '',
    printer TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    operator TEXT NOT NULL DEFAULT '',
    body BLOB
) STRICT;
CREATE INDEX job_nik ON job (nik);
CREATE INDEX job_open ON job (state)
    WHERE state NOT IN ('printed', 'handed_over', 'spoiled', 'void');

-- Numbered card stock, one row per blank.
CREATE TABLE blank (
    product TEXT NOT NULL,
    serial TEXT NOT NULL,
    state TEXT NOT NULL,
    job INTEGER,
    PRIMARY KEY (product, serial)
) STRICT, WITHOUT ROWID;
CREATE INDEX blank_at_hand ON blank (product, serial) WHERE state = 'at_hand';
"""

ATTACHMENTS = """
-- What follows the events: node/attach/shelf.py. sha256, bytes: of the plain file. has_plain: it is still here.
-- key_id: of the hub's sealing key. sealed_bytes is 0 while there is no sealed file.
CREATE TABLE attachment (
    sha256 BLOB PRIMARY KEY,
    kind TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    recorded_ms INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'plain',
    has_plain INTEGER NOT NULL DEFAULT 1,
    sealed_sha256 BLOB NOT NULL DEFAULT x'',
    sealed_bytes INTEGER NOT NULL DEFAULT 0,
    key_id BLOB NOT NULL DEFAULT x'',
    acked_bytes INTEGER NOT NULL DEFAULT 0,
    sent_ms INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX attachment_waiting ON attachment (state, recorded_ms) WHERE state IN ('plain', 'sealed');
CREATE INDEX attachment_plain ON attachment (recorded_ms) WHERE has_plain;
"""

DAMAGE = """
-- Rows of the outbox that are not what was written, as they were found (NULL: gone): node/storage/damage.py.
CREATE TABLE damaged (
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    state TEXT NOT NULL,
    found_ms INTEGER NOT NULL,
    nik INTEGER,
    stamp INTEGER,
    kind INTEGER,
    body BLOB,
    chain BLOB,
    PRIMARY KEY (epoch, seq)
) STRICT, WITHOUT ROWID;
-- How many rows of the epoch before were not written again, because they were damaged and the hub lacks them.
ALTER TABLE epoch ADD COLUMN left_out INTEGER NOT NULL DEFAULT 0;
"""

STOCK = """
-- reason: why a blank is spoiled or lost. minutes: of its destruction. changed_ms: when its state last changed.
ALTER TABLE blank ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE blank ADD COLUMN changed_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE blank ADD COLUMN minutes INTEGER;
-- The books: how many blanks moved so on a day ('' before there were books). Counted beside the rows of blank, so
-- that each proves the other. Movements: sepe/stock.py.
CREATE TABLE blank_day (
    day TEXT NOT NULL,
    product TEXT NOT NULL,
    movement TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (day, product, movement)
) STRICT, WITHOUT ROWID;
INSERT INTO blank_day SELECT '', product, 'received', count(*) FROM blank GROUP BY product;
INSERT INTO blank_day SELECT '', product, state, count(*) FROM blank WHERE state NOT IN ('at_hand', 'reserved')
    GROUP BY product, state;
-- Minutes of destructions. witnesses: a JSON list of names.
CREATE TABLE minutes (
    number INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    witnesses TEXT NOT NULL,
    operator TEXT NOT NULL
) STRICT;
"""

PRINTERS = """
-- What is known of a printer beside its jobs: node/printing/condition.py. Limits are 0 for none.
CREATE TABLE printer (
    printer TEXT PRIMARY KEY,
    ribbon_cards INTEGER NOT NULL DEFAULT 500,
    day_cards INTEGER NOT NULL DEFAULT 0,
    run_cards_max INTEGER NOT NULL DEFAULT 0,
    rest_s INTEGER NOT NULL DEFAULT 0,
    ribbon_left INTEGER,
    ribbon_ms INTEGER,
    run_cards INTEGER NOT NULL DEFAULT 0,
    last_card_ms INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE printer_day (
    printer TEXT NOT NULL,
    day TEXT NOT NULL,
    cards INTEGER NOT NULL,
    PRIMARY KEY (printer, day)
) STRICT, WITHOUT ROWID;
"""

CONFIRMED = """
-- How far the hub had confirmed an epoch at the end of each hour in which it did: node/storage/prune.py.
CREATE TABLE confirmed (
    epoch INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (epoch, hour)
) STRICT, WITHOUT ROWID;
INSERT INTO confirmed SELECT number, durable_ms / 3600000, durable_seq, durable_ms FROM epoch
    WHERE durable_seq > 0;
"""

DISPATCH = """
-- node/printing/printers.py. name: for people. media: what it prints. mode: on, paused or draining. place: its
-- turn in lists, 0 when it is not used.
ALTER TABLE printer ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE printer ADD COLUMN media TEXT NOT NULL DEFAULT 'card,a4';
ALTER TABLE printer ADD COLUMN mode TEXT NOT NULL DEFAULT 'on';
ALTER TABLE printer ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
-- How long each card took, while more were waiting: node/printing/queue.py.
CREATE TABLE pace (
    printer TEXT NOT NULL,
    done_ms INTEGER NOT NULL,
    took_ms INTEGER NOT NULL,
    PRIMARY KEY (printer, done_ms)
) STRICT, WITHOUT ROWID;
-- Where a job shall be printed, when and in which batch, if somebody said so. printer: its address, '' for any.
CREATE TABLE job_place (
    job INTEGER PRIMARY KEY,
    printer TEXT NOT NULL DEFAULT '',
    batch TEXT NOT NULL DEFAULT '',
    position INTEGER NOT NULL DEFAULT 0,
    since_ms INTEGER NOT NULL DEFAULT 0,
    from_ms INTEGER NOT NULL DEFAULT 0
) STRICT;
"""

RIGHTS = """
-- This machine's book of rights: node/printing/rights.py. held: the highest fence it was given; let_go: it
-- promised never to print under this or a lower one; told: what the hub has heard of that. asked: the hub asks for
-- this fence; kept: why it is kept. wanted: to be claimed beforehand, not before retry_ms.
CREATE TABLE print_right (
    nik INTEGER NOT NULL,
    product TEXT NOT NULL,
    issue INTEGER NOT NULL,
    held INTEGER NOT NULL DEFAULT -1,
    let_go INTEGER NOT NULL DEFAULT -1,
    told INTEGER NOT NULL DEFAULT -1,
    asked INTEGER NOT NULL DEFAULT -1,
    kept TEXT NOT NULL DEFAULT '',
    wanted INTEGER NOT NULL DEFAULT 0,
    retry_ms INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (nik, product, issue)
) STRICT, WITHOUT ROWID;
CREATE INDEX print_right_untold ON print_right (nik) WHERE told < let_go;
CREATE INDEX print_right_asked ON print_right (nik) WHERE asked > let_go;
CREATE INDEX print_right_wanted ON print_right (retry_ms) WHERE wanted = 1;
-- Whose roll a kecamatan is, where an officer decided so.
CREATE TABLE roll_right (
    kecamatan TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    fence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- The centre's word on residents: node/desk/standing.py. settled: identity keys, one after the other.
CREATE TABLE standing (
    nik INTEGER PRIMARY KEY,
    on_hold INTEGER NOT NULL,
    life INTEGER NOT NULL,
    settled BLOB NOT NULL,
    keep BLOB NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE TABLE recall (
    nik INTEGER NOT NULL,
    product TEXT NOT NULL,
    issue INTEGER NOT NULL,
    attempt TEXT NOT NULL,
    serial TEXT NOT NULL,
    node TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (nik, product, issue, attempt)
) STRICT, WITHOUT ROWID;
-- Cards taken back from their owners: node/desk/old_cards.py. minutes: of their destruction, '' before it.
CREATE TABLE old_card (
    product TEXT NOT NULL,
    serial TEXT NOT NULL,
    nik INTEGER NOT NULL,
    reason TEXT NOT NULL,
    taken_ms INTEGER NOT NULL,
    operator TEXT NOT NULL,
    minutes TEXT NOT NULL DEFAULT '',
    destroyed_ms INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (product, serial)
) STRICT, WITHOUT ROWID;
-- Who shall have a card: node/desk/roll.py. birth_date: '' where the list does not say.
CREATE TABLE roll (
    nik INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    birth_date TEXT NOT NULL,
    is_voter INTEGER NOT NULL,
    loaded_ms INTEGER NOT NULL
) STRICT;
"""

WITHDRAWN = """
-- Attempts that a person called ended while their printer might still make the card: node/printing/withdrawal.py.
-- ended: '' while the printer is asked about it, then its last word, or 'destroyed'.
CREATE TABLE withdrawn (
    job INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    printer TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    ended TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX withdrawn_watched ON withdrawn (printer) WHERE ended = '';
"""

ELSEWHERE = """
-- decided_ms: until then an officer wants the right elsewhere, though a card is near.
ALTER TABLE print_right ADD COLUMN decided_ms INTEGER NOT NULL DEFAULT 0;
-- Cards that an officer had moved here: node/desk/guests.py. photo: its SHA-256 while it is still at the centre.
CREATE TABLE guest_card (
    nik INTEGER NOT NULL,
    product TEXT NOT NULL,
    issue INTEGER NOT NULL,
    from_node TEXT NOT NULL,
    photo BLOB NOT NULL,
    came_ms INTEGER NOT NULL,
    PRIMARY KEY (nik, product, issue)
) STRICT, WITHOUT ROWID;
CREATE INDEX guest_photo ON guest_card (nik) WHERE photo <> x'';
-- What the centre says is on its way here, and what it wants brought elsewhere: node/stock/on_way.py.
CREATE TABLE blanks_on_way (
    product TEXT NOT NULL,
    from_node TEXT NOT NULL,
    first TEXT NOT NULL,
    last TEXT NOT NULL,
    PRIMARY KEY (product, from_node, first)
) STRICT, WITHOUT ROWID;
CREATE TABLE blanks_wanted (
    product TEXT NOT NULL,
    to_node TEXT NOT NULL,
    count INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (product, to_node)
) STRICT, WITHOUT ROWID;
"""

OLD_CARDS = """
-- Of a serial two residents may be said to have had a card, and of a lost card nobody may know the serial.
-- attempt: which made it, '' where that is not known. issue: its, or the highest that was lost. document: number
-- of the letter that says so. lies_here: it came back and is to be destroyed.
ALTER TABLE old_card RENAME TO old_card_by_serial;
CREATE TABLE old_card (
    nik INTEGER NOT NULL,
    product TEXT NOT NULL,
    serial TEXT NOT NULL,
    attempt TEXT NOT NULL DEFAULT '',
    issue INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL,
    document TEXT NOT NULL DEFAULT '',
    lies_here INTEGER NOT NULL DEFAULT 1,
    taken_ms INTEGER NOT NULL,
    operator TEXT NOT NULL,
    minutes TEXT NOT NULL DEFAULT '',
    destroyed_ms INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (nik, product, serial, attempt, issue)
) STRICT, WITHOUT ROWID;
INSERT INTO old_card (nik, product, serial, reason, taken_ms, operator, minutes, destroyed_ms)
    SELECT nik, product, serial, reason, taken_ms, operator, minutes, destroyed_ms FROM old_card_by_serial;
DROP TABLE old_card_by_serial;
CREATE INDEX old_card_serial ON old_card (serial);
-- Who took a printed card or paper away: sepe/handing.py.
CREATE TABLE receiver (
    job INTEGER PRIMARY KEY,
    received_by TEXT NOT NULL,
    name TEXT NOT NULL,
    document TEXT NOT NULL
) STRICT;
"""

NEWS = """
-- What the centre said that people here should know: node/desk/news.py. The columns after at_ms are a Headline's.
-- read_ms: 0 until somebody has read it. The latest row is never deleted, so no number is another item's later.
CREATE TABLE news (
    number INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    nik INTEGER NOT NULL,
    product TEXT NOT NULL,
    issue INTEGER NOT NULL,
    serial TEXT NOT NULL,
    node TEXT NOT NULL,
    count INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    new_nik INTEGER NOT NULL,
    stands TEXT NOT NULL,
    reason TEXT NOT NULL,
    read_ms INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX news_unread ON news (number) WHERE read_ms = 0;
CREATE INDEX news_subject ON news (nik, kind);
"""

IDENTITIES = """
-- claim: a serialised EventRef of the claim whose identity the card bears, where that is not the recording.
ALTER TABLE job ADD COLUMN claim BLOB NOT NULL DEFAULT x'';
-- kept: the keys of the identity that stays, one after the other. replaced_by: the NIK that counts instead, or 0.
ALTER TABLE standing ADD COLUMN kept BLOB NOT NULL DEFAULT x'';
ALTER TABLE standing ADD COLUMN replaced_by INTEGER NOT NULL DEFAULT 0;
"""

BATCHES = """
-- node/printing/batches.py. released_ms: 0 while the batch is collected and nothing of it is printed.
CREATE TABLE print_batch (
    name TEXT PRIMARY KEY,
    opened_ms INTEGER NOT NULL,
    released_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""

WAIVED = """
-- waived: of confirmed and incomplete, what a person waived of this card; waived_why: his reason.
ALTER TABLE job ADD COLUMN waived TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN waived_why TEXT NOT NULL DEFAULT '';
"""

STEPS = [
    VERSION_1,
    ATTACHMENTS,
    DAMAGE,
    STOCK,
    PRINTERS,
    CONFIRMED,
    DISPATCH,
    RIGHTS,
    WITHDRAWN,
    ELSEWHERE,
    OLD_CARDS,
    NEWS,
    IDENTITIES,
    BATCHES,
    WAIVED,
]

# What makes a query use the index job_open: the planner must find the index's own words in it.
JOB_IS_OPEN = "state NOT IN ('printed', 'handed_over', 'spoiled', 'void')"
