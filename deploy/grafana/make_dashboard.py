"""Makes sepe.json, the Grafana dashboard, from rows of (title, unit, queries).

Run it with `python deploy/grafana/make_dashboard.py`. The JSON is committed; a test holds that it is what this file makes, and that every metric in it exists.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
HUB = '{job=~"sepe-hub|sepe-worker"}'
ONE = '{job="sepe-hub"}'
NODE = '{job="sepe-node"}'
WIDTH, HEIGHT, ACROSS = 8, 7, 3

Query = tuple[str, str]
Panel = tuple[str, str, tuple[Query, ...]]

# (title, unit, ((query, legend), …)); a row's title stands alone.
PANELS: tuple[str | Panel, ...] = (
    "Is it well?",
    ("Hub and workers up", "short", ((f"up{HUB}", "{{job}} {{instance}}"),)),
    ("Storage takes frames", "short", ((f"sepe_hub_storage_ok{HUB}", "{{instance}}"),)),
    ("NATS connected", "short", ((f"sepe_hub_nats_connected{HUB}", "{{instance}}"),)),
    "Events",
    ("Events merged a second", "cps", ((f"sum by (via) (rate(sepe_hub_events_merged_total{HUB}[5m]))", "{{via}}"),)),
    ("Events in the log", "short", ((f"sepe_hub_events{ONE}", "events"),)),
    ("Frames by verdict", "cps", ((f"sum by (verdict) (rate(sepe_hub_frames_total{HUB}[5m]))", "{{verdict}}"),)),
    ("Bytes received a second", "Bps", ((f"sum by (via) (rate(sepe_hub_frame_bytes_total{HUB}[5m]))", "{{via}}"),)),
    ("Frames refused an hour, by reason", "short", (
        (f"sum by (reason) (increase(sepe_hub_frames_refused_total{HUB}[1h])) > 0", "{{reason}}"),
    )),
    ("Time of a batch", "s", (
        (f"histogram_quantile(0.5, sum by (le) (rate(sepe_hub_merge_seconds_bucket{HUB}[5m])))", "half under"),
        (f"histogram_quantile(0.99, sum by (le) (rate(sepe_hub_merge_seconds_bucket{HUB}[5m])))", "99 % under"),
    )),
    "What waits",
    ("Frames waiting in each partition", "short", (
        (f"max by (partition) (sepe_hub_partition_waiting_frames{HUB})", "{{partition}}"),
    )),
    ("Handed out, not settled", "short", (
        (f"max by (partition) (sepe_hub_partition_unacked_frames{HUB})", "{{partition}}"),
    )),
    ("Queue in each process", "bytes", ((f"sepe_hub_queue_bytes{HUB}", "{{instance}}"),)),
    ("Answered with later, a second", "cps", ((f"rate(sepe_hub_frames_deferred_total{HUB}[5m])", "{{instance}}"),)),
    ("Events that offices hold and the hub lacks", "short", (
        (f"sepe_hub_lag_events{ONE}", "all offices"), (f"sepe_hub_lag_max_events{ONE}", "the most behind"),
    )),
    ("Longest unheard machine that is behind", "s", ((f"sepe_hub_behind_unheard_seconds{ONE}", "seconds"),)),
    "Offices",
    ("Machines by line", "short", ((f"sepe_hub_nodes_linked{ONE}", "{{link}}"),)),
    ("Machines with something amiss", "short", ((f"sepe_hub_nodes_flagged{ONE}", "{{flag}}"),)),
    ("Greatest clock difference", "s", ((f"sepe_hub_nodes_clock_skew_max_seconds{ONE}", "seconds"),)),
    ("Open cases", "short", ((f"sepe_hub_open_cases{ONE}", "{{kind}}"),)),
    ("Quarantine", "short", ((f"sepe_hub_quarantined_frames{ONE}", "{{reason}}"),)),
    ("Greetings a second", "cps", ((f"sum by (verdict) (rate(sepe_hub_greetings_total{HUB}[5m]))", "{{verdict}}"),)),
    "Cards",
    ("Cards that wait, and what printers can still make", "short", (
        (f"sepe_hub_waiting_cards{ONE}", "wait"), (f"sepe_hub_card_capacity{ONE}", "can be made today"),
    )),
    ("Blanks in all offices", "short", ((f"sepe_hub_blanks_at_hand{ONE}", "{{product}}"),)),
    ("Machines with printers", "short", ((f"sepe_hub_printing_nodes{ONE}", "machines"),)),
    "Machines underneath",
    ("Disk free", "bytes", ((f"sepe_hub_disk_free_bytes{ONE}", "{{instance}}"),)),
    ("Database", "bytes", ((f"sepe_hub_database_bytes{ONE}", "{{instance}}"),)),
    ("Memory", "bytes", ((f"process_resident_memory_bytes{HUB}", "{{job}} {{instance}}"),)),
    ("Cores used", "short", ((f"rate(process_cpu_seconds_total{HUB}[5m])", "{{job}} {{instance}}"),)),
    ("Stream", "bytes", ((f"max(sepe_hub_stream_bytes{HUB})", "bytes in JetStream"),)),
    ("Copies of the stream", "short", (
        (f"max(sepe_hub_stream_replicas{HUB})", "wanted"), (f"min(sepe_hub_stream_replicas_current{HUB})", "whole"),
    )),
    ("PostgreSQL connections", "short", (
        (f"sepe_hub_postgres_connections{ONE}", "open"), (f"sepe_hub_postgres_connections_limit{ONE}", "allowed"),
    )),
    ("Oldest transaction", "s", ((f"sepe_hub_postgres_oldest_transaction_seconds{ONE}", "seconds"),)),
    ("Read back", "s", ((f"time() - sepe_hub_verified_timestamp_seconds{ONE}", "since the last reading"),)),
    "Offices that are scraped themselves",
    ("Unsent events", "short", ((f"topk(20, sepe_node_pending_events{NODE})", "{{instance}}"),)),
    ("Age of the oldest unsent event", "s", ((f"topk(20, sepe_node_oldest_pending_seconds{NODE})", "{{instance}}"),)),
    ("Line in use", "short", ((f"sum by (link) (sepe_node_link{NODE})", "{{link}}"),)),
    ("Print jobs", "short", ((f"sum by (state) (sepe_node_prints{NODE})", "{{state}}"),)),
    ("Printers that make no card", "short", (
        (f"sum by (by) (sepe_node_printer_stopped{NODE})", "{{by}}"),
        ('sum(sepe_node_printer_mode{job="sepe-node",mode="paused"})', "paused by hand"),
    )),
    ("What needs a person", "short", ((f"sum by (code) (sepe_node_cautions{NODE})", "{{code}}"),)),
    ("Ribbons with the fewest cards left", "short", (
        (f"bottomk(20, sepe_node_ribbon_left_cards{NODE})", "{{instance}} {{printer}}"),
    )),
    ("Blanks at hand, the fewest", "short", (
        (f"bottomk(20, sepe_node_blanks_at_hand{NODE})", "{{instance}} {{product}}"),
    )),
    ("Disk free, the least", "bytes", ((f"bottomk(20, sepe_node_disk_free_bytes{NODE})", "{{instance}}"),)),
)  # fmt: skip


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    column, top = 0, 0
    for number, panel in enumerate(PANELS, start=1):
        if isinstance(panel, str):
            top, column = top + (HEIGHT if column else 0), 0
            panels.append(
                {"id": number, "type": "row", "title": panel, "collapsed": False, "panels": [],
                 "gridPos": {"x": 0, "y": top, "w": WIDTH * ACROSS, "h": 1}}
            )  # fmt: skip
            top += 1
            continue
        panels.append(_panel(number, panel, {"x": column * WIDTH, "y": top, "w": WIDTH, "h": HEIGHT}))
        column += 1
        if column == ACROSS:
            column, top = 0, top + HEIGHT
    return {
        "uid": "sepe", "title": "Sepe", "tags": ["sepe"], "schemaVersion": 41, "version": 1, "editable": True,
        "refresh": "30s", "timezone": "browser", "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [
            {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0}
        ]},
        "annotations": {"list": []},
        "panels": panels,
    }  # fmt: skip


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    title, unit, queries = panel
    targets = [
        {"refId": chr(ord("A") + index), "expr": query, "legendFormat": legend, "datasource": SOURCE}
        for index, (query, legend) in enumerate(queries)
    ]
    return {
        "id": number, "type": "timeseries", "title": title, "datasource": SOURCE, "gridPos": place,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
                    "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": targets,
    }  # fmt: skip


if __name__ == "__main__":
    text = json.dumps(dashboard(), indent=1) + "\n"
    (Path(__file__).parent / "sepe.json").write_text(text, encoding="utf-8")
