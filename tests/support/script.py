"""Command scripts: what an operator types, and what is said to him, in one file, played on real processes.

Lines before ``----`` are commands, lines after it the expected output; ``#`` begins a comment. The offices are
``./oebobo`` (537104-1) and ``./kota-raja`` (537105-1), the hub is ``./hub``. Commands::

    sepe …                        any command, as it is typed; what it says is output
    sepe … --json | PART …        of its JSON, for each row, only these parts; see below
    record DIR NIK KEY=VALUE …    hands one line to `sepe node record DIR -`; what is not named is filled in
    born NAME SEX AGE [CODE]      NAME is a NIK from here on, of somebody who is AGE old (17y-4d) today
    until TEXT: sepe …            the same command again until its output holds TEXT; only then it is output
    let NAME sepe … --json | PART $NAME is that part from here on; no output
    settle                        until everything is told, heard and printed that can be
    cut DIR   mend DIR            the office's line
    kill DIR  start DIR           kill -9 of the office's node, or of the hub; and its next start
    clock DIR +4d|-2h|right       the office's clock, seen by its node and its commands
    replace DIR                   a new machine of the same name with an empty disk
    restore ./hub FILE            the hub goes on from a backup that `sepe hub backup` made
    alone                         this script has a hub and offices for itself; so have those with a clock, replace or restore

A PART is a key, ``a.b`` one within another. ``KEY=VALUE`` takes only rows in which it is so, ``@KEY`` goes into that
list first. What differs from run to run (events, attempts, cases, times, ports, blanks) is shown as ``EVENT-1`` and so
on, numbered as it is first seen; a date is shown as TODAY, TODAY+4d.
"""

from __future__ import annotations

import json
import re
import shlex
import time
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sepe.products import birthday
from sepe.region import WITA
from tests.support.stage import Machine, Stage
from tests.support.warm import Said

SEPARATOR = "----"
UNTIL_S = 30.0
UNTIL_EVERY_S = 0.1
SPANS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "y": 365 * 86_400}
_MASKS = (
    ("EVENT", re.compile(r"\b(?:[0-9]{6}-[0-9]{1,3}|hub):[0-9a-f]{32}:[0-9]+")),
    ("ATTEMPT", re.compile(r"\b[0-9a-f]{24}\b")),
    ("CASE", re.compile(r"\b[0-9a-f]{12}\b")),
    ("BLANK", re.compile(r"\b[KA][0-9]{7}-[0-9]{6}\b")),
)
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,}(?:\+[0-9:]{5}|Z)?")
_DATE = re.compile(r"\b20[0-9]{2}-[0-9]{2}-[0-9]{2}\b")
_LOCAL_TIME = re.compile(r"\b[0-9]{2}-[0-9]{2}-20[0-9]{2} [0-9]{2}\.[0-9]{2}\b")
_ADDRESS = re.compile(r"127\.0\.0\.1:[0-9]+")
_AGE = re.compile(r"([0-9]+)y(?:([+-][0-9]+)d)?\Z")
_SPAN = re.compile(r"([+-]?[0-9]+)([smhdy])\Z")
_WOMAN = 40


class ScriptError(Exception):
    """A line is no command; the text names the line."""


