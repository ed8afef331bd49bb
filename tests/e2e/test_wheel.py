"""The wheel holds all that the program needs."""

from __future__ import annotations

from pathlib import Path

from tests.support.installed import Sepe


def test_the_wheel_brings_packages_and_data_and_nothing_of_the_tests(site: Path) -> None:
    tops = {path.name for path in site.iterdir() if path.is_dir() and not path.name.endswith(".dist-info")}
    assert tops == {"sepe", "sepe_io", "node", "hub", "surge"}
    assert (site / "sepe_io" / "data" / "wilayah_kecamatan.csv").stat().st_size > 100_000
    entry_points = next(site.glob("*.dist-info/entry_points.txt")).read_text()
    assert "sepe = surge.program:main" in entry_points


def test_the_installed_program_runs_from_the_wheel_and_shows_its_parts(sepe: Sepe) -> None:
    shown = sepe.ok("--help")
    for part in ("hub", "node", "surge", "demo"):
        assert part in shown
    assert sepe.ok("--version").strip()


def test_every_command_teaches_in_its_help(sepe: Sepe) -> None:
    for part in ("hub", "node"):
        assert "Usage" in sepe.ok(part, "--help")
