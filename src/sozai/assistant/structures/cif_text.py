"""CIF 1.1 read as it stands: every item and value with its line, every breach of the syntax as a finding.

Readers made to get a structure stop at the first breach or mend it silently; an audit must go on and tell.
Syntax: Hall, Allen and Brown, Acta Cryst. A47, 655 (1991); https://www.iucr.org/resources/cif/spec/version1.1
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from sozai.assistant.structures.finding import Finding, Severity

LONGEST_LINE = 2048
_RESERVED = ("loop_", "global_", "stop_")
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?:\((\d+)\))?$")


@dataclass(frozen=True)
class Value:
    """One value.

    Attributes:
        text: without its quotes.
        line: from 1.
        quoted: whether it stood in quotes or a text field.
    """

    text: str
    line: int
    quoted: bool = False

    @property
    def unknown(self) -> bool:
        """Whether it is ``?`` or ``.``."""
        return not self.quoted and self.text in ("?", ".")

    def number(self) -> tuple[float, float | None] | None:
        """Value and standard uncertainty (``None``: not given), or ``None`` when it is no CIF number."""
        match = _NUMBER.match(self.text.strip())
        if match is None:
            return None
        uncertainty = None
        if match[2] is not None:
            mantissa = re.split("[eE]", match[1])
            decimals = len(mantissa[0].partition(".")[2])
            power = int(mantissa[1]) if len(mantissa) > 1 else 0
            uncertainty = int(match[2]) * 10.0 ** (power - decimals)
        return float(match[1]), uncertainty


@dataclass
class Block:
    """One data block.

    Attributes:
        name: after ``data_``.
        line: of its heading.
        items: values by tag in small letters with ``_`` for ``.``; one value outside loops.
        tags: the tag as written, and its line.
        loops: tags of each loop.
    """

    name: str
    line: int
    items: dict[str, list[Value]] = field(default_factory=dict)
    tags: dict[str, tuple[str, int]] = field(default_factory=dict)
    loops: list[list[str]] = field(default_factory=list)

    def column(self, *tags: str) -> list[Value]:
        """Values of the first of the tags that is there."""
        return next((self.items[tag] for tag in tags if tag in self.items), [])

    def one(self, *tags: str) -> Value | None:
        """The first known value of the tags."""
        for tag in tags:
            for value in self.items.get(tag, []):
                if not value.unknown and value.text.strip():
                    return value
        return None

    def loop_of(self, tag: str) -> list[str]:
        """Tags of the loop that a tag is in."""
        return next((loop for loop in self.loops if tag in loop), [tag])


@dataclass
class CifFile:
    """A file's blocks and what is wrong with its syntax."""

    blocks: list[Block]
    findings: list[Finding]


@dataclass(frozen=True)
class _Token:
    kind: str  # "data", "loop", "tag", "value", "save"
    text: str
    line: int
    quoted: bool = False


def read_cif(data: bytes) -> CifFile:
    """Read a file's bytes; never raises."""
    findings: list[Finding] = []
    text = _decode(data, findings)
    tokens = list(_tokens(text, findings))
    blocks = _blocks(tokens, findings)
    if not blocks and not any(f.code == "no-data-block" for f in findings):
        findings.append(
            _fault("no-data-block", 1, "", "there is no data_ block in it", "It is no CIF, or its head is lost.")
        )
    return CifFile(blocks, findings)


def _fault(code: str, line: int, where: str, message: str, mend: str = "", severity: Severity = "error") -> Finding:
    return Finding(code, severity, line, where, message[:1].upper() + message[1:] + ".", mend)


def _decode(data: bytes, findings: list[Finding]) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        findings.append(_fault("encoding", 1, "", "the file is in UTF-16, not ASCII or UTF-8", "Save it as UTF-8."))
        return data.decode("utf-16", errors="replace")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        shown = data[error.start : error.start + 1].hex()
        told = f"byte {shown} is neither ASCII nor UTF-8"
        findings.append(_fault("encoding", line, "", told, "Save the file as UTF-8, or replace the sign."))
        text = data.decode("latin-1")
    for number, line_text in enumerate(text.split("\n"), start=1):
        odd = re.search(r"[\x00-\x08\x0b\x0e-\x1f\x7f\ufffd]", line_text)
        if odd:
            told = f"the sign U+{ord(odd[0]):04X} belongs in no CIF"
            findings.append(_fault("control-character", number, "", told, "Remove it; the file may be damaged."))
            break
    for number, line_text in enumerate(text.split("\n"), start=1):
        if len(line_text) > LONGEST_LINE:
            told = f"a line of {len(line_text)} signs; CIF allows {LONGEST_LINE}"
            findings.append(_fault("long-line", number, "", told, "Break it.", "warning"))
            break
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0c", " ")


def _tokens(text: str, findings: list[Finding]) -> Iterator[_Token]:
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if line.startswith(";"):
            start = number
            body = [line[1:]]
            while number < len(lines) and not lines[number].startswith(";"):
                body.append(lines[number])
                number += 1
            if number >= len(lines):
                told = "a text field begins with ; and never ends"
                findings.append(_fault("unterminated-text", start, "", told, "Close it by a line that begins with ;."))
                return
            yield _Token("value", "\n".join(body), start, True)
            line = " " + lines[number][1:]
            number += 1
        yield from _line_tokens(line, number, findings)


