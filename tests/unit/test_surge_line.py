"""The shaped line: what its rate, delay, losses and cuts do to bytes that pass."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any

import pytest

from sepe_io.address import split_address
from surge.line import RETRANSMIT_S, Line, Shape


def test_a_rate_is_shared_by_all_connections_of_one_cable_and_each_way_has_its_own() -> None:
    shape, chance = Shape(bytes_per_second=1_000.0), Random(1)
    assert shape.arrival(shape.up, 500, 10.0, chance) == pytest.approx(10.5)
    assert shape.arrival(shape.up, 500, 10.0, chance) == pytest.approx(11.0)
    assert shape.arrival(shape.down, 500, 10.0, chance) == pytest.approx(10.5)
    # An idle cable saves nothing up.
    assert shape.arrival(shape.up, 500, 20.0, chance) == pytest.approx(20.5)


def test_a_delay_is_no_limit_on_what_passes_in_a_second() -> None:
    shape = Shape(delay_ms=300.0)
    assert [shape.arrival(shape.up, 10_000, 5.0, Random(1)) for _ in range(3)] == [5.3, 5.3, 5.3]


def test_losses_delay_the_share_of_packets_that_the_line_loses() -> None:
    shape, chance = Shape(delay_ms=100.0, loss=0.1), Random(7)
    times = [shape.arrival(shape.up, 1_000, 0.0, chance) for _ in range(5_000)]
    late = [one for one in times if one > 0.1001]
    assert 400 < len(late) < 600
    assert late == pytest.approx([0.1 + 0.2 + RETRANSMIT_S] * len(late))


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


@asynccontextmanager
async def echo(shape: Shape) -> AsyncIterator[Line]:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    async with server, Line(*server.sockets[0].getsockname()[:2], shape) as line:
        yield line


async def test_bytes_arrive_whole_in_order_and_in_their_time() -> None:
    async with echo(Shape(delay_ms=40.0, jitter_ms=15.0, loss=0.05, bytes_per_second=2e6)) as line:
        reader, writer = await asyncio.open_connection(*split_address(line.address))
        sent, began = Random(3).randbytes(300_000), time.monotonic()
        for start in range(0, len(sent), 7_001):
            writer.write(sent[start : start + 7_001])
        await writer.drain()
        writer.write_eof()
        assert await reader.read() == sent  # And the end of it: a close passes like everything else.
        # Its share of the cable each way, and the way there and back.
        assert time.monotonic() - began > 300_000 / 2e6 + 0.08
        assert line.passed_bytes == 2 * len(sent)
        writer.close()


async def test_a_cut_ends_what_stands_and_refuses_what_comes_until_it_heals() -> None:
    async with echo(Shape()) as line:
        reader, writer = await asyncio.open_connection(*split_address(line.address))
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"
        line.cut()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        again, other = await asyncio.open_connection(*split_address(line.address))
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await again.readexactly(1)
        line.heal()
        third, last = await asyncio.open_connection(*split_address(line.address))
        last.write(b"two")
        assert await third.readexactly(3) == b"two"
        for one in (writer, other, last):
            one.close()


async def test_what_a_frozen_line_holds_back_comes_when_it_thaws() -> None:
    async with echo(Shape()) as line:
        reader, writer = await asyncio.open_connection(*split_address(line.address))
        line.freeze()
        writer.write(b"later")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.readexactly(5)
        line.heal()
        assert await reader.readexactly(5) == b"later"
        writer.close()


async def test_a_line_that_heals_lets_go_of_a_program_that_was_reset_that_moment() -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        async with Line(*server.getsockname()[:2], Shape()) as line:
            reader, writer = await asyncio.open_connection(*split_address(line.address))
            writer.write(b"x")
            program, _ = await loop.sock_accept(server)
            assert await loop.sock_recv(program, 1) == b"x"
            line.freeze()
            writer.write_eof()
            # One loop serves all ends in the order of what came: who connects after it is let in after it was heard.
            _, later = await asyncio.open_connection(*split_address(line.address))
            (await loop.sock_accept(server))[0].close()
            program.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            program.close()
            line.heal()
            with suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
            later.close()


async def test_a_line_that_met_itself_at_a_dead_hubs_port_leaves_the_port_to_the_hub(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as dead:
        hub = dead.getsockname()
    loop = asyncio.get_running_loop()
    dial, met = loop.create_connection, []

    async def dial_from_the_same_port(protocol: Any, *where: Any, **options: Any) -> Any:
        """The kernel gives a caller any free port, and this once the one that he calls."""
        if where != hub or met:
            return await dial(protocol, *where, **options)
        met.append(await dial(protocol, *where, local_addr=hub))
        return met[0]

    monkeypatch.setattr(loop, "create_connection", dial_from_the_same_port)
    async with Line(*hub, Shape()) as line:
        reader, writer = await asyncio.open_connection(*split_address(line.address))
        writer.write(b"hello?")
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                assert await reader.read(1) == b"", "nobody is there, and least of all an echo"
        writer.close()
        assert met
        # Its connection has ended; the hub that comes back gets its port and is heard.
        async with await asyncio.start_server(_answer, *hub):
            reader, writer = await asyncio.open_connection(*split_address(line.address))
            writer.write(b"hello?")
            assert await reader.readexactly(6) == b"hello?"
            writer.close()
