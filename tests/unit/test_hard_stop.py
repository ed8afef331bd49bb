"""A run whose tests hang goes on and fails; and nothing here forks a process in which threads run."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HANGING = """
import ctypes, subprocess, sys, threading, time
import pytest

@pytest.mark.timeout(1)
def test_waits_again_when_it_is_told_to_stop():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(child.pid, file=open(PIDS, "a"))
    while True:
        try:
            child.wait()
        except BaseException:
            pass

@pytest.mark.timeout(1)
def test_joins_a_thread():
    thread = threading.Thread(target=time.sleep, args=(600,))
    thread.start()
    try:
        thread.join()
    finally:
        thread.join()

@pytest.mark.timeout(1)
def test_hangs_in_c_code_with_pythons_lock_held():
    ctypes.PyDLL(None).sleep(600)

def test_after_them():
    pass
"""


def test_hanging_tests_end_and_the_others_are_played(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    (tmp_path / "test_hanging.py").write_text(HANGING.replace("PIDS", repr(str(pids))))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.support.hard_stop", "-n", "2", "--dist", "load",
         "--rootdir", tmp_path, "--max-worker-restart", "8", tmp_path],
        cwd=ROOT, env={**os.environ, "SEPE_TEST_GRACE_S": "1"}, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert re.search(r"\b3 failed\b", done.stdout) and re.search(r"\b1 passed\b", done.stdout), done.stdout
    assert done.returncode == 1
    assert "hangs beyond its limit" in done.stderr
    for pid in pids.read_text().split():
        assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text()


def test_no_process_is_forked_where_threads_may_run() -> None:
    """A fork copies one thread and every lock: a child of a process with gRPC's threads waits for them for ever."""
    forks = re.compile(
        r"os\.fork\(|ProcessPoolExecutor\((?!.*mp_context)|multiprocessing\.(Pool|Process|Manager)\(|get_context\(\"fork"
    )
    found = [
        str(path.relative_to(ROOT))
        for folder in ("sepe", "sepe_io", "node", "hub", "surge", "bench", "tests")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path != Path(__file__) and forks.search(path.read_text(encoding="utf-8"))
    ]
    # Each forks from a process of its own that has one thread and has opened nothing.
    assert found == ["tests/integration/test_print_kills.py", "tests/support/warm.py"]
