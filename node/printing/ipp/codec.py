"""IPP messages as bytes and back: RFC 8010, both directions, no I/O.

A message is a header (version, operation or status, request id), a sequence of attribute groups and,
behind them, the document's bytes. On the wire an attribute is ``tag name value`` and a further value of
the same attribute is one more such triple with an empty name. A collection is spelt as a run of triples
between ``begCollection`` and ``endCollection`` in which ``memberAttrName`` announces each member.

A printer is a stranger on the line: every length is checked before it is used, nesting is bounded, and
anything that does not parse is a ``PeerProtocolError`` with the offset at which it stopped making sense.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum

from sepe.errors import PeerProtocolError

# media-col-database nests three deep; RFC 8010 sets no bound, so a hostile peer could.
COLLECTION_DEPTH_MAX = 8
# A full Get-Printer-Attributes of a busy office printer has about 400 values.
VALUES_MAX = 20_000


class Tag(IntEnum):
    """Delimiter tags (below 0x10) and value tags of RFC 8010 section 3.5."""

    OPERATION = 0x01
    JOB = 0x02
    END = 0x03
    PRINTER = 0x04
    UNSUPPORTED = 0x05
    SUBSCRIPTION = 0x06
    EVENT = 0x07

    UNSUPPORTED_VALUE = 0x10
    UNKNOWN = 0x12
    NO_VALUE = 0x13
    INTEGER = 0x21
    BOOLEAN = 0x22
    ENUM = 0x23
    OCTETS = 0x30
    DATE_TIME = 0x31
    RESOLUTION = 0x32
    RANGE = 0x33
    COLLECTION = 0x34
    TEXT_LANGUAGE = 0x35
    NAME_LANGUAGE = 0x36
    END_COLLECTION = 0x37
    TEXT = 0x41
    NAME = 0x42
    KEYWORD = 0x44
    URI = 0x45
    URI_SCHEME = 0x46
    CHARSET = 0x47
    LANGUAGE = 0x48
    MIME = 0x49
    MEMBER_NAME = 0x4A


OUT_OF_BAND = frozenset({Tag.UNSUPPORTED_VALUE, Tag.UNKNOWN, Tag.NO_VALUE})
INTEGERS = frozenset({Tag.INTEGER, Tag.ENUM})
WITH_LANGUAGE = frozenset({Tag.TEXT_LANGUAGE, Tag.NAME_LANGUAGE})
STRING_TAGS = range(0x40, 0x60)
DELIMITER_TAGS = range(0x01, 0x10)


@dataclass(frozen=True, slots=True)
class Resolution:
    """Dots per unit across and along the feed; ``unit`` 3 is the inch, 4 the centimetre."""

    across: int
    along: int
    unit: int = 3


@dataclass(frozen=True, slots=True)
class IntegerRange:
    """Both ends included."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Localized:
    """A text or name that carries its own natural language."""

    language: str
    text: str


Scalar = int | bool | str | bytes | Resolution | IntegerRange | Localized | None


@dataclass(frozen=True, slots=True)
class Value:
    """One value and the syntax it was sent in. A collection's ``data`` is its member attributes."""

    tag: int
    data: Scalar | tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class Attribute:
    """A name and its values, in order; at least one value."""

    name: str
    values: tuple[Value, ...]

    def first(self) -> Scalar | tuple[Attribute, ...]:
        data = self.values[0].data
        return data.text if isinstance(data, Localized) else data


@dataclass(frozen=True, slots=True)
class Group:
    """The attributes between two delimiter tags; Get-Jobs answers with one ``JOB`` group per job."""

    tag: int
    attributes: tuple[Attribute, ...] = ()

    def get(self, name: str) -> Attribute | None:
        return next((one for one in self.attributes if one.name == name), None)

    def text(self, name: str) -> str | None:
        """The first value of ``name`` if it is a string of any syntax, else None."""
        found = self.get(name)
        data = found.first() if found else None
        return data if isinstance(data, str) else None

    def texts(self, name: str) -> tuple[str, ...]:
        found = self.get(name)
        return tuple(one.data for one in found.values if isinstance(one.data, str)) if found else ()

    def integer(self, name: str) -> int | None:
        """The first value of ``name`` if it is an integer or enum, else None."""
        found = self.get(name)
        data = found.first() if found else None
        return data if isinstance(data, int) and not isinstance(data, bool) else None

    def boolean(self, name: str) -> bool | None:
        found = self.get(name)
        data = found.first() if found else None
        return data if isinstance(data, bool) else None


