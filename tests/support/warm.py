"""The program, started in a hundredth of a second: a process that has everything loaded forks one for each command.

A command is a process of its own, with its own folder, environment and output, as when an operator types it; only
the second that Python takes to load the program is spent once. What loads it runs no thread and opens nothing, so
there is nothing that a fork could cut in half.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

COMMAND_TIMEOUT_S = 60.0

_LOADED = r"""
import gc, json, os, signal, sys
import surge.program, hub.cli, node.cli
import node.desk.record, node.desk.hand_over, node.desk.status, node.desk.doctor, node.desk.confirm
import node.printing.press, node.printing.paper, node.link.rights, node.sync
import hub.merge.store, hub.read.hints
from sepe_io.regions import region_table
region_table()
gc.collect(); gc.freeze()

def child(wish):
    os.chdir(wish["folder"])
    os.environ.update(wish["env"])
    for place, name in ((0, "in"), (1, "out"), (2, "err")):
        how = os.O_RDONLY if not place else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(wish[name], how, 0o600), place)
    sys.argv = ["sepe", *wish["words"]]
    signal.alarm(wish["seconds"])
    try:
        surge.program.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback
        traceback.print_exc()
        code = 70
    else:
        code = 0
    sys.stdout.flush(); sys.stderr.flush()
    os._exit(code)

print(flush=True)
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        child(json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Said:
    """What a command left: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str


class WarmProgram:
    """Runs one command after the other.

    Args:
        site: the folder that holds the packages: the checkout, or an unpacked wheel.
        scratch: a folder of its own for what commands read and write.
    """

    def __init__(self, site: Path, scratch: Path) -> None:
        scratch.mkdir(parents=True)
        self._in, self._out, self._err = scratch / "in", scratch / "out", scratch / "err"
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LOADED],
            cwd=site,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "120"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def run(
        self, words: Sequence[str], *, folder: Path, text: str = "", env: Mapping[str, str] | None = None
    ) -> Said:
        """One command to its end, with ``text`` as its standard input."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._in.write_text(text, encoding="utf-8")
        wish = {
            "words": list(words), "folder": str(folder), "env": dict(env or {}), "seconds": int(COMMAND_TIMEOUT_S),
            "in": str(self._in), "out": str(self._out), "err": str(self._err),
        }  # fmt: skip
        self._process.stdin.write(json.dumps(wish) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return Said(code, self._out.read_text(encoding="utf-8"), self._err.read_text(encoding="utf-8"))

    def end(self) -> None:
        """No more commands."""
        self._process.communicate(timeout=10)
