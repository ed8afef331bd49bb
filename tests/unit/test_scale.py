"""docs/scale.md says what follows from docs/performance.md, and nothing else."""

import pytest

from bench.scale import LINES, MEASURED, PAGE, measured, page


def test_the_page_is_what_its_maker_makes_of_the_measurements() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(MEASURED.read_text(encoding="utf-8")), "python -m bench.scale"


def test_another_measurement_makes_another_page() -> None:
    text = MEASURED.read_text(encoding="utf-8")
    worker = f"{measured(text)['worker']:,.0f}"
    assert page(text.replace(f"one worker | {worker}", "one worker | 10,000")) != page(text)


def test_a_measurement_that_is_gone_is_named() -> None:
    row = LINES["claims"][0]
    with pytest.raises(SystemExit, match=row):
        measured(MEASURED.read_text(encoding="utf-8").replace(row, "claims of another kind"))
