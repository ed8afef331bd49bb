"""The NATS names that CONTRACT fixes. Never a NIK or a person's name in any of them."""

from __future__ import annotations

from sepe.ids import PARTITIONS, partition_of

STREAM = "SEPE_UP"
UP_ALL = "sepe.up.>"
HELLO_ALL = "sepe.hello.*"
_CONSUMER = "merge-"


def up(node: str, partitions: int = PARTITIONS) -> str:
    """Where a node publishes its frames."""
    return f"sepe.up.{partition_of(node, partitions)}.{node}"


def up_any(node: str) -> str:
    """Where a node may publish: its subject in whatever partition, for it follows the hub's count."""
    return f"sepe.up.*.{node}"


def up_partition(partition: int) -> str:
    """What the durable consumer of one partition filters on."""
    return f"sepe.up.{partition}.*"


def consumer(partition: int) -> str:
    """The durable consumer's name."""
    return f"{_CONSUMER}{partition}"


def partition_of_consumer(name: str) -> int | None:
    """The inverse of `consumer`; ``None`` for a consumer that is not the merger's."""
    number = name.removeprefix(_CONSUMER)
    return int(number) if number != name and number.isascii() and number.isdigit() else None


def ack(node: str) -> str:
    """Where the hub publishes a node's durable watermark."""
    return f"sepe.ack.{node}"


def hello(node: str) -> str:
    """Where a node sends its greeting as a request."""
    return f"sepe.hello.{node}"


def down(kecamatan_code: str) -> str:
    """Changes for an office."""
    return f"sepe.down.{kecamatan_code}"


def inbox(node: str) -> str:
    """The prefix of the subjects that answers to a node go to."""
    return f"sepe.inbox.{node}"
