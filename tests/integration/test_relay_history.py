"""Restored, cloned, unknown and refused machines, against a real hub."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from functools import partial
from pathlib import Path

import pytest

from hub.merge.store import Arrival, HubStore
from node.clock import now_ms
from node.desk.status import warnings
from node.link.enrol import ENROL_REFUSAL_KEY, NATS_KEY, TOKEN_KEY
from node.link.grpc import GrpcLink
from node.link.link import LinkDownError, PullAll
from node.link.trust import HubTrust
from node.outbox import office as office_module
from node.outbox.office import LOST_FOLDER, Office
from node.outbox.upkeep import UpkeepTimes
from node.outbox.worker import REFUSAL_KEY
from node.printing.ledger import Ledger
from node.printing.spool import JobState
from node.storage.store import PREDECESSOR_KEY, NodeStore
from sepe.wire.v1 import sync_pb2
from sepe_io import keys
from sepe_io.framefile import read_frames
from sepe_io.frames import reopen_frame, seal_frame
from surge.lab.policy import print_incomplete
from tests.support.office import line, record
from tests.support.processes import sepe
from tests.support.relay_rig import NODE, Hub, drained, make_office, relaying, running_hub, until, write_backlog
from tests.support.world import nik_of


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with running_hub(tmp_path / "hub") as found:
        yield found


async def relay_all(folder: Path) -> None:
    async with relaying(folder) as office:
        await drained(office)
        assert office.relay.view.alarm == ""


def is_online(office: Office) -> bool:
    return office.relay.view.link != "offline"


async def test_a_restored_machine_opens_an_epoch_and_keeps_what_it_had_lost(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub)
    write_backlog(folder, 2_500)
    await relay_all(folder)
    shutil.copytree(folder, tmp_path / "backup")
    write_backlog(folder, 1_500, start=2_500)
    await relay_all(folder)
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "backup", folder)
    write_backlog(folder, 100, start=10_000, name="AFTER THE RESTORE")
    async with relaying(folder) as office:
        await until(lambda: office.relay.view.epochs_opened == 1, "an epoch was opened")
        await drained(office)
        assert (office.relay.view.last_seq, office.relay.view.alarm) == (100, "")
    # 4,000 under the old epoch and the 100 written after the restore, each once.
    assert hub.counts().events == 4_100
    kept = [
        reopen_frame(frame)
        for path in sorted((folder / LOST_FOLDER).glob("*.frames"))
        for frame in read_frames(path)
    ]
    lost = {frame.header.first_seq + index for frame in kept for index in range(frame.header.count)}
    assert set(range(2_501, 4_001)) <= lost
    assert hub.counts().quarantined == 0


async def test_the_same_backup_put_back_twice_counts_nothing_twice(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub)
    write_backlog(folder, 50)
    shutil.copytree(folder, tmp_path / "backup")
    # The hub hears another branch first, so the backup's rows travel under the name of a new epoch.
    shutil.copytree(folder, tmp_path / "other")
    store = NodeStore.open(tmp_path / "other")
    store.connection.execute("DELETE FROM outbox WHERE seq > 20")
    store.close()
    write_backlog(tmp_path / "other", 40, start=900, name="ANOTHER BRANCH")
    await relay_all(tmp_path / "other")
    for _ in range(2):
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "backup", folder)
        async with relaying(folder) as office:
            await until(lambda office=office: office.relay.view.epochs_opened == 1, "an epoch was opened")
            await until(lambda office=office: office.relay.view.pending == 0, "sent")
    # 20 that both have, the other branch's 40, and the backup's own 30 once.
    assert hub.counts().events == 90


async def test_an_empty_machine_learns_what_the_one_before_it_did(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = make_office(tmp_path / "old", hub)
    residents = [f"{nik_of(number):016}" for number in range(30)]
    store = NodeStore.open(old)
    for first in range(0, 30, 10):
        record(store, *(line(nik) for nik in residents[first : first + 10]))
        await relay_all(old)
    known = store.connection.execute("SELECT nik, known FROM resident ORDER BY nik").fetchall()
    store.close()
    shutil.rmtree(old)

    # The line breaks after each frame at first: it goes on where it was.
    asked: list[int] = []
    pull_all_from = office_module.pull_all_from

    def thin(target: str, trust: HubTrust) -> PullAll:
        async def pull(hello: sync_pb2.SignedHello, held: Mapping[bytes, int]) -> AsyncGenerator[bytes, None]:
            asked.append(sum(seq for seq in held.values() if seq < 1 << 60))
            async with aclosing(pull_all_from(target, trust)(hello, held)) as frames:
                async for frame in frames:
                    yield frame
                    if len(asked) < 3:
                        raise LinkDownError("cut")

        return pull

    monkeypatch.setattr(office_module, "pull_all_from", thin)
    new = print_incomplete(make_office(tmp_path / "new", hub))
    write_backlog(new, 5, start=1_000)
    async with relaying(new, upkeep_times=UpkeepTimes(fetch_ms=50)) as office:
        await drained(office)
        await until(lambda: office.store.get(PREDECESSOR_KEY) is None, "its history was taken up")
    assert asked == [0, 10, 20]
    store = NodeStore.open(new)
    assert store.connection.execute("SELECT nik, known FROM resident ORDER BY nik").fetchall() == known
    # What the hub never heard of as sent is what it was (docs/adr/0024).
    assert {job.state for job in Ledger(store).all(100)} == {JobState.QUEUED}
    assert [record(store, line(nik))[0].status for nik in residents] == ["already_requested"] * 30
    store.close()


async def test_two_clones_that_both_write_both_reach_the_hub(tmp_path: Path, hub: Hub) -> None:
    first = make_office(tmp_path / "first", hub)
    write_backlog(first, 1_000)
    await relay_all(first)
    clone = tmp_path / "clone"
    shutil.copytree(first, clone)
    write_backlog(first, 300, start=1_000, name="AT THE FIRST")
    write_backlog(clone, 400, start=2_000, name="AT THE CLONE")
    await relay_all(first)
    await relay_all(clone)
    await relay_all(first)
    assert hub.counts().events == 1_700
    with HubStore.open(hub.directory) as store:
        names = store.connection.execute("SELECT count(*) FROM epoch WHERE node = ?", (NODE,)).fetchone()[0]
    assert names == 2


async def test_a_restored_hub_gets_again_what_it_lost(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub)
    write_backlog(folder, 1_000)
    await relay_all(folder)
    hub.kill()
    shutil.copytree(hub.directory, tmp_path / "yesterday")
    hub.start()
    write_backlog(folder, 2_000, start=1_000)
    await relay_all(folder)
    digest = hub.digest()
    hub.kill()
    shutil.rmtree(hub.directory)
    shutil.copytree(tmp_path / "yesterday", hub.directory)
    hub.start()
    async with relaying(folder) as office:
        view = office.relay.view
        await until(lambda: view.link != "offline" and view.frames_sent > 0, "sent again")
        await drained(office)
        assert view.epochs_opened == 0
    assert hub.counts().events == 3_000
    assert hub.digest() == digest


@pytest.mark.parametrize("known", [0, 500])
async def test_a_hub_older_than_the_retention_gets_what_is_left_and_an_alarm_stays(
    tmp_path: Path, hub: Hub, known: int
) -> None:
    folder = make_office(tmp_path / "node", hub)
    if known:
        write_backlog(folder, known)
        await relay_all(folder)
    hub.kill()
    shutil.copytree(hub.directory, tmp_path / "last_month")
    hub.start()
    write_backlog(folder, 2_000 - known, start=known)
    await relay_all(folder)
    store = NodeStore.open(folder)
    assert store.prune(now_ms(), keep_bytes=0) > 0
    write_backlog(folder, 50, start=2_000)
    hub.kill()
    shutil.rmtree(hub.directory)
    shutil.copytree(tmp_path / "last_month", hub.directory)
    hub.start()
    for _ in range(2):
        async with relaying(folder) as office:
            await until(partial(is_online, office), office.relay.view, 40)
            await drained(office)
            assert office.relay.view.alarm.startswith("rows_gone")
    assert "rows_gone" in {one.code for one in warnings(store, now_ms())}
    assert sepe("node", "doctor", folder, "--seen").returncode == 0
    assert "rows_gone" not in {one.code for one in warnings(store, now_ms())}
    store.close()
    # What it knew, the last durable row, which no prune takes, and the new ones.
    assert hub.counts().events == known + 51


async def test_a_restored_hub_gets_again_what_it_lost_of_an_earlier_epoch(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub)
    write_backlog(folder, 500)
    await relay_all(folder)
    hub.kill()
    shutil.copytree(hub.directory, tmp_path / "yesterday")
    hub.start()
    write_backlog(folder, 2_000, start=500)
    await relay_all(folder)
    shutil.copytree(folder, tmp_path / "clone")
    write_backlog(tmp_path / "clone", 10, start=9_000, name="AT THE CLONE")
    await relay_all(tmp_path / "clone")
    write_backlog(folder, 100, start=3_000, name="AFTER THE PARTING")
    async with relaying(folder) as office:
        await until(lambda: office.relay.view.epochs_opened == 1, "an epoch was opened")
        await drained(office)
    assert hub.counts().events == 2_610
    hub.kill()
    shutil.rmtree(hub.directory)
    shutil.copytree(tmp_path / "yesterday", hub.directory)
    hub.start()
    async with relaying(folder) as office:
        view = office.relay.view
        await until(lambda: view.link != "offline" and view.frames_sent > 0, "sent again", 40)
        await drained(office)
    # All but the clone's ten, which this machine keeps as courier files.
    assert hub.counts().events == 2_600
    with HubStore.open(hub.directory) as hub_store:
        for path in (folder / LOST_FOLDER).glob("*.frames"):
            hub_store.merge([Arrival(frame, "import", now_ms()) for frame in read_frames(path)])
    assert hub.counts().events == 2_610


async def test_everything_sent_again_over_another_line_changes_nothing(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub, nats=hub.nats)
    write_backlog(folder, 3_000)
    await relay_all(folder)
    digest, before = hub.digest(), hub.counts()
    store = NodeStore.open(folder)
    signer, epoch = keys.load(folder / "node.key"), store.position().epoch
    acks: list[sync_pb2.Ack] = []
    link = GrpcLink(hub.grpc, acks.append, lambda reason: None)
    await link.open()
    after = sent = 0
    for size in (1_000, 7):  # Once as it went, once cut otherwise.
        after = 0
        while (page := store.page(after, size)) is not None and after < 2_000:
            frame = seal_frame(
                node=NODE, epoch=epoch, first_seq=page.first_seq, chain_before=page.chain_before,
                columns=page.columns, signer=signer,
            )  # fmt: skip
            await link.send(frame)
            after, sent = page.last_seq, sent + 1
    await until(lambda: len(acks) == sent, "every frame was answered")
    await link.close()
    store.close()
    assert {ack.verdict for ack in acks} == {sync_pb2.VERDICT_DURABLE}
    assert (hub.digest(), hub.counts()) == (digest, before)


async def test_a_new_machine_enrols_by_its_token_and_takes_up_the_hub_s_nats(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub, by_token=True)
    write_backlog(folder, 100)
    async with relaying(folder) as office:
        await drained(office)
        await until(lambda: office.relay.view.link == "nats", "on the hub's NATS")
    store = NodeStore.open(folder)
    assert (store.get(TOKEN_KEY), store.get(NATS_KEY)) == (None, hub.nats)
    store.close()
    assert hub.counts().events == 100


async def test_a_machine_with_a_wrong_token_works_on_and_says_why(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub, by_token=True)
    store = NodeStore.open(folder)
    store.put(TOKEN_KEY, "wrong")
    write_backlog(folder, 10)
    async with relaying(folder) as office:
        # What other processes read follows the view, in a thread.
        await until(lambda: store.get(REFUSAL_KEY) == "unknown_node", office.relay.view)
        assert office.relay.view.refusal == "unknown_node"
        assert store.get(ENROL_REFUSAL_KEY) == "unknown_token"
        store.put(TOKEN_KEY, hub.token())
        office.relay.nudge()
        await drained(office)
        assert office.relay.view.refusal == ""
    assert store.get(ENROL_REFUSAL_KEY) is None
    store.close()
