"""Raised and lowered text as plain text that can still be read: ``10^-3``, ``S cm^-1``, ``Ti4+``, ``Li7``, ``[12]``."""

from __future__ import annotations

import re

_CHARGE = re.compile(r"\d?[+]|[+]\d|\d[-−–]")
_NUMBER = re.compile(r"[+\-−–]?\d+(?:\.\d+)?(?:/\d+)?")
_CITATIONS = re.compile(r"\[?\d{1,3}(?:\s?[,;–-]\s?\d{1,3})*\]?")
_UNIT = re.compile(r"(?:^|[\s·*/.(\d⋅])(?:[kmcdnµμ]?m|Å|ft|in)$")


def raised(before: str, text: str, linked: bool = False) -> str:
    """What to write for text that stands raised after ``before``.

    Args:
        before: the text so far.
        text: the raised text.
        linked: whether it leads to a reference or a note.

    Returns:
        a power ``^-3``, a charge ``4+``, or a citation `` [12]``.
    """
    text = text.strip()
    if not text:
        return ""
    if linked:
        return f" [{text.strip('[]')}]"
    if _NUMBER.fullmatch(text) and text[0] in "-−–+":
        return "^" + text.replace("−", "-").replace("–", "-")
    if _CHARGE.fullmatch(text) or text in {"-", "−", "–"}:
        return text
    if text in {"°", "º", "o", "O"}:
        return "°"
    if _NUMBER.fullmatch(text) and (_UNIT.search(before) or re.search(r"(?:\d|\))$", before)):
        return "^" + text
    if _CITATIONS.fullmatch(text) and re.search(r"(?:[a-z]{2,}|[.,;:)\]])$", before):
        return f" [{text.strip('[]')}]"
    return "^" + text
