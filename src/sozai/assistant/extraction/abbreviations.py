"""Abbreviations that a text defines: "poly(vinyl alcohol) (PVA)".

After A. Schwartz and M. Hearst, A simple algorithm for identifying abbreviation definitions in biomedical text, PSB 2003.
"""  # noqa: E501

from __future__ import annotations

import re
from dataclasses import dataclass

_SHORT = re.compile(r"\(([^()\s][^()]{0,20}?)(?:[;,][^()]*)?\)")
_MOST_WORDS = 10


@dataclass(frozen=True)
class Definition:
    """A short form and the place of the long form it stands for."""

    short: str
    long_start: int
    long_end: int
    short_start: int


def find_definitions(text: str) -> list[Definition]:
    """All definitions "long form (short form)" in a text, in order."""
    found = []
    for match in _SHORT.finditer(text):
        short = match.group(1).strip()
        if not (1 < len(short) <= 12 and len(short.split()) <= 2 and re.search(r"[A-Z]", short) and short[0].isalnum()):
            continue
        before = text[max(0, match.start() - 150) : match.start()].rstrip()
        edge = max(before.rfind(mark) for mark in (". ", "; ", ": ", "? ")) + 1
        before = before[edge:]
        words = min(len(re.sub(r"[^A-Za-z\d]", "", short)) + 5, len(re.sub(r"[^A-Za-z\d]", "", short)) * 2, _MOST_WORDS)
        pieces = list(re.finditer(r"\S+", before))[-words - 1 :]
        if not pieces:
            continue
        window = before[pieces[0].start() :]
        start = _long_form(short, window)
        if start is None:
            continue
        begin = max(0, match.start() - 150)
        offset = text.index(window, begin, match.start()) if window in text[begin : match.start()] else None
        if offset is None:
            continue
        found.append(Definition(short, offset + start, offset + len(window), match.start(1)))
    return found


def _long_form(short: str, text: str) -> int | None:
    """Where the long form begins: letters of the short form are met in order, from right to left."""
    if re.fullmatch(r"[A-Za-z-]+s", short) and short[:-1].isupper():
        short = short[:-1]
    at_short, at_text = len(short) - 1, len(text) - 1
    while at_short >= 0:
        letter = short[at_short].lower()
        if not letter.isalnum():
            at_short -= 1
            continue
        while at_text >= 0 and (
            text[at_text].lower() != letter or (at_short == 0 and at_text > 0 and text[at_text - 1].isalnum())
        ):
            at_text -= 1
        if at_text < 0:
            return None
        at_text -= 1
        at_short -= 1
    start = at_text + 1
    while start > 0 and not text[start - 1].isspace():
        start -= 1  # the whole first word, brackets of poly(...) too
    long = text[start:]
    if len(long) <= len(short) or short in long.split() or not re.search(r"[a-z]{3}", long):
        return None
    return start