@dataclass(frozen=True, slots=True)
class Message:
    """A request (``code`` is the operation) or an answer (``code`` is the status)."""

    code: int
    request_id: int
    groups: tuple[Group, ...]
    version: tuple[int, int] = (2, 0)
    document: bytes = field(default=b"", repr=False)

    def group(self, tag: int) -> Group:
        """The first group of that kind, an empty one if the message has none."""
        return next((one for one in self.groups if one.tag == tag), Group(tag))

    def all_groups(self, tag: int) -> tuple[Group, ...]:
        return tuple(one for one in self.groups if one.tag == tag)


def attribute(tag: Tag, name: str, *data: Scalar) -> Attribute:
    """An attribute whose values all have the syntax ``tag``; out-of-band tags take ``None``."""
    return Attribute(name, tuple(Value(tag, one) for one in data))


def collection(name: str, *members: tuple[Attribute, ...]) -> Attribute:
    """An attribute with one collection value per argument."""
    return Attribute(name, tuple(Value(Tag.COLLECTION, one) for one in members))


def encode(message: Message) -> bytes:
    """The message as bytes, its document at the end."""
    out = bytearray(struct.pack(">BBHi", *message.version, message.code, message.request_id))
    for group in message.groups:
        out.append(group.tag)
        for one in group.attributes:
            _put_attribute(out, one)
    out.append(Tag.END)
    return bytes(out) + message.document


def decode(data: bytes) -> Message:
    """The message in ``data``; what follows the end tag is its document.

    Raises:
        PeerProtocolError: ``ipp_malformed``; the detail says at which byte and why.
    """
    return _Reader(data).message()


def _put_attribute(out: bytearray, one: Attribute) -> None:
    name = one.name
    for value in one.values:
        _put_value(out, name, value)
        name = ""


def _put_value(out: bytearray, name: str, value: Value) -> None:
    if value.tag == Tag.COLLECTION:
        assert isinstance(value.data, tuple)
        _put_triple(out, Tag.COLLECTION, name, b"")
        for member in value.data:
            _put_triple(out, Tag.MEMBER_NAME, "", member.name.encode())
            for inner in member.values:
                _put_value(out, "", inner)
        _put_triple(out, Tag.END_COLLECTION, "", b"")
    else:
        _put_triple(out, value.tag, name, _packed(value))


def _put_triple(out: bytearray, tag: int, name: str, data: bytes) -> None:
    label = name.encode()
    out.append(tag)
    out += struct.pack(">H", len(label)) + label + struct.pack(">H", len(data)) + data


def _packed(value: Value) -> bytes:
    match value.data:
        case None:
            return b""
        case bool():
            return b"\x01" if value.data else b"\x00"
        case int():
            return struct.pack(">i", value.data)
        case str():
            return value.data.encode()
        case bytes():
            return value.data
        case Resolution(across, along, unit):
            return struct.pack(">iib", across, along, unit)
        case IntegerRange(low, high):
            return struct.pack(">ii", low, high)
        case Localized(language, text):
            parts = (language.encode(), text.encode())
            return b"".join(struct.pack(">H", len(part)) + part for part in parts)
        case _:
            raise AssertionError(f"a collection under tag {value.tag:#x}")


