"""What a running hub, worker and node tell Prometheus and systemd: names that exist, and no more of them than fixed sets."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hub.ingest.partitions import PARTITIONS
from hub.merge.proving import Arrival
from hub.merge.store import Outcome
from hub.metrics import OTHER, REASONS, Metrics
from node.attach.uploader import UploadView
from node.clock import now_ms
from node.figures import CAUTIONS_MAX, PRINTERS_MAX, Condition, Figures
from node.outbox.view import RelayView
from node.printing.condition import Condition as PrinterCondition
from node.printing.condition import Conditions
from node.printing.printers import Mode, Printer
from node.stock import Stock, Story, opening_range
from node.stock.supplies import Supplies
from node.storage.store import NodeStore
from sepe_io import supervisor
from tests.support.processes import ROOT, Program, hub_run, node_run, running, start
from tests.support.relay_rig import Hub, make_office, write_backlog

RULES = ROOT / "deploy/prometheus/alerts.yml"
DASHBOARD = ROOT / "deploy/grafana/sepe.json"
NAME = re.compile(r"\b(?:sepe_(?:hub|node)|process)_\w+")
# A server of its own would show these; here the hub is on SQLite (tests/integration/test_deploy_postgres.py).
OF_POSTGRES = re.compile(r"sepe_hub_postgres_\w+")
LINES_MAX = 450


def page(address: str) -> str:
    with urllib.request.urlopen(f"{address}/metrics", timeout=30) as answer:
        return str(answer.read().decode())


def names(text: str) -> set[str]:
    return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}


class Listener:
    """A socket as systemd gives it to a service, and what was told there."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "600000"}
        self.words: list[str] = []
        self._heard = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            told = self.socket.recv(4096).decode().splitlines()
            with self._heard:
                self.words += told
                self._heard.notify_all()

    def until(self, word: str, times: int = 1) -> None:
        with self._heard:
            assert self._heard.wait_for(lambda: self.words.count(word) >= times, 60), self.words


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The pages of all three, once events went through; on the way each said to systemd what it should."""
    folder = tmp_path_factory.mktemp("m")
    listeners = {name: Listener(folder / f"{name}.socket") for name in ("hub", "worker", "node")}
    patch = pytest.MonkeyPatch()

    def told(name: str, begin: object) -> Program:
        for key, value in listeners[name].environment.items():
            patch.setenv(key, value)
        program: Program = begin()  # type: ignore[operator]
        patch.undo()
        return program

    hub = Hub.make(folder / "hub")
    hub.program = told("hub", lambda: hub_run(hub.directory))
    office = make_office(folder / "node", hub, nats=hub.nats)
    write_backlog(office, 30)
    printer = f"folder:{folder / 'cards'}"
    with closing(NodeStore.open(office)) as store:
        Stock(store).receive(
            opening_range("537104-1", "ktp-el", 10), story=Story(reason="opening"), now_ms=now_ms()
        )
        Conditions(store).change_ribbon(printer, now_ms(), 400)
    worker = told("worker", lambda: start("hub", "worker", hub.directory, "--http", "127.0.0.1:0"))
    node = told("node", lambda: node_run(office, "--printer", printer))
    with running(hub.program), running(worker), running(node):
        until = time.monotonic() + 60
        while "sepe_node_durable_seq 31.0" not in page(node.ready["http"]):
            assert time.monotonic() < until, node.tail()
            time.sleep(0.1)
        addresses = {"hub": hub.program, "worker": worker, "node": node}
        while "sepe_hub_partition_waiting_frames{" not in page(hub.program.ready["http"]):
            assert time.monotonic() < until, hub.program.tail()
            time.sleep(0.1)
        # The figures of the database are read again after some seconds.
        found = {name: page(program.ready["http"]) for name, program in addresses.items()}
        for name, program in addresses.items():
            listeners[name].until("READY=1")
            listeners[name].until("WATCHDOG=1", times=3)
            assert "STOPPING=1" not in listeners[name].words
            assert program.stop() == 0, program.tail()
            listeners[name].until("STOPPING=1")
        yield found


def test_every_metric_of_the_alerts_and_the_dashboard_is_exported(pages: dict[str, str]) -> None:
    exported = set().union(*(names(text) for text in pages.values()))
    for file in (RULES, DASHBOARD):
        used = set(NAME.findall(file.read_text()))
        assert used and {name for name in used if not OF_POSTGRES.fullmatch(name)} <= exported, file.name


def test_the_reference_names_every_metric_and_no_other(pages: dict[str, str]) -> None:
    page = (ROOT / "docs/reference/metrics.md").read_text()
    told = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    families = {
        family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        for text in pages.values()
        for family in text_string_to_metric_families(text)
    }
    exported = {name for name in families if name.startswith("sepe_")}
    assert exported <= told, exported - told
    assert {name for name in told - exported if not OF_POSTGRES.fullmatch(name)} == set()


def test_names_and_types_are_as_prometheus_wants_them(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
        assert done.returncode == 0 and done.stderr == "", f"{name}: {done.stderr}"


def test_the_pages_are_short_and_name_neither_people_nor_machines(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        assert text.count("\n") < LINES_MAX, name
        assert not re.search(r"(?<![\d.])\d{16}(?!\d)|MARIA|537104-1", text), name


def test_the_hub_tells_what_was_merged_and_what_is_behind(pages: dict[str, str]) -> None:
    merged = re.findall(r"sepe_hub_events_merged_total\{via=\"nats\"\} ([\d.]+)", pages["hub"] + pages["worker"])
    # 30 recordings, and the blanks that came.
    assert sum(map(float, merged)) == 31
    assert "sepe_hub_nodes 1.0" in pages["hub"] and "sepe_hub_database_up 1.0" in pages["hub"]
    # One process tells what the database holds: sums over all of them stay right.
    assert "sepe_hub_nodes " not in pages["worker"]


def test_ten_thousand_offices_and_any_reason_make_no_label_more() -> None:
    metrics = Metrics()
    for number in range(10_000):
        arrival = Arrival(b"", ("nats", "grpc")[number % 2], 0, f"{number:06}-1")
        metrics.merged([arrival], [Outcome(None, None, f"reason_{number}")], 0.01)
    for number in range(PARTITIONS):
        metrics.pipe.waiting[number] = 1
    text = metrics.render().decode()
    assert text.count("\n") < LINES_MAX
    assert f'sepe_hub_frames_refused_total{{reason="{OTHER}"}} 10000.0' in text


def test_the_reasons_are_those_of_the_code() -> None:
    # Where frames are opened, proven and merged; attachments and claims have reasons of their own.
    files = [*(ROOT / "hub/merge").glob("*.py"), ROOT / "sepe_io/frames.py", ROOT / "sepe/codec.py"]
    literal = re.compile(r'PeerProtocolError\(\s*"([a-z_]+)"')
    found = {reason for path in files for reason in literal.findall(path.read_text(encoding="utf-8"))}
    assert found and found <= REASONS, found - REASONS


def test_many_printers_and_odd_codes_make_few_labels() -> None:
    printers = tuple(
        Printer(f"ipp://admin:word{n}@10.0.0.{n}/ipp", f"p{n}", frozenset({"card"}), Mode.ON) for n in range(500)
    )
    supplies = Supplies({"ktp-el": 3}, 50, tuple(PrinterCondition(one.address) for one in printers), 0)
    codes = (*(f"code_{'x' * n}" for n in range(200)), "Not a code 5371044101909001")
    condition = Condition("537104-1", supplies=supplies, printers=printers, cautions=codes)
    text = Figures(RelayView(), UploadView()).render(condition).decode()
    assert text.count("sepe_node_printer_cards_today{") == PRINTERS_MAX
    assert text.count("sepe_node_cautions{") <= CAUTIONS_MAX
    assert "word" not in text and "5371044101909001" not in text


def test_a_supervisor_that_reads_nothing_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "s"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "s"))
        assert supervisor.ready("up") is True
        assert not all(supervisor.ready("still up") for _ in range(2_000))


def test_without_a_supervisor_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert supervisor.ready("up") is False
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert supervisor.watchdog_s() is None
    monkeypatch.delenv("WATCHDOG_PID")
    assert supervisor.watchdog_s() == 30
