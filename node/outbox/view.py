"""What the relay shows of itself, and how often it does what."""

from __future__ import annotations

from dataclasses import dataclass

BACKLOG_EVENTS = 1_000


@dataclass(frozen=True, slots=True)
class RelayTimes:
    """Pauses of the relay.

    Attributes:
        poll_ms: how often the outbox is looked at for rows of other processes while there is a line.
        offline_poll_ms: how often a waiting relay looks whether somebody asked for an attempt now.
        retry_max_ms: longest pause between two attempts to connect.
        report_ms: how often the link is reported; readers take 20 s of silence for "not running".
        proof_ms: how long a better line has to bring one frame to the hub's disk before it is used.
        jitter_ms: an office that lost a good line waits a part of this first, so that a hub that restarts does
            not meet all of them in one instant.
    """

    poll_ms: int = 50
    offline_poll_ms: int = 1_000
    retry_max_ms: int = 30_000
    report_ms: int = 8_000
    prune_ms: int = 3_600_000
    proof_ms: int = 10_000
    jitter_ms: int = 1_000


@dataclass(slots=True)
class RelayView:
    """The relay's state for the status page and the metrics; the relay updates it in place.

    Attributes:
        link: ``nats``, ``grpc`` or ``offline``.
        reason: why there is no line, or the last loss.
        refusal: the hub's reason code while it refuses this node, else ``""``.
        alarm: what a person must look at, else ``""``.
    """

    link: str = "offline"
    last_seq: int = 0
    durable_seq: int = 0
    reason: str = ""
    refusal: str = ""
    alarm: str = ""
    frames_sent: int = 0
    bytes_sent: int = 0
    sessions: int = 0
    switches: int = 0
    epochs_opened: int = 0
    rows_pruned: int = 0

    @property
    def pending(self) -> int:
        """How many events the hub has not confirmed."""
        return max(self.last_seq - self.durable_seq, 0)

    @property
    def is_draining(self) -> bool:
        """Whether more than a frame's worth is on its way."""
        return self.link != "offline" and self.pending > BACKLOG_EVENTS

    @property
    def has_word(self) -> bool:
        """Whether the hub was heard and agrees with our history, or it is known why it cannot be heard."""
        return self.link != "offline" or bool(self.reason or self.refusal or self.alarm)