def _line_tokens(line: str, number: int, findings: list[Finding]) -> Iterator[_Token]:
    place = 0
    while place < len(line):
        if line[place] in " \t":
            place += 1
            continue
        if line[place] == "#":
            return
        if line[place] in "'\"":
            end = re.compile(line[place] + r"(?=[ \t]|$)").search(line, place + 1)
            if end is None:
                told = f"a quote that begins with {line[place]} does not end on its line"
                findings.append(_fault("unterminated-quote", number, "", told, "Close it, or use a text field."))
                yield _Token("value", line[place + 1 :], number, True)
                return
            yield _Token("value", line[place + 1 : end.start()], number, True)
            place = end.end()
            continue
        word = re.compile(r"[^ \t]+").match(line, place)
        assert word is not None
        place = word.end()
        low = word[0].lower()
        if low.startswith("data_"):
            yield _Token("data", word[0][5:], number)
        elif low == "loop_":
            yield _Token("loop", "", number)
        elif low.startswith("save_"):
            yield _Token("save", word[0], number)
        elif low in _RESERVED:
            findings.append(
                _fault("reserved-word", number, word[0], "a reserved word stands here", "Put it in quotes.")
            )
        elif word[0].startswith("_"):
            yield _Token("tag", word[0], number)
        else:
            yield _Token("value", word[0], number)


def _blocks(tokens: list[_Token], findings: list[Finding]) -> list[Block]:
    blocks: list[Block] = []
    place = 0
    stray_told = False
    while place < len(tokens):
        token = tokens[place]
        place += 1
        if token.kind == "data":
            if any(block.name.lower() == token.text.lower() for block in blocks):
                told = f"a second block is named data_{token.text}"
                findings.append(_fault("duplicate-block", token.line, "", told, "Give it another name.", "warning"))
            if not token.text:
                findings.append(
                    _fault("unnamed-block", token.line, "data_", "the block has no name", "Name it.", "note")
                )
            blocks.append(Block(token.text, token.line))
        elif not blocks:
            findings.append(
                _fault("no-data-block", token.line, token.text[:40], "this stands before any data_ block",
                       "Begin the file with data_ and a name; its head may be lost.")
            )  # fmt: skip
            blocks.append(Block("", token.line))
            place -= 1
        elif token.kind == "tag":
            if place < len(tokens) and tokens[place].kind == "value":
                value = tokens[place]
                _add(blocks[-1], token, [Value(value.text, value.line, value.quoted)], findings)
                place += 1
            else:
                cut = " at the end of the file: it is cut off" if place >= len(tokens) else ""
                findings.append(
                    _fault("missing-value", token.line, token.text, f"it has no value{cut}", "Write one, or ?.")
                )
                _add(blocks[-1], token, [], findings)
        elif token.kind == "loop":
            place = _loop(tokens, place, token, blocks[-1], findings)
        elif token.kind == "value" and not stray_told:
            told = f"the value '{token.text[:40]}' belongs to no item"
            mend = "Name its item before it, or quote a text with blanks; a loop may lack a column."
            findings.append(_fault("stray-value", token.line, "", told, mend))
            stray_told = True  # one slip makes many of them
    return blocks


def _loop(tokens: list[_Token], place: int, head: _Token, block: Block, findings: list[Finding]) -> int:
    tags: list[_Token] = []
    while place < len(tokens) and tokens[place].kind == "tag":
        tags.append(tokens[place])
        place += 1
    values: list[_Token] = []
    while place < len(tokens) and tokens[place].kind == "value":
        values.append(tokens[place])
        place += 1
    if not tags or not values:
        lacks = "items" if not tags else "values"
        cut = "; the file is cut off" if place >= len(tokens) else ""
        where = tags[0].text if tags else "loop_"
        findings.append(
            _fault("empty-loop", head.line, where, f"a loop has no {lacks}{cut}", "Complete it or remove it.")
        )
    elif len(values) % len(tags):
        end = place >= len(tokens)
        told = f"a loop of {len(tags)} columns has {len(values)} values: {len(values) % len(tags)} are left over"
        told += ", and the file ends there: it is cut off" if end else ""
        line = values[-1].line if end else _first_odd_row(values, len(tags))
        findings.append(_fault("ragged-loop", line, tags[0].text, told, "Complete the row; quote values with blanks."))
    rows = len(values) // len(tags) if tags else 0
    for column, tag in enumerate(tags):
        picked = values[column : rows * len(tags) : len(tags)]
        _add(block, tag, [Value(v.text, v.line, v.quoted) for v in picked], findings)
    if tags:
        block.loops.append([_key(tag.text) for tag in tags])
    return place


def _first_odd_row(values: list[_Token], columns: int) -> int:
    """Line of the first row with another number of values, where each row has its line."""
    by_line: dict[int, int] = {}
    for value in values:
        by_line[value.line] = by_line.get(value.line, 0) + 1
    return next((line for line, number in by_line.items() if number != columns), values[-1].line)


def _key(tag: str) -> str:
    return tag.lower().replace(".", "_")


def _add(block: Block, tag: _Token, values: list[Value], findings: list[Finding]) -> None:
    key = _key(tag.text)
    if key in block.items:
        first = block.tags[key][1]
        told = f"the item stands twice, first in line {first}"
        findings.append(_fault("duplicate-item", tag.line, tag.text, told, "Keep the right one."))
        return
    block.items[key] = values
    block.tags[key] = (tag.text, tag.line)
