"""``node.toml``: what a person sets for one office machine. Written by ``node init``, meant to be edited."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from sepe.budget import BYTES_PER_HOUR_MIN
from sepe.errors import InvalidInputError
from sepe.ids import check_node
from sepe_io.files import replace_file

SETTINGS_NAME = "node.toml"
KEY_NAME = "node.key"
DATABASE_NAME = "node.db"
PHOTOS_NAME = "photos"
RUN_LOCK_NAME = "run.lock"
PRESS_LOCK_NAME = "press.lock"

_COMMENTS = {
    "node": "This machine: kecamatan code, hyphen, number of the machine.",
    "hub": "The hub's gRPC address, HOST:PORT.",
    "nats": "The hub's NATS address; empty: the hub names it when this machine enrols.",
    "tls": "off: plain lines beyond this machine too, for a laboratory. Never with people's data.",
    "printer": "folder:PATH or ipp://HOST[:PORT]/PATH; empty: nothing is printed by itself.",
    "bytes_per_hour_max": "What may go in an hour, 0: no limit. Events count and never wait; photos wait.",
    "blanks_min": "Below so many blanks of a kind at hand, ask for more: status and /metrics say so.",
    "photo_days": "Days that plain photos stay here for reprints, once sealed; the centre keeps them.",
}
PHOTO_DAYS = 30
PHOTO_DAYS_MAX = 3_650
# Half a day of a small printer.
BLANKS_MIN = 50
BLANKS_MIN_MAX = 100_000


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """Attributes are the keys of the file; ``""`` means not set.

    Attributes:
        bytes_per_hour_max: for attachments (`sepe.budget`), 0 for no limit.
        photo_days: how long plain photos stay (`node.attach.retention`).
        blanks_min: the refill threshold of each kind of blank, 0 for none.
    """

    node: str
    hub: str = ""
    nats: str = ""
    printer: str = ""
    tls: str = ""
    bytes_per_hour_max: int = 0
    photo_days: int = PHOTO_DAYS
    blanks_min: int = BLANKS_MIN


def load_settings(folder: Path) -> NodeSettings:
    """The settings of a node directory.

    Raises:
        InvalidInputError: no node directory, or a file that a person edited into something unreadable.
    """
    path = folder / SETTINGS_NAME
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidInputError(
            "this is not a node directory",
            field="DIR",
            value=str(folder),
            hint="Make one with: sepe node init DIR --node 537104-1 --hub HOST:PORT",
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise InvalidInputError(f"{SETTINGS_NAME} cannot be read: {exc}", hint="Mend the file by hand.") from exc
    numbers = {
        "bytes_per_hour_max": check_bytes_per_hour,
        "photo_days": check_photo_days,
        "blanks_min": check_blanks_min,
    }
    known = {field.name for field in fields(NodeSettings)}
    for key, value in document.items():
        # Not isinstance: TOML's true is no number.
        if key not in known or type(value) is not (int if key in numbers else str):
            raise InvalidInputError(
                f"{SETTINGS_NAME} knows only {', '.join(sorted(known))}; {', '.join(numbers)} are numbers, "
                "the others texts",
                field=key,
                value=value,
            )
        if isinstance(value, int):
            numbers[key](value)
    return NodeSettings(**{"node": "", **document, **_checked_node(document)})


def check_bytes_per_hour(value: int) -> int:
    """``value`` itself when it is a budget: 0 for no limit, or at least `BYTES_PER_HOUR_MIN`.

    Raises:
        InvalidInputError: it is none.
    """
    if value != 0 and value < BYTES_PER_HOUR_MIN:
        raise InvalidInputError(
            f"the bytes an hour are 0 for no limit, or at least {BYTES_PER_HOUR_MIN}",
            field="bytes_per_hour_max",
            value=value,
            hint="2000000 carries one photo of 2 MB an hour.",
        )
    return value


def check_photo_days(value: int) -> int:
    """``value`` itself when it is a number of days.

    Raises:
        InvalidInputError: it is none.
    """
    if not 0 <= value <= PHOTO_DAYS_MAX:
        raise InvalidInputError(
            f"photos stay 0 to {PHOTO_DAYS_MAX} days", field="photo_days", value=value, hint="30 is usual."
        )
    return value


def check_blanks_min(value: int) -> int:
    """``value`` itself when it is a refill threshold.

    Raises:
        InvalidInputError: it is none.
    """
    if not 0 <= value <= BLANKS_MIN_MAX:
        raise InvalidInputError(
            f"the threshold is 0 for none, or up to {BLANKS_MIN_MAX} blanks", field="blanks_min", value=value,
            hint="50 is half a day of a small printer.",
        )  # fmt: skip
    return value


def is_node_folder(folder: Path) -> bool:
    """Whether ``node init`` was here."""
    return (folder / SETTINGS_NAME).exists()


def save_settings(folder: Path, settings: NodeSettings) -> None:
    """Write the file whole or not at all, readable by its owner alone."""
    lines = [
        # JSON's escapes of a text are TOML's.
        f"# {_COMMENTS[field.name]}\n{field.name} = {json.dumps(getattr(settings, field.name))}\n"
        for field in fields(NodeSettings)
    ]
    replace_file(folder / SETTINGS_NAME, "\n".join(lines).encode())


def _checked_node(document: dict[str, object]) -> dict[str, str]:
    return {"node": check_node(str(document.get("node", "")))}
