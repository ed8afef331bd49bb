"""FAULTS 29 and 30: certificates that ended, clocks that lie, and networks that answer in the hub's place."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hub.tls import HubTls
from node.link.notes import TROUBLE_KEY, Trouble
from node.link.trouble import diagnose
from node.link.trust import HubTrust
from node.storage.store import NodeStore
from sepe_io.certificates import DAY_MS, Issued, issue_server, make_authority
from tests.support.faults.clock import YEAR_S, wrong_clock
from tests.support.processes import node_run, running, sepe, sepe_json
from tests.support.relay_rig import Hub, drained, make_office, relaying, running_hub, until, write_backlog
from tests.support.secured import (
    answering,
    let_in,
    login_page,
    now_ms,
    secured_hub,
    secured_office,
    silence,
    start_secured,
)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with secured_hub(tmp_path / "hub") as one:
        yield one


def end_certificate(hub: Hub, until_ms: int) -> None:
    """Give the hub a certificate that ended then, and take away what it would renew it with."""
    tls = HubTls(hub.directory)
    authority = tls.authority
    assert authority is not None
    issued = issue_server(authority, [], until_ms=until_ms)
    tls.server_file.write_bytes(issued.key_pem + issued.certificate_pem)
    (hub.directory / "tls" / "ca.key").rename(hub.directory / "ca.key.elsewhere")


def noted(folder: Path) -> Trouble | None:
    store = NodeStore.open(folder)
    try:
        return Trouble.from_text(store.get(TROUBLE_KEY))
    finally:
        store.close()


def has_trouble(folder: Path, code: str) -> bool:
    found = noted(folder)
    return found is not None and found.code == code


async def test_a_hub_whose_certificate_ended_is_named_and_had_again_once_it_is_renewed(
    tmp_path: Path, hub: Hub
) -> None:
    folder = secured_office(tmp_path / "node", hub)
    let_in(folder, hub)
    write_backlog(folder, 5)
    end_certificate(hub, now_ms() - DAY_MS)
    async with relaying(folder, nats=hub.nats) as office:
        await until(partial(has_trouble, folder, "hub_certificate_expired"), "named", 40)
        assert office.relay.view.link == "offline"
        await asyncio.to_thread(write_backlog, folder, 5, start=5)  # Recording goes on.
        status = await asyncio.to_thread(sepe, "node", "status", folder)
        assert "Sertifikat hub kedaluwarsa" in status.stdout
        (hub.directory / "ca.key.elsewhere").rename(hub.directory / "tls" / "ca.key")
        assert (await asyncio.to_thread(sepe, "hub", "certificate", hub.directory)).returncode == 0
        await drained(office)
        await until(lambda: noted(folder) is None, "the note is taken back")
    assert hub.counts().events == 10


async def test_a_hub_renews_what_ends_soon_by_itself(hub: Hub) -> None:
    tls = HubTls(hub.directory)
    authority = tls.authority
    assert authority is not None
    issued = issue_server(authority, ["hub.example.org"], until_ms=now_ms() + 100 * DAY_MS)
    tls.server_file.write_bytes(issued.key_pem + issued.certificate_pem)
    assert tls.ensure(now_ms=now_ms())
    assert tls.until_ms() > now_ms() + 300 * DAY_MS
    assert "hub.example.org" in tls.names()
    assert not tls.ensure(now_ms=now_ms())


def ended_authority() -> Issued:
    """An authority of the organisation's own that ended last year."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Dinas CA")])
    begun = dt.datetime(2015, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begun)
        .not_valid_after(dt.datetime.now(dt.UTC) - dt.timedelta(days=300))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return Issued(
        certificate.public_bytes(encoding), key.private_bytes(encoding, private, serialization.NoEncryption())
    )


