"""Addresses of the form HOST:PORT. Apart from `sepe_io.channel`, so that a command at a desk loads no gRPC."""

from __future__ import annotations

import ipaddress

from sepe.errors import InvalidInputError, TransientError


class AddressBusyError(TransientError):
    """Another program listens there already."""


def split_address(text: str, *, field: str = "address") -> tuple[str, int]:
    """HOST and PORT of ``HOST:PORT``; an IPv6 host stands in brackets.

    Raises:
        InvalidInputError: it is something else.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise InvalidInputError("an address is HOST:PORT", field=field, value=text, hint="Example: 127.0.0.1:7443")
    return host.strip("[]"), int(port)


def join_address(host: str, port: int) -> str:
    """``HOST:PORT``, with brackets around an IPv6 host."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_urls(text: str) -> list[str]:
    """The addresses of ``nats://A:4222,nats://B:4222``: the servers of one cluster, in the order given."""
    return [url for part in text.split(",") if (url := part.strip())]


def is_local(host: str) -> bool:
    """Whether ``host`` is this machine for certain. A name that must be looked up is not: who answers may lie."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
