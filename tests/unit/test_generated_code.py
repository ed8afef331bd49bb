"""The committed protobuf code is what its generator writes, and pip cannot pick a runtime it refuses."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from proto.generate import generate

ROOT = Path(__file__).resolve().parents[2]


def test_regeneration_gives_no_difference(tmp_path: Path) -> None:
    for written in generate(tmp_path):
        assert (ROOT / written).read_bytes() == (tmp_path / written).read_bytes(), f"run.py generate: {written}"


def test_dependency_floors_equal_the_generators_versions() -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    floors = dict(line.split(">=") for line in dependencies if ">=" in line)
    pb2 = (ROOT / "sepe/wire/v1/event_pb2.py").read_text()
    grpc = (ROOT / "sepe/rpc/v1/sync_pb2_grpc.py").read_text()
    assert floors["protobuf"] == re.search(r"Protobuf Python Version: (\S+)", pb2)[1]
    assert floors["grpcio"] == re.search(r"GRPC_GENERATED_VERSION = '(\S+)'", grpc)[1]


def test_the_wire_contract_breaks_nothing_that_was_released() -> None:
    # An image and not the last git tag: a shallow clone has no tags, and a check without a base passes everything.
    released = "proto/released.binpb"
    buf = Path(sys.executable).parent / "buf"
    result = subprocess.run([buf, "breaking", "--against", released], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
