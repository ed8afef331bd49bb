"""What the demo shows while it plays: offices, lines, cards, and what the hub holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from surge.check import Check
from surge.demo.verdict import ProductRow

STORY_LINES = 8
LINK_STYLES = {"nats": "green", "grpc": "cyan", "offline": "bold red"}


@dataclass(slots=True)
class OfficeScene:
    """One office as it stands now. ``link``: nats, grpc or offline."""

    name: str
    node: str
    recorded: int = 0
    received: int = 0
    pending: int = 0
    link: str = "offline"
    sheets: int = 0
    waiting: int = 0
    is_cut: bool = False


@dataclass(slots=True)
class Scene:
    """The whole picture."""

    offices: list[OfficeScene]
    seconds: float = 0.0
    seconds_total: float = 0.0
    residents: int = 0
    duplicates: int = 0
    cases_open: int = 0
    cards: int = 0
    events: int = 0
    story: list[str] = field(default_factory=list)


def render(scene: Scene) -> RenderableType:
    """The live picture."""
    offices = Table(expand=True, title=f"{scene.seconds:.0f} of {scene.seconds_total:.0f} s")
    for heading in (
        "office",
        "node",
        "line",
        "recorded",
        "received by the centre",
        "pending",
        "printed",
        "waiting",
    ):
        offices.add_column(heading, justify="left" if heading in {"office", "node", "line"} else "right")
    for office in scene.offices:
        line = "cut" if office.is_cut else office.link
        offices.add_row(
            office.name,
            office.node,
            Text(line, style="bold red" if office.is_cut else LINK_STYLES.get(office.link, "")),
            str(office.recorded),
            str(office.received),
            Text(str(office.pending), style="yellow" if office.pending else ""),
            str(office.sheets),
            str(office.waiting),
        )
    hub = (
        f"events {scene.events:,}   residents {scene.residents:,}   duplicates {scene.duplicates}   "
        f"open cases {scene.cases_open}   cards and papers {scene.cards:,}"
    )
    return Group(
        offices,
        Panel(hub, title="hub"),
        Panel("\n".join(scene.story[-STORY_LINES:]) or " ", title="what happened"),
    )


def render_summary(checks: Sequence[Check], products: Sequence[ProductRow]) -> RenderableType:
    """The closing summary: the product table, then every check."""
    table = Table(title="by product", title_justify="left")
    table.add_column("product")
    for heading in ("came", "at the hub", "printed", "waiting", "asked again", "nothing to print"):
        table.add_column(heading, justify="right")
    columns = ("came", "merged", "printed", "waiting", "asked_again", "nothing_to_print")
    for row in products:
        table.add_row(row.product, *(str(getattr(row, column)) for column in columns))
    table.add_section()
    table.add_row("total", *(str(sum(getattr(row, c) for row in products)) for c in columns), style="bold")

    verdict = Table(title="verdict", title_justify="left")
    verdict.add_column("")
    verdict.add_column("check")
    verdict.add_column("expected", justify="right")
    verdict.add_column("found", justify="right")
    for check in checks:
        mark = Text("✓", style="green") if check.holds else Text("✗", style="bold red")
        verdict.add_row(mark, check.name, str(check.expected), str(check.found))
    return Group(table, verdict)
