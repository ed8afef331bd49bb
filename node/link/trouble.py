"""Why the hub cannot be had although something answers at its address.

gRPC says "not ready" to all of it: a certificate that ended, another hub, a hotel's login page. So after a failed
attempt the address is asked once more, by hand. Nothing is sent but the opening of the conversation, and nothing
that is heard is trusted: the answer is a sentence for a person.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from contextlib import suppress

from node.link.notes import Trouble
from node.link.trust import NO_TRUST, HubTrust
from sepe.errors import InvalidInputError, SepeError
from sepe_io.address import is_local, split_address
from sepe_io.certificates import HUB_NAME, Dates, client_context, date_fault, dates_of

ASK_TIMEOUT_S = 4.0
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_SETTINGS = 4


# Told of each failed attempt's reason, ``None`` when a line stands.
OnTrouble = Callable[[Trouble | None], None]


async def diagnose(target: str, trust: HubTrust) -> Trouble | None:
    """What is wrong with the hub at ``HOST:PORT``; ``None`` when nobody answers there, or nothing is wrong."""
    try:
        host, port = split_address(target)
    except InvalidInputError:
        return None
    if not trust.ca_pem and not trust.allow_plain and not is_local(host):
        return Trouble(
            "hub_certificate_missing",
            "Belum ada sertifikat pusat, jadi tidak ada yang dikirim lewat jaringan. Minta token baru ke pusat, "
            "lalu sepe node enrol DIR --token T",
            NO_TRUST,
        )
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(ASK_TIMEOUT_S):
            return await (_by_tls(host, port, trust) if trust.ca_pem else _plainly(host, port))
    return None


async def _by_tls(host: str, port: int, trust: HubTrust) -> Trouble | None:
    context = client_context(trust.ca_pem, by_our_clock=False)
    context.set_alpn_protocols(["h2"])
    try:
        _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=HUB_NAME)
    except ssl.SSLCertVerificationError:
        return Trouble(
            "hub_unknown",
            "Yang menjawab di alamat pusat bukan pusat kita (sertifikat lain): mungkin halaman masuk Wi-Fi, "
            "mungkin penyadap. Tidak ada yang dikirim. Bila pusat diganti, minta token baru",
            "what answers at the hub's address is not our hub (foreign certificate); nothing was sent",
        )
    except (ssl.SSLError, ConnectionError):
        return await _without_tls(host, port)
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return _of_dates(certificate, trust)


def _of_dates(certificate: bytes, trust: HubTrust) -> Trouble | None:
    now_ms = time.time_ns() // 1_000_000
    own, hub = dates_of(trust.ca_pem), dates_of(certificate)
    if "clock_wrong" in (date_fault(dates, now_ms=now_ms, known_ms=trust.known_ms) for dates in (own, hub)):
        return Trouble(
            "clock_wrong",
            f"Jam komputer ini salah ({_day(now_ms)}); sertifikat pusat {_span(hub, 'sampai')}. Setel jamnya; "
            "perekaman jalan terus",
            f"this computer's clock is wrong ({_day(now_ms)}); the hub's certificate holds {_span(hub, 'to')}",
        )
    if date_fault(own, now_ms=now_ms, known_ms=trust.known_ms):
        return Trouble(
            "own_certificate_expired",
            f"Sertifikat pusat yang disimpan di komputer ini kedaluwarsa {_day(own.until_ms)}. Minta token baru "
            "ke pusat (bila jam komputer ini benar); perekaman jalan terus",
            f"the hub's authority kept on this computer expired on {_day(own.until_ms)}; ask for a new token",
        )
    if date_fault(hub, now_ms=now_ms, known_ms=trust.known_ms):
        return Trouble(
            "hub_certificate_expired",
            f"Sertifikat hub kedaluwarsa {_day(hub.until_ms)}: beri tahu pusat (sepe hub certificate DIR), bila "
            "jam komputer ini benar; perekaman jalan terus",
            f"the hub's certificate expired on {_day(hub.until_ms)}; the centre must renew it",
        )
    return None


async def _plainly(host: str, port: int) -> Trouble | None:
    word = await _first_word(host, port)
    if _is_settings(word):
        return None
    if not word.startswith((b"HTTP/", b"<")) and await _speaks_tls(host, port):
        return Trouble(
            "hub_speaks_tls",
            "Pusat kini memakai TLS. Minta token baru ke pusat, lalu sepe node enrol DIR --token T",
            "the hub speaks TLS now; a new token carries its certificate",
        )
    return _not_the_hub() if word else None


async def _without_tls(host: str, port: int) -> Trouble | None:
    """Something at our hub's address does not speak TLS."""
    word = await _first_word(host, port)
    if _is_settings(word):
        return Trouble(
            "hub_without_tls",
            "Yang menjawab di alamat pusat tidak memakai TLS, jadi tidak ada yang dikirim. Beri tahu pusat",
            "what answers at the hub's address speaks without TLS; nothing was sent",
        )
    return _not_the_hub() if word else None


def _not_the_hub() -> Trouble:
    return Trouble(
        "not_the_hub",
        "Yang menjawab bukan pusat, mungkin halaman masuk Wi-Fi: buka peramban dan masuk dulu. Perekaman jalan "
        "terus",
        "what answers is not the hub, perhaps a login page of this network",
    )


async def _first_word(host: str, port: int) -> bytes:
    """The first bytes in answer to HTTP/2's opening, ``b""`` when there are none."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(_PREFACE)
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(ASK_TIMEOUT_S / 4):
                return await reader.read(64)
        return b""
    finally:
        writer.close()


def _is_settings(word: bytes) -> bool:
    return len(word) >= 9 and word[3] == _SETTINGS and not word.startswith(b"HTTP")


async def _speaks_tls(host: str, port: int) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Only whether it is TLS at all is asked; the line is closed at once.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (ssl.SSLError, ConnectionError, SepeError):
        return False
    writer.close()
    return True


def _day(at_ms: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at_ms // 1000))


def _span(dates: Dates, to: str) -> str:
    return f"{_day(dates.from_ms)} {to} {_day(dates.until_ms)}"
