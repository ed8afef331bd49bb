"""The files in deploy/ are understood by the tools that will read them."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))


def complaints(unit: Path, tmp_path: Path) -> list[str]:
    """What systemd says of a unit; a misspelt key only shows on stderr, the exit code stays 0."""
    program = tmp_path / "sepe"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    # The program is not installed at its place here, which is not what is under test.
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"ExecStart=\S+", f"ExecStart={program}", unit.read_text()))
    result = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True)
    return [line for line in result.stderr.splitlines() if copy.name in line]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_every_line_of_a_unit(unit: Path, tmp_path: Path) -> None:
    assert complaints(unit, tmp_path) == []


def test_a_misspelt_key_would_be_noticed(tmp_path: Path) -> None:
    unit = tmp_path / "wrong.service"
    unit.write_text(UNITS[0].read_text().replace("ProtectHome=", "ProtectHouse="))
    folder = tmp_path / "copy"
    folder.mkdir()
    assert any("ProtectHouse" in line for line in complaints(unit, folder))
