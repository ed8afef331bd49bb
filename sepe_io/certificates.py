"""Certificates of a hub, and what an office makes of them.

Each hub has an authority of its own that signs nothing but this hub's server certificates, and every office gets
the authority's certificate with its token. So a certificate by that authority *is* the hub, whatever the address:
all of them carry `HUB_NAME`, offices check that name, and a hub that moves to another address, name or VPN needs
no new certificate. Further names are for other clients.

Dates. An office's clock may say anything: a dead clock battery boots it in 1970 or 2010. So a certificate of ours
begins in 1970, and the authority never ends: no machine can have a clock for which it is "not yet valid". A server
certificate does end, `SERVER_VALID_DAYS` after it was made, and the hub makes the next one by itself half a year
earlier; an office whose clock runs months ahead still finds it good.
"""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sepe.errors import InvalidInputError, SepeError

# .internal is set aside for private use: nobody can own this name.
HUB_NAME = "hub.sepe.internal"
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
SERVER_VALID_DAYS = 400
DAY_MS = 86_400_000
# An expired certificate means that the hub failed to renew it for all this time, or that our clock leapt.
EXPIRY_NEAR_MS = 30 * DAY_MS
# An office that has not heard its hub for longer is more likely to have a wrong clock.
SILENCE_MS_MAX = 400 * DAY_MS

