"""Fresh seeds of the I/O-free world; four such files, because a worker of the test run takes whole files."""

from __future__ import annotations

import pytest

from tests.support import fresh_seeds


@pytest.mark.parametrize("batch", range(fresh_seeds.BATCHES))
def test_fresh_worlds_lose_and_double_nothing(batch: int) -> None:
    fresh_seeds.assert_fresh_worlds_green(0, batch)
