"""What the hub, and its doctor, say of a stream that is not as it must be."""

from __future__ import annotations

import pytest
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

from hub.ingest.policy import StreamPolicy, corrected, differences
from hub.pipe_check import next_step
from sepe.errors import InvalidInputError

CLUSTER = StreamPolicy(replicas=3)


@pytest.mark.parametrize(
    ("changes", "name", "is_fixed"),
    [
        ({"retention": RetentionPolicy.WORK_QUEUE}, "retention", True),
        ({"storage": StorageType.MEMORY}, "storage", True),
        ({"max_age": 0.0}, "max_age", False),
        ({"discard": DiscardPolicy.NEW}, "discard", False),
        ({"num_replicas": 1}, "num_replicas", False),
        ({"deny_purge": False}, "deny_purge", False),
        ({"deny_delete": None}, "deny_delete", False),
        ({"duplicate_window": 120.0}, "duplicate_window", False),
        ({"max_bytes": 1 << 30}, "max_bytes", False),
        ({"max_msgs_per_subject": -1}, "max_msgs_per_subject", False),
        ({"no_ack": True}, "no_ack", False),
    ],
)
def test_each_wrong_setting_is_named_with_its_reason_and_the_next_step(
    changes: dict[str, object], name: str, is_fixed: bool
) -> None:
    found = CLUSTER.config().evolve(**changes)
    (difference,) = differences(found, CLUSTER)
    assert (difference.name, difference.is_fixed) == (name, is_fixed)
    assert difference.found != difference.wanted and difference.why and next_step(difference)
    assert differences(corrected(found, CLUSTER, [difference]), CLUSTER) == []


def test_what_the_server_leaves_out_or_cannot_take_back_is_no_difference() -> None:
    alone = StreamPolicy()
    told: StreamConfig = alone.config().evolve(max_msgs=0, max_bytes=0, no_ack=None, num_replicas=None)
    assert differences(told, alone) == []
    # A cluster's stream, once guarded, stays so when one server is enough again.
    assert differences(CLUSTER.config().evolve(num_replicas=1), alone) == []


@pytest.mark.parametrize(("replicas", "age_days"), [(2, 7), (4, 7), (0, 7), (3, 0), (3, 91)])
def test_an_even_number_of_servers_and_an_age_of_nothing_are_refused(replicas: int, age_days: int) -> None:
    with pytest.raises(InvalidInputError):
        StreamPolicy(replicas, age_days)
