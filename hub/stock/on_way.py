"""What is on its way to a machine: told by its list of news, so that nobody types a range in to receive it.

One word for each product and sender says everything that was given and not taken in yet. A gift adds to it, taking
in ends it. Reports of two machines come in any order, so a word can name what is there already; the machine leaves
that out, for it knows its own shelf. The exact account of all machines is `sepe.stock.StockBooks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from google.protobuf.message import DecodeError

from hub.dispatch import feed
from sepe.codec import Columns
from sepe.errors import InvalidInputError
from sepe.events import Kind
from sepe.ids import HUB_NODE, check_node
from sepe.rpc.v1 import rights_pb2
from sepe.serials import SerialSet, span_of
from sepe.stock import BLANK_PRODUCTS, INTAKES, Movement
from sepe.wire.v1 import event_pb2
from sepe_io.sqlite import Connection

# Of more, which no delivery has, the machine types the others in.
RUNS_MAX = 500
_STOCK_MOVED = int(Kind.STOCK_MOVED)


@dataclass(frozen=True, slots=True)
class Step:
    """A range that one machine gave to another, or that a machine took in.

    Attributes:
        sender: ``hub`` for an allotment.
    """

    product: str
    sender: str
    receiver: str
    first: str
    last: str
    is_gift: bool


def steps_in(columns: Columns, node: str) -> tuple[tuple[int, Step], ...]:
    """(index of the event, step) of the gifts and intakes of blanks in a machine's frame."""
    if _STOCK_MOVED not in columns.kinds:
        return ()
    moved = (index for index, kind in enumerate(columns.kinds) if kind == _STOCK_MOVED)
    steps = ((index, _step(columns.bodies[index], node)) for index in moved)
    return tuple((index, step) for index, step in steps if step is not None)


def told_to(step: Step) -> tuple[str, str, str]:
    """The word that a step changes; steps of one word must keep their order."""
    return step.receiver, step.sender, step.product


def note(connection: Connection, steps: Iterable[Step]) -> None:
    """Tell the machines concerned, in the caller's transaction."""
    for step in steps:
        key = (step.receiver, feed.BLANKS, feed.subject_of(step.sender), step.product)
        known = _known(connection, *key)
        if not step.is_gift and known is None:
            continue
        serials = known or SerialSet()
        span = span_of(step.first, step.last)
        if step.is_gift:
            serials.add(*span)
        else:
            serials.discard(*span)
        word = rights_pb2.BlanksOnWay(
            product=step.product, from_node=step.sender,
            runs=[
                rights_pb2.SerialRun(first=first, last=last)
                for first, last in islice(serials.ranges(), RUNS_MAX)
            ],
        )  # fmt: skip
        feed.tell(connection, *key, 0, rights_pb2.Change(blanks=word))


def allotted(connection: Connection, node: str, product: str, first: str, last: str) -> None:
    """The hub gave a range to a machine, in the caller's transaction."""
    note(connection, [Step(product, HUB_NODE, node, first, last, is_gift=True)])


def _step(body: bytes, node: str) -> Step | None:
    try:
        said = event_pb2.StockMoved.FromString(body)
        last = said.last_serial or said.first_serial
        if said.product not in BLANK_PRODUCTS:
            return None
        if said.movement == Movement.MOVED_OUT and said.other_node:
            span_of(said.first_serial, last)
            return Step(said.product, node, check_node(said.other_node), said.first_serial, last, is_gift=True)
        if said.movement in INTAKES:
            span_of(said.first_serial, last)
            sender = check_node(said.other_node) if said.other_node else HUB_NODE
            return Step(said.product, sender, node, said.first_serial, last, is_gift=False)
    except (DecodeError, InvalidInputError):
        return None  # Parked, or no range of blanks.
    return None


def _known(connection: Connection, node: str, kind: str, number: int, product: str) -> SerialSet | None:
    row: Sequence[bytes] | None = connection.execute(
        "SELECT body FROM feed WHERE node = ? AND kind = ? AND nik = ? AND product = ? AND issue = 0",
        (node, kind, number, product),
    ).fetchone()
    if row is None:
        return None
    serials = SerialSet()
    for run in rights_pb2.Change.FromString(bytes(row[0])).blanks.runs:
        serials.add(*span_of(run.first, run.last))
    return serials