_FIRST_MOMENT = dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC)
# RFC 5280's "no end".
_NO_END = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its private key, each as PEM."""

    certificate_pem: bytes
    key_pem: bytes


@dataclass(frozen=True, slots=True)
class Dates:
    """From when to when a certificate holds, milliseconds since 1970."""

    from_ms: int
    until_ms: int


def make_authority() -> Issued:
    """A new authority. P-256: gRPC refuses every handshake with Ed25519 certificates."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # The number tells apart the authorities of two hubs that one office has met.
    name = _name(f"Sepe hub {serial & 0xFFFFFFFF:08x}")
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = (
        _builder(name, name, key.public_key(), serial, _NO_END)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _issued(builder.sign(key, hashes.SHA256()), key)


def issue_server(authority: Issued, names: Sequence[str], *, until_ms: int) -> Issued:
    """A server certificate for `HUB_NAME`, this machine and ``names`` (host names or IP addresses).

    Raises:
        InvalidInputError: a name that is none.
        SepeError: the authority cannot be read.
    """
    ca = _read(authority.certificate_pem)
    ca_key = serialization.load_pem_private_key(authority.key_pem, password=None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise SepeError("the key of the hub's authority is not a P-256 key")
    key = ec.generate_private_key(ec.SECP256R1())
    until = dt.datetime.fromtimestamp(until_ms // 1000, dt.UTC)
    builder = (
        _builder(_name(HUB_NAME), ca.subject, key.public_key(), x509.random_serial_number(), until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        # Servers of one NATS cluster prove themselves to each other, and one of the two is then the client.
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .add_extension(
            x509.SubjectAlternativeName(
                [_general_name(name) for name in dict.fromkeys((HUB_NAME, *LOCAL_NAMES, *names))]
            ),
            critical=False,
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )
    return _issued(builder.sign(ca_key, hashes.SHA256()), key)


def names_of(certificate_pem: bytes) -> list[str]:
    """The names that a server certificate was given beside the fixed ones."""
    extension = _read(certificate_pem).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    found = [
        *extension.get_values_for_type(x509.DNSName),
        *map(str, extension.get_values_for_type(x509.IPAddress)),
    ]
    return [name for name in found if name not in (HUB_NAME, *LOCAL_NAMES)]


def dates_of(certificate: bytes) -> Dates:
    """When a certificate, PEM or DER, holds."""
    found = _read(certificate)
    return Dates(
        int(found.not_valid_before_utc.timestamp()) * 1000, int(found.not_valid_after_utc.timestamp()) * 1000
    )


def to_der(certificate_pem: bytes) -> bytes:
    """The bytes that travel in a token."""
    return _read(certificate_pem).public_bytes(serialization.Encoding.DER)


def to_pem(certificate_der: bytes) -> bytes:
    """The inverse of `to_der`.

    Raises:
        SepeError: it is no certificate.
    """
    return _read(certificate_der).public_bytes(serialization.Encoding.PEM)


def with_authority(token: str, ca_pem: bytes) -> str:
    """A one-time token together with the certificate by which its bearer will know the hub."""
    return f"{token}.{base64.urlsafe_b64encode(to_der(ca_pem)).rstrip(b'=').decode('ascii')}"


def split_token(text: str) -> tuple[str, bytes]:
    """The inverse of `with_authority`; no certificate (``b""``) for the token of a plain hub.

    Raises:
        InvalidInputError: what follows the secret is no whole certificate.
    """
    secret, dot, encoded = "".join(text.split()).partition(".")
    if not dot:
        return secret, b""
    try:
        der = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        return secret, to_pem(der)
    except (ValueError, SepeError) as exc:
        raise InvalidInputError(
            "the token is not whole", field="--token", value=f"{len(text)} characters",
            hint="Copy it in one piece, or ask the centre for another.",
        ) from exc  # fmt: skip


def client_context(ca_pem: bytes, *, by_our_clock: bool = True) -> ssl.SSLContext:
    """TLS towards the hub: only a certificate by this authority, for `HUB_NAME`, will do.

    Args:
        by_our_clock: ``False`` leaves the dates to the caller, who must judge them (`date_fault`) before anything
            is said that the hub alone may hear.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=ca_pem.decode("ascii"))
    if not by_our_clock:
        # X509_V_FLAG_NO_CHECK_TIME, which Python gives no name.
        context.verify_flags |= ssl.VerifyFlags(0x200000)
    return context


def date_fault(dates: Dates, *, now_ms: int, known_ms: int) -> str:
    """``""`` when the certificate holds now, else ``hub_certificate_expired`` or ``clock_wrong``, as it seems.

    Args:
        now_ms: this machine's clock.
        known_ms: the hub's clock as it was last heard, 0 for never.
    """
    if dates.from_ms <= now_ms <= dates.until_ms:
        return ""
    if now_ms < dates.from_ms:
        return "clock_wrong"
    # A hub renews half a year ahead. When it was heard well before the end, our clock has leapt over that.
    was_far = 0 < known_ms < dates.until_ms - EXPIRY_NEAR_MS
    return "clock_wrong" if was_far else "hub_certificate_expired"


def believed_ms(now_ms: int, known_ms: int) -> int:
    """The time by which to judge dates: our clock, or the hub's as last heard when ours cannot be right.

    So an office keeps its line with a clock of 1970 or 2035. A certificate that ended is accepted only by an
    office whose clock claims more than `SILENCE_MS_MAX` since it heard its hub.
    """
    if known_ms and not known_ms - DAY_MS <= now_ms <= known_ms + SILENCE_MS_MAX:
        return known_ms
    return now_ms


def _read(certificate: bytes) -> x509.Certificate:
    try:
        if certificate.lstrip().startswith(b"-----"):
            return x509.load_pem_x509_certificate(certificate)
        return x509.load_der_x509_certificate(certificate)
    except ValueError as exc:
        raise SepeError("this is not a certificate") from exc


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, serial: int, until: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(_FIRST_MOMENT)
        .not_valid_after(until)
    )


def _issued(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Issued:
    return Issued(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    labels = text.split(".")
    is_host = len(text) <= 253 and all(
        0 < len(label) <= 63 and label.isascii() and label.replace("-", "").replace("_", "").isalnum()
        for label in labels
    )
    if not is_host:
        raise InvalidInputError(
            "a name is a host name or an IP address, without a port", field="--name", value=text,
            hint="Example: hub.kupangkota.go.id",
        )  # fmt: skip
    return x509.DNSName(text)
