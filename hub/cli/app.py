"""The tree of ``sepe hub`` commands.

Each module below adds its own by a function ``register(app)``. All work the same beside a running hub.
"""

from __future__ import annotations

import importlib

import typer

MODULES = (
    "hub.cli.setup", "hub.cli.look", "hub.cli.duplicates", "hub.cli.attach", "hub.cli.repair", "hub.cli.decide",
    "hub.cli.rights", "hub.cli.keep",
    "hub.cli.verify", "hub.cli.blanks", "hub.cli.dispatch", "hub.cli.move", "hub.cli.partitions", "hub.cli.broker",
    "hub.cli.accounts", "hub.cli.leaf",
    "hub.cli.run",
)  # fmt: skip

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

for _name in MODULES:
    importlib.import_module(_name).register(app)
