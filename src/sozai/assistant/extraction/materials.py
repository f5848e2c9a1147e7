"""Where materials are named in a text: formulas, polymers, doped oxides, abbreviations, sample labels, devices."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from sozai.assistant.extraction.abbreviations import find_definitions
from sozai.assistant.extraction.formula import FORMULA, is_formula
from sozai.assistant.extraction.units import plain_signs, read_unit

Kind = Literal["formula", "name", "abbreviation", "label", "generic", "device", "gas"]
_SHARE = r"\d+(?:\.\d+)?\s?(?:mol|wt|at|vol|weight)\.?\s?%\s?(?:of\s)?"
_POLYMER = re.compile(
    r"(?<![A-Za-z])(?:(?:sulfonated|cross-?linked|hyperbranched|cardo|aromatic|fluorinated|linear|isotactic|syndiotactic|atactic|amorphous)\s)?"
    r"(?:[A-Za-z\d,'-]*-)?[Pp]oly(?:[-\s]?(?=[(\[{])|[a-z]{4,})"
)
_SHORT_POLYMER = re.compile(r"(?<![\w-])[A-Za-z]{0,2}P(?=\([A-Za-z][\w,'-]*-[\w'-]+\))")
"""``P(MMA-co-BA)``: a polymer by the abbreviations of its parts."""
_ION = re.compile(r"\s?\^\{?\s?(?:\d\s?)?[+-]|\d?[+](?![A-Za-z])|\sions?\b|(?:\(I{1,3}V?\))")
_ADDED = re.compile(
    r"(?:\b(?:doping|doped|substitut\w*|exchanged?|treat\w*|crosslink\w*)\s(?:with|by|of|for)|\bof|\bby|\bwith|\d\s?%)\s$",
    re.I,
)
_USED = (
    r"(?:was|were|is|are|has|have|had|shows?|showed|exhibit\w*|displays?|displayed|possess\w*|reach\w*|gave|gives)\b"
)
_SUFFIX_WORDS = re.compile(
    r"(?:polyol|polymer\w*|polydispers\w*|polycrystal\w*|polyhedr\w*|polymorph\w*|polyelectrolyte\w*|polycondens\w*|polyaddition|polyester\s?ification|polarized|polynomial\w*|polytype\w*|polysomnograph\w*|polyanion\w*|polycation\w*|polymeri[sz]\w*|polyesterification|polyols|polycyclic|polyphenol\w*|polychromat\w*|polyvalent|polyfunctional)$",
    re.I,
)
_LABEL = re.compile(
    r"(?:\b(?:[Ss]amples?|[Ss]pecimens?|[Cc]ells?|[Mm]embranes?|[Pp]olymers?|[Cc]opolymers?|[Ff]ilms?|[Cc]ompounds?|[Mm]ix(?:ture)?|[Bb]atch|[Aa]lloys?)[\s-](?P<one>[A-Z]\d{0,2}|\d{1,2}[a-z]?|[IVX]{1,4})(?![\w-]|\.\d))"
    r"|(?<![\w-])(?P<code>[A-Z]{1,6}\d?-?\d{1,4}[a-z]?|[A-Z]{2,5}-[A-Z\d]{1,5}(?:-\d+)?)(?![\w/]|\.\d|-\d)"
)
_CAPITALS = re.compile(
    r"(?<![\w-])(?=[A-Za-z\d-]*[A-Z][a-z\d-]?[A-Za-z\d]*[A-Z])[A-Za-z]{0,3}\d{0,2}[A-Z][A-Za-z\d]*(?:[-:][A-Za-z\d]+(?:\.\d+)?)*(?:s\b)?(?!\w|\.\d)"
)
_ENDING = re.compile(
    r"-(?:based|doped|type|like|coated|grafted|supported|modified|containing|functionalized|free|rich|filled)$"
)
_JOINT = re.compile(r"\s?(?:-|/|\+|:|–)\s?")
_ASIDE_CHEMICALS = set(
    [
        "H2",
        "N2",
        "O2",
        "Ar",
        "He",
        "CO2",
        "CH4",
        "H2O",
        "NH3",
        "CO",
        "NO",
        "NO2",
        "NOx",
        "C3H8",
        "SO2",
        "H2S",
        "C3H6",
        "C2H6",
        "C2H4",
        "C4H10",
        "HCl",
        "NaOH",
        "KOH",
        "NaCl",
        "KCl",
        "LiCl",
        "LiBr",
        "CaCl2",
        "MgCl2",
        "MgSO4",
        "Na2SO4",
        "H2SO4",
        "HNO3",
        "H3PO4",
        "AlCl3",
        "FeCl3",
        "CuCl",
        "CuBr",
        "CuSO4",
        "HF",
        "HBr",
        "NaHCO3",
        "Na2CO3",
        "K2CO3",
        "CHCl3",
        "CH2Cl2",
        "H2O2",
        "KBr",
        "NaBH4",
        "LiOH",
        "C2H5OH",
        "CH3OH",
        "NaNO3",
        "AlBr3",
        "FeCl2",
        "C2H5",
        "CH3",
        "OEt",
        "OMe",
    ]
)
"""Gases, solvents and reagents: values are seldom theirs."""
_DOPED = re.compile(
    r"(?:-|\s)?(?:co-?|-co-)?(?:doped|substituted|stabili[sz]ed|containing|coated|modified|infiltrated|impregnated|added|reinforced|filled|supported|rich)[\s-]+$"
)
_WITH = re.compile(
    rf"\s(?:with|containing|complexed with|blended with|doped with|stabili[sz]ed with|filled with|loaded with)\s(?:{_SHARE})?$"  # noqa: E501
)


@dataclass(frozen=True)
class Mention:
    """A material's name in the text.

    Attributes:
        start, end: its place.
        text: as written.
        kind: of name.
        meaning: what it stands for where the text defines it, else what is written.
    """

    start: int
    end: int
    text: str
    kind: Kind
    meaning: str = ""
    parts: tuple[str, ...] = field(default=(), compare=False)


@lru_cache(maxsize=1)
def _lists() -> dict[str, Any]:
    import yaml

    return yaml.safe_load(Path(__file__).with_name("names.yaml").read_text(encoding="utf-8"))


@lru_cache(maxsize=8)
def _pattern(key: str) -> re.Pattern[str]:
    words = sorted((str(word) for word in _lists()[key]), key=len, reverse=True)
    if key in ("names", "generic", "devices"):
        listed = "|".join(re.escape(word).replace(r"\ ", r"[\s-]") for word in words)
        plural = "s?" if key == "names" else ""
        return re.compile(
            rf"(?<![A-Za-z-])(?:{listed}){plural}(?![A-Za-z])"
            if key == "generic"
            else rf"(?<![A-Za-z])(?i:{listed}){plural}(?![A-Za-z])"
        )
    listed = "|".join(re.escape(word) for word in words)
    return re.compile(
        rf"(?<![A-Za-z\d])(?:\d{{1,2}}(?:mol%?)?)?(?:{listed})(?:\s?\d{{2,4}}(?!\.?\d|\s?(?:%|°|K\b|[kMG]?Pa|S\b|g\b|nm|mol|wt|C\b)))?s?(?![A-Za-z])"
    )


class Names:
    """The materials a document names.

    Args:
        text: the whole of it; its definitions of abbreviations are read first.
    """

    def __init__(self, text: str):
        self.text = text
        self.plain = plain_signs(text)
        self.meanings: dict[str, str] = {}
        self.not_materials = set(_lists()["not_materials"])
        self._codes: dict[str, bool] = {}
        for definition in find_definitions(self.plain):
            long = text[definition.long_start : definition.long_end]
            if self._material_words(long):
                self.meanings.setdefault(definition.short, long)
            elif not _pattern("abbreviations").fullmatch(definition.short) and not self._formula_before(
                definition.long_end
            ):
                self.not_materials.add(definition.short)
        for match in re.finditer(r"\(([A-Z][A-Za-z\d-]{1,11})\)", self.plain):
            if match.group(1) in self.meanings:
                continue
            polymer = [found for found in _POLYMER.finditer(self.plain, max(0, match.start() - 80), match.start())
                       if self._polymer_end(found, match.start()) == match.start() - 1]  # fmt: skip
            if polymer and re.search(r"[A-Z].*[A-Z]", match.group(1)):
                self.meanings[match.group(1)] = text[polymer[-1].start() : match.start() - 1]
                self.not_materials.discard(match.group(1))
            elif self._formula_before(match.start()):
                before = [
                    found
                    for found in FORMULA.finditer(self.plain, max(0, match.start() - 60), match.start())
                    if is_formula(found.group())
                ]
                self.meanings[match.group(1)] = text[before[-1].start() : before[-1].end()]
                self.not_materials.discard(match.group(1))

    def _formula_before(self, place: int) -> bool:
        found = [
            m
            for m in FORMULA.finditer(self.plain, max(0, place - 60), place)
            if is_formula(m.group()) and m.group() not in _ASIDE_CHEMICALS
        ]
        return bool(found) and place - found[-1].end() <= 1

    def _material_words(self, long: str) -> bool:
        if re.search(
            r"\b(?:polymeri[sz]ation|cell|spectroscop|condensation|microscop|temperature|analysis|method|voltage|density|transfer|deposition|cells|calorimetry|diffraction|resistance|capacity|ratio|index|weight|boundary|layer|reaction|constant|coefficient|uptake|humidity)\w*$",
            long,
        ):
            return False
        last = long.split()[-1] if long.split() else ""
        return bool(
            _POLYMER.search(long) or _pattern("names").search(long) or any(is_formula(m.group()) for m in FORMULA.finditer(plain_signs(long)))  # noqa: E501
            or re.search(r"(?:ide|ate|ene|ine|one|ose|acid|ol|rubber|resin|oxide|clay|amide|imide|ether|glass|alloy|steel|nanotubes?|nanoparticles?|nanofibers?|epoxy|silane|siloxane|copolymers?|membranes?|composites?)s?$", last)  # noqa: E501
        )  # fmt: skip

    def find(self, start: int, end: int) -> list[Mention]:
        """Materials named between two places, in order and without overlaps; longer names win."""
        found: list[Mention] = []

        def add(first: int, last: int, kind: Kind) -> None:
            text = self.text[first:last]
            key = self.plain[first:last]
            meaning = self.meanings.get(key) or self.meanings.get(key.removesuffix("s")) or text
            found.append(Mention(first, last, text, kind, meaning))

        window = self.plain
        for match in FORMULA.finditer(window, start, end):
            last = match.end()
            while window[last - 1] in " -_{+/" and last > match.start():
                last -= 1
            if window[last : last + 1] == "+" and not window[last + 1 : last + 2].isalpha():
                continue  # an ion
            if re.fullmatch(r"[A-Z][a-z]?", window[match.start() : last]) and (
                _ION.match(window, last) or _ADDED.search(window[max(start, match.start() - 30) : match.start()])
            ):
                continue  # an ion, or what was added
            if is_formula(window[match.start() : last]) and window[match.start() : last] not in self.not_materials:
                bare = re.sub(r"[\s_{}]", "", window[match.start() : last])
                add(match.start(), last, "gas" if bare in _ASIDE_CHEMICALS else "formula")
        for match in (*_POLYMER.finditer(window, start, end), *_SHORT_POLYMER.finditer(window, start, end)):
            stop = self._polymer_end(match, end)
            if stop is not None:
                add(match.start(), stop, "name")
        for key, kind in (("names", "name"), ("abbreviations", "abbreviation"), ("devices", "device")):
            for match in _pattern(key).finditer(window, start, end):
                if match.group() not in self.not_materials or key == "devices":
                    add(match.start(), match.end(), kind)  # type: ignore[arg-type]
        for short, long in self.meanings.items():
            for match in re.finditer(rf"(?<![A-Za-z\d]){re.escape(short)}s?(?![A-Za-z\d])", window[start:end]):
                add(start + match.start(), start + match.end(), "abbreviation")
            place = self.text.find(long, start, end)
            if place >= 0:
                add(place, place + len(long), "name")
        for match in _LABEL.finditer(window, start, end):
            code = match["code"]
            if code is None or not (
                any(part in self.not_materials for part in (code, *code.split("-")))
                or re.fullmatch(r"(?:[CHNO]\d+|[A-Z]{2,}s|X\d|F\d|T\d+|\d+)", code)
            ):
                first = match.start("one") if match["one"] and re.match(r"\w+s\b", match.group()) else match.start()
                add(first, match.end(), "label")
        for match in _CAPITALS.finditer(window, start, end):
            word = _ENDING.sub("", match.group())
            parts = [part.removesuffix("s") for part in re.split(r"[-:]", word)]
            named = not any(part in self.not_materials for part in (*parts, *re.split(r"[-:]", word), word))
            roman = all(re.fullmatch(r"[IVX]+", part) for part in parts)
            strange = word.startswith(("ASR", "Cell", "pH", "IEC")) or len(word) < 3 or read_unit(word, 0) is not None
            if named and not roman and not strange and self._trusted(word):
                add(match.start(), match.start() + len(word), "abbreviation")
        for match in _pattern("generic").finditer(window, start, end):
            if re.search(
                r"\b(?:the|this|these|our|such|its|both|all|resulting|obtained|prepared|same|present|synthesized)\s(?:[\w-]+\s){0,3}$",
                window[max(start, match.start() - 50) : match.start()],
                re.I,
            ):
                add(match.start(), match.end(), "generic")
        for match in re.finditer(
            r"(?<![A-Za-z])(?:[Ii]t|[Ii]ts|[Tt]hey|[Tt]heir|the former|the latter)(?![A-Za-z])", window[start:end]
        ):
            add(start + match.start(), start + match.end(), "generic")
        kept = [
            replace(m, kind="gas") if re.sub(r"[\s_{}]", "", self.plain[m.start : m.end]) in _ASIDE_CHEMICALS else m
            for m in _without_overlaps(found)
            if not window.startswith("-type ", m.end)
        ]
        return self._with_modifiers(self._joined(kept), start)

    def _trusted(self, word: str) -> bool:
        """Whether letters in capitals that no list knows are used as a material's name somewhere in the document."""
        bare = word.removesuffix("s")
        if bare not in self._codes:
            nouns = r"(?:membrane|film|polymer|copolymer|composite|blend|ceramic|electrolyte|pellet|sample|glass|fib|network|hydrogel|foam|resin|elastomer|alloy|cathode|anode|electrode|powder|nano|matrix|layer|coating)"  # noqa: E501
            named = re.search(
                rf"(?<![\w-]){re.escape(bare)}s?(?:\s(?:and|or|/)\s[\w-]+)?[\s-](?:[a-z]+\s)?{nouns}", self.plain
            )
            word = rf"(?<![\w-]){re.escape(bare)}s?"
            subject = re.search(
                rf"(?:^|[.;:]\s)(?:The\s)?{word}\s(?:[a-z]+ly\s)?{_USED}|\b(?:neat|pure|pristine|unmodified|give|gave|giving|yield|called|named|obtain)\s{word}(?![\w-])",
                self.plain,
            )
            coded = re.search(r"\d", bare) is not None and ("-" in bare or len(re.findall(r"[A-Z]", bare)) > 3)
            self._codes[bare] = bool(named) or bool(subject) or self.plain.count(bare) >= 4 or coded
        return self._codes[bare]

    def _polymer_end(self, match: re.Match[str], end: int) -> int | None:
        last = match.end()
        if self.plain[last : last + 1] in ("(", "[", "{"):
            depth = 0
            while last < len(self.plain) and last < end:
                depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(self.plain[last], 0)
                last += 1
                if depth == 0:
                    break
            if depth:
                return None
            if self.plain[last : last + 1] == "s" and not self.plain[last + 1 : last + 2].isalpha():
                last += 1
        word = self.plain[match.start() : last].split()[-1]
        more = re.compile(
            r"\s(?:alcohol|oxide|glycol|chloride|fluoride|acetate|carbonate|imides?|amides?|sulfone|ketone|acid|butyrate|succinate|terephthalate|ether)\b"
        ).match(self.plain, last)
        if more and "(" not in word:
            last = more.end()
        return None if _SUFFIX_WORDS.search(word) else last

    def _joined(self, mentions: Sequence[Mention]) -> list[Mention]:
        """``NiO-YSZ``, ``EC/DMC``, ``PEO-LiTFSI``: names joined by a sign are one."""
        out: list[Mention] = []
        for mention in mentions:
            if (
                out
                and out[-1].kind not in ("generic", "device", "gas")
                and mention.kind not in ("generic", "device", "gas")
            ):
                gap = self.plain[out[-1].end : mention.start]
                if gap and _JOINT.fullmatch(gap):
                    first = out.pop()
                    kind: Kind = "label" if mention.kind == "label" else "name"
                    text = self.text[first.start : mention.end]
                    out.append(Mention(first.start, mention.end, text, kind, text, (first.text, mention.text)))
                    continue
            out.append(mention)
        return out

    def _with_modifiers(self, mentions: Sequence[Mention], start: int) -> list[Mention]:
        """``8 mol% Y2O3-doped ZrO2``, ``Ta-doped LLZO``, ``PEO with 10 wt% SiO2`` are one name each."""
        out: list[Mention] = []
        for mention in mentions:
            if (
                out
                and mention.kind in ("formula", "name", "abbreviation")
                and out[-1].kind in ("formula", "name", "abbreviation")
            ):
                gap = self.plain[out[-1].end : mention.start]
                if (
                    gap.startswith(")")
                    and len(out) > 1
                    and out[-1].start - out[-2].end <= 2
                    and _WITH.fullmatch(gap[1:])
                ):
                    out.pop()  # poly(ethylene oxide) (PEO) with ...
                    gap = gap[1:]
                if _DOPED.fullmatch(gap) or _WITH.fullmatch(gap):
                    first = out.pop()
                    mention = replace(
                        mention,
                        start=first.start,
                        text=self.text[first.start : mention.end],
                        meaning=self.text[first.start : mention.end],
                    )
            if mention.kind in ("formula", "name", "abbreviation"):
                lead = self.plain[max(start, mention.start - 40) : mention.start]
                dopant = re.search(
                    rf"(?:{_SHARE})?(?<![A-Za-z])(?:[A-Z][a-z]?(?:,\s?[A-Z][a-z]?)?(?:-|\s)(?:co-?)?(?:doped|substituted|stabili[sz]ed|containing)|undoped|pristine|pure|neat)[\s-]$",
                    lead,
                )
                share = (
                    None
                    if dopant
                    else re.search(rf"(?:{_SHARE}|\d+(?:\.\d+)?\sM\s)$", lead)
                    if "doped" in mention.text or "stabili" in mention.text or re.search(r"\d\sM\s$", lead)
                    else None
                )
                grown = dopant or share
                if grown:
                    first_place = mention.start - len(lead) + grown.start()
                    text = self.text[first_place : mention.end]
                    mention = replace(mention, start=first_place, text=text, meaning=text)
            solution = re.compile(r"\sin\s$") if re.match(r"\d+(?:\.\d+)?\sM\s", out[-1].text if out else "") else None
            if out and solution and solution.fullmatch(self.plain[out[-1].end : mention.start]):
                first = out.pop()
                text = self.text[first.start : mention.end]
                mention = replace(mention, start=first.start, text=text, meaning=text)
            out.append(mention)
        return out


def _without_overlaps(mentions: Sequence[Mention]) -> list[Mention]:
    rank = {"formula": 0, "gas": 0, "name": 1, "abbreviation": 2, "label": 3, "device": 4, "generic": 5}
    chosen: list[Mention] = []
    for mention in sorted(mentions, key=lambda m: (-(m.end - m.start), rank[m.kind], m.start)):
        if all(mention.end <= other.start or mention.start >= other.end for other in chosen):
            chosen.append(mention)
    return sorted(chosen, key=lambda m: m.start)


def same_material(one: str, other: str, meanings: Mapping[str, str] | None = None) -> bool:
    """Whether two names are the same but for spaces, signs, case and abbreviation."""
    known = meanings or {}

    def key(name: str) -> str:
        return re.sub(r"[\s_{}^$-]", "", plain_signs(known.get(name, name))).lower()

    return key(one) == key(other)
