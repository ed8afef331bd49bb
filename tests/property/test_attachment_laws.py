"""Whatever is cut and whoever dies, the attachment arrives whole, and no acknowledged byte goes twice."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from sepe.attach import WINDOW_CHUNKS, Chunk, Upload, fresh_part
from sepe.errors import PeerProtocolError

STEPS_MAX = 400


class World:
    """One office, one hub, two directions of a line with what is on it. Chunks are of a few bytes."""

    def __init__(self, size: int) -> None:
        self.blob = bytes(index % 251 for index in range(size))
        self.disk = bytearray()
        self.up: deque[tuple[int, bytes]] = deque()
        self.down: deque[int] = deque()
        self.upload: Upload | None = None
        self.office_heard = 0
        self.resent = 0

    def connect(self) -> None:
        """Offer: the hub's word is asked and heard."""
        self.upload = Upload(len(self.blob), len(self.disk))
        self.office_heard = len(self.disk)

    def cut(self) -> None:
        self.upload = None
        self.up.clear()
        self.down.clear()

    def send(self, chunk_bytes: int) -> None:
        assert self.upload is not None
        chunk = self.upload.next_chunk(chunk_bytes)
        if chunk is None:
            return
        assert chunk.offset >= self.office_heard, "an acknowledged byte would be sent again"
        assert self.upload.in_flight < WINDOW_CHUNKS
        self.up.append((chunk.offset, self.blob[chunk.offset : chunk.end]))
        self.upload.sent(chunk, 0)

    def arrive(self, *, ack_is_lost: bool) -> None:
        if not self.up:
            return
        offset, data = self.up.popleft()
        part = fresh_part(len(self.disk), len(self.blob), Chunk(offset, len(data)))
        assert part is None or part.offset == len(self.disk)
        if part is None:
            self.resent += len(data)
        else:
            self.resent += part.offset - offset
            self.disk += data[part.offset - offset :]
        if not ack_is_lost:
            self.down.append(len(self.disk))

    def hear(self) -> None:
        if self.down and self.upload is not None:
            self.office_heard = self.down.popleft()
            self.upload.heard(self.office_heard, 0)


moves = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(1, 7)),
        st.tuples(st.just("arrive"), st.booleans()),
        st.just(("hear", 0)),
        st.just(("cut", 0)),
    ),
    max_size=STEPS_MAX,
)


@given(st.integers(1, 60), moves)
def test_a_cut_anywhere_costs_no_byte_and_repeats_no_acknowledged_one(
    size: int, story: list[tuple[str, int]]
) -> None:
    world = World(size)
    for move, value in story:
        if world.upload is None:
            world.connect()
        if move == "send":
            world.send(value)
        elif move == "arrive":
            # Lost with the cut that follows it: a line loses nothing in its middle.
            world.arrive(ack_is_lost=bool(value))
            if value:
                world.cut()
        elif move == "hear":
            world.hear()
        else:
            world.cut()
        assert world.blob.startswith(bytes(world.disk))
    world.cut()
    world.connect()
    while not world.upload.is_held:  # type: ignore[union-attr]
        world.send(5)
        world.arrive(ack_is_lost=False)
        world.hear()
    assert bytes(world.disk) == world.blob
    assert world.resent == 0, "who asks the hub first never repeats a byte that is on its disk"


@given(
    st.integers(1, 30), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)), max_size=40)
)  # fmt: skip
def test_chunks_in_any_order_never_store_a_wrong_byte(size: int, chunks: list[tuple[int, int]]) -> None:
    blob, disk = bytes(range(size)), bytearray()
    for offset, length in chunks:
        try:
            part = fresh_part(len(disk), size, Chunk(offset, length))
        except PeerProtocolError:
            continue
        if part is not None:
            disk += blob[part.offset : part.end]
    assert blob.startswith(bytes(disk))
