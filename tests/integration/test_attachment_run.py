"""Attachments with ``node run`` and ``hub run`` as processes: killed, revoked, looked at."""

from __future__ import annotations

import hashlib
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.attach.service import OFFER_PREFIX, PUT_PREFIX, WANTED_PREFIX
from node.attach.retention import SentFile, superfluous
from node.attach.worker import AttachmentWorker
from node.desk.photos import photo_path
from node.link import attachments as link
from node.link.attachments import opened
from node.settings import KEY_NAME, load_settings
from node.storage.store import NodeStore
from sepe.attach import CHUNK_BYTES_MAX, SEALING_BYTES, WINDOW_CHUNKS
from sepe.errors import InvalidInputError, PeerProtocolError
from sepe_io import keys
from sepe_io.channel import grpc_channel
from sepe_io.keys import Signer
from surge.line import Line
from tests.support.attachments import hub_counts, picture, record_pictures, shelf_rows, states, uploading
from tests.support.processes import node_run, running, sepe, sepe_json
from tests.support.relay_rig import NODE, Hub, in_thread, make_office, running_hub, until


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with running_hub(tmp_path / "hub") as found:
        yield found


def wait_for(holds: Callable[[], Any], what: str, timeout_s: float = 30) -> None:
    until_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < until_s, what
        time.sleep(0.05)


async def test_a_killed_node_goes_on_at_the_byte_that_the_hub_holds(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub)
    host, _, port = hub.grpc.rpartition(":")
    ((data, _),) = record_pictures(folder, 1, size=1_500_000)
    async with Line(host, int(port)) as line:
        line.shape.bytes_per_second = 300_000
        program = await in_thread(node_run, folder, "--hub", line.address)
        await until(lambda: shelf_rows(folder)[0].acked_bytes > 200_000, "on its way")
        program.kill()
        acknowledged = shelf_rows(folder)[0].acked_bytes
        line.shape.bytes_per_second = 0
        before = line.passed_bytes
        async with uploading(folder, hub=line.address) as (_, uploader):
            await until(lambda: uploader.view.sent == 1, f"sent: {uploader.view}")
    assert uploader.view.sent_bytes <= len(data) + SEALING_BYTES - acknowledged
    assert line.passed_bytes - before < len(data) + 100_000
    assert acknowledged > 200_000 - WINDOW_CHUNKS * CHUNK_BYTES_MAX
    assert hub_counts(hub.directory).complete == 1


def test_operators_and_officers_see_where_the_pictures_are(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub, by_token=True)
    taken = record_pictures(folder, 2, size=80_000)
    status = sepe_json("node", "status", folder)
    assert status["attachments_pending"] == 2
    assert status["attachments_pending_bytes"] == sum(len(data) + SEALING_BYTES for data, _ in taken)
    assert hub_counts(hub.directory).waiting == 0, "no event has come yet"
    with running(node_run(folder)) as program:
        wait_for(lambda: states(folder) == {"sent": 2}, program.tail())
        with urllib.request.urlopen(f"{program.ready['http']}/metrics", timeout=5) as answer:
            metrics = answer.read().decode()
        assert "sepe_node_attachments_pending_bytes 0.0" in metrics
        assert "sepe_node_attachments_sent_total 2.0" in metrics
        digests = [hashlib.sha256(data).hexdigest() for data, _ in taken]
        assert not any(digest in program.tail() for digest in digests)
    status = sepe_json("hub", "status", hub.directory)
    assert (status["attachments_complete"], status["attachments_waiting"]) == (2, 0)
    person = sepe_json("hub", "person", hub.directory, taken[0][1].nik)
    assert [one["sha256"] for one in person["attachments"]] == [digests[0]]
    out = tmp_path / "officer.jpg"
    assert sepe("hub", "attachment", hub.directory, digests[0], "--out", out).returncode == 0
    assert out.read_bytes() == taken[0][0]
    assert sepe("hub", "attachment", hub.directory, digests[0], "--out", out).returncode == 2, "never over a file"
    assert sepe("hub", "attachment", hub.directory, "0" * 64, "--out", tmp_path / "none").returncode == 2
    assert sepe("node", "doctor", folder).returncode == 0


def test_sync_brings_the_pictures_too(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub)
    record_pictures(folder, 1, size=60_000)
    report = sepe_json("node", "sync", folder)
    assert (report["pending"], report["attachments_pending"]) == (0, 0)
    assert states(folder) == {"sent": 1}


