"""Every command script says what stands below its line ``----``, on a hub and two offices that are real processes.

``pytest tests/e2e/test_command_scripts.py --rewrite`` writes what they say now into the files: read the difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.script import SEPARATOR, Playing, ScriptError, clocks_of, is_alone, split
from tests.support.stage import Stage

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.script"))


class Stages:
    """The stage that scripts share, and those that one has for itself."""

    def __init__(self, folder: Path, site: Path) -> None:
        self._folder, self._site = folder, site
        self._count = 0
        self._shared: Stage | None = None

    def play(self, text: str) -> str:
        commands, _ = split(text)
        if is_alone(commands):
            stage = self._made(clocks=clocks_of(commands))
            try:
                return Playing(stage).play(commands)
            finally:
                stage.end()
        stage = self._shared = self._shared or self._made()
        try:
            said = Playing(stage).play(commands)
            stage.make_whole()
        except BaseException:
            self.end()
            raise
        return said

    def end(self) -> None:
        if self._shared is not None:
            self._shared.end()
            self._shared = None

    def _made(self, clocks: tuple[str, ...] = ()) -> Stage:
        self._count += 1
        return Stage(self._folder / f"stage-{self._count}", self._site, clocks=clocks)


@pytest.fixture(scope="module")
def stages(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    made = Stages(tmp_path_factory.mktemp("scripts"), site)
    yield made
    made.end()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_says_what_is_expected(path: Path, stages: Stages, request: pytest.FixtureRequest) -> None:
    text = path.read_text(encoding="utf-8")
    said = stages.play(text)
    if request.config.getoption("--rewrite"):
        path.write_text(f"{split(text)[0]}\n{SEPARATOR}\n{said}", encoding="utf-8")
    else:
        assert said == split(text)[1]


def test_a_line_that_is_no_command_is_named_by_its_number(stages: Stages) -> None:
    with pytest.raises(ScriptError, match=r"line 2: node \./oebobo dance"):
        stages.play("# A story.\nnode ./oebobo dance\n----\n")
