"""Every error of Sepe, in three branches that say what to do next.

``InvalidInputError``   show it to the person who typed it; never retry.
``PeerProtocolError``   keep the message in quarantine with its reason; go on with the next one.
``TransientError``      try again later with backoff; tenacity matches only this branch.

Edges translate library exceptions into these, with ``from exc``, in the module that imports the library.
"""

from __future__ import annotations


class SepeError(Exception):
    """Root of every error that Sepe raises on purpose."""


class InvalidInputError(SepeError):
    """Input that no retry will mend.

    Attributes:
        field: the offending field or option, ``""`` when the input as a whole is wrong.
        value: the offending value as it may be shown: a NIK masked, long text cut.
        rule: what would have been right, as a sentence.
        hint: the next step for the person, as a sentence; may be ``""``.
    """

    def __init__(self, rule: str, *, field: str = "", value: object = None, hint: str = "") -> None:
        self.field = field
        self.value = None if value is None else shown(value)
        self.rule = rule
        self.hint = hint
        where = f"{field}: " if field else ""
        what = "" if self.value is None else f" (got {self.value})"
        super().__init__(f"{where}{rule}{what}{'. ' + hint if hint else ''}")


class PeerProtocolError(SepeError):
    """A message that breaks the protocol or cannot be read; the sender may be faulty or hostile.

    Attributes:
        reason: a short stable code, the quarantine's key (``bad_signature``, ``fork`` …).
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}" if detail else reason)

    def __reduce__(self) -> tuple[type[PeerProtocolError], tuple[str, str]]:
        # Processes that prove frames send it to the hub: an exception is made anew from its arguments.
        return type(self), (self.reason, self.detail)


class TransientError(SepeError):
    """A condition that passes by itself: no line, busy peer, full disk, printer out of cards."""


VALUE_CHARS_MAX = 60


def shown(value: object) -> str:
    """``value`` as an error may show it: control characters escaped, long text cut, digits of a NIK masked."""
    text = value if isinstance(value, str) else repr(value)
    if len(text) >= 12 and sum(char.isdigit() for char in text) >= 12:
        text = "".join("*" if char.isdigit() and index >= 6 else char for index, char in enumerate(text))
    if len(text) > VALUE_CHARS_MAX:
        text = f"{text[:VALUE_CHARS_MAX]}… ({len(text)} characters)"
    return repr(text)
