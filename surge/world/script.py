"""Scenario scripts: a story for a world without chance, and what is seen in it, in one file.

Lines before ``----`` are commands, lines after it the expected output; ``#`` begins a comment. Commands::

    node X record NIK name="…" [field=value …] [issue=1] [due=+4d]
    node X correct NIK field=value … | name="…"
    node X print NIK [issue=1] [override]                  node X status
    node X stock COUNT                                     node X poison NIK
    node X give COUNT to Y                                 node X return NIK
    node X hand-over NIK                                   node X take-back NIK
    node X jobs NIK
    link X down|up|silent   power X off|on                 disk X full|free
    clock X +5y|-40m|right  lose acks|frames|words X COUNT broker down|up|purge|replace
    backup X                restore X                      replace X
    clone X as Y            hub backup|restore|down|up     hub person NIK
    hub right|take NIK      hub status                     advance 6h
    hub decide NIK name="…" hub recalls NIK
    hub replace-nik OLD NEW [unseen]
    settle                  check                          story WORD

A node is there from the start. A second passes after each line; commands on one line, with `` ; `` between them,
happen in one instant. ``settle`` lets time pass until nothing lags, two days at most. ``link X silent`` cuts a
line without telling anybody; words are those about rights, either way; ``hub take`` is an officer's decision that
the holder of a right is gone; ``story WORD`` shows the lines of the world's own story that hold the word.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

from sepe.card import REQUESTED, STATE_NAMES, issues_of, to_collect
from sepe.case import DOUBLE_PRINT, cases_of, is_on_hold
from sepe.claims import identities, standing_claim
from sepe.errors import InvalidInputError
from sepe.replaced import REPLACED_TWICE, replaced_by
from sepe.resident import Resident
from surge.world import counter, desk, officer
from surge.world.centre import HubDisk
from surge.world.checkers import CHECKERS
from surge.world.checkers.no_lost_event import in_review
from surge.world.disk import OfficeDisk
from surge.world.ending import Ending
from surge.world.faults import CALM
from surge.world.loop import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, YEAR_MS
from surge.world.office import Office
from surge.world.run import settle
from surge.world.world import World

SEPARATOR = "----"
STEPS_MAX = 200_000
UNITS_MS = {"s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "y": YEAR_MS}
_NODE = re.compile(r"(?<![0-9])[0-9]{6}-[0-9]{1,3}(?![0-9~])")
_SPAN = re.compile(r"([+-]?)([0-9]+)([smhdy])\Z")


@dataclass(slots=True)
class Script:
    """A script being played.

    Attributes:
        out: what its commands said, line by line.
    """

    world: World
    out: list[str] = field(default_factory=list)
    _disks: dict[str, OfficeDisk] = field(default_factory=dict)
    _hub_disk: HubDisk = field(default_factory=HubDisk)

    def play(self, commands: str) -> None:
        """Carry out every line.

        Raises:
            InvalidInputError: a line is no command; its number says which.
        """
        self._advance(MINUTE_MS)
        for number, line in enumerate(commands.splitlines(), 1):
            try:
                words = shlex.split(line, comments=True)
            except ValueError as exc:
                raise InvalidInputError(str(exc), field=f"line {number}", value=line) from exc
            while words:
                end = words.index(";") if ";" in words else len(words)
                self._do(words[:end], number)
                words = words[end + 1 :]
            self._advance(SECOND_MS)

    def _do(self, words: list[str], number: int) -> None:
        try:
            match words:
                case ["node", name, *rest]:
                    self._node(self._office(name), rest)
                case ["hub", *rest]:
                    self._hub(rest)
                case ["broker", what]:
                    self._broker(what)
                case ["link", name, ("down" | "silent") as how]:
                    self.world.cut(self._office(name), is_noticed=how == "down")
                case ["link", name, "up"]:
                    self.world.mend(self._office(name))
                case ["power", name, "off"]:
                    self._office(name).press.power_lost()
                    self._office(name).die()
                case ["power", name, "on"]:
                    self._start(self._office(name))
                case ["disk", name, ("full" | "free") as how]:
                    self._office(name).disk_is_full = how == "full"
                case ["clock", name, span]:
                    self._office(name).clock_offset_ms = 0 if span == "right" else _span_ms(span)
                case ["lose", "acks", name, count]:
                    self._office(name).relay.words_to_lose = int(count)
                case ["lose", "frames", name, count]:
                    self._office(name).relay.frames_to_lose = int(count)
                case ["lose", "words", name, count]:
                    self._office(name).line.words_to_lose = int(count)
                case ["backup", name]:
                    self._disks[name] = self._office(name).disk.copy()
                case ["restore", name]:
                    self.world.restore_office(self._office(name), self._disks[name])
                    self._start(self._office(name))
                case ["replace", name]:
                    self.world.replace_office(self._office(name))
                    self._start(self._office(name))
                case ["clone", name, "as", twin]:
                    self.world.clone_office(self._office(name), twin)
                case ["advance", span]:
                    self._advance(_span_ms(span))
                case ["settle"]:
                    if not settle(self.world, steps_max=STEPS_MAX):
                        self.out.append("still lagging after two days")
                case ["check"]:
                    self._check()
                case ["story", word]:
                    self.out += [line.split("  ", 1)[1] for line in self.world.story or () if word in line]
                case _:
                    raise InvalidInputError("no such command", value=" ".join(words))
        except (KeyError, StopIteration, ValueError) as exc:
            raise InvalidInputError(
                "a name or number that this script does not know", field=f"line {number}", value=" ".join(words)
            ) from exc
        except InvalidInputError as exc:
            raise InvalidInputError(exc.rule, field=f"line {number}", value=" ".join(words)) from exc

    def _node(self, office: Office, words: list[str]) -> None:
        done = True
        match words:
            case ["record", nik, *pairs]:
                given = _pairs(pairs)
                name, issue = given.pop("name"), int(given.pop("issue", "0"))
                due_ms = self.world.loop.now_ms + _span_ms(given.pop("due")) if "due" in given else 0
                done = office.is_up and desk.record(office, int(nik), name, given, issue=issue, due_ms=due_ms)
            case ["correct", nik, *pairs] if "name" in _pairs(pairs):
                done = office.is_up and counter.put_right(office, int(nik), _pairs(pairs)["name"])
            case ["correct", nik, *pairs]:
                done = office.is_up and desk.correct(office, int(nik), _pairs(pairs))
            case ["hand-over", nik]:
                done = office.is_up and counter.hand_over(office, int(nik))
            case ["take-back", nik]:
                done = office.is_up and counter.take_back(office, int(nik))
            case ["jobs", nik]:
                self.out += _jobs(office, int(nik))
            case ["print", nik, *rest]:
                override, issue = "override" in rest, int(_pairs(rest).get("issue", "1"))
                done = office.guarded(
                    lambda: office.commit(
                        lambda disk: office.press.new_job(disk, int(nik), issue, override=override)
                    )
                )
                office.press.pump()
                if office.relay.kind:
                    office.talk.line_is_up()
            case ["stock", count]:
                done = desk.receive_stock(office, int(count))
            case ["give", count, "to", other]:
                done = desk.give_stock(office, self._office(other), int(count))
            case ["return", nik]:
                office.talk.give_back(int(nik), 1)
            case ["poison", nik]:
                done = desk.slip_poison(office, int(nik), kind_is_known=True)
            case ["status"]:
                self.out.append(_status(office))
            case _:
                raise InvalidInputError("no such command of a node")
        if not done:
            self.out.append(f"{office.name}: refused")

    def _hub(self, words: list[str]) -> None:
        world = self.world
        match words:
            case ["backup"]:
                self._hub_disk = world.hub.disk.backup()
            case ["restore"]:
                world.restore_hub(self._hub_disk)
                world.hub.start()
            case ["down"]:
                world.hub.die()
            case ["up"]:
                world.hub.start()
            case ["person", nik]:
                self.out += person(world.hub.disk.resident(int(nik)))
            case ["decide", nik, *pairs]:
                if not officer.decide(world, int(nik), _pairs(pairs)["name"]):
                    self.out.append("hub: refused")
            case ["replace-nik", old, new, *unseen]:
                officer.replace(world, int(old), int(new), has_seen=not unseen)
            case ["recalls", nik]:
                found = to_collect(world.hub.disk.resident(int(nik)))
                self.out += [f"{one.serial} from {one.attempt.partition('/')[0]}: {why}" for _, one, why in found]
            case ["right", nik]:
                entry = world.hub.rights.entry((int(nik), 1))
                self.out.append(f"right 1: {entry.holder or 'nobody'} under fence {entry.fence}")
            case ["take", nik]:
                world.hub.rights.take_away((int(nik), 1))
            case ["status"]:
                self.out.append(_hub_status(world))
            case _:
                raise InvalidInputError("no such command of the hub")

    def _broker(self, what: str) -> None:
        actions: dict[str, Callable[[], object]] = {
            "down": self.world.broker_falls,
            "up": self.world.broker_rises,
            "purge": self._purge,
            "replace": self._replace_broker,
        }
        if what not in actions:
            raise InvalidInputError("no such command of the broker")
        actions[what]()

    def _purge(self) -> None:
        self.world.broker_life += 1
        self.out.append(f"broker: {self.world.broker.purge()} messages purged")

    def _replace_broker(self) -> None:
        self.world.broker_life += 1
        self.world.broker.purge()
        self.world.broker_falls()
        self.world.loop.after(MINUTE_MS, self.world.broker_rises)

    def _check(self) -> None:
        ending = Ending.of(self.world)
        found = [f"{name}: {problem}" for name, check in CHECKERS.items() for problem in check(ending)]
        self.out += found or ["every promise holds"]

    def _office(self, name: str) -> Office:
        return self.world.office(name)

    def _start(self, office: Office) -> None:
        if not office.is_up:
            office.start()

    def _advance(self, span_ms: int) -> None:
        self.world.loop.run(self.world.loop.now_ms + span_ms, steps_max=STEPS_MAX)


def split(text: str) -> tuple[str, str]:
    """(commands, expected output) of a script file.

    Raises:
        InvalidInputError: there is no line ``----``.
    """
    commands, found, expected = text.partition(f"\n{SEPARATOR}\n")
    if not found:
        raise InvalidInputError(f"a script has a line {SEPARATOR} before its expected output", field="script")
    return commands, expected


def play_script(text: str) -> str:
    """What the commands of a script say, to be compared with its expected output.

    Raises:
        InvalidInputError: a line is no command.
    """
    commands, _ = split(text)
    nodes = sorted(set(_NODE.findall(re.sub(r"#.*", "", commands))))
    script = Script(World(1, nodes=nodes, faults=CALM, wants_story=True))
    script.play(commands)
    return "".join(f"{line}\n" for line in script.out)


def person(record: Resident) -> list[str]:
    """A resident as a reader of a scenario sees him."""
    lines = []
    if record.claims:
        names = list(dict.fromkeys(f'"{claim.name}"' for claim in sorted(record.claims)))
        lines.append(f"{len(record.claims)} recorded as {' and '.join(names)}")
    for name, register in sorted(record.fields.items()):
        assert register.top is not None
        version, value = register.top
        lost = [f'"{old}" from {before.node}' for before, old in register.history]
        lines.append(f'{name} "{value}" from {version.node}' + (f"; lost: {', '.join(lost)}" if lost else ""))
    # By blank: an attempt's own name is drawn by chance.
    for issue, serial, attempt in sorted({(one.issue, one.serial, one.attempt) for one in record.steps}):
        (one,) = [one for found in issues_of(record) for one in found.attempts if one.attempt == attempt]
        lines.append(f"card {issue}: {_state_name(one.state)} with blank {serial} at {attempt.partition('/')[0]}")
    for found in cases_of(record):
        if found.kind == DOUBLE_PRINT:
            cards = [f"{one.serial} (fence {one.fence})" for one in found.cards]
            lines.append(f"case double_print: {cards[0]} is valid, {', '.join(cards[1:])} to be collected")
        elif found.kind == REPLACED_TWICE:
            lines.append(f"case {found.kind}")
        else:
            names = [f'"{claim.name}" from {claim.id.node}' for claim in found.claims]
            hold = "; card on hold" if is_on_hold(record) else ""
            lines.append(f"case {found.kind}: {', '.join(names)}{hold}")
    if (record.corrections or len(identities(record)) > 1) and not is_on_hold(record):
        standing = standing_claim(record)
        assert standing is not None
        lines.append(f'whose name stands: "{standing.name}"')
    if other := replaced_by(record):
        lines.append(f"another number counts: {other}")
    return lines or ["nobody"]


def _jobs(office: Office, nik: int) -> list[str]:
    """A resident's jobs at an office, oldest first, and what keeps those that wait."""
    lines = []
    for job in office.disk.jobs.values():
        if job.nik == nik:
            why = office.press.keeps(office.disk, job) if job.state == REQUESTED else ""
            waits = f", waits: {why}" if why else ""
            lines.append(f'{office.name}: card {job.issue} of "{job.name}" {_state_name(job.state)}{waits}')
    return lines


def _state_name(state: int) -> str:
    return next((name for number, name in STATE_NAMES.items() if number == state), "unknown")


def _status(office: Office) -> str:
    rows = office.disk.current
    pending = sum(max(one.last_seq - one.durable_seq, 0) for one in office.disk.epochs)
    return (
        f"{office.name}: last {rows.last_seq}, durable {rows.durable_seq}, pending {pending}, "
        f"epochs {len(office.disk.epochs)}, link {office.relay.kind or 'offline'}"
    )


def _hub_status(world: World) -> str:
    disk = world.hub.disk
    return (
        f"hub: {sum(len(row.bodies()) for row in disk.log)} events of {len(disk.states)} epochs, "
        f"{len(disk.quarantine)} frames in quarantine with {len(in_review(world))} events, "
        f"{len(disk.parked)} events parked"
    )


def _pairs(words: list[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words if "=" in word)


def _span_ms(text: str) -> int:
    found = _SPAN.match(text)
    if found is None:
        raise InvalidInputError("a span is a number and one of s, m, h, d, y", value=text)
    sign, count, unit = found.groups()
    return int(count) * UNITS_MS[unit] * (-1 if sign == "-" else 1)
