"""Where a hub listens: kept in its directory, so that commands find it and a restart takes the same ports.

Offices remember the addresses they were given. A hub that came back on other ports would be lost to them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from sepe_io.files import AS_USUAL, replace_file
from sepe_io.process import free_port, port_is_free

FILE = "endpoints.json"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of a hub: ``HOST:PORT`` for gRPC, URLs for NATS and HTTP; ``""`` for none.

    ``tls``: gRPC and the embedded NATS speak TLS.
    """

    grpc: str = ""
    nats: str = ""
    http: str = ""
    tls: bool = False


def read(directory: Path) -> Endpoints:
    """The endpoints of the hub that runs, or ran last, in ``directory``; empty when none ever did."""
    try:
        found = json.loads((directory / FILE).read_text(encoding="utf-8"))
        grpc, nats, http = (str(found.get(name, "")) for name in ("grpc", "nats", "http"))
        return Endpoints(grpc, nats, http, tls=found.get("tls") is True)
    except (OSError, ValueError, AttributeError):
        return Endpoints()


def write(directory: Path, endpoints: Endpoints) -> None:
    """Replace the file in one step: a reader sees the old one or the new one."""
    text = json.dumps(asdict(endpoints), indent=1) + "\n"
    replace_file(directory / FILE, text.encode(), mode=AS_USUAL)


def choose_port(host: str, wanted: int, remembered: str) -> int:
    """The port to listen on: ``wanted``, or for 0 the port of last time, or a free one.

    Args:
        remembered: address or URL of last time, ``""`` for none.
    """
    if wanted:
        return wanted
    port = remembered.rpartition(":")[2]
    if port.isdigit() and 0 < int(port) < 65536 and port_is_free(host, int(port)):
        return int(port)
    return free_port(host)
