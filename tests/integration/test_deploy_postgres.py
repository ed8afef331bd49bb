"""PostgreSQL started with deploy/postgresql/sepe.conf, and what a hub on it tells Prometheus."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from hub.merge.store import HubStore
from hub.metrics import Metrics
from hub.read import figures
from tests.support.postgres import serving
from tests.support.processes import ROOT

SETTINGS = ROOT / "deploy/postgresql/sepe.conf"
# What a small machine cannot give; everything else is started as it stands.
SMALL = {"shared_buffers": "32MB", "min_wal_size": "80MB"}


def test_a_server_starts_with_the_settings_and_the_hub_tells_its_state(tmp_path: Path) -> None:
    text = SETTINGS.read_text()
    for name, value in SMALL.items():
        text, count = re.subn(rf"^{name} = .*$", f"{name} = {value}", text, flags=re.MULTILINE)
        assert count == 1
    wanted = dict(re.findall(r"^(\w+) = '?([^'\n#]+?)'?$", text, re.MULTILINE))
    with serving(*(f"{name}={value}" for name, value in wanted.items() if name != "fsync")) as server:
        with psycopg.connect(server.url.format("postgres")) as connection:
            for name, value in wanted.items():
                found = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
                assert found is not None
                # The tests' own server does not sync.
                assert same(found[0], value) or name == "fsync", f"{name} is {found[0]}, not {value}"
        with HubStore.create(tmp_path / "hub", now_ms=1, database=server.database()) as store:
            metrics = Metrics()
            metrics.add_figures(figures.reader(store))
            page = metrics.render().decode()
    assert 'sepe_hub_database_info{engine="postgresql"' in page and "sepe_hub_database_up 1.0" in page
    assert f"sepe_hub_postgres_connections_limit {wanted['max_connections']}.0" in page
    assert float(
        re.findall(r"^sepe_hub_postgres_clock_ahead_seconds (\S+)", page, re.MULTILINE)[0]
    ) == pytest.approx(0, abs=5)
    used = set(re.findall(r"sepe_hub_postgres_\w+", (ROOT / "deploy/prometheus/alerts.yml").read_text()))
    used |= set(re.findall(r"sepe_hub_postgres_\w+", (ROOT / "deploy/grafana/sepe.json").read_text()))
    # The lag is told only of a standby, which there is none of.
    assert used - {"sepe_hub_postgres_standby_lag_bytes"} <= set(re.findall(r"^sepe_\w+", page, re.MULTILINE))


def same(found: str, wanted: str) -> bool:
    """Whether two spellings of a setting mean the same."""
    units = {"min": 60, "s": 1, "GB": 1 << 30, "MB": 1 << 20, "kB": 1 << 10}

    def plain(text: str) -> str:
        number = re.fullmatch(r"([\d.]+)(min|s|GB|MB|kB)?", text)
        return text if number is None else str(float(number[1]) * units.get(number[2] or "", 1))

    return plain(found) == plain(wanted)


def test_a_database_that_is_gone_is_told_and_holds_no_page_up(tmp_path: Path) -> None:
    with HubStore.create(tmp_path / "hub", now_ms=1) as store:
        metrics = Metrics()
        metrics.add_figures(figures.reader(store))
        assert "sepe_hub_database_up 1.0" in metrics.render().decode()
        (tmp_path / "hub/hub.db").rename(tmp_path / "elsewhere.db")
        metrics = Metrics()
        metrics.add_figures(figures.reader(store))
        page = metrics.render().decode()
    assert "sepe_hub_database_up 0.0" in page and "sepe_hub_queue_frames 0.0" in page
