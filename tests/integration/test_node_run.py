"""``sepe node run``, ``sync`` and ``enrol`` as processes."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from node.cli.setup import make_node
from node.outbox.view import RelayView
from node.run import HEAR_POLL_S, _hear_first
from node.settings import NodeSettings
from node.storage.store import NodeStore
from tests.support.processes import node_run, running, sepe, sepe_json
from tests.support.relay_rig import NODE, Hub, make_office, running_hub, write_backlog
from tests.support.world import START_MS

NOBODY = "127.0.0.1:9"
LINE = '{"nik": "5371044101909001", "name": "MARIA TAEK", "birth_date": "1990-01-01", "sex": "P"}'


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with running_hub(tmp_path / "hub") as found:
        yield found


@pytest.fixture
def lonely(tmp_path: Path) -> Path:
    """A machine whose hub does not answer."""
    folder = tmp_path / "node"
    make_node(folder, NodeSettings(NODE, NOBODY), token="", blanks=0, now_ms=START_MS)
    return folder


def get(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read().decode()


def wait_for(holds: Callable[[], Any], what: str, timeout_s: float = 30) -> None:
    until = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.05)


def received(folder: Path) -> tuple[int, int]:
    """(durable_seq, last_seq) as the database has them."""
    store = NodeStore.open(folder, read_only=True)
    try:
        at = store.position()
        return at.durable_seq, at.last_seq
    finally:
        store.close()


def test_what_is_recorded_beside_a_running_node_reaches_the_hub(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub, by_token=True)
    with running(node_run(folder)) as program:
        assert program.ready["ready"] is True
        assert program.ready["node"] == NODE
        assert sepe("node", "record", folder, "-", text=LINE + "\n").returncode == 0
        wait_for(lambda: received(folder) == (1, 1), program.tail())
        page = program.ready["http"]
        assert get(f"{page}/healthz")[0] == 200
        assert json.loads(get(f"{page}/readyz")[1])["ready"] is True
        wait_for(lambda: "Diterima pusat</dt><dd>1 dari 1" in get(page + "/")[1], "the page")
        status, metrics = get(f"{page}/metrics")
        assert (status, "sepe_node_durable_seq 1.0" in metrics) == (200, True)
        assert "5371044101909001" not in metrics + get(page + "/")[1] + program.tail()
        wait_for(lambda: sepe_json("node", "status", folder)["link"] in ("nats", "grpc"), "the link in status")
    assert hub.counts().events == 1


def test_without_any_hub_it_works_on_and_says_so(lonely: Path) -> None:
    with running(node_run(lonely)) as program:
        assert sepe("node", "record", lonely, "-", text=LINE + "\n").returncode == 0
        wait_for(lambda: "0 dari 1" in get(program.ready["http"] + "/")[1], "the page")
        assert "Tidak ada jalur ke pusat" in get(program.ready["http"] + "/")[1]
        assert get(program.ready["http"] + "/readyz")[0] == 200
        assert sepe_json("node", "status", lonely)["link"] == "offline"


@pytest.mark.parametrize("with_hub", [True, False])
def test_sigterm_ends_it_cleanly_within_five_seconds(tmp_path: Path, with_hub: bool) -> None:
    if with_hub:
        with running_hub(tmp_path / "hub") as hub:
            folder = make_office(tmp_path / "node", hub, nats=hub.nats)
            write_backlog(folder, 5_000)
            program = node_run(folder, "--printer", f"folder:{tmp_path / 'out'}")
            begun = time.monotonic()
            assert program.stop(5) == 0
            assert time.monotonic() - begun < 5
    else:
        folder = tmp_path / "node"
        make_node(folder, NodeSettings(NODE, NOBODY), token="", blanks=0, now_ms=START_MS)
        assert node_run(folder).stop(5) == 0


def test_a_second_node_run_in_the_same_directory_is_refused_clearly(lonely: Path) -> None:
    with running(node_run(lonely)):
        second = sepe("node", "run", lonely)
        assert second.returncode == 3
        assert "already" in second.stderr
        assert second.stdout == ""


def test_killed_and_started_again_it_goes_on(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub, nats=hub.nats)
    write_backlog(folder, 20_000)
    for _ in range(3):
        program = node_run(folder)
        reached = received(folder)[0]
        wait_for(lambda reached=reached: received(folder)[0] > min(reached + 500, 19_999), program.tail())
        program.kill()
    with running(node_run(folder)) as program:
        wait_for(lambda: received(folder) == (20_000, 20_000), program.tail())
    assert hub.counts().events == 20_000


def test_sync_sends_everything_and_says_so(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub)
    write_backlog(folder, 3_000)
    found = sepe_json("node", "sync", folder)
    assert (found["pending"], found["confirmed"], found["link"]) == (0, 3_000, "grpc")
    assert sepe_json("node", "sync", folder)["confirmed"] == 0


def test_sync_asks_the_running_node(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub)
    with running(node_run(folder)):
        write_backlog(folder, 500)
        found = sepe_json("node", "sync", folder)
        assert (found["pending"], found["durable_seq"]) == (0, 500)


def test_sync_wakes_a_running_node_that_waits_for_its_next_attempt(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub)
    hub.kill()
    write_backlog(folder, 10)
    with running(node_run(folder)) as program:
        wait_for(
            lambda: any("relay.interrupted" in line for line in program.log), "it noticed that nobody is there"
        )
        hub.start()
        assert sepe_json("node", "sync", folder)["pending"] == 0


def test_sync_without_a_hub_ends_with_3_and_loses_nothing(lonely: Path) -> None:
    write_backlog(lonely, 5)
    done = sepe("node", "sync", lonely, "--timeout", 1)
    assert done.returncode == 3
    assert "5" in done.stderr
    assert received(lonely) == (0, 5)


def test_sync_with_nothing_pending_is_content(lonely: Path) -> None:
    assert sepe("node", "sync", lonely, "--timeout", 0.5).returncode == 0


def test_enrol_makes_a_machine_known(tmp_path: Path, hub: Hub) -> None:
    folder = tmp_path / "node"
    make_node(folder, NodeSettings(NODE, hub.grpc), token="", blanks=0, now_ms=START_MS)
    write_backlog(folder, 5)
    refused = sepe("node", "sync", folder, "--timeout", 2)
    assert (refused.returncode, "unknown_node" in refused.stderr) == (3, True)
    assert sepe("node", "enrol", folder, "--token", "wrong").returncode == 2
    assert sepe("node", "enrol", folder, "--token", hub.token()).returncode == 0
    assert sepe_json("node", "sync", folder)["pending"] == 0


def test_enrol_without_a_line_keeps_the_token(lonely: Path) -> None:
    assert sepe("node", "enrol", lonely, "--token", "later").returncode == 3
    store = NodeStore.open(lonely)
    assert store.get("enrol_token") == "later"
    store.close()


@pytest.mark.parametrize(
    "options",
    [("--http", "nowhere"), ("--hub", "nowhere"), ("--printer", "fax:1"), ("--log", "LOUD")],
)
def test_a_mistyped_option_is_told_at_once(lonely: Path, options: tuple[str, str]) -> None:
    done = sepe("node", "run", lonely, *options)
    assert done.returncode == 2
    assert options[1] in done.stderr


def test_no_node_directory_is_told_with_the_next_step(tmp_path: Path) -> None:
    done = sepe("node", "run", tmp_path)
    assert done.returncode == 2
    assert "node init" in done.stderr


@pytest.mark.parametrize("word", ["link", "reason", "refusal", "alarm"])
async def test_printing_waits_at_the_start_for_the_hubs_first_word_and_not_for_ever(word: str) -> None:
    view, pressed = RelayView(), asyncio.Event()

    async def press() -> None:
        pressed.set()

    waiting = asyncio.create_task(_hear_first(lambda: view.has_word, 60, press))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pressed.wait(), 3 * HEAR_POLL_S)
    setattr(view, word, "grpc")
    await asyncio.wait_for(waiting, 5)
    assert pressed.is_set()
    await asyncio.wait_for(_hear_first(lambda: False, 0.01, press), 5)
