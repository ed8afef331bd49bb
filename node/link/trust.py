"""How this machine knows its hub: by the authority that came with its token, or not at all on one machine."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from grpc import aio

from node.link.link import LinkDownError
from node.link.token import CA_NAME
from sepe import subjects
from sepe.errors import InvalidInputError
from sepe_io.address import is_local, split_address, split_urls
from sepe_io.channel import NatsIdentity, grpc_channel
from sepe_io.keys import Signer

NO_TRUST = "without the hub's certificate nothing is sent beyond this machine; ask the centre for a new token"


@dataclass(frozen=True, slots=True)
class HubTrust:
    """What every line to the hub is opened with.

    Attributes:
        ca_pem: the hub's authority; ``b""`` for plain lines.
        allow_plain: plain lines beyond this machine too, as ``node.toml`` says of a laboratory.
        known_ms: the hub's clock as it was last heard, 0 for never.
    """

    ca_pem: bytes = b""
    allow_plain: bool = False
    known_ms: int = 0

    def channel(self, target: str) -> aio.Channel:
        """A gRPC channel to ``HOST:PORT``, by TLS when we know the hub's authority.

        Raises:
            LinkDownError: the line would be plain, beyond this machine.
        """
        if not self.ca_pem:
            with suppress(InvalidInputError):
                self._check_plain("grpc", split_address(target)[0])
        return grpc_channel(target, self.ca_pem)

    def nats_identity(self, url: str, node: str, signer: Signer) -> NatsIdentity | None:
        """How to prove ourselves to the NATS at ``url``; ``None`` for a plain one.

        Raises:
            LinkDownError: the line would be plain, beyond this machine, or there is nothing to know the server by.
        """
        found = [urlsplit(one) for one in split_urls(url)]
        if any(one.scheme != "tls" for one in found):
            for one in found:
                self._check_plain("nats", one.hostname or "")
            return None
        if not self.ca_pem:
            raise LinkDownError(f"nats: {NO_TRUST}")
        return NatsIdentity(self.ca_pem, signer, subjects.inbox(node), lambda: self.known_ms)

    def _check_plain(self, kind: str, host: str) -> None:
        if not self.allow_plain and not is_local(host):
            raise LinkDownError(f"{kind}: {NO_TRUST}")


def load_trust(folder: Path, *, tls: str = "", known_ms: int = 0) -> HubTrust:
    """The trust of a node directory; ``tls`` is what its settings say."""
    try:
        ca_pem = (folder / CA_NAME).read_bytes()
    except OSError:
        ca_pem = b""
    return HubTrust(b"" if tls == "off" else ca_pem, tls == "off", known_ms)
