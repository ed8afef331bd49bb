"""What logging brings into a process."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import sepe_io.logs
assert not [name for name in sys.modules if name.partition(".")[0] == "rich"], "a tenth of a second of every start"
import rich.console  # The tables of our commands still have it.
sepe_io.logs.set_up(as_json=False)
nik = "5371044101909001"
try:
    raise ValueError("told")
except ValueError:
    sepe_io.logs.logger("test").exception("thing.failed")
"""


def test_logging_starts_without_rich_and_a_traceback_for_people_shows_no_local_variable() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "ValueError: told" in done.stderr
    assert "5371044101909001" not in done.stderr