@dataclass(slots=True)
class Playing:
    """A script being played on a stage.

    Attributes:
        out: its output so far, line by line.
    """

    stage: Stage
    out: list[str] = field(default_factory=list)
    _names: dict[str, str] = field(default_factory=dict)
    _seen: dict[tuple[str, str], str] = field(default_factory=dict)

    def play(self, commands: str) -> str:
        """Carry out every line; the output as a whole.

        Raises:
            ScriptError: a line is no command.
        """
        for number, line in enumerate(commands.splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                try:
                    self._do(self._filled_in(line.strip()))
                except (ScriptError, ValueError, LookupError) as exc:
                    raise ScriptError(f"line {number}: {line}: {exc!r}") from exc
        return "".join(f"{line}\n" for line in self.out)

    def _do(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        words = shlex.split(rest, comments=True)
        match word, words:
            case "sepe", [*_]:
                self._show(line, self._said(line))
            case "until", [*_]:
                text, _, command = rest.partition(": ")
                self._show(command, self._until(text, command))
            case "let", [name, *_]:
                command = rest.partition(" ")[2]
                (self._names[name],) = self._said(command).out.splitlines()
            case "record", [folder, nik, *pairs]:
                self._record(folder, nik, dict(pair.split("=", 1) for pair in pairs))
            case "born", [name, sex, age, *code]:
                self._names[name] = self._nik(sex, _born(age), *code)
            case "alone", []:
                pass  # See `is_alone`.
            case "settle", []:
                self.stage.settle()
            case "kill", ["./hub"]:
                self.stage.kill_hub()
            case "start", ["./hub"]:
                self.stage.start_hub()
            case ("restore", ["./hub", file]):
                self.stage.restore_hub(file)
            case (("cut" | "mend" | "kill" | "start" | "replace"), [folder]):
                getattr(self.stage, word)(self._machine(folder))
            case "clock", [folder, span]:
                clock = self._machine(folder).clock
                assert clock is not None
                clock.set(0 if span == "right" else _span_s(span))
            case _:
                raise ScriptError("no such command")

    def _machine(self, folder: str) -> Machine:
        return self.stage.machines[folder.removeprefix("./")]

    def _filled_in(self, line: str) -> str:
        for name, value in self._names.items():
            line = re.sub(rf"\${name}\b", value, line)
        return line

    # Commands

    def _said(self, line: str) -> Said:
        """What a command says, of its JSON only the parts that are named behind ``|``."""
        command, bar, parts = line.partition(" | ")
        name, *words = shlex.split(command, comments=True)
        if name != "sepe":
            raise ScriptError("only sepe is called")
        said = self.stage.run(words)
        if not bar or said.code > 1:
            return said
        try:
            document = json.loads(said.out)
        except ValueError:
            return said
        return Said(said.code, "".join(f"{row}\n" for row in _parts(document, shlex.split(parts))), said.err)

    def _until(self, text: str, command: str) -> Said:
        deadline = time.monotonic() + UNTIL_S
        while text not in (said := self._said(command)).out:
            if time.monotonic() > deadline:
                raise ScriptError(f"not within {UNTIL_S:.0f} s: {said.out}{said.err}")
            time.sleep(UNTIL_EVERY_S)
        return said

    def _record(self, folder: str, nik: str, given: dict[str, str]) -> None:
        day, month, year = int(nik[6:8]), int(nik[8:10]), int(nik[10:12])
        this_year = datetime.now(tz=WITA.tzinfo).year
        line = {
            "nik": nik, "sex": "P" if day > _WOMAN else "L", "birth_place": "KUPANG",
            "birth_date": date(2000 + year if 2000 + year <= this_year else 1900 + year, month, day % _WOMAN).isoformat(),
            "kk": f"{nik[:6]}2501100012", "address": "JL. EL TARI II", "rt": "003", "rw": "001",
            "kelurahan": "OEBUFU", "religion": "KATHOLIK", "marital_status": "BELUM KAWIN",
            "occupation": "PELAJAR/MAHASISWA", "photo": "face.jpg", **given,
        }  # fmt: skip
        said = self.stage.run(["node", "record", folder, "-"], text=json.dumps(line) + "\n")
        shown = [f"{given.get('name', '')}: {_answer(json.loads(one))}" for one in said.out.splitlines()]
        self._show(f"record {folder} {nik}", Said(said.code, "".join(f"{one}\n" for one in shown), said.err))

    def _nik(self, sex: str, born: date, code: str = "537104") -> str:
        day = born.day + (_WOMAN if sex == "P" else 0)
        return f"{code}{day:02}{born:%m%y}{9000 + len(self._names):04}"

    # Output

    def _show(self, line: str, said: Said) -> None:
        self.out.append(f"> {self._masked(line.partition(' | ')[0])}")
        self.out += [self._masked(one) for one in said.out.splitlines()]
        if said.code:
            self.out += [f"! {self._masked(one)}" for one in said.err.splitlines()]
            self.out.append(f"exit {said.code}")

    def _masked(self, text: str) -> str:
        for name, value in self._names.items():
            text = text.replace(value, f"${name}")
        text = _LOCAL_TIME.sub("TIME", text)
        text = _TIME.sub("TIME", text.replace(f"{self.stage.folder}/", "./"))
        text = _ADDRESS.sub("ADDRESS", _DATE.sub(_day, text))
        for kind, pattern in _MASKS:
            text = pattern.sub(lambda found, kind=kind: self._number(kind, found.group()), text)  # type: ignore[misc]
        return text.rstrip()

    def _number(self, kind: str, value: str) -> str:
        count = sum(one == kind for one, _ in self._seen) + 1
        return self._seen.setdefault((kind, value), f"{kind}-{count}")


def split(text: str) -> tuple[str, str]:
    """(commands, expected output) of a script.

    Raises:
        ScriptError: there is no line ``----``.
    """
    commands, found, expected = text.partition(f"\n{SEPARATOR}\n")
    if not found:
        raise ScriptError(f"a script has a line {SEPARATOR} before its expected output")
    return commands, expected


def clocks_of(text: str) -> tuple[str, ...]:
    """The machines whose clock a script sets: these run beside one of their own from the start."""
    return tuple(sorted(set(re.findall(r"^clock \./(\S+)", text, re.MULTILINE))))


def is_alone(text: str) -> bool:
    """Whether a script leaves its stage in a state that no other script wants."""
    return re.search(r"^(clock|replace|restore|alone) ?", text, re.MULTILINE) is not None


def _parts(document: Any, parts: list[str]) -> list[str]:
    rows = [document]
    wanted: list[str] = []
    for part in parts:
        if part.startswith("@"):
            rows = [inner for row in _each(rows) for inner in row.get(part[1:]) or ()]
        elif "=" in part:
            key, _, value = part.partition("=")
            rows = [row for row in _each(rows) if str(_within(row, key)) == value]
        else:
            wanted.append(part)
    if len(wanted) == 1:
        return [_text(_within(row, wanted[0])) for row in _each(rows)]
    return ["  ".join(f"{part}={_text(_within(row, part))}" for part in wanted) for row in _each(rows)]


def _each(rows: list[Any]) -> list[dict[str, Any]]:
    return [inner for row in rows for inner in (row if isinstance(row, list) else [row])]


def _within(row: Any, part: str) -> Any:
    for key in part.split("."):
        row = row.get(key) if isinstance(row, dict) else None
    return row


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _answer(answer: dict[str, Any]) -> str:
    said = answer["error"] or answer["status"]
    return f"{said} ({'; '.join(answer['warnings'])})" if answer["warnings"] else str(said)


def _born(age: str) -> date:
    found = _AGE.match(age)
    if found is None:
        raise ScriptError("an age is 17y or 17y-4d")
    # Days more are days older: born earlier.
    today = datetime.now(tz=WITA.tzinfo).date() - timedelta(days=int(found[2] or 0))
    born = date(today.year - int(found[1]), today.month, min(today.day, 28))
    while birthday(born, int(found[1])) < today:
        born += timedelta(days=1)
    return born


def _span_s(text: str) -> int:
    found = _SPAN.match(text)
    if found is None:
        raise ScriptError("a span is +4d or -2h")
    return int(found[1]) * SPANS_S[found[2]]


def _day(found: re.Match[str]) -> str:
    away = (date.fromisoformat(found.group()) - datetime.now(tz=WITA.tzinfo).date()).days
    return "TODAY" if not away else f"TODAY{away:+}d" if abs(away) < 400 else found.group()
