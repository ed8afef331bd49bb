"""What an ordinary office program talks to: a gRPC server that writes one row per call, a durable commit each.

Usage: python -m bench.rivals.rpc_insert DATABASE; prints its port when it listens.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc.aio

from sepe.wire.v1 import event_pb2
from sepe_io.sqlite import connect, transaction

METHOD = "/bench.Office/Record"
FIELDS = tuple(field.name for field in event_pb2.Recorded.DESCRIPTOR.fields if field.number <= 22)


async def serve(path: Path) -> None:
    """Serve until killed."""
    database = connect(path)
    database.execute(f"CREATE TABLE resident (nik INTEGER, {', '.join(FIELDS)})")
    insert = f"INSERT INTO resident VALUES ({', '.join('?' * (1 + len(FIELDS)))})"

    async def record(request: bytes, context: Any) -> bytes:
        body = event_pb2.Recorded.FromString(request[8:])
        with transaction(database):
            database.execute(
                insert, (int.from_bytes(request[:8], "little"), *(getattr(body, name) for name in FIELDS))
            )
        return b"ok"

    server = grpc.aio.server()
    handlers: dict[str, Any] = {METHOD.rpartition("/")[2]: grpc.unary_unary_rpc_method_handler(record)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Office", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
