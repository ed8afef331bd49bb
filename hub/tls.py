"""The hub's certificates in ``DIR/tls``, and whether its lines speak TLS.

================ =======================================================================================
``ca.pem``       the authority; every enrolment token carries it, so an office trusts the hub from the
                 first contact on
``ca.key``       its key, as secret as ``hub.key``; without it (an authority kept elsewhere) nothing is
                 renewed here, and ``server.pem`` must be put there by hand
``server.pem``   key and certificate in one file, so that a renewal is one step for whoever reads it
================ =======================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from sepe.errors import InvalidInputError, SepeError
from sepe_io import certificates
from sepe_io.address import is_local, split_urls
from sepe_io.certificates import DAY_MS, SERVER_VALID_DAYS, Issued
from sepe_io.keys import replace_secret
from sepe_io.logs import logger

FOLDER = "tls"
RENEW_BEFORE_MS = 180 * DAY_MS
MODES = ("auto", "on", "off")
_KEY_END = b"-----END PRIVATE KEY-----\n"

_log = logger("hub.tls")


class HubTls:
    """The certificates of the hub in ``directory``. Any thread may read them, at any moment."""

    def __init__(self, directory: Path) -> None:
        self._folder = directory / FOLDER
        self._pair: tuple[tuple[int, int], tuple[bytes, bytes]] | None = None

    @property
    def is_made(self) -> bool:
        """Whether there is an authority."""
        return (self._folder / "ca.pem").is_file()

    @property
    def ca_pem(self) -> bytes:
        """The authority's certificate. Raises SepeError when there is none."""
        return self._read("ca.pem")

    @property
    def ca_file(self) -> Path:
        """The authority's certificate, as a file."""
        return self._folder / "ca.pem"

    @property
    def server_file(self) -> Path:
        """Key and certificate of the server."""
        return self._folder / "server.pem"

    @property
    def authority(self) -> Issued | None:
        """The authority with its key, ``None`` when the key is kept elsewhere."""
        if not (self._folder / "ca.key").is_file():
            return None
        return Issued(self.ca_pem, self._read("ca.key"))

    def pair(self) -> tuple[bytes, bytes]:
        """The server's key and certificate as they lie there now."""
        found = self.server_file.stat()
        mark = (found.st_mtime_ns, found.st_ino)
        if self._pair is None or self._pair[0] != mark:
            key, end, certificate = self._read("server.pem").partition(_KEY_END)
            self._pair = mark, (key + end, certificate)
        return self._pair[1]

    def names(self) -> list[str]:
        """Names of this hub in its certificate, beside the fixed ones."""
        return certificates.names_of(self.pair()[1]) if self.server_file.is_file() else []

    def until_ms(self) -> int:
        """When the server's certificate ends."""
        return certificates.dates_of(self.pair()[1]).until_ms

    def ensure(self, names: Iterable[str] = (), *, now_ms: int) -> bool:
        """Make what is missing, add names, renew what ends within half a year; whether anything was made.

        Raises:
            InvalidInputError: a name that is none.
            SepeError: the authority is kept elsewhere and there is no server certificate.
        """
        if not self.is_made:
            self.put_authority(certificates.make_authority())
        if not self.server_file.is_file():
            self.renew(names, now_ms=now_ms)
            return True
        is_due = self.until_ms() - now_ms < RENEW_BEFORE_MS
        if not is_due and set(names) <= {*self.names(), *certificates.LOCAL_NAMES}:
            return False
        if self.authority is None:
            _log.error("certificate.ends" if is_due else "certificate.lacks_names", until_ms=self.until_ms())
            return False
        self.renew(names, now_ms=now_ms)
        return True

    def renew(self, names: Iterable[str] = (), *, now_ms: int) -> None:
        """A new server certificate, with the names of the old one and ``names``. A running hub takes it up."""
        wanted = dict.fromkeys([*self.names(), *names])
        self.issue_to(self.server_file, wanted, now_ms=now_ms)

    def issue_to(self, file: Path, names: Iterable[str], *, now_ms: int) -> None:
        """Write key and certificate of a server of this hub to ``file``, readable by its owner alone."""
        authority = self.authority
        if authority is None:
            raise SepeError(f"{FOLDER}/ca.key is not here: put a server.pem there that the authority signed")
        until_ms = now_ms + SERVER_VALID_DAYS * DAY_MS
        issued = certificates.issue_server(authority, list(names), until_ms=until_ms)
        replace_secret(issued.key_pem + issued.certificate_pem, file)
        _log.info("certificate.made", until_ms=until_ms)

    def put_authority(self, authority: Issued) -> None:
        """Take ``authority`` as this hub's own; a server certificate of another one is thrown away."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self.server_file.unlink(missing_ok=True)
        replace_secret(authority.key_pem, self._folder / "ca.key")
        # Last: whoever finds it finds the key too.
        replace_secret(authority.certificate_pem, self._folder / "ca.pem")

    def _read(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except OSError as exc:
            raise SepeError(f"{FOLDER}/{name} cannot be read: {exc.strerror}") from exc


def wants_tls(mode: str, hosts: Sequence[str], *, insecure_lab: bool, was_on: bool) -> bool:
    """Whether lines that listen at ``hosts`` speak TLS.

    Args:
        mode: ``auto`` is TLS beyond this machine, and wherever it was on before: the offices expect it.
        insecure_lab: nothing on these lines is a person's data; plain is allowed everywhere.

    Raises:
        InvalidInputError: plain lines beyond this machine were asked for.
    """
    exposed = [host for host in hosts if not is_local(host)]
    if mode == "on":
        return True
    if insecure_lab:
        return False
    if mode == "off" and exposed:
        raise InvalidInputError(
            "residents' data must not cross a network in clear", field="--tls", value="off",
            hint=f"{exposed[0]} is not this machine alone: leave --tls out, or listen at 127.0.0.1.",
        )  # fmt: skip
    return bool(exposed) or (mode == "auto" and was_on)


def open_tls(
    directory: Path,
    mode: str,
    *,
    host: str,
    advertised: str,
    nats: str,
    insecure_lab: bool,
    was_on: bool,
    now_ms: int,
) -> HubTls | None:
    """The certificates of a hub that listens at ``host``, made or renewed; ``None`` when its lines are plain.

    Args:
        nats: ``embedded``, or the URL of an outside NATS.

    Raises:
        InvalidInputError: plain lines beyond this machine were asked for.
    """
    outside = [urlsplit(url) for url in split_urls(nats)]
    is_plain = any(one.scheme == "nats" and not is_local(one.hostname or "") for one in outside)
    if is_plain and not insecure_lab:
        raise InvalidInputError(
            "residents' data must not cross a network in clear", field="--nats", value=public_url(nats),
            hint="Beyond this machine NATS is tls://HOST:PORT; `hub certificate --out` makes its certificate.",
        )  # fmt: skip
    if not wants_tls(mode, [host], insecure_lab=insecure_lab, was_on=was_on):
        if not is_local(host):
            _log.warning("lines.plain", host=host)
        return None
    tls = HubTls(directory)
    tls.ensure([name for name in (host, advertised) if name not in ("0.0.0.0", "::")], now_ms=now_ms)
    return tls


def public_url(url: str) -> str:
    """An outside NATS' addresses without the hub's own user and password: those are not for the offices."""
    found = [urlsplit(one) for one in split_urls(url)]
    return ",".join(f"{one.scheme}://{one.netloc.rpartition('@')[2]}" for one in found)
