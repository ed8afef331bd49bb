"""Fixtures that several kinds of tests share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.postgres import PostgresServer


def pytest_addoption(parser: pytest.Parser) -> None:
    """`tests/e2e/test_command_scripts.py` reads it; an option must be known before any test file is."""
    parser.addoption("--rewrite", action="store_true", help="write what command scripts say now into their files")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The one PostgreSQL server of this process of the test run."""
    from tests.support.postgres import serving

    with serving() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """Where one hub stores, as `HubStore.create` takes it: every test with this fixture runs on both engines."""
    if request.param == "sqlite":
        return ""
    from tests.support.postgres import emptied

    return emptied(request.getfixturevalue("_shared_database"))


@pytest.fixture(scope="session")
def _shared_database(postgres: PostgresServer) -> str:
    return postgres.database()
