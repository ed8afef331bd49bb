"""How residents are shown on this office's own screen: by name and the last four digits.

Twenty equal masks tell an operator nothing. Names go to the screen alone: never into a log, a metric, or what is
sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from node.storage.store import NodeStore
from sepe.nik import NIK_DIGITS, Nik
from sepe.wire.v1 import event_pb2

_NIKS_PER_STATEMENT = 500


def names_of(store: NodeStore, niks: Iterable[int]) -> dict[int, str]:
    """The names of those of these residents who were recorded here."""
    wanted = sorted(set(niks))
    found: dict[int, str] = {}
    for start in range(0, len(wanted), _NIKS_PER_STATEMENT):
        some = wanted[start : start + _NIKS_PER_STATEMENT]
        marks = ", ".join("?" * len(some))
        rows = store.connection.execute(f"SELECT nik, known FROM resident WHERE nik IN ({marks})", some)
        found.update((nik, event_pb2.Recorded.FromString(known).name) for nik, known in rows.fetchall())
    return found


def shown(nik: int, names: Mapping[int, str]) -> str:
    """A resident for a list: ``MARIA TAEK …9001``; who was not recorded here, as the mask alone."""
    text = f"{nik:0{NIK_DIGITS}d}"
    name = names.get(nik)
    return f"{name} …{text[-4:]}" if name else Nik(text).masked