async def test_each_of_three_ends_is_told_apart() -> None:
    now, day = now_ms(), DAY_MS
    ours, theirs = make_authority(), ended_authority()
    good = issue_server(ours, [], until_ms=now + day)
    ended = issue_server(ours, [], until_ms=now - 10 * day)
    under_ended = issue_server(theirs, [], until_ms=now + day)
    for certificate, authority, known_ms, code in (
        (good, ours, now, ""),
        (ended, ours, now, "hub_certificate_expired"),
        (ended, ours, 0, "hub_certificate_expired"),
        # Heard long before the end, and a hub renews half a year ahead: the clock has leapt.
        (ended, ours, now - 200 * day, "clock_wrong"),
        (under_ended, theirs, now, "own_certificate_expired"),
        (good, theirs, now, "hub_unknown"),
    ):
        async with answering(silence, certificate) as address:
            trouble = await diagnose(address, HubTrust(authority.certificate_pem, known_ms=known_ms))
        assert ("" if trouble is None else trouble.code) == code


@pytest.mark.parametrize("offset_s", [-int(time.time()) + 86_400, 10 * YEAR_S], ids=["1970", "ten-years-ahead"])
def test_an_office_with_a_lying_clock_keeps_its_line(tmp_path: Path, hub: Hub, offset_s: int) -> None:
    # Certificates begin in 1970. One that "ended" by a clock ten years ahead is judged by the hub's clock as last
    # heard, over NATS; gRPC, which asks the machine's clock alone, is not needed then.
    folder = secured_office(tmp_path / "node", hub)
    let_in(folder, hub)
    write_backlog(folder, 1)
    with running(node_run(folder)):
        _until(lambda: hub.counts().events == 1)
    clock = wrong_clock(tmp_path / "clock", offset_s=offset_s)
    write_backlog(folder, 1, start=1)
    with running(node_run(folder, env=clock.environment)):
        _until(lambda: hub.counts().events == 2)


def test_a_clock_that_runs_ahead_at_the_first_contact_is_told_to_the_operator(tmp_path: Path, hub: Hub) -> None:
    folder = secured_office(tmp_path / "node", hub)
    store = NodeStore.open(folder)
    store.see_hub_clock(now_ms())
    store.close()
    clock = wrong_clock(tmp_path / "clock", offset_s=10 * YEAR_S)
    with running(node_run(folder, env=clock.environment)):
        _until(lambda: has_trouble(folder, "clock_wrong"))
        codes = [one["code"] for one in sepe_json("node", "status", folder)["warnings"]]
        assert "clock_wrong" in codes
        clock.set(0)
        _until(lambda: hub.counts().nodes == 1)
        _until(lambda: noted(folder) is None)


@pytest.mark.parametrize("is_secured", [True, False])
async def test_a_login_page_in_the_hub_s_place_is_recognised_and_outlived(
    tmp_path: Path, is_secured: bool
) -> None:
    with (secured_hub if is_secured else running_hub)(tmp_path / "hub") as hub:
        folder = secured_office(tmp_path / "node", hub) if is_secured else make_office(tmp_path / "node", hub)
        write_backlog(folder, 5)
        async with answering(login_page) as page:
            scheme = "tls" if is_secured else "nats"
            async with relaying(folder, hub=page, nats=f"{scheme}://{page}") as office:
                await until(partial(has_trouble, folder, "not_the_hub"), "recognised", 40)
                assert office.relay.view.link == "offline"
        async with relaying(folder) as office:
            await drained(office)
        assert noted(folder) is None


async def test_a_login_page_with_a_certificate_of_its_own_is_not_trusted(tmp_path: Path, hub: Hub) -> None:
    folder = secured_office(tmp_path / "node", hub)
    own = issue_server(make_authority(), [], until_ms=now_ms() + DAY_MS)
    async with answering(login_page, own) as page, relaying(folder, hub=page):
        await until(partial(has_trouble, folder, "hub_unknown"), "recognised", 40)


async def test_a_hub_that_took_up_tls_or_left_it_is_named(tmp_path: Path, hub: Hub) -> None:
    plain = make_office(tmp_path / "plain", hub, node="537105-1")
    async with relaying(plain):
        await until(partial(has_trouble, plain, "hub_speaks_tls"), "asks for a new token", 40)
    secured = secured_office(tmp_path / "secured", hub)
    hub.kill()
    start_secured(hub, "--tls", "off")
    async with relaying(secured, hub=hub.grpc):
        await until(partial(has_trouble, secured, "hub_without_tls"), "does not fall back to a plain line", 40)
    assert hub.counts().events == 0


def _until(holds: object, timeout_s: float = 60) -> None:
    assert callable(holds)
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.2)
