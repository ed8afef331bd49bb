"""From a job to the document that a printer takes: what was recorded, the photo, the blank, the place names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from node.desk.day import day_of
from node.desk.photos import photo_path
from node.printing.driver import Document
from node.printing.job import Job
from node.printing.ledger import Ledger
from node.storage.store import NodeStore
from sepe.errors import InvalidInputError
from sepe.ids import kecamatan_of
from sepe.nik import Nik
from sepe.products import kia_has_photo
from sepe.residence import place_of
from sepe.resident import RESIDENT_FIELDS
from sepe.wire.v1 import event_pb2
from sepe_io.regions import region_table

# Papers whose own number stands on them; a card's number is its blank's.
_NUMBERED = ("skpwni", "akta-kelahiran", "akta-kematian", "akta-perkawinan", "akta-perceraian")


class Paper:
    """Draws the documents of one office machine."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store
        self._ledger = Ledger(store)

    def document(self, job: Job, now_ms: int) -> Document:
        """The PDF of a job, named as the printer shall know it.

        Raises:
            InvalidInputError: the recording is gone or cannot be drawn; a person must record it again.
        """
        return self.prepare(job, now_ms)()

    def prepare(self, job: Job, now_ms: int) -> Callable[[], Document]:
        """Everything that the document says, read now; the answer draws it, wherever it is called.

        Raises:
            InvalidInputError: the recording is gone; the drawing raises it when it cannot be drawn.
        """
        from node.printing.render import PrintContent, media_of, qr_text, render

        recorded = self._recorded(job)
        today = day_of(now_ms, self._store.node)
        fields = {name: getattr(recorded, name) for name in ("name", "birth_date", "sex", *RESIDENT_FIELDS)}
        fields |= {**recorded.extra, "nik": f"{job.nik:016d}", **self._places(job, recorded)}
        office = region_table().kecamatan(kecamatan_of(self._store.node))
        content = PrintContent(
            product=job.product,
            fields=fields,
            card_serial=job.serial,
            issue=job.issue,
            document_number=self._number(job, recorded, today),
            qr_text=qr_text(job.name, job.issue),
            photo=self._photo(job, recorded, today),
            office=office.district if office else self._store.node,
            issued=today,
        )
        media = media_of(job.product)
        return lambda: Document(job.name, media, render(content))

    def _recorded(self, job: Job) -> event_pb2.Recorded:
        """What the job's recording said, over what was known before where it said nothing."""
        said = event_pb2.Recorded.FromString(self._ledger.recording_of(job))
        row = self._store.connection.execute(
            "SELECT known FROM resident WHERE nik = ? AND NOT is_disputed", (job.nik,)
        ).fetchone()
        if not said.name and row is None:
            raise InvalidInputError("rekaman untuk cetakan ini tidak ada lagi", field="job", value=job.id)
        known = event_pb2.Recorded() if row is None else event_pb2.Recorded.FromString(row[0])
        known.MergeFrom(said)
        return known

    def _places(self, job: Job, recorded: event_pb2.Recorded) -> dict[str, str]:
        nik = Nik.from_number(job.nik)
        place = place_of(nik, recorded, kecamatan_of(self._store.node), region_table())
        if place is None:
            return {}
        return {"province": place.province, "regency": place.regency, "kecamatan": place.district}

    def _number(self, job: Job, recorded: event_pb2.Recorded, today: date) -> str:
        if job.product == "kk":
            return recorded.kk
        if job.product in _NUMBERED:
            return recorded.extra.get("document_number") or f"{self._store.node}/{today.year}/{job.id:06d}"
        return ""

    def _photo(self, job: Job, recorded: event_pb2.Recorded, today: date) -> bytes | None:
        if not recorded.photo_sha256:
            return None
        if job.product == "kia" and not kia_has_photo(date.fromisoformat(recorded.birth_date), today):
            return None
        try:
            return photo_path(self._store.folder, recorded.photo_sha256).read_bytes()
        except OSError:
            # A lost photo must not stop a paper; the card shows its silhouette and the operator sees it.
            return None