async def test_only_the_node_itself_is_listened_to(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub)
    record_pictures(folder, 1)
    own, stranger = keys.load(folder / KEY_NAME), Signer.generate()
    worker = await AttachmentWorker.open(folder)
    try:
        for signer, reason in (
            (stranger, "unknown_key"),
            (Signer(stranger.key, b"", own.key_id), "bad_signature"),
        ):
            async with opened(lambda: grpc_channel(hub.grpc), NODE, lambda signer=signer: signer) as line:
                with pytest.raises(PeerProtocolError, match=reason):
                    await line.wanted()
        async with opened(lambda: grpc_channel(hub.grpc), NODE, lambda: own) as line:
            wish = await line.wanted()
            assert len(wish.sealing_key) == 32
            await worker.heed(wish.sealing_key, [])
            await worker.seal()
            (row,) = await worker.due(1)
            (word,) = await line.offer([row])
            assert word.held == 0
            async with line.put(row) as stream:
                await stream.send(0, await worker.slice(row, 0, 1_000))
                assert (await stream.word()).held == 1_000
                assert sepe("hub", "revoke", hub.directory, NODE).returncode == 0
                await stream.send(1_000, await worker.slice(row, 1_000, 1_000))
                with pytest.raises(PeerProtocolError, match="revoked"):
                    await stream.word()
    finally:
        worker.close()


def test_both_sides_sign_the_same_words() -> None:
    assert (link.WANTED_PREFIX, link.OFFER_PREFIX, link.PUT_PREFIX) == (WANTED_PREFIX, OFFER_PREFIX, PUT_PREFIX)


def test_the_operator_sets_the_budget(tmp_path: Path) -> None:
    options = ("--node", NODE, "--hub", "127.0.0.1:9")
    done = sepe("node", "init", tmp_path / "thin", *options, "--bytes-per-hour-max", 5_000_000, "--photo-days", 7)
    assert done.returncode == 0, done.stderr
    settings = load_settings(tmp_path / "thin")
    assert (settings.bytes_per_hour_max, settings.photo_days) == (5_000_000, 7)
    refused = sepe("node", "init", tmp_path / "no", *options, "--bytes-per-hour-max", 1_000)
    assert refused.returncode == 2
    assert "200000" in refused.stderr
    text = (tmp_path / "thin" / "node.toml").read_text()
    (tmp_path / "thin" / "node.toml").write_text(text.replace("photo_days = 7", "photo_days = true"))
    with pytest.raises(InvalidInputError, match="photo_days"):
        load_settings(tmp_path / "thin")


def test_what_is_too_large_or_no_picture_is_refused_at_the_desk(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub)
    (tmp_path / "large.jpg").write_bytes(picture(3 * 1024 * 1024 + 1))
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.bin").write_bytes(b"")
    line = '{"nik": "5371044101909001", "name": "MARIA TAEK", "birth_date": "1990-01-01", "sex": "P", %s}\n'
    lines = tmp_path / "lines.jsonl"
    lines.write_text(
        line % '"photo": "large.jpg"' + line % '"signature": "text.jpg"' + line % '"biometric": "empty.bin"'
    )
    done = sepe("node", "record", folder, lines)
    assert done.returncode == 1
    assert [
        name in row
        for name, row in zip(("photo", "signature", "biometric"), done.stdout.splitlines(), strict=True)
    ] == [True] * 3
    assert shelf_rows(folder) == []


async def test_plain_files_go_when_their_time_is_over_and_nobody_draws_them(tmp_path: Path, hub: Hub) -> None:
    folder = make_office(tmp_path / "node", hub)
    settings = folder / "node.toml"
    settings.write_text(settings.read_text().replace("photo_days = 30", "photo_days = 0"))
    ((data, _),) = record_pictures(folder, 1)
    plain = photo_path(folder, hashlib.sha256(data).digest())
    worker = await AttachmentWorker.open(folder)
    try:
        assert await worker.retire() == 0, "nothing is sealed yet"
        assert plain.exists()
        async with uploading(folder) as (_, uploader):
            await until(lambda: uploader.view.sent == 1, "sent")
        assert await worker.retire() == 0, "the certificate is still to be printed"
        store = NodeStore.open(folder)
        store.connection.execute("UPDATE job SET state = 'void'")
        store.close()
        assert await worker.retire() == 1
        assert not plain.exists()
        assert sepe("node", "doctor", folder).returncode == 0, "a file whose time is over is not missing"
        record_pictures(folder, 1)
        assert plain.exists(), "recorded again, it is here again"
    finally:
        worker.close()


def test_sent_files_stay_for_a_month_or_two_gigabytes() -> None:
    sent = [SentFile(bytes([number]), b"", 100, number * 10) for number in range(5)]
    assert [file.sent_ms for file in superfluous(sent, before_ms=20, keep_bytes=10_000)] == [0, 10]
    assert [file.sent_ms for file in superfluous(sent, before_ms=0, keep_bytes=250)] == [0, 10, 20]
    assert not list(superfluous(sent, before_ms=0, keep_bytes=500))
