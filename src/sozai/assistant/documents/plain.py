"""Plain text and Markdown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sozai.assistant.documents.assemble import Assembler, Cell
from sozai.assistant.documents.document import Document
from sozai.assistant.documents.outline import is_heading, is_known_heading, strip_number

_FRONT = re.compile(r"\A---\r?\n(.*?)\r?\n---\r?\n", re.S)
_FACT = re.compile(r"^(title|authors?|year|doi|journal|date)\s*:\s*(.+)$", re.I | re.M)
_RULE = re.compile(r"^\s*\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*$")
_CAPTION = re.compile(r"^\**(Table|Tab\.)\s+\w+", re.I)
_SUP, _SUB, _TAG = (
    re.compile(r"<sup>(.*?)</sup>", re.I),
    re.compile(r"<sub>(.*?)</sub>", re.I),
    re.compile(r"</?[a-z]+ ?/?>"),
)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)\s]*\)")
_MARKS = re.compile(r"(\*\*|__|`)(?=\S)(.+?)(?<=\S)\1")


def read_plain(data: bytes, source: str, digest: str, markdown: bool) -> Document:
    """The document in bytes of text; blank lines part paragraphs, ``|`` tables are tables."""
    text, notes = _decode(data)
    made, title = Assembler(), ""
    facts: dict[str, Any] = {}
    if front := _FRONT.match(text):
        facts = {key.lower(): value.strip(" \"'") for key, value in _FACT.findall(front.group(1))}
        if authors := facts.pop("authors", None) or facts.pop("author", None):
            facts["authors"] = [name.strip() for name in authors.split(",")]
        text = text[front.end() :]
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        lines = [line for line in block.split("\n") if line.strip()]
        while lines:
            taken, name = _block(lines, made, markdown, not title)
            title = title or name
            lines = lines[taken:]
    title = str(facts.get("title") or title or Path(source).stem)
    return made.finish(source, title, digest, facts, notes)


def _block(lines: list[str], made: Assembler, markdown: bool, first: bool) -> tuple[int, str]:
    """Hand on the first piece of these lines; how many lines it took, and its text when it may be the title."""
    line = lines[0].strip()
    if marks := re.match(r"(#{1,6})\s+(.*?)\s*#*$", line):
        made.heading(_plain(marks.group(2)))
        return 1, _plain(marks.group(2))
    if len(lines) > 1 and re.fullmatch(r"\s*(=+|-+)\s*", lines[1]) and "|" not in line and len(lines[1].strip()) > 2:
        made.heading(_plain(line))
        return 2, _plain(line)
    start = 1 if _CAPTION.match(line) and len(lines) > 2 and "|" in lines[1] else 0
    if len(lines) > start + 1 and lines[start].count("|") and _RULE.match(lines[start + 1]):
        end = start + 2
        while end < len(lines) and "|" in lines[end]:
            end += 1
        rows = [_row(row) for row in [lines[start], *lines[start + 2 : end]]]
        made.table(_plain(lines[0]) if start else "", rows)
        return end, ""
    if not markdown and len(lines) > start + 1 and all(row.count("\t") for row in lines[start:]):
        made.table(line if start else "", [[Cell(cell) for cell in row.split("\t")] for row in lines[start:]])
        return len(lines), ""
    if not markdown and is_known_heading(line):
        made.heading(line)
        return 1, ""
    if len(lines) == 1 and (is_heading(line) or (first and made.empty and len(line) < 200 and line[-1] not in ".:;,")):
        made.heading(_plain(line) if markdown else line)
        return 1, strip_number(_plain(line))
    end = 1
    while end < len(lines) and not re.match(r"#{1,6}\s|\s*[-*+]\s+\S|\s*\d+[.)]\s", lines[end]):
        if lines[end].count("|") and end + 1 < len(lines) and _RULE.match(lines[end + 1]):
            break
        if _CAPTION.match(lines[end]) and end + 1 < len(lines) and "|" in lines[end + 1]:
            break
        end += 1
    if end == 1 and is_heading(line):
        made.heading(line)
        return 1, ""
    words = _joined(lines[:end])
    words = re.sub(r"^[-*+]\s+|^>\s*", "", words) if markdown else words
    made.paragraph(_plain(words))
    return end, ""


def _joined(lines: list[str]) -> str:
    """Lines as one; a word parted at a line's end is joined where it is plainly one word."""
    text = lines[0].strip()
    for line in lines[1:]:
        if re.search(r"[a-z]{2}-$", text) and re.match(r"[a-z]{2}", line.strip()):
            text = (
                text[:-1] + line.strip()
                if not re.search(r"\b(non|self|solid|high|low|well|co|re)-$", text)
                else text + line.strip()
            )
        else:
            text += " " + line.strip()
    return text


def _row(line: str) -> list[Cell]:
    return [Cell(_plain(cell)) for cell in line.strip().strip("|").split("|")]


def _plain(text: str) -> str:
    """Markdown's marks away, raised and lowered text as text."""
    text = _SUP.sub(lambda found: "^" + found.group(1), _SUB.sub(r"\1", text))
    return _TAG.sub("", _LINK.sub(r"\1", _MARKS.sub(r"\2", text)))


def _decode(data: bytes) -> tuple[str, list[str]]:
    for start, name in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(start):
            return data.decode(name, errors="replace"), []
    try:
        return data.decode("utf-8"), []
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace"), ["The text is not UTF-8 and was read as Windows-1252."]
