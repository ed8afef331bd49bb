"""The processes that prove frames beside the hub: what they find travels, and what they do not survive is left."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import hub.merge.ahead
from hub.merge import prover
from hub.merge.ahead import COMMAND, Prover, merge_ahead
from hub.merge.digest import digest
from hub.merge.proving import Arrival, Digests, Proof
from hub.merge.store import HubStore, Outcome
from sepe.errors import PeerProtocolError
from tests.support.hubs import arrivals, new_hub
from tests.support.world import Node, nik_of, recorded


def office(events: int) -> Node:
    node = Node("537104-1")
    node.write(*(recorded(nik_of(number)) for number in range(events)))
    return node


def merged_beside(directory: Path, program: Path, processes: int, *, frames_each: int) -> list[bool]:
    """Merge sixty events in frames of five beside processes of ``program``; which batches came proven."""
    node = office(60)
    frames = node.frames(5)
    batches = [arrivals(frames[start : start + frames_each]) for start in range(0, len(frames), frames_each)]
    with (
        new_hub(directory, [node]) as store,
        Prover(store.reader, processes, (sys.executable, str(program))) as proving,
    ):
        proving.wait_until_ready()
        noting = Noting(store)
        merged = sum(one.events_merged for outcomes in merge_ahead(noting, proving, batches) for one in outcomes)
    assert merged == 60
    return noting.was_proven


class Noting:
    """A store that notes which batches came proven."""

    def __init__(self, store: HubStore) -> None:
        self._store = store
        self.was_proven: list[bool] = []

    def merge(self, arrivals: Sequence[Arrival], proven: Proof | None = None) -> list[Outcome]:
        self.was_proven.append(proven is not None)
        return self._store.merge(arrivals, proven)


def test_a_process_that_dies_leaves_its_batch_to_the_merge_and_is_not_started_again_at_once(
    tmp_path: Path,
) -> None:
    mortal = tmp_path / "mortal.py"
    births = tmp_path / "births"
    mortal.write_text(f"""import os
from hub.merge import prover
open({str(births)!r}, "a").write("one more")
answer, lives = prover.answer, iter([1, 1])
prover.answer = lambda request: answer(request) if next(lives, 0) else os._exit(9)
prover.main()
""")
    was_proven = merged_beside(tmp_path / "hub", mortal, 1, frames_each=2)
    assert was_proven == [True, True, False, False, False, False]
    assert births.read_text() == "one more"


def test_one_of_two_that_dies_costs_its_batch_the_proof_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub.merge.ahead, "PART_BYTES", 1)
    mortal, struck = tmp_path / "mortal.py", tmp_path / "struck"
    mortal.write_text(f"""import os
from hub.merge import prover
answer = prover.answer
def once(request):
    try:
        os.close(os.open({str(struck)!r}, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return answer(request)
    os._exit(9)
prover.answer = once
prover.main()
""")
    assert merged_beside(tmp_path / "hub", mortal, 2, frames_each=4) == [False, True, True]


def test_a_hub_that_cannot_start_one_proves_by_itself(tmp_path: Path) -> None:
    node = office(3)
    with (
        new_hub(tmp_path / "hub", [node]) as store,
        Prover(store.reader, 2, (str(tmp_path / "nothing"),)) as proving,
    ):
        proving.wait_until_ready()
        assert proving.start(arrivals(node.frames(1))).result(timeout=10) is None
        assert [one[0].events_merged for one in merge_ahead(store, proving, [arrivals(node.frames(3))])] == [3]
        assert digest(store.connection).kecamatan


@pytest.mark.parametrize("is_in_the_middle", [False, True])
def test_a_process_ends_with_its_hub_and_says_nothing(is_in_the_middle: bool) -> None:
    child = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdin is not None and child.stdout is not None and child.stderr is not None
    assert prover.receive(child.stdout) == prover.READY
    if is_in_the_middle:
        child.stdout.close()  # The hub was killed while this one worked.
        prover.send(child.stdin, [])
    child.stdin.close()
    assert child.wait(timeout=30) == 0
    assert child.stderr.read() == b""
    child.stderr.close()
    child.stdout.close()


def test_what_a_process_says_arrives_whole() -> None:
    fault = pickle.loads(pickle.dumps(PeerProtocolError("bad_signature", "537104-1")))
    assert (fault.reason, fault.detail, str(fault)) == ("bad_signature", "537104-1", "bad_signature: 537104-1")
    digests = pickle.loads(pickle.dumps(Digests(bytes(range(96)))))
    assert len(digests) == 3
    assert digests[-1] == bytes(range(64, 96))
    assert digests[1:] == [bytes(range(32, 64)), bytes(range(64, 96))]
    with pytest.raises(IndexError):
        digests[3]
