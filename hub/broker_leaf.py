"""A province's server, tended by us: ``sepe hub broker --up``.

It holds one connection to the cluster for all offices of the province and keeps nothing: frames wait in the
offices' outboxes until the hub has committed them. So it has no JetStream and no account of the hub; what an
office sends crosses into that one at the cluster.

It stands in a province, so its folder is no copy of the hub's. `sepe hub leaf` writes what is in it, the same four
files that deploy/nats/leaf.conf reads, and none of them lets anybody act as the hub or read its database. New
offices come by a newer ``accounts.conf``, which this program looks for.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hub.broker_access import OFFICES, client_tls
from sepe.errors import InvalidInputError, SepeError
from sepe_io.address import join_address
from sepe_io.keys import is_nats_seed
from sepe_io.logs import logger

SERVER_FILE = "server.pem"
CA_FILE = "ca.pem"
SEED_FILE = "leaf-seed.conf"
ACCOUNTS_FILE = "accounts.conf"
FILES = (SERVER_FILE, CA_FILE, SEED_FILE, ACCOUNTS_FILE)
LOOK_EVERY_S = 2.0
RECONNECT = "2s"
# Both mean TLS: the cluster lets a leaf in by nothing else.
SCHEMES = ("tls", "nats-leaf")
_SEED_LINE = re.compile(r"\s*nkey:\s*(\S+)\s*")

_log = logger("hub.broker")


@dataclass(frozen=True, slots=True)
class Leaf:
    """Where a province's server connects upwards.

    Attributes:
        name: of the server, as the cluster's monitoring shows it.
        up: ``tls://HOST:PORT`` of the cluster's ``--leaves``; it uses one and tries the others after a loss.
    """

    name: str
    up: tuple[str, ...]

    @classmethod
    def to(cls, name: str, up: tuple[str, ...]) -> Leaf:
        """A leaf below these addresses.

        Raises:
            InvalidInputError: one that is no address of a cluster, or that is not by TLS.
        """
        return cls(name, tuple(_checked(url) for url in up))

    def config(self, access: LeafAccess) -> dict[str, Any]:
        """The part of the server's configuration that leads upwards."""
        remote = {
            "urls": list(self.up),
            "nkey": access.seed,
            "account": OFFICES,
            "tls": {"ca_file": str(access.ca_file.resolve()), "timeout": 10},
        }
        return {"leafnodes": {"reconnect": RECONNECT, "remotes": [remote]}}


@dataclass(frozen=True, slots=True)
class LeafAccess:
    """What a leaf proves itself with, and whom it lets in.

    Attributes:
        seed: proves this server to the cluster, ``SU…``, as secret as a key.
        users: the offices, as `BrokerAccess` writes them; public keys.
        certificate: what `server_file` holds now: another one is a reason to tell the server.
    """

    server_file: Path
    ca_file: Path
    seed: str = field(repr=False)
    users: tuple[dict[str, Any], ...]
    certificate: bytes = field(repr=False)

    def config(self) -> dict[str, Any]:
        """The part of the server's configuration that is about access."""
        return {"tls": client_tls(self.server_file), "accounts": {OFFICES: {"users": list(self.users)}}}


class LeafFolder:
    """The four files of a leaf in ``directory``, which others replace while it runs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def access(self) -> LeafAccess:
        """What the files say now.

        Raises:
            InvalidInputError: one is missing or is something else, or the hub's own key lies there.
        """
        if (self.directory / "hub.key").exists():
            raise InvalidInputError(
                "a province's server must not hold the hub's key", field="DIR", value=str(self.directory),
                hint="Give it a folder of its own: sepe hub leaf DIR --out FOLDER makes one.",
            )  # fmt: skip
        if lacking := [name for name in FILES if not (self.directory / name).is_file()]:
            raise _refused(self.directory / lacking[0], "this file of a leaf is missing")
        server_file, ca_file = self.directory / SERVER_FILE, self.directory / CA_FILE
        return LeafAccess(server_file, ca_file, self._seed(), self._users(), server_file.read_bytes())

    def _seed(self) -> str:
        path = self.directory / SEED_FILE
        found = _SEED_LINE.fullmatch(path.read_text(encoding="utf-8", errors="replace"))
        # nats-server would print one that it cannot read.
        if found is None or not is_nats_seed(found[1]):
            raise _refused(path, "a leaf's seed is one line, nkey: SU and 56 letters and digits")
        return found[1]

    def _users(self) -> tuple[dict[str, Any], ...]:
        path = self.directory / ACCOUNTS_FILE
        accounts: Any = None
        with suppress(ValueError, TypeError, KeyError):
            accounts = json.loads(path.read_bytes())["accounts"]
        if not isinstance(accounts, dict) or list(accounts) != [OFFICES]:
            raise _refused(path, "a leaf has the offices' account and no other")
        return tuple(accounts[OFFICES]["users"])


async def follow(folder: LeafFolder, told: LeafAccess, tell: Callable[[LeafAccess], None]) -> None:
    """Look at the files until cancelled, and ``tell`` whatever differs from what was ``told`` last."""
    lamented = ""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        try:
            found = await asyncio.to_thread(folder.access)
        except (SepeError, OSError) as exc:
            # Half of a copy, perhaps; the server goes on with what it has.
            if str(exc) != lamented:
                _log.warning("leaf.deferred", reason=str(exc))
            lamented = str(exc)
            continue
        lamented = ""
        if found != told:
            tell(found)
            told = found
            _log.info("broker.told", senders=len(found.users))


def _checked(url: str) -> str:
    try:
        found = urlsplit(url)
        host, port = found.hostname, found.port
    except ValueError:
        host = port = None
    if not host or not port or found.username is not None or found.path.strip("/") or found.query:
        raise InvalidInputError(
            "a cluster's address for leaves is tls://HOST:PORT", field="--up", value=url,
            hint="It is what --leaves says at one of the cluster's servers, as tls://nats-1.example.id:7522.",
        )  # fmt: skip
    if found.scheme not in SCHEMES:
        raise InvalidInputError(
            "residents' data must not cross a network in clear", field="--up", value=url,
            hint=f"The cluster lets leaves in by TLS alone: tls://{join_address(host, port)}.",
        )  # fmt: skip
    return f"tls://{join_address(host, port)}"


def _refused(path: Path, rule: str) -> InvalidInputError:
    return InvalidInputError(
        rule, field="DIR", value=path.name,
        hint="At the hub: sepe hub leaf DIR --out FOLDER --name HOST; then copy that folder here.",
    )  # fmt: skip
