"""One reading of everything the hub holds, in steps, and what it puts right.

A reading goes once through the frame log, some frames a step, while the hub goes on merging. Each frame is
opened as if it had just come in and folded into a shadow of the state. `finish` then follows every history
from end to end, compares the state with its shadow, and mends, in this order:

1. columns of the log that were altered, and watermarks that lag behind their own frames: put right at once;
2. frames that cannot be read or are gone: asked for (`hub.merge.wanted`);
3. heads, parked events and rights that are not as the log says: replaced by their shadows, in one short
   transaction, in which a watermark that promises more than the log holds is lowered too, as after a restore:
   the offices send again what lies above it, and it must not be counted twice;
4. cases that are not as the events say: folded again.

Whatever is repaired is first decided on again inside the transaction that repairs it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from hub.engine import place
from hub.merge import project, proofs, wanted
from hub.merge.own import new_epoch
from hub.merge.schema import SUSPECT_HEADS
from hub.quarantine import shelf
from hub.verify import histories, keyring, reading
from hub.verify.histories import History
from hub.verify.reading import Reading, Row
from hub.verify.report import Fate, Finding, Report, What
from hub.verify.shadow import Shadow
from sepe.errors import InvalidInputError
from sepe.ids import HUB_NODE
from sepe.nik import Nik
from sepe_io.logs import logger
from sepe_io.sqlite import StorageDamagedError, transaction, translated

FRAMES_PER_STEP = 16
_KECAMATAN_DIVISOR = 10**10

_log = logger("hub.verify")


class Check:
    """One reading; `step` until it says that all frames were read, then `finish`, and always `close`.

    Args:
        repairs: put right what was found; ``False`` only looks.
        rest: called now and then outside transactions, for a reading that must not hurry.
    """

    def __init__(self, directory: Path, *, repairs: bool = True, rest: Callable[[], None] = lambda: None) -> None:
        self._connection = place.connect(directory)
        try:
            self._shadow = Shadow(self._connection, directory)
        except BaseException:
            self._connection.close()
            raise
        self._repairs = repairs
        self._rest = rest
        self._number = 0
        self._frames = 0
        self._events = 0
        self._findings: list[Finding] = []
        self._damaged: dict[int, Row] = {}
        self._junk: dict[int, Row] = {}
        self._altered: list[Reading] = []
        self._unsealed: list[Row] = []
        self._unproven: set[str] = set()

    def close(self) -> None:
        """End the reading; what it read is thrown away."""
        with suppress(Exception):
            self._shadow.close()
        self._connection.close()

    @property
    def frames_read(self) -> int:
        return self._frames

    def step(self, frames_max: int = FRAMES_PER_STEP) -> bool:
        """Read some frames; ``False`` when there are no more."""
        with translated():
            if self._number == 0 and self._repairs:
                self._begin()
            rows = reading.rows_after(self._connection, self._number, frames_max)
            self._take([reading.read(self._connection, row) for row in rows])
            if self._unsealed and self._repairs:
                self._seal()
        return len(rows) == frames_max

    def finish(self, now_ms: int) -> Report:
        """Compare, mend, and keep the proofs; see the module."""
        while self.step():
            self._rest()
        with translated():
            self._mend_columns(now_ms)
            found = [self._history(node, epoch, now_ms) for node, epoch in histories.epochs(self._connection)]
            self._ask(found, now_ms)
            self._compare(found)
            self._look_at_cases()
            if self._findings:  # What was mended stands differently now.
                found = [self._history(node, epoch, now_ms) for node, epoch in histories.epochs(self._connection)]
            kept = [one.proof for one in found if one.end.seq or one.stored]
            if self._repairs:
                with transaction(self._connection):
                    proofs.store(self._connection, kept)
        for node in sorted(self._unproven):
            detail = "its key is not known here, so its frames' digests were checked and its signatures were not"
            self._note(Finding(What.key, node, Fate.person, detail))
        return Report(self._frames, self._events, tuple(self._findings), tuple(kept), now_ms)

    # Reading

    def _take(self, readings: list[Reading]) -> None:
        sound: list[Reading] = []
        for one in readings:
            self._number = one.row.number
            self._frames += 1
            if one.frame is None:
                if one.columns_fit:
                    self._damaged[one.row.number] = replace(one.row, data=b"")
                else:
                    self._junk[one.row.number] = one.row
                self._note_damaged(one)
                continue
            if not one.proven:
                self._unproven.add(one.frame.header.node)
            if one.columns_fit and one.row.seal is None:
                self._unsealed.append(one.row)
            elif not one.columns_fit:
                self._altered.append(one)
                continue  # Folded once its columns are right.
            sound.append(one)
        self._fold([(one.row, one) for one in sound])

    def _fold(self, found: list[tuple[Row, Reading]]) -> None:
        frames = []
        for row, one in found:
            assert one.frame is not None
            self._events += one.frame.header.count - row.skip
            frames.append((row.number, row.skip, row.cap_ms, one.frame))
        self._shadow.add(frames)

    def _note_damaged(self, one: Reading) -> None:
        row = one.row
        if one.columns_fit:
            where = f"frame {row.number}, {row.node} {row.epoch.hex()[:8]} seq {row.first_seq} to {row.last_seq}"
            self._note(Finding(What.frame, where, self._asked(row.node), one.fault))
        else:
            detail = f"{one.fault}, and its columns contradict each other; put into quarantine"
            self._note(Finding(What.frame, f"frame {row.number}", self._fate(Fate.mended), detail))

    # Mending the log

    def _begin(self) -> None:
        for finding in keyring.mend(self._connection):
            self._note(finding)
        with transaction(self._connection):
            self._connection.execute("DELETE FROM meta WHERE name = ?", (wanted.DUE,))

    def _seal(self) -> None:
        """Seal rows of before there were seals; their headers agree with them."""
        with transaction(self._connection):
            for row in self._unsealed:
                reading.write(self._connection, row)
        self._unsealed.clear()

    def _mend_columns(self, now_ms: int) -> None:
        rows: list[tuple[Row, Reading]] = []
        for one in self._altered:
            right = reading.righted(self._connection, one)
            rows.append((right, one))
            where = f"frame {right.number}, {right.node} seq {right.first_seq} to {right.last_seq}"
            self._note(Finding(What.row, where, self._fate(Fate.mended), _changed(one.row, right)))
        if self._repairs:
            with transaction(self._connection):
                for right, _ in rows:
                    reading.write(self._connection, right)
                for number, row in self._junk.items():
                    self._to_quarantine(row, now_ms)
                    self._connection.execute("DELETE FROM frame WHERE number = ?", (number,))
        self._fold(rows)

    def _to_quarantine(self, row: Row, now_ms: int) -> None:
        if isinstance(row.data, bytes) and row.data:
            shelf.hold(
                self._connection, row.data, reason="log_damaged", detail=f"was frame {row.number}", node="",
                bucket=shelf.UNPROVEN, received_ms=now_ms, via="hub",
            )  # fmt: skip

    # Histories

    def _history(self, node: str, epoch: bytes, now_ms: int) -> History:
        self._rest()
        return histories.follow(
            self._connection, node, epoch, damaged=self._damaged, junk=self._junk, now_ms=now_ms
        )

    def _ask(self, found: list[History], now_ms: int) -> None:
        for one in found:
            name = f"{one.node} {one.epoch.hex()[:8]}"
            for run in one.wanted:
                if run.number is None:
                    where = f"{name} seq {run.first_seq} to {run.last_seq}"
                    self._note(Finding(What.hole, where, self._asked(one.node), "the log has no frame of them"))
            for seq in one.torn:
                detail = "two frames beside each other belong to different histories"
                self._note(Finding(What.torn, f"{name} seq {seq}", Fate.person, detail))
            if not one.watermark_is_right and not one.torn:
                said = "nothing" if one.stored is None else str(one.stored.seq)
                detail = f"said {said}, the log reaches {one.end.seq}"
                self._note(Finding(What.watermark, name, self._fate(Fate.mended), detail))
        if not self._repairs:
            return
        with transaction(self._connection):
            # Damaged rows may have been put back since they were read.
            runs = [run for one in found for run in one.wanted]
            runs = [run for run in runs if run.number is None or self._is_damaged(run.number)]
            wanted.replace_all(self._connection, runs, now_ms)
            for one in found:
                if not one.watermark_is_right and not one.ends_early and not one.torn:
                    self._set_watermark(one)

    def _is_damaged(self, number: int) -> bool:
        row = reading.row(self._connection, number)
        return row is not None and reading.read(self._connection, row).frame is None

    def _set_watermark(self, one: History) -> None:
        """Set it to where the frames end now, in the caller's transaction."""
        if one.node == HUB_NODE and one.ends_early:
            # What it wrote beyond may live on at another hub; its seqs are not used again.
            new_epoch(self._connection)
        row = self._connection.execute(
            "SELECT last_seq, chain_after FROM frame WHERE node = ? AND epoch = ? ORDER BY last_seq DESC LIMIT 1",
            (one.node, one.epoch),
        ).fetchone()
        if row is None:
            self._connection.execute("DELETE FROM epoch WHERE node = ? AND epoch = ?", (one.node, one.epoch))
            return
        self._connection.execute(
            "INSERT INTO epoch (node, epoch, durable_seq, chain, first_seen_ms, last_seen_ms)"
            " SELECT ?1, ?2, ?3, ?4, MIN(received_ms), MAX(received_ms) FROM frame WHERE node = ?1 AND epoch = ?2"
            " ON CONFLICT DO UPDATE SET durable_seq = excluded.durable_seq, chain = excluded.chain",
            (one.node, one.epoch, *row),
        )

    # State

    def _compare(self, found: list[History]) -> None:
        """Compare the state with its shadow, both at one moment, then mend under the write lock what differs."""
        connection, shadow = self._connection, self._shadow
        connection.execute("BEGIN")
        try:
            self._catch_up()
            unreadable = frozenset(self._damaged)
            lacks_rows = any(run.number is None for one in found for run in one.wanted)
            heads = [
                nik
                for nik in shadow.altered_heads()
                if not shadow.leans_on(nik, unreadable, lacks_rows=lacks_rows)
            ]
            is_whole = not unreadable and not lacks_rows
            parked = [key for key in shadow.altered_parked() if is_whole or key[0] not in unreadable]
            moved = shadow.altered_rights() if is_whole else []
            rolls = shadow.altered_rolls() if is_whole else []
            decisions = shadow.altered_decisions() if is_whole else []
        finally:
            connection.execute("COMMIT")
        lowered = [one for one in found if one.ends_early and not one.torn]
        for nik in heads:
            self._note(Finding(What.head, _masked(nik), self._fate(Fate.mended), kecamatan=_kecamatan(nik)))
        for number, index in parked:
            self._note(Finding(What.parked, f"frame {number}, event {index}", self._fate(Fate.mended)))
        for nik, product, issue in moved:
            where = f"{_masked(nik)} {product}/{issue}"
            self._note(Finding(What.right, where, self._fate(Fate.mended), kecamatan=_kecamatan(nik)))
        for code in rolls:
            where = f"the roll of {code:06}"
            self._note(Finding(What.right, where, self._fate(Fate.mended), kecamatan=f"{code:06}"))
        for table, key in decisions:
            what, fate = _decision(table, key), self._fate(Fate.mended)
            region = _kecamatan(key[0]) if table == "reroute" else ""
            self._note(Finding(What.decision, what, fate, kecamatan=region))
        if not self._repairs or not (heads or parked or moved or rolls or decisions or lowered):
            return
        with transaction(connection):
            self._catch_up()
            for one in lowered:
                self._set_watermark(one)
            for nik in heads:
                shadow.restore_head(nik)
            for number, place in parked:
                shadow.restore_parked(number, place)
            for nik, product, issue in moved:
                shadow.restore_right(nik, product, issue)
            for code in rolls:
                shadow.restore_roll(code)
            for table, key in decisions:
                shadow.restore_decision(table, key)
        project.project(connection)

    def _catch_up(self) -> None:
        """Fold what was logged since the last step, as of the transaction that runs."""
        while rows := reading.rows_after(self._connection, self._number, FRAMES_PER_STEP):
            self._take([reading.read(self._connection, row) for row in rows])

    def _look_at_cases(self) -> None:
        """Fold every NIK that may hold a case, and compare with what is stored of it."""
        connection = self._connection
        stored = {
            nik for (nik,) in connection.execute("SELECT nik FROM folded UNION SELECT nik FROM resident_case")
        }
        suspects = {nik for (nik,) in connection.execute(SUSPECT_HEADS)}
        dirty = {nik for (nik,) in connection.execute("SELECT nik FROM dirty")}
        wrong = sorted(stored - suspects)
        for nik in sorted(suspects - dirty):
            self._rest()
            with suppress(StorageDamagedError):
                if not project.is_as_stored(connection, nik):
                    wrong.append(nik)
        for nik in wrong:
            self._note(Finding(What.case, _masked(nik), self._fate(Fate.mended), kecamatan=_kecamatan(nik)))
        if wrong and self._repairs:
            with transaction(connection):
                for nik in wrong:
                    project.forget(connection, nik)
                    if nik in suspects:
                        connection.execute("INSERT OR IGNORE INTO dirty (nik) VALUES (?)", (nik,))
            project.project(connection)

    def _asked(self, node: str) -> Fate:
        """The hub's own events nobody else holds but a backup or another hub: a person brings them."""
        return self._fate(Fate.person if node == HUB_NODE else Fate.asked)

    def _fate(self, fate: Fate) -> Fate:
        return fate if self._repairs else Fate.found

    def _note(self, finding: Finding) -> None:
        self._findings.append(finding)
        tell = _log.error if finding.fate is Fate.person else _log.warning
        tell("damage.found", what=finding.what.value, where=finding.where, fate=finding.fate.value)


def verify(directory: Path, now_ms: int, *, repairs: bool = True) -> Report:
    """Read everything back at once; see `Check`."""
    check = Check(directory, repairs=repairs)
    try:
        return check.finish(now_ms)
    finally:
        check.close()


def _changed(found: Row, right: Row) -> str:
    names = ("node", "epoch", "first_seq", "last_seq", "skip", "chain_after", "received_ms", "cap_ms", "via")
    altered = [name for name in names if getattr(found, name) != getattr(right, name)]
    return ", ".join(altered) or "seal"


def _decision(table: str, key: tuple[Any, ...]) -> str:
    """What a decision is about, for a finding."""
    if table == "reroute":
        return f"{_masked(key[0])} {key[1]}/{key[2]} is to be made elsewhere"
    return f"blanks {key[0]} from {key[1]} to {key[2]}"


def _kecamatan(nik: int) -> str:
    return f"{nik // _KECAMATAN_DIVISOR:06}" if isinstance(nik, int) else ""


def _masked(nik: int) -> str:
    if nik == 0:
        return "no resident"
    try:
        return Nik.from_number(nik).masked
    except InvalidInputError:
        return "an impossible NIK"
