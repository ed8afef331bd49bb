"""Which rows of the outbox make the next frame."""

from __future__ import annotations

from node.outbox.plan import Row, next_page
from sepe import codec

CHAIN = bytes(32)


def rows(*seqs: int, size: int = 10) -> list[Row]:
    return [Row(seq, 5371044101909001, seq << 16, 1, bytes(size), CHAIN) for seq in seqs]


def test_a_page_is_the_longest_contiguous_run() -> None:
    page = next_page(CHAIN, 4, rows(5, 6, 7, 9, 10), 1000)
    assert page is not None
    assert (page.first_seq, page.last_seq, page.columns.stamps) == (5, 7, (5 << 16, 6 << 16, 7 << 16))


def test_a_missing_first_row_gives_no_page_instead_of_a_jump() -> None:
    assert next_page(CHAIN, 4, rows(6, 7), 1000) is None
    assert next_page(CHAIN, 4, [], 1000) is None


def test_a_page_holds_no_more_events_than_asked_for() -> None:
    page = next_page(CHAIN, 0, rows(*range(1, 50)), 7)
    assert page is not None and page.last_seq == 7


def test_a_full_page_still_fits_a_frame_and_one_more_event_would_not() -> None:
    size = codec.EVENTS_MAX * 2
    page = next_page(CHAIN, 0, rows(*range(1, 1001), size=size), 1000)
    assert page is not None
    assert len(codec.pack_columns(page.columns)) <= codec.PAYLOAD_BYTES_MAX
    one_more = next_page(CHAIN, 0, rows(*range(1, 1001), size=size), page.last_seq + 1)
    assert one_more is not None and one_more.last_seq == page.last_seq


def test_the_largest_event_there_may_be_travels_alone_if_it_must() -> None:
    page = next_page(CHAIN, 0, rows(1, size=64 * 1024), 1000)
    assert page is not None and len(page.columns) == 1
