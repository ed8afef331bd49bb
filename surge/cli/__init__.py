"""The commands of the load tester: one module per command, each with ``register(app)``."""

import importlib

import typer

# A command's module imports what it needs when it is called; listing them all stays quick.
COMMANDS = ("run", "plan", "report", "scenarios", "world", "chaos", "drain")

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]}
)


@app.callback()
def root() -> None:
    """Load and fault tests: replay an election week and get a verdict."""


for _name in COMMANDS:
    importlib.import_module(f"surge.cli.{_name}").register(app)
