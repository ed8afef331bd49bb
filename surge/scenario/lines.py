"""On which line of a TOML text each key stands: what `tomllib` does not tell.

The text has been parsed by `tomllib` before, so it is valid; this second reading has to find its way through it.
It follows headers, dotted keys, inline tables, arrays over several lines, comments and all four kinds of string.
A path is the keys from the root, elements of arrays by their number: ``("link", 0, "rate_kbit")``.
"""

from __future__ import annotations

import tomllib

Path = tuple[str | int, ...]

_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def lines_of(text: str) -> dict[Path, int]:
    """The line, from 1, on which each key, table and array element begins. ``text`` must be valid TOML."""
    return _Walk(text).lines


def line_at(lines: dict[Path, int], path: Path) -> int:
    """The line of ``path``, else of the nearest table around it, else 1."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 1


class _Walk:
    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")
        self.at = 0
        self.lines: dict[Path, int] = {}
        self._line, self._counted = 1, 0
        self._elements: dict[Path, int] = {}
        table: Path = ()
        while self._skip_blank():
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _here(self) -> int:
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line

    def _note(self, path: Path) -> None:
        self.lines.setdefault(path, self._here())

    def _skip_blank(self) -> bool:
        """Past white space, commas and comments; False at the end."""
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif char.isspace() or char == ",":
                self.at += 1
            else:
                return True
        return False

    def _header(self) -> Path:
        is_array = self.text.startswith("[[", self.at)
        begins = self.at
        self.at += 2 if is_array else 1
        keys = self._keys()
        self.at = self.text.index("]", self.at) + (2 if is_array else 1)
        path = self._resolved(keys[:-1]) + keys[-1:]
        if is_array:
            number = self._elements.get(path, -1) + 1
            self._elements[path] = number
            ends, self.at = self.at, begins
            self._note(path)
            self.lines[(*path, number)] = self._here()
            self.at = ends
            return (*path, number)
        ends, self.at = self.at, begins
        self._note(path)
        self.at = ends
        return path

    def _resolved(self, keys: Path) -> Path:
        """The keys of a header with the last element of each array of tables on the way."""
        path: Path = ()
        for key in keys:
            path = (*path, key)
            if path in self._elements:
                path = (*path, self._elements[path])
        return path

    def _pair(self, table: Path) -> None:
        begins = self.at
        keys = self._keys()
        ends, self.at = self.at, begins
        for length in range(1, len(keys) + 1):
            self._note(table + keys[:length])
        self.at = self.text.index("=", ends) + 1
        self._value(table + keys)

    def _keys(self) -> Path:
        """A dotted key."""
        keys: list[str] = []
        while True:
            self._skip_space()
            if self.text[self.at] in "\"'":
                begins = self.at
                self._string()
                keys.append(tomllib.loads(f"key = {self.text[begins : self.at]}")["key"])
            else:
                begins = self.at
                while self.at < len(self.text) and self.text[self.at] in _BARE:
                    self.at += 1
                keys.append(self.text[begins : self.at])
            self._skip_space()
            if not self.text.startswith(".", self.at):
                return tuple(keys)
            self.at += 1

    def _skip_space(self) -> None:
        while self.text[self.at] in " \t":
            self.at += 1

    def _value(self, path: Path) -> None:
        self._skip_space()
        char = self.text[self.at]
        if char in "\"'":
            self._string()
        elif char == "[":
            self.at += 1
            number = 0
            while self._skip_blank() and self.text[self.at] != "]":
                self._note((*path, number))
                self._value((*path, number))
                number += 1
            self.at += 1
        elif char == "{":
            self.at += 1
            while self._skip_blank() and self.text[self.at] != "}":
                self._pair(path)
            self.at += 1
        else:
            while self.at < len(self.text) and self.text[self.at] not in ",]}#\n":
                self.at += 1

    def _string(self) -> None:
        quote = self.text[self.at]
        fence = quote * 3 if self.text.startswith(quote * 3, self.at) else quote
        self.at += len(fence)
        while not self.text.startswith(fence, self.at):
            self.at += 2 if self.text[self.at] == "\\" and quote == '"' else 1
        self.at += len(fence)
        # A long string may end with one or two quotes of its own before the closing three.
        while len(fence) == 3 and self.text.startswith(quote, self.at):
            self.at += 1
