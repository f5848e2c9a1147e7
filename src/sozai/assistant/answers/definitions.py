"""What is X: the sentences that say what a name stands for, or what the thing is."""

from __future__ import annotations

import re

from sozai.assistant.answers.evidence import Statement, cite
from sozai.assistant.answers.finding import Shelf
from sozai.assistant.answers.view import View

_ASKS = re.compile(
    r"\s*(?:what(?:'s|s| is| are| does| do)|define|explain)\s+(?:an? |the (?:meaning of )?|meant by )?"
    r"(?P<name>[\w.()'-]+(?:\s[\w-]+)?)(?:\s+(?:mean|means|stand for|stands for))?\s*[?.!]*\s*",
    re.I,
)
_MOST = 2


def definitions(text: str, shelf: Shelf) -> list[Statement]:
    """Sentences that define what a question of the form "what is X?" asks for, the plainest first; none for others."""
    asked = _ASKS.fullmatch(text)
    if asked is None:
        return []
    name = re.sub(r"\s+(?:mean|means|stand)$", "", asked["name"].strip())
    found: list[tuple[float, int, View]] = []
    for reading in shelf.readings:
        for view in reading.views:
            if view.piece.table is None and (plain := _plainness(name, view)):
                found.append((plain, len(found), view))
    found.sort(key=lambda item: (-item[0], item[1]))
    return [
        Statement(view.text, (cite(view.document, view.piece, view.piece.section),)) for _, _, view in found[:_MOST]
    ]


def _plainness(name: str, view: View) -> float:
    """How plainly a sentence says what a name is; 0 where it does not."""
    written = re.escape(name)
    case = 0 if sum(map(str.isupper, name)) >= 2 else re.I
    if re.search(rf"[\w)]\s\({written}s?\)", view.text, case):  # Li1.3Al0.3Ti1.7(PO4)3 (LATP)
        return 3.0
    if re.search(rf"(?<!\w){written}s?\s(?:refers? to|is defined as|stands? for|means)\b", view.text, re.I):
        return 2.8
    if case == 0 and re.search(rf"(?<!\w){written}s?\s\([^()]*[A-Za-z]{{2}}[^()]*\)", view.text):
        return 2.5
    if re.search(rf"(?:^|[.,;]\s)(?:the |an? )?{written}s?,?\s(?:is|are|means)\s(?:an?|the|not)?\b", view.text, re.I):
        return 2.0
    if re.search(rf"(?<!\w){written}s?,\s(?:an?|the)\s", view.text, case) or re.search(
        rf"(?:called|known as)\s(?:the\s)?{written}", view.text, re.I
    ):
        return 1.5
    return 0.0
