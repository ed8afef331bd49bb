"""The program as installed from the wheel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support import processes
from tests.support.processes import Program


class Sepe:
    """Runs the installed program; every process it leaves running is ended by its id."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self.programs: list[Program] = []

    def __call__(
        self, *words: object, stdin: str | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "120"}
        command = [sys.executable, "-m", "surge.program", *map(str, words)]
        return subprocess.run(
            command, cwd=self.site, env=env, input=stdin, capture_output=True, text=True, timeout=timeout
        )

    def ok(self, *words: object, stdin: str | None = None, timeout: float = 120) -> str:
        """The command's stdout; it must exit 0."""
        result = self(*words, stdin=stdin, timeout=timeout)
        assert result.returncode == 0, f"{words}: exit {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def hub_run(self, directory: Path, *options: object) -> Program:
        return self._kept(processes.hub_run(directory, *options, site=self.site))

    def node_run(self, directory: Path, *options: object) -> Program:
        return self._kept(processes.node_run(directory, *options, site=self.site))

    def _kept(self, program: Program) -> Program:
        self.programs.append(program)
        return program

    def end(self) -> None:
        for program in self.programs:
            program.kill()
