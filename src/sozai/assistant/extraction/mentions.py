"""Names of materials in a text, once found: overlaps, joins by signs, and words that belong to a name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

Kind = Literal["formula", "name", "abbreviation", "label", "generic", "device", "gas", "sample"]
_SHARE = r"\d+(?:\.\d+)?\s?(?:mol|wt|at|vol|weight)\.?\s?%\s?(?:of\s)?"
_JOINT = re.compile(r"\s?(?:-|/|\+|:|–|\|{1,2})\s?")
_DOPED = re.compile(
    r"(?:-|\s)?(?:co-?|-co-)?(?:doped|substituted|stabili[sz]ed|containing|coated|modified|infiltrated|impregnated|added|reinforced|filled|supported|rich)[\s-]+$"
)
_AS = re.compile(r"(?:\s\([^()]*\))?\sas\s")
"""Behind what is no part of a name: "PSf with PVP as pore former"."""
_BASED = re.compile(r"-(?:based|containing|type|derived)\s(?:[a-z]+\s)?")
_WITH = re.compile(
    rf"\s(?:with|containing|complexed with|blended with|doped with|stabili[sz]ed with|filled with|loaded with)\s(?:{_SHARE})?$"  # noqa: E501
)
_SUBSCRIPT = re.compile(r"_?\{\s?[A-Za-z\d.+-]{1,5}\s?\}(?!\s?\))|(?<=\d)T_?\{?\s?x\b\s?\}?|(?<=\})T_?\{?\s?x\b\s?\}?")
"""What belongs to a name: ``PVC-TBC_{1}``, ``Ti_{3}C_{2}T_{x}``."""
_DOPANT = re.compile(
    rf"(?:{_SHARE})?(?<![A-Za-z])(?:[A-Z][a-z]?(?:,\s?[A-Z][a-z]?)?(?:-|\s)(?:co-?)?(?:doped|substituted|stabili[sz]ed|containing)|undoped|pristine|pure|neat)[\s-]$"
)
_NEW = re.compile(r"\b(?:new|novel|first)\s(?:[\w-]+\s){0,3}$")
_ENDED = re.compile(r",|\s(?:was|were|is|has)\b")
_RATIO = re.compile(
    r"\s?\(\d{1,3}(?:\.\d+)?(?:[/:]\d{1,3}(?:\.\d+)?)+(?:,?\s?(?:w/w|wt|mol|vol|by weight|by volume)\.?\s?%?)?\)|"
    r"\s\d{1,2}0?[/:]\d{1,2}0?(?![\d.%/])"
)
_NEXT_RATIO = re.compile(r"(?:,\sand|,|\sand|\sor)\s(?P<ratio>\d{1,2}0?[/:]\d{1,2}0?)(?![\d.%/])")
_COMPOUND = re.compile(r"\s\d{1,2}[a-h](?![\w-])|-[a-e](?![\w'-])")
_PHASE = re.compile(r"(?<![\w-])[αβγδθκεghtcmo]-$")
"""``β-Ga2O3``, ``g-C3N4``."""
_MOLAR = re.compile(r"\d+(?:\.\d+)?\sM\s")


@dataclass(frozen=True)
class Mention:
    """A material's name in the text.

    Attributes:
        start, end: its place.
        text: as written.
        kind: of name.
        meaning: what it stands for where the text defines it, else what is written.
        parts: the meanings of names joined by a sign, as of ``PEO-LiTFSI``.
    """

    start: int
    end: int
    text: str
    kind: Kind
    meaning: str = ""
    parts: tuple[str, ...] = field(default=(), compare=False)


def without_overlaps(mentions: Sequence[Mention]) -> list[Mention]:
    """The longest of overlapping names, in order."""
    rank = {"formula": 0, "gas": 0, "name": 1, "abbreviation": 2, "label": 3, "device": 4, "sample": 4, "generic": 5}
    chosen: list[Mention] = []
    for mention in sorted(mentions, key=lambda m: (-(m.end - m.start), rank[m.kind], m.start)):
        if all(mention.end <= other.start or mention.start >= other.end for other in chosen):
            chosen.append(mention)
    return sorted(chosen, key=lambda m: m.start)


def joined(mentions: Sequence[Mention], text: str, plain: str) -> list[Mention]:
    """``NiO-YSZ``, ``EC/DMC``, ``PEO-LiTFSI``: names joined by a sign are one; so are a name and its subscript."""
    out: list[Mention] = []
    for mention in mentions:
        if mention.kind == "formula" and (phase := _PHASE.search(plain[max(0, mention.start - 3) : mention.start])):
            mention = _grown(mention, mention.start - len(phase.group()), mention.end, text)
        if mention.kind in ("formula", "name", "abbreviation", "label"):
            more = _SUBSCRIPT.match(plain, mention.end)
            if more and not (out and out[-1].end > mention.start):
                mention = _grown(mention, mention.start, mention.end + len(more.group().rstrip()), text)
        if out and not {out[-1].kind, mention.kind} & {"generic", "device", "gas"}:
            gap = plain[out[-1].end : mention.start]
            if gap == " " and out[-1].kind == "name" and mention.kind in ("label", "abbreviation"):
                first = out.pop()  # "the polyurethane WPU-3" is WPU-3
                out.append(replace(mention, start=first.start, text=text[first.start : mention.end]))
                continue
            if (
                gap == ", "
                and _NEW.search(plain[max(0, out[-1].start - 40) : out[-1].start])
                and _ENDED.match(plain, mention.end)
            ):
                out[-1] = replace(mention, kind="label" if mention.kind == "generic" else mention.kind)
                continue  # "a new polyamide, nylon 4 14," is nylon 4 14
            if gap and _JOINT.fullmatch(gap):
                first = out.pop()
                kind: Kind = "label" if mention.kind == "label" else "name"
                whole = text[first.start : mention.end]
                out.append(
                    Mention(
                        first.start,
                        mention.end,
                        whole,
                        kind,
                        whole,
                        (*(first.parts or (first.meaning,)), mention.meaning),
                    )
                )
                continue
        out.append(mention)
    told = [_with_ratio(mention, text, plain) for mention in out]
    for mention in told:
        while (
            mention.parts
            and (more := _NEXT_RATIO.match(plain, mention.end)) is not None
            and re.search(r"\d[/:]\d", mention.text)
        ):
            place = more.start("ratio"), more.end("ratio")  # "PEO/PVC 70/30, 50/50 and 30/70" are three blends
            mention = replace(mention, start=place[0], end=place[1], text=text[slice(*place)], kind="label")
            mention = replace(mention, meaning=f"{mention.parts[0]} {mention.text}")
            told = sorted([*told, mention], key=lambda m: m.start)
    return told


def _with_ratio(mention: Mention, text: str, plain: str) -> Mention:
    """``PLA/PBAT (80/20)``, ``PEO/PVC 70/30``, ``PA 8b``: what tells a blend or a compound from others is in its name."""  # noqa: E501
    if mention.kind in ("name", "abbreviation", "label"):
        more = (
            _RATIO.match(plain, mention.end)
            if mention.parts or "/" in mention.text
            else _COMPOUND.match(plain, mention.end)
        )
        if more is not None:
            return _grown(mention, mention.start, more.end(), text)
    return mention


def with_modifiers(mentions: Sequence[Mention], text: str, plain: str, start: int) -> list[Mention]:
    """``8 mol% Y2O3-doped ZrO2``, ``Ta-doped LLZO``, ``PEO with 10 wt% SiO2`` are one name each."""
    out: list[Mention] = []
    for mention in mentions:
        named = mention.kind in ("formula", "name", "abbreviation")
        if out and named and out[-1].kind in ("formula", "name", "abbreviation"):
            gap = plain[out[-1].end : mention.start]
            bracketed = gap.startswith(")") and len(out) > 1 and out[-1].start - out[-2].end <= 2
            if bracketed and _WITH.fullmatch(gap[1:]) and not _AS.match(plain, mention.end):
                out.pop()  # poly(ethylene oxide) (PEO) with ...
                gap = gap[1:]
            if _BASED.fullmatch(gap) and out[-1].end - out[-1].start <= 12:
                meaning = mention.meaning  # "TPM-based PI" is a PI
                mention = replace(_grown(mention, out.pop().start, mention.end, text), meaning=meaning)
            elif _DOPED.fullmatch(gap) or (_WITH.fullmatch(gap) and not _AS.match(plain, mention.end)):
                mention = _grown(mention, out.pop().start, mention.end, text)
        if named:
            lead = plain[max(start, mention.start - 40) : mention.start]
            before = _DOPANT.search(lead)
            if before is None and ("doped" in mention.text or "stabili" in mention.text):
                before = re.search(rf"{_SHARE}$", lead)
            if before is None:
                before = re.search(rf"{_MOLAR.pattern}$", lead)
            if before is not None:
                mention = _grown(mention, mention.start - len(lead) + before.start(), mention.end, text)
        if out and _MOLAR.match(out[-1].text) and re.fullmatch(r"\sin\s", plain[out[-1].end : mention.start]):
            mention = _grown(mention, out.pop().start, mention.end, text)
        out.append(mention)
    return out


def _grown(mention: Mention, start: int, end: int, text: str) -> Mention:
    return replace(mention, start=start, end=end, text=text[start:end], meaning=text[start:end])
