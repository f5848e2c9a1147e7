"""Whose a value is not: what a sample was made with, parts of a cell that is named itself, things without a name."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from sozai.assistant.extraction.clauses import in_brackets
from sozai.assistant.extraction.mentions import Mention
from sozai.assistant.extraction.ranking import key_of
from sozai.assistant.extraction.subjects import is_added, is_aside, is_compared, is_followed_by_verb, lists_of

_TREATED_WITH = re.compile(
    r"\b(?:adding|addition of|introducing|introduction of|incorporating|incorporation of|inserting|insertion of|replacing|replacement of|substituting|substitution of|"  # noqa: E501
    r"doping(?: (?:it|them))?(?: (?:with|by))?|alloying with|deposition of|depositing|infiltration (?:of|with)|infiltrating|impregnating|impregnation (?:of|with)|coating with|loading (?:of|with)|"  # noqa: E501
    r"(?:blend|bridg|combin|mix|fill|load|coat|modify|cover|decorat|graft|dop|alloy|infiltrat|impregnat|reinforc|plasticiz|cross-?link|treat|replac|substitut)(?:ing|ed)\s(?:(?:it|them|the\s\w+)\s)?(?:with|by)|"
    r"presence of|absence of|excess of|help of|owing to|due to|nanoprecipitates of|instead of|(?<=\d\s)and without|\bwithout)\s"  # noqa: E501
    r"(?:the\s|an?\s|some\s|more\s)?(?:\d+(?:\.\d+)?\s?(?:wt|mol|vol|at)?\.?\s?%\s(?:of\s)?)?(?:[a-z-]+\s)?(?:of\s)?$",
    re.IGNORECASE,
)
_PUT_IN = re.compile(
    r"\)?\s(?:(?:nano)?particles\s)?(?:was|were|is|are|being)\s(?:then\s|also\s|further\s)?(?:added|infiltrated|incorporated|introduced|dispersed|impregnated|loaded|inserted|removed)\b|"
    r"\s(?:addition|doping|substitution|incorporation|infiltration|impregnation|loading|content|interlayer|buffer|additive|filler)s?\b"
)
_PART = re.compile(
    r"\)?[\s-](?:based\s)?(?:[a-z]+[\s-]){0,3}(?:electrolyte|cathode|anode|membrane|electrode|interlayer|layer|separator|support|photoanode|photocathode|catalyst|interconnect|buffer|collector)s?\b"
)
_SUBJECT = re.compile(
    r"(?:[;,:]\s*|\s)?(?P<other>(?:and|while|whereas|but|however|although|for comparison|in contrast|in comparison|by contrast|by comparison),?\s)*"  # noqa: E501
    r"(?P<the>the\s)?(?:an?\s)?(?P<noun>(?:[a-z][a-z-]*\s){1,3})(?:has|had|have|shows?|showed|exhibit(?:s|ed)?|possess(?:es|ed)?|display(?:s|ed)?|reach(?:es|ed)?)\s[^,;]{0,60}$",
    re.IGNORECASE,
)
_ORIGIN = re.compile(r"\bfrom\s(?:an?\s|the\s)?(?:initial(?:ly)?\s)?(?:[\d.]+,?\s(?:and\s)?){0,4}$")
_AFTER = re.compile(
    r"\b(?i:with|after|by|upon|on|through|using|adding)\s(?:the\s|an?\s)?(?:(?!in\s|of\s|for\s)[a-z]+\s){0,2}$"
)
_REFERENCE = re.compile(
    r"\b(?:references?|literature(?:\svalues?)?|theor(?:y|etical)(?:\s\w+)?|counterparts?|controls?|others|previous\s\w+|state[- ]of[- ]the[- ]art(?:\s\w+)?|benchmarks?)$",  # noqa: E501
    re.IGNORECASE,
)

_NO_THINGS = frozenset(["former", "latter", "it", "they", "which", "that", "who", "we", "this", "these", "those", "both", "all", "each", "one", "ones", "he", "she", "results", "data", "values", "value", "curves", "measurements", "tests", "test", "analysis", "spectra", "peak", "samples", "sample", "specimens", "effect", "amount", "content", "work", "study", "step", "treatment", "process", "method", "group", "case", "studies", "and", "also", "only"])  # fmt: skip  # noqa: E501
"""Words that stand for what was spoken of, or for no thing at all."""


def without_parts(
    mentions: Sequence[Mention], plain: str, start: int, value: int, before: Collection[str], device: bool, alone: bool
) -> Sequence[Mention]:
    """The mentions without those that only tell what a sample or a cell was made with, where its own name is known.

    Args:
        mentions: of a sentence.
        plain, start: text with unified signs, start of the sentence.
        value: where the value ends.
        before: keys of the materials spoken of before.
        device: whether the value is one of a cell: then the cell counts, not its electrolyte ("a cell with A").
        alone: whether the sentence has no other value of the property that other parts could be told apart by.
    """
    # "5 MPa, more than that of A": never A's
    mentions = [m for m in mentions if m.start < value or not is_compared(plain, start, m)]
    if device:
        return _without_parts_of_cells(mentions, plain, start, value, before, alone)
    added = [
        m for m in mentions if m.kind != "generic" and (is_added(plain, start, m) or is_made_with(plain, start, m))
    ]
    for run in lists_of(mentions, plain):
        added += [m for m in run[1:] if run[0] in added and m not in added and not is_followed_by_verb(plain, m)]
    keys = {key_of(m.meaning) for m in added}
    others = {key_of(m.meaning) for m in mentions if m.kind not in ("generic", "gas", "device")} | set(before)
    return [m for m in mentions if m not in added] if others - keys else mentions


def _without_parts_of_cells(
    mentions: Sequence[Mention], plain: str, start: int, value: int, before: Collection[str], alone: bool
) -> Sequence[Mention]:
    inside = in_brackets(plain, start, value)
    cells = [m for m in mentions if m.kind == "device" and not is_compared(plain, start, m)]
    counted = [m for m in cells if in_brackets(plain, start, m.start) not in (None, inside)]  # "the stack (10 cells)"
    cells = [m for m in cells if m not in counted]
    materials = [m for m in mentions if m.kind not in ("device", "generic", "gas")]
    parts = [
        m
        for m in materials
        if cells and cells[0].start < m.start and (_PART.match(plain, m.end) or is_aside(plain, start, m))
    ]
    if not alone and len({key_of(m.meaning) for m in parts}) > 1:
        parts = []
    used = (
        [m for m in materials if m.start - start < 40 and _TREATED_WITH.search(plain, start, m.start)] if before else []
    )
    shares = [m for m in materials if is_added(plain, start, m)]  # "with 1 vol% Pd" beside the electrode's own name
    used += shares if len(shares) < len(materials) else []
    return [m for m in mentions if m not in (*parts, *used, *counted)]


def before_treatment(mentions: Sequence[Mention], plain: str, start: int, value: int) -> Sequence[Mention]:
    """The mentions without what a sample was treated with, for the value that it had before: "with A, 5 fell to 3"."""
    if _ORIGIN.search(plain, max(start, value - 60), value) is None:
        return mentions
    return [m for m in mentions if not _AFTER.search(plain[max(start, m.start - 40) : m.start])]


def is_made_with(plain: str, start: int, mention: Mention) -> bool:
    """Whether a name tells what a sample was made with: "adding LiI", "after infiltration of GDC", "LiI was added"."""
    lead = plain[max(start, mention.start - 70) : mention.start]
    if re.match(r"\d+(?:\.\d+)?\sM\s[^\s]+$", mention.text) and re.search(r"\b(?:with|containing|soaked in)\s$", lead):
        return True
    return _TREATED_WITH.search(lead) is not None or _PUT_IN.match(plain, mention.end) is not None


def compared_in_brackets(plain: str, start: int, value: int, mentions: Sequence[Mention]) -> Mention | None:
    """The material of a value in brackets behind a comparison: "higher than that of alumina substrates (24 W/mK)"."""
    bracket = in_brackets(plain, start, value)
    before = [m for m in mentions if bracket is not None and m.end <= bracket and m.kind not in ("generic", "gas")]
    if bracket is None or not before or not is_compared(plain, start, before[-1]):
        return None
    between = re.sub(r"\bet al\.|\[[\d,– -]+\]", "", plain[before[-1].end : bracket]).strip(" )")
    return before[-1] if len(between) <= 60 and re.fullmatch(r"[^,;:.()]*", between) else None


def is_of_the_unnamed(plain: str, start: int, value: int) -> bool:
    """Whether a value in brackets is that of something without a name: "than the two references (0.61)"."""
    bracket = in_brackets(plain, start, value)
    return bracket is not None and _REFERENCE.search(plain[start:bracket].rstrip()) is not None


def has_own_subject(
    plain: str, clause: int, value: int, mentions: Sequence[Mention], cues: Sequence[tuple[int, int]]
) -> bool:
    """Whether a clause says a value of something that is no known name: "cortical bone has a modulus of 20 GPa"."""
    found = _SUBJECT.fullmatch(plain, clause, value)
    if re.match(r"[;,\s]*For\s(?:the\s)?(?:[a-z-]+\s){0,2}[a-z]+s,\s", plain[clause:value]) and not any(
        clause <= m.start < value for m in mentions
    ):
        return True
    if found is None or (found["the"] and not found["other"]):
        return False
    first, last = found.span("noun")
    if any(a < last and first < b for a, b in [*cues, *((m.start, m.end) for m in mentions)]):
        return False
    words = found["noun"].lower().split()
    return words[-1] not in _NO_THINGS and not re.search(
        r"(?:ing|tion|sion|ment|ysis|ure|ity|ance|copy|metry)s?$", words[-1]
    )
