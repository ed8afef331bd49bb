"""Who may do what at the embedded nats-server when it speaks TLS.

Two accounts, so that no office can use the hub's rights by a reply address: what an office sends crosses into the
hub's account, where JetStream and the merger are, as a *service*, and there the server puts a reply address of its
own in place of the office's. Without that wall an office could greet with another office's frame subject as its
address for the answer, and the hub, who may publish anywhere, would publish there for it. What is left: such an
answer may reach another office's ack subject. It names the one that asked, and offices drop what names another.

A user is a public key: the very Ed25519 key with which the office signs its frames. Nothing else identifies it,
nothing expires, and enrolling, rotating and revoking are one act for frames and lines.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sepe import subjects
from sepe.ids import kecamatan_of
from sepe_io.keys import nats_name

Sender = tuple[str, bytes]
# The account of all offices, and of the leaves that speak for them.
OFFICES = "OFFICES"


@dataclass(frozen=True, slots=True)
class BrokerAccess:
    """What the server must know.

    Attributes:
        server_file: key and certificate, PEM, in one file.
        hub_key: the hub's own public key: it may do everything in its account.
        senders: (node, public key) of every office machine that may send now.
        ca_file: the hub's authority; a server of a cluster knows the others by it.
    """

    server_file: Path
    hub_key: bytes
    senders: tuple[Sender, ...] = ()
    ca_file: Path | None = None

    def config(self) -> dict[str, Any]:
        """The part of the server's configuration that is about access."""
        services = [subjects.UP_ALL, subjects.HELLO_ALL]
        streams = [subjects.ack("*"), subjects.down("*")]
        return {
            "tls": client_tls(self.server_file),
            "accounts": {
                "HUB": {
                    "jetstream": "enabled",
                    "users": [{"nkey": nats_name(self.hub_key)}],
                    "exports": [{"service": name} for name in services] + [{"stream": name} for name in streams],
                },
                OFFICES: {
                    "users": _users(self.senders),
                    "imports": [{"service": {"account": "HUB", "subject": name}} for name in services]
                    + [{"stream": {"account": "HUB", "subject": name}} for name in streams],
                },
            },
        }

    def route_tls(self) -> dict[str, Any]:
        """How servers of one cluster prove themselves to each other."""
        assert self.ca_file is not None, "a cluster with TLS needs the authority's certificate"
        file = str(self.server_file.resolve())
        return {
            "cert_file": file,
            "key_file": file,
            "ca_file": str(self.ca_file.resolve()),
            "verify": True,
            "timeout": 10,
        }

    def leaf_tls(self) -> dict[str, Any]:
        """How this server proves itself to a province's; that one is known by its key."""
        file = str(self.server_file.resolve())
        return {"cert_file": file, "key_file": file, "timeout": 10}


def client_tls(server_file: Path) -> dict[str, Any]:
    """How a server proves itself to offices."""
    file = str(server_file.resolve())
    return {
        "cert_file": file,
        "key_file": file,
        "min_version": "1.2",
        "timeout": 10,
        # Without it the server's first line is plain, and whoever sits between could say "no TLS here".
        # No grace either ("auto"): on a line that loses packets a client's first word comes late.
        "handshake_first": True,
    }


def _users(senders: Iterable[Sender]) -> list[dict[str, Any]]:
    """One user per key: a key that two machines share would be refused as a duplicate, and all others with it."""
    nodes_of: dict[bytes, list[str]] = {}
    for node, key in senders:
        nodes_of.setdefault(key, []).append(node)
    return [
        {
            "nkey": nats_name(key),
            "permissions": {
                "publish": {"allow": [subject for node in nodes for subject in _may_publish(node)]},
                "subscribe": {"allow": [subject for node in nodes for subject in _may_hear(node)]},
            },
        }
        for key, nodes in nodes_of.items()
    ]


def _may_publish(node: str) -> list[str]:
    return [subjects.up_any(node), subjects.hello(node)]


def _may_hear(node: str) -> list[str]:
    return [subjects.ack(node), subjects.down(kecamatan_of(node)), f"{subjects.inbox(node)}.>"]
