"""The stream as it must be, and what is wrong with one that is otherwise.

Each rule has a reason that a stream without it would show in the worst week. So the hub corrects what JetStream
lets it correct, makes a stream anew whose kind cannot be changed (it is a pipe: offices send again), and `sepe hub
doctor` names every difference with its rule and the next step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

from hub.broker_config import REPLICAS
from sepe import subjects
from sepe.errors import InvalidInputError
from sepe_io.channel import MESSAGE_BYTES_MAX
from sepe_io.sqlite import Connection

# Old frames make room for new ones, per office: it holds its own events until the hub has them, so what falls
# out here is sent again after the hub's answer "gap". A full office never stands in another's way.
FRAMES_PER_NODE_MAX = 64
# Over the longest outage of a hub that is still an outage; older frames are sent again.
AGE_DAYS = 7
AGE_DAYS_MAX = 90
DAY_S = 24 * 3600.0

_REPLICAS, _AGE = "stream_replicas", "stream_age_days"


@dataclass(frozen=True, slots=True)
class StreamPolicy:
    """What an operator may choose.

    Attributes:
        replicas: on how many servers a frame lies: 1, 3 or 5.
        age_days: how long a frame that nobody fetched stays.
    """

    replicas: int = 1
    age_days: int = AGE_DAYS

    def __post_init__(self) -> None:
        if self.replicas not in REPLICAS:
            raise InvalidInputError(
                "replicas are 1, 3 or 5", field="--replicas", value=self.replicas,
                hint="3 for a cluster of three servers; an even number only adds a way to fail.",
            )  # fmt: skip
        if not 1 <= self.age_days <= AGE_DAYS_MAX:
            raise InvalidInputError(
                f"an age from 1 to {AGE_DAYS_MAX} days", field="--age-days", value=self.age_days,
                hint="Choose it over the longest outage of the hub.",
            )  # fmt: skip

    @property
    def is_guarded(self) -> bool:
        """Whether the servers refuse a purge and the deletion of frames to everybody.

        On a cluster, which others operate too. The embedded server's only users are its hub and offices that may
        publish and listen, nothing else.
        """
        return self.replicas > 1

    def config(self) -> StreamConfig:
        """The stream as it must be."""
        return StreamConfig(
            name=subjects.STREAM,
            description="Frames from the offices on their way to the hub; a pipe, not the record",
            subjects=[subjects.UP_ALL],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.OLD,
            max_age=self.age_days * DAY_S,
            max_msgs_per_subject=FRAMES_PER_NODE_MAX,
            max_msgs=-1,
            max_bytes=-1,
            max_msg_size=MESSAGE_BYTES_MAX,
            # The shortest that JetStream takes: nobody sends message ids, the hub knows its duplicates for ever.
            duplicate_window=1.0,
            num_replicas=self.replicas,
            no_ack=False,
            sealed=False,
            deny_purge=self.is_guarded,
            deny_delete=self.is_guarded,
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting of the stream that is not as it must be.

    Attributes:
        found, wanted: as the operator reads them.
        is_fixed: JetStream cannot change it on a stream that is there: it must be made anew.
    """

    name: str
    found: str
    wanted: str
    why: str
    is_fixed: bool = False


@dataclass(frozen=True, slots=True)
class _Rule:
    name: str
    why: str
    is_fixed: bool = False
    # Nothing JetStream tells: as if it had told this.
    unset: object = None


_RULES: Sequence[_Rule] = (
    _Rule("retention", "with WorkQueue or Interest one consumer's ack decides what others read", is_fixed=True),
    _Rule("storage", "a restart would empty it, and all offices send their week again at once", is_fixed=True),
    _Rule("discard", "with 'new' a full stream refuses every office because one is behind"),
    _Rule("max_age", "without an age a lost machine's frames stay; a short one drops frames in an outage"),
    _Rule("max_msgs_per_subject", "one office could fill everybody's room"),
    _Rule("max_msgs", "a common limit lets one office push out another's frames", unset=-1),
    _Rule("max_bytes", "a common limit lets one office push out another's frames", unset=-1),
    _Rule("max_msg_size", "a whole frame must fit"),
    _Rule("duplicate_window", "nobody sends message ids, and a window costs memory for each message"),
    _Rule("num_replicas", "as many servers as `sepe hub stream --replicas` says hold each frame", unset=1),
    _Rule("no_ack", "offices notice by the broker's answer that a stream is gone", unset=False),
    _Rule("deny_purge", "a purge makes every office send again at once", unset=False),
    _Rule("deny_delete", "frames go by age and by place alone", unset=False),
    _Rule("subjects", "frames of all offices, and nothing else, go into it"),
)  # fmt: skip
# Once set, JetStream never takes these back; a stream that has more of them than asked for is as good.
_ONE_WAY = frozenset({"deny_purge", "deny_delete"})


def differences(found: StreamConfig, policy: StreamPolicy) -> list[Difference]:
    """What is not as it must be, in the order of `_RULES`."""
    wanted = policy.config()
    result = []
    for rule in _RULES:
        was, must = _value(found, rule), _value(wanted, rule)
        if was == must or (rule.name in _ONE_WAY and was):
            continue
        result.append(Difference(rule.name, _shown(was), _shown(must), rule.why, rule.is_fixed))
    return result


def corrected(found: StreamConfig, policy: StreamPolicy, changes: Sequence[Difference]) -> StreamConfig:
    """The configuration that sets those differences right, everything else as found."""
    wanted = policy.config()
    return found.evolve(**{one.name: getattr(wanted, one.name) for one in changes})


def read_policy(connection: Connection) -> StreamPolicy:
    """What the hub's database says."""
    rows = connection.execute("SELECT name, value FROM meta WHERE name IN (?, ?)", (_REPLICAS, _AGE)).fetchall()
    told = {str(name): int(value) for name, value in rows}
    return StreamPolicy(told.get(_REPLICAS, 1), told.get(_AGE, AGE_DAYS))


def set_policy(connection: Connection, policy: StreamPolicy) -> None:
    """Change it, inside a transaction; a running hub follows within seconds."""
    for name, value in ((_REPLICAS, policy.replicas), (_AGE, policy.age_days)):
        connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, str(value).encode()))


def _value(config: StreamConfig, rule: _Rule) -> Any:
    value = getattr(config, rule.name, None)
    if value is None:
        return rule.unset
    # The limits of "no limit" are told as -1 or 0.
    return -1 if rule.unset == -1 and value == 0 else value


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(getattr(value, "value", value))
