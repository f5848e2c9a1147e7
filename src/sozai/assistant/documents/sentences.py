"""Where sentences end in scientific prose: not after "Fig.", "ca.", "et al.", nor within "10^-3 S cm-1"."""

from __future__ import annotations

import re

from sozai.assistant.documents.outline import word_set as _words

_NEVER = _words(
    "fig figs eq eqs eqn eqns ref refs tab tabs sec secs no nos vol chap app e.g i.e cf ca c.a approx viz vs dr "
    "prof mr mrs ms st inc ltd corp ed eds pp p.p resp cca incl excl est avg typ dept univ proc lett rev phys "
    "chem soc j sci mater int"
)
"""Abbreviations after which a sentence goes on, whatever follows."""
_SELDOM = _words("al etc at wt mol vol temp max min stoich conc soln aq dil dia std temps r.t i.d o.d a.u d.c a.c")
"""Abbreviations that may also end a sentence: it ends where a word that begins sentences follows."""
_STARTERS = _words(
    "The This These Those That A An In On At By For From With Without After Before Although Because As It We "
    "They Our Here However Moreover Furthermore Therefore Thus Hence When While Where If Both Each All Such "
    "Since To Upon Under During Samples Sample Powders Pellets Results Compared Finally First Second Then There "
    "Figure Table Only"
)
_END = re.compile(r"[.!?]+[\"'”’)\]]*(?P<cited>\s\[\d[\d,;–\s-]{0,20}\])?(?=\s)")
_WORD_BEFORE = re.compile(r"[^\s(\[]+$")
_LOWER_START = re.compile(r"[a-z][-–]\w|[α-ω][-–]?\w|p[HK]\b|[mµn]m\b")  # "t-LLZO ...", "α-Fe ...", "pH ..."
_UNIT_BEFORE = re.compile(r"(?:\d|[-^⁻−]\d|°|º)\s*\w?$")


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Places of the sentences in a paragraph, ``(start, end)`` each, without the blanks around them.

    Args:
        text: one paragraph; headings and paragraphs are parted before.
    """
    places, start = [], 0
    for found in _END.finditer(text):
        behind = found.end() if found["cited"] is None else found.start("cited")
        if found.start() < start:
            continue
        if found["cited"] and (
            not text[found.end() :].strip() or _starter(text[found.end() :])
        ):  # "... at 25 °C. [12] The ..."
            behind = found.end()
        elif not _ends(text, found.start(), behind):
            continue
        places.append((start, behind))
        start = behind
    places.append((start, len(text)))
    return [trimmed for place in places if (trimmed := _trim(text, *place))[1] > trimmed[0]]


def _ends(text: str, dot: int, after: int) -> bool:
    """Whether the mark at ``dot`` ends a sentence; ``after`` is the first place behind it and its brackets."""
    rest = text[after:].lstrip()
    if not rest:
        return True
    first = rest[0]
    if first.islower() and not (_LOWER_START.match(rest) and not _is_abbreviation(text, dot)):
        return False
    if first in ",;:)]–" or (first in "=<>~±×≈" and text[dot] == "."):
        return False
    if text[dot] != ".":
        return True
    if _open_bracket(text, dot, after):
        return False
    before = _WORD_BEFORE.search(text[:dot])
    word = before.group().rstrip(".") if before else ""
    next_word = re.split(r"\W", rest, maxsplit=1)[0]
    if word.lower() in _NEVER and word not in {"No", "App"}:
        return False
    if word in {"No", "App"}:  # "No. 3", but "... said no. The ..."
        return not first.isdigit()
    if word.lower() in _SELDOM:
        return next_word in _STARTERS
    if len(word) == 1 and word.isupper():  # an initial, or a unit or an element at the end
        return next_word in _STARTERS or bool(_UNIT_BEFORE.search(text[max(0, dot - 4) : dot - 1].rstrip()))
    return not re.fullmatch(r"(?:[A-Z]\.)+[A-Z]", word)  # "J.B. Goodenough"


def _starter(rest: str) -> bool:
    return re.split(r"\W", rest.lstrip(), maxsplit=1)[0] in _STARTERS


def _is_abbreviation(text: str, dot: int) -> bool:
    before = _WORD_BEFORE.search(text[:dot])
    word = before.group().lower() if before else ""
    return word in _NEVER or word in _SELDOM


def _open_bracket(text: str, dot: int, after: int) -> bool:
    """Whether the mark stands within round brackets that close soon: "(see Ref. 3. The ...)"."""
    behind = text[max(0, dot - 150) : after]
    depth = 0
    for letter in behind:
        depth = depth + 1 if letter == "(" else max(0, depth - 1) if letter == ")" else depth
    return depth > 0 and ")" in text[after : after + 150].split("(")[0]


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
