"""A process that proves frames for the hub that started it: requests on stdin, answers on stdout.

Every message is a length and a pickle. Both ends are this program and the pipe is private to them, so nothing that
a peer sent is ever unpickled: a frame travels in it as bytes. The end of stdin, which also comes when the hub is
killed, is the end of this process.
"""

from __future__ import annotations

import pickle
import signal
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any

from hub.merge import sums as _sums  # noqa: F401 - numpy is loaded now, not while the first frame waits.
from hub.merge.proving import Arrival, Proof, prove
from sepe.errors import PeerProtocolError

# The public key that a frame must be signed with, or why there is none.
Key = bytes | PeerProtocolError
READY = "ready"

_LENGTH = struct.Struct("<Q")


def send(pipe: IO[bytes], message: object) -> None:
    """Write one message."""
    data = pickle.dumps(message, protocol=5)
    pipe.write(_LENGTH.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def receive(pipe: IO[bytes]) -> Any:
    """Read one message. Raises EOFError when the other end is gone."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (size,) = _LENGTH.unpack(head)
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return pickle.loads(data)


def answer(request: Sequence[tuple[Arrival, Key]]) -> Proof | str:
    """What was found of each arrival, or the name of an error that a frame caused here."""
    try:
        return [_prove(arrival, key) for arrival, key in request]
    except Exception as exc:
        # Only its kind: the text may hold a resident's data. The merge meets the frame again and isolates it.
        return type(exc).__name__


def _prove(arrival: Arrival, key: Key) -> Any:
    def public_key_of(node: str, key_id: bytes) -> bytes:
        if isinstance(key, PeerProtocolError):
            raise key
        return key

    return prove(arrival, public_key_of)


def main() -> None:
    """Answer until the hub is gone. Ctrl-C reaches the whole group; the hub decides then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    with suppress(EOFError, BrokenPipeError):
        send(sink, READY)
        while True:
            send(sink, answer(receive(source)))


if __name__ == "__main__":
    main()
