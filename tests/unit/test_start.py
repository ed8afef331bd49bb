"""What a command of the hub loads before it does anything."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import hub.cli
loaded = [name for name in ("numpy", "grpc", "nats", "psycopg") if name in sys.modules]
assert not loaded, f"a tenth of a second of every start for each of {loaded}"
import hub.run
assert "numpy" in sys.modules, "the first frame would wait for it"
"""


def test_a_hub_command_starts_without_arrays_and_servers_and_a_hub_with_them() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
