"""What others do with the same records in the same minute: PouchDB, a call and an INSERT per record, pycrdt, loro.

Ours goes from an outbox over NATS to the hub's merge and back to a durable watermark, as in `bench.relay`. The
others get the friendliest setting there is: PouchDB replicates to its own server in batches of a thousand, what it
holds was stored before; the two CRDT libraries work in one process over no line (`bench.rivals.crdt`). All are
installed from locked hashes into a scratch folder, kept under ``.venv`` for the next run; the product has none.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import grpc.aio

from bench.disk import disk
from bench.people import people
from bench.relay import drain
from bench.rivals.rpc_insert import FIELDS, METHOD
from bench.table import Row, Target
from sepe.events import Draft
from sepe.wire.v1 import event_pb2

ROOT = Path(__file__).resolve().parent.parent
RIVALS = ROOT / "bench" / "rivals"
PYTHON = ROOT / ".venv" / "bin" / "python"
UV = ROOT / ".boot" / "bin" / "uv"
RECORDS = 40_000
RECORDS_FULL = 200_000
# One call after the other: a share of the records tells as much, and the rest would take minutes.
CALLS = 2_000
TIMEOUT_S = 1_800
PATIENT = Target(ratio_min=20)
QUICK = Target(ratio_min=2)


def run(full: bool = False) -> list[Row]:
    """Rows for ``run.py bench``. Without npm or the registries a rival's row is left out, and it is said why."""
    drafts = people(0, RECORDS_FULL if full else RECORDS)
    with tempfile.TemporaryDirectory(prefix="sepe-bench-", dir=disk()) as folder:
        scratch = Path(folder)
        records = scratch / "records.jsonl"
        records.write_text("\n".join(map(_json, drafts)) + "\n")
        ours = drain(scratch / "ours", "nats", drafts).rate
        rivals: list[tuple[str, Target, Callable[[], float]]] = [
            ("PouchDB replicating to its server", PATIENT, lambda: len(drafts) / _pouchdb(scratch, records)),
            ("one gRPC call and one INSERT per record", PATIENT, lambda: _calls(scratch, drafts[:CALLS])),
            ("pycrdt, a map per record", QUICK, lambda: len(drafts) / _crdt("pycrdt", scratch, records)),
            ("loro, a map per record", QUICK, lambda: len(drafts) / _crdt("loro", scratch, records)),
        ]
        rows = []
        for name, target, measure in rivals:
            try:
                rate = measure()
            except (OSError, subprocess.SubprocessError) as exc:
                print(f"bench: {name} could not be measured: {exc}")
                continue
            rows.append(
                Row(f"{len(drafts):,} records, outbox to hub and back", ours, "records/s", name, rate, target)
            )
    return rows


def _json(one: Draft) -> str:
    body = event_pb2.Recorded.FromString(one.body)
    return json.dumps({"nik": f"{one.nik:016}", **{name: str(getattr(body, name)) for name in FIELDS}})


# PouchDB


def _pouchdb(scratch: Path, records: Path) -> float:
    """Seconds of one replication."""
    modules = _npm()
    server_data, client_data = scratch / "pouchdb-server", scratch / "pouchdb-office"
    server_data.mkdir()
    client_data.mkdir()
    with _listening(["node", modules / "pouchdb_server.cjs", server_data], modules) as port:
        remote = f"http://127.0.0.1:{port}/hub"
        done = _call("node", modules / "pouchdb_client.cjs", client_data, records, remote, cwd=modules)
    return float(json.loads(done.splitlines()[-1])["replicate_s"])


def _npm() -> Path:
    """A folder with the locked packages and the two programs beside them."""
    folder = _scratch_of("npm", RIVALS / "package-lock.json")
    for name in ("package.json", "package-lock.json", "pouchdb_server.cjs", "pouchdb_client.cjs"):
        shutil.copy(RIVALS / name, folder / name)
    if not (folder / "node_modules" / "pouchdb").is_dir():
        # No package's own scripts run: the compiled parts come prebuilt.
        _call("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", cwd=folder)
    return folder


# A call and an INSERT


def _calls(scratch: Path, drafts: Sequence[Draft]) -> float:
    """Records per second, each answered before the next."""

    async def send(port: int) -> float:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            record: Any = channel.unary_unary(METHOD)
            began = time.perf_counter()
            for one in drafts:
                assert await record(one.nik.to_bytes(8, "little") + one.body) == b"ok"
            return len(drafts) / (time.perf_counter() - began)

    with _listening([PYTHON, "-m", "bench.rivals.rpc_insert", scratch / "rows.db"], ROOT) as port:
        return asyncio.run(send(port))


# CRDT libraries


def _crdt(library: str, scratch: Path, records: Path) -> float:
    """Seconds from the first record to the last durable commit."""
    lock = RIVALS / "requirements.lock"
    python = _scratch_of("crdt", lock) / "venv" / "bin" / "python"
    if not python.exists():
        venv = python.parent.parent
        _call(UV, "venv", "--quiet", "--python", PYTHON, venv, cwd=ROOT)
        _call(UV, "pip", "sync", "--quiet", "--python", python, "--require-hashes", lock, cwd=ROOT)
    return float(_call(python, RIVALS / "crdt.py", library, records, scratch, cwd=scratch))


# Programs


def _scratch_of(name: str, lock: Path) -> Path:
    """Where what a lock file names is installed; another lock, another folder."""
    folder = ROOT / ".venv" / "bench" / f"{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _call(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode:
        raise subprocess.SubprocessError(f"{Path(command[0]).name}: {(done.stderr or done.stdout)[-300:]}")
    return done.stdout


@contextmanager
def _listening(command: Sequence[str | Path], cwd: Path) -> Iterator[int]:
    """A program that prints its port when it listens; ended at the end of the block."""
    process = subprocess.Popen(list(map(str, command)), cwd=cwd, stdout=subprocess.PIPE, text=True)
    try:
        yield _port(process.stdout)
    finally:
        process.kill()
        process.wait()


def _port(output: IO[str] | None) -> int:
    assert output is not None
    line = output.readline().strip()
    if not line.isdigit():
        raise subprocess.SubprocessError(f"it did not begin to listen: {line[:200]!r}")
    return int(line)
