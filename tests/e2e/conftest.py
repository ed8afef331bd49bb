"""The wheel as a user installs it: built here, unpacked beside nothing of the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "from surge.program import main; main()"


@dataclass
class Sepe:
    """Runs the installed program; every process it leaves running is ended by its id."""

    site: Path
    home: Path
    children: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.site), "NO_COLOR": "1", "COLUMNS": "120"}

    def __call__(
        self, *words: object, stdin: str | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", PROGRAM, *map(str, words)]
        return subprocess.run(
            command, cwd=self.home, env=self.env, input=stdin, capture_output=True, text=True, timeout=timeout
        )

    def ok(self, *words: object, stdin: str | None = None, timeout: float = 120) -> str:
        """The command's stdout; it must exit 0."""
        result = self(*words, stdin=stdin, timeout=timeout)
        assert result.returncode == 0, f"{words}: exit {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def start(self, *words: object) -> subprocess.Popen[str]:
        """A process that goes on; its first line on stdout says that it is ready."""
        command = [sys.executable, "-c", PROGRAM, *map(str, words)]
        log = (self.home / f"stderr-{len(self.children)}.log").open("w")
        child = subprocess.Popen(
            command, cwd=self.home, env=self.env, stdout=subprocess.PIPE, stderr=log, text=True
        )
        log.close()
        self.children.append(child)
        return child

    def end(self) -> None:
        for child in self.children:
            if child.poll() is None:
                child.terminate()
        for child in self.children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(10)
            if child.stdout:
                child.stdout.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the wheel holds."""
    into = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = into.glob("*.whl")
    target = into / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


@pytest.fixture
def sepe(site: Path, tmp_path: Path) -> Iterator[Sepe]:
    program = Sepe(site, tmp_path)
    yield program
    program.end()