class _Reader:
    """A cursor over hostile bytes: never past the end, never deeper or longer than the bounds."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._values = 0

    def message(self) -> Message:
        major, minor, code, request_id = struct.unpack(">BBHi", self._take(8))
        groups: list[Group] = []
        tag = self._take(1)[0]
        while tag != Tag.END:
            if tag not in DELIMITER_TAGS:
                raise self._bad(f"tag {tag:#04x} where a group begins")
            attributes, following = self._attributes()
            groups.append(Group(tag, attributes))
            tag = following
        return Message(code, request_id, tuple(groups), (major, minor), self._data[self._at :])

    def _attributes(self) -> tuple[tuple[Attribute, ...], int]:
        """The attributes up to the next delimiter, and that delimiter."""
        found: list[tuple[str, list[Value]]] = []
        while True:
            tag = self._take(1)[0]
            if tag in DELIMITER_TAGS:
                return tuple(Attribute(name, tuple(values)) for name, values in found), tag
            name = self._text()
            value = self._value(tag, self._sized(), depth=0)
            if name:
                found.append((name, [value]))
            elif found:
                found[-1][1].append(value)
            else:
                raise self._bad("a further value before any attribute")

    def _value(self, tag: int, raw: bytes, *, depth: int) -> Value:
        self._values += 1
        if self._values > VALUES_MAX:
            raise self._bad(f"more than {VALUES_MAX} values")
        if tag == Tag.COLLECTION:
            return Value(tag, self._members(depth + 1))
        if tag in (Tag.END_COLLECTION, Tag.MEMBER_NAME):
            raise self._bad("a collection's part outside a collection")
        return Value(tag, self._scalar(tag, raw))

    def _members(self, depth: int) -> tuple[Attribute, ...]:
        if depth > COLLECTION_DEPTH_MAX:
            raise self._bad(f"collections nested deeper than {COLLECTION_DEPTH_MAX}")
        found: list[tuple[str, list[Value]]] = []
        while True:
            tag = self._take(1)[0]
            if tag in DELIMITER_TAGS:
                raise self._bad("a group ends inside a collection")
            if self._text():
                raise self._bad("a named attribute inside a collection")
            raw = self._sized()
            if tag == Tag.END_COLLECTION:
                break
            if tag == Tag.MEMBER_NAME:
                found.append((raw.decode("utf-8", "replace"), []))
            elif found:
                found[-1][1].append(self._value(tag, raw, depth=depth))
            else:
                raise self._bad("a member's value before its name")
        if any(not values for _, values in found):
            raise self._bad("a collection member without a value")
        return tuple(Attribute(name, tuple(values)) for name, values in found)

    def _scalar(self, tag: int, raw: bytes) -> Scalar:
        if tag in OUT_OF_BAND:
            return None
        try:
            if tag in INTEGERS:
                return int(struct.unpack(">i", raw)[0])
            if tag == Tag.BOOLEAN:
                return bool(struct.unpack(">B", raw)[0])
            if tag == Tag.RESOLUTION:
                return Resolution(*struct.unpack(">iib", raw))
            if tag == Tag.RANGE:
                return IntegerRange(*struct.unpack(">ii", raw))
        except struct.error:
            raise self._bad(f"{len(raw)} bytes under tag {tag:#04x}") from None
        if tag in WITH_LANGUAGE:
            return self._localized(raw)
        # Printers in the field send Latin-1 in texts that claim UTF-8: readable beats refused here.
        return raw.decode("utf-8", "replace") if tag in STRING_TAGS else raw

    def _localized(self, raw: bytes) -> Localized:
        inner = _Reader(raw)
        language, text = inner._text(), inner._text()
        if inner._at != len(raw):
            raise self._bad("bytes after a text with language")
        return Localized(language, text)

    def _text(self) -> str:
        return self._sized().decode("utf-8", "replace")

    def _sized(self) -> bytes:
        return self._take(int(struct.unpack(">H", self._take(2))[0]))

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise self._bad(f"{count} bytes wanted, {len(self._data) - self._at} left")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def _bad(self, why: str) -> PeerProtocolError:
        return PeerProtocolError("ipp_malformed", f"byte {self._at}: {why}")
