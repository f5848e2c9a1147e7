"""Where materials are named in a text: formulas, polymers, doped oxides, abbreviations, sample labels, devices."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from sozai.assistant.extraction.abbreviations import find_definitions
from sozai.assistant.extraction.formula import FORMULA, is_formula
from sozai.assistant.extraction.mentions import Kind, Mention, joined, with_modifiers, without_overlaps
from sozai.assistant.extraction.units import plain_signs, read_unit

_POLYMER = re.compile(
    r"(?<![A-Za-z])(?:(?:sulfonated|cross-?linked|hyperbranched|cardo|aromatic|fluorinated|linear|isotactic|syndiotactic|atactic|amorphous)\s)?"
    r"(?:(?:[A-Za-z\d,'-]*-)?(?:[Cc]o|[Bb]io|[Hh]omo)?[Pp]oly(?:[-\s]?(?=[(\[{])|[a-z]{4,})|(?:[Cc]o-)?[Oo]ligo[a-z]{4,})"
)
_SHORT_POLYMER = re.compile(r"(?<![\w-])[A-Za-z]{0,2}P(?=\([A-Za-z][\w,'-]*-[\w'-]+\))")
"""``P(MMA-co-BA)``: a polymer by the abbreviations of its parts."""
_ION = re.compile(r"\s?\^\{?\s?(?:\d\s?)?[+-]|\d?[+](?![A-Za-z])|\sions?\b|(?:\(I{1,3}V?\))")
_ADDED = re.compile(
    r"(?:\b(?:doping|doped|substitut\w*|exchanged?|treat\w*|crosslink\w*)\s(?:with|by|of|for)(?:\s[A-Z][a-z]?(?:,|/|\sand|,\sand))*|\bof|\bby|\bwith|\d\s?%)\s$",
    re.I,
)
_USED = (
    r"(?:was|were|is|are|has|have|had|shows?|showed|exhibit\w*|displays?|displayed|possess\w*|reach\w*|gave|gives)\b"
)
_SUFFIX_WORDS = re.compile(
    r"(?:oligomer\w*|oligosaccharide\w*|polyol|polymer\w*|polydispers\w*|polycrystal\w*|polyhedr\w*|polymorph\w*|polyelectrolyte\w*|polycondens\w*|polyaddition|polyester\s?ification|polarized|polynomial\w*|polytype\w*|polysomnograph\w*|polyanion\w*|polycation\w*|polymeri[sz]\w*|polyesterification|polyols|polycyclic|polyphenol\w*|polychromat\w*|polyvalent|polyfunctional)$",
    re.I,
)
_BROKEN = re.compile(
    r"^\(|^[^(]*\)|\)\s?(?:and|with|from|prepared)\b|\s(?:prepared|synthesi[sz]ed|derived|were|was|are|is)\s"
)
"""A long form of which a bracket is missing, or that is a clause."""
_ORGANIC = re.compile(r"(?=.*C)(?=.*H)(?:[CHO]\d*)+|[A-Z][A-Za-z\d]*(?:SO3H|COOH|CO2H|PO3H2?)")
_NOUNS = r"(?:membrane|film|polymer|copolymer|composite|blend|ceramic|electrolyte|pellet|sample|glass|fib|network|hydrogel|foam|resin|elastomer|alloy|cathode|anode|electrode|powder|nano|matrix|layer|coating)"  # noqa: E501
_TWO_CODES = re.compile(r"(?=(?:.*[A-Z]){4})[A-Za-z\d]{3,}-[A-Za-z\d]{2,}(?:-[A-Za-z\d]+)*")
_OF_POLYMERS = re.compile(r"(?:PEEK|PAEK|PES|PPO|PVA|PBI|PPSU|PMMA|PVDF|PLA|PCL|PDMS|PANI|PEO|PEG)s?$")
_ALLOY = re.compile(
    r"(?<![\w-])(?:[A-Z][a-z]?(?:-\d{1,2}(?:\.\d+)?[A-Z][a-z]?){1,5}|(?:Inconel|Incoloy|Hastelloy|Vitreloy|Monel|Stellite|Zircaloy|Nitinol|Invar|Kovar|Waspaloy|Haynes|Rene)(?:[\s-]?(?:\d{1,4}[A-Z]{0,2}|[A-Z])(?![\w.]))?|"
    r"(?:(?:AISI|SAE|AA)\s?)?\d{3,4}[A-Z]{0,2}\s(?:(?:stainless|carbon|mild|maraging|duplex|austenitic)\s)?(?:steel|alumini?um(?:\salloy)?)|[Ss]teel\s[A-Z]?\d{2,4}[A-Z]?)(?!\w)"
)
"""``Ti-6Al-4V``, ``Inconel 718``, ``316L stainless steel``, ``6061 aluminum alloy``."""
_NO_NAME = re.compile(
    r"[KVAWJNCSTg]-[12](?![\w-]|\.\d)|[A-Z]\w+(?:,\s[A-Z]\w+)?\s(?:et al\b|and co-?workers)|Mn\s?(?:[=~≈:]|of\s\d|\()"
)
"""A unit's power, a person, or the number average of a molar mass."""
_MIXED = re.compile(r"(?<![\w(])\((?:[A-Z][a-z]?,\s?){1,4}[A-Z][a-z]?\)(?:[A-Z][a-z]?|[\d.xyδ{}_-])+(?![a-z])")
"""``(Bi,Sb)2Te3``."""
_SLASHED_BEFORE = re.compile(r"(?<![\w/.-])(?P<part>[A-Z][A-Za-z\d-]{0,9}[A-Z\d])/$")
_SLASHED_BEHIND = re.compile(r"/(?P<part>[A-Z][a-z\d]{0,3}[A-Z][A-Za-z\d]{0,4}(?:-\d{1,3})?)(?![\w/-])")
_PREFIX = re.compile(r"(?<![\w-])(?P<part>(?:meta|para|ortho|homo|star|linear|cyclic|iso|syndio|[smpiahlf])-)$")
_NYLON = re.compile(r"[Nn]ylon[\s-]?\d{1,2}(?:[,.\s]\d{1,2})?(?![\w%])")
_LABEL = re.compile(
    r"(?:\b(?:[Ss]amples?|[Ss]pecimens?|[Cc]ells?|[Mm]embranes?|[Pp]olymers?|[Cc]opolymers?|[Ff]ilms?|[Cc]ompounds?|[Mm]ix(?:ture)?|[Bb]atch|[Aa]lloys?|[Cc]omposites?|[Bb]lends?|[Hh]ydrogels?|[Gg]els?|[Rr]esins?|[Gg]lass(?:es)?|[Ff]oams?|[Ff]ib(?:er|re)s?|[Cc]oatings?|[Pp]olyimides?|[Pp]olyamides?)[\s-](?P<one>[A-Z]\d{0,2}|\d{2}(?:[A-Z]\d|-\d{2})|\d{1,2}[a-z]?|[IVX]{1,4})(?![\w-]|\.\d))"
    r"|(?<![\w-])(?P<code>(?:[A-Z]{1,6}\d?-?\d{1,4}[a-z]?|[A-Z]{2}\d{2}[A-Z]|[A-Z]{2,5}-[A-Z\d]{1,5}(?:-\d+)?)(?:/[a-z]{2,8})?)(?![\w/]|\.\d|-\d|-[A-Z])"
)
_SERIES = re.compile(r"(?:AEM|PEM|CEM|BPM|MMM|TFC|TFN|IPN|GPE|SPE|CPE|UF|NF|RO|FO|MF|IL|NP|HF)s?-\d{1,2}[a-z]?")
"""Samples called by what they are and a number: "AEM-3"."""
_CAPITALS = re.compile(
    r"(?<![\w-])(?<!\d\.)(?=[A-Za-z\d.-]*[A-Z][a-z\d-]?[A-Za-z\d]*[A-Z])(?:[A-Za-z]{0,3}\d{0,2}|\d-|\d{1,2}\.\d{1,2})[A-Z][A-Za-z\d]*(?:[-:][A-Za-z\d]+(?:\.\d+)?)*(?:s\b)?(?!\w|\.\d)"
)
OFTEN = 5
"""Times that a name stands by itself where digits behind it, met once, are the number of a reference."""
_ENDING = re.compile(
    r"-(?:based|doped|type|like|coated|grafted|supported|modified|containing|functionalized|free|rich|filled|stabili[sz]ed|substituted|infiltrated|impregnated|derived)$"
)
_ASIDE_CHEMICALS = frozenset(["H2", "N2", "O2", "Ar", "He", "CO2", "CH4", "H2O", "NH3", "CO", "NO", "NO2", "NOx", "C3H8", "SO2", "H2S", "C3H6", "C2H6", "C2H4", "C4H10", "HCl", "NaOH", "KOH", "NaCl", "KCl", "LiCl", "LiBr", "CaCl2", "MgCl2", "MgSO4", "Na2SO4", "H2SO4", "HNO3", "H3PO4", "AlCl3", "FeCl3", "CuCl", "CuBr", "CuSO4", "HF", "HBr", "NaHCO3", "Na2CO3", "K2CO3", "CHCl3", "CH2Cl2", "H2O2", "KBr", "NaBH4", "LiOH", "C2H5OH", "CH3OH", "NaNO3", "AlBr3", "FeCl2", "C2H5", "CH3", "OEt", "OMe"])  # fmt: skip  # noqa: E501
"""Gases, solvents and reagents: values are seldom theirs."""


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
            else rf"(?<![A-Za-z])(?<!unit )(?i:{listed}){plural}(?![A-Za-z])"
        )
    listed = "|".join(re.escape(word) for word in words)
    return re.compile(
        rf"(?<![A-Za-z\d])(?:\d{{1,2}}(?:mol%?)?)?(?:{listed})(?:\s?\d{{2,4}}(?!\.?\d|[/:]\d|\s?(?:%|°|K\b|[kMG]?Pa|S\b|g\b|nm|mol|wt|C\b)))?s?(?![A-Za-z])"
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
        never = frozenset(self.not_materials)
        self._codes: dict[str, bool] = {}
        self._counts: dict[str, int] = {}
        for definition in find_definitions(self.plain):
            long = text[definition.long_start : definition.long_end]
            if definition.short in never or definition.short.removesuffix("s") in never:
                continue
            if _BROKEN.search(long) is None and self._material_words(long):
                self.meanings.setdefault(definition.short, long)
            elif not (
                _pattern("abbreviations").fullmatch(definition.short)
                or self._formula_before(definition.long_end)
                or self._before_a_noun(definition.short)
            ):
                self.not_materials.add(definition.short)
        for match in re.finditer(r"\(([A-Z][A-Za-z\d-]{1,11})\)", self.plain):
            if match.group(1) in self.meanings or match.group(1) in never:
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

        longs = list(self.meanings.values())
        for short, long in self.meanings.items():  # "the polyimide (A) ... the other polyimide (B)" are two
            if longs.count(long) > 1 and re.search(r"[\d-]", short):
                self.meanings[short] = short

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
            or re.search(r"(?:ide|ate|ene|ine|one|ose|acid|ol|rubber|resin|oxide|clay|amide|imide|ether|glass|alloy|steel|nanotubes?|nanoparticles?|nanofibers?|epoxy|silane|siloxane|copolymers?|membranes?|composites?|electrolytes?|oil|elastomers?|frameworks?|ionomers?|hydrogels?|networks?|fib(?:er|re)s?|nanosheets?|nanowires?|alloys?|zeolites?|perovskites?|garnets?)s?$", last)  # noqa: E501
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
                _ION.match(window, last)
                or _ADDED.search(window[max(start, match.start() - 30) : match.start()])
                or re.match(r"\([A-Za-z]", window[last : last + 2])
                or re.search(r"\b(?:mol|g|kg)\s?\($", window[max(start, match.start() - 6) : match.start()])
            ):
                continue  # an ion, what was added, a metal of a catalyst
            if is_formula(window[match.start() : last]) and window[match.start() : last] not in self.not_materials:
                bare = re.sub(r"[\s_{}]", "", window[match.start() : last])
                inner = re.fullmatch(r"\(([^()]*)\)", window[match.start() : last]) is not None
                add(
                    match.start() + inner,
                    last - inner,
                    "gas" if bare in _ASIDE_CHEMICALS or _ORGANIC.fullmatch(bare) else "formula",
                )
        for match in (*_POLYMER.finditer(window, start, end), *_SHORT_POLYMER.finditer(window, start, end)):
            stop = self._polymer_end(match, end)
            if stop is not None:
                add(match.start(), stop, "name")
        for pattern in (_ALLOY, _MIXED, _NYLON):
            for match in pattern.finditer(window, start, end):
                if pattern is _NYLON and read_unit(window, match.end()) is not None:
                    continue
                add(match.start(), match.end(), "name")
        for key, kind in (("names", "name"), ("abbreviations", "abbreviation"), ("devices", "device")):
            for match in _pattern(key).finditer(window, start, end):
                if match.group() not in self.not_materials or key == "devices":
                    add(match.start(), _without_value(window, match), kind)  # type: ignore[arg-type]
        for short, long in self.meanings.items():
            for match in re.finditer(rf"(?<![A-Za-z\d]){re.escape(short)}s?(?![A-Za-z\d])", window[start:end]):
                add(start + match.start(), start + match.end(), "abbreviation")
            place = self.text.find(long, start, end)
            if place >= 0:
                add(place, place + len(long), "name")
        for match in _LABEL.finditer(window, start, end):
            code = match["code"]
            if (
                code is None
                or _SERIES.fullmatch(code)
                or not (
                    any(part in self.not_materials for part in (code, *code.split("-")))
                    or re.fullmatch(r"(?:[CHO]\d+|N\d{1,2}|[A-Z]{2,}s|X\d|F\d|T\d+|\d+)", code)
                )
            ):
                first = match.start("one") if match["one"] and re.match(r"\w+s\b", match.group()) else match.start()
                add(first, match.end(), "label")
                if match["one"] and re.fullmatch(r"[A-Z]\d{1,2}", match["one"]):
                    found[-1] = replace(found[-1], meaning=match["one"])
        for match in _CAPITALS.finditer(window, start, end):
            word = _ENDING.sub("", match.group())
            parts = [part.removesuffix("s") for part in re.split(r"[-:]", word)]
            named = word not in self.not_materials and word.removesuffix("s") not in self.not_materials
            named = named and not all(part in self.not_materials for part in parts)
            named = named and parts[0] not in self.not_materials
            roman = all(re.fullmatch(r"[IVX]+", part) for part in parts)
            strange = (
                re.match(r"ASR|Cell|pH|IEC|P_?(?:CO2|O2|N2|H2|CH4|He)(?![a-z])", word)
                or len(word) < 3
                or read_unit(word, 0) is not None
            )
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
            for m in without_overlaps(found)
            if not (window.startswith("-type ", m.end) or _NO_NAME.match(window, m.start))
        ]
        kept = [self._without_reference(mention) for mention in kept]
        whole = [self._whole(mention) for mention in joined(kept, self.text, self.plain)]
        return with_modifiers(whole, self.text, self.plain, start)

    def _without_reference(self, mention: Mention) -> Mention:
        """The name without the number of a reference that stood raised behind it: of "the BZY3637" in a paper that says
        BZY elsewhere, BZY."""
        written = self.plain[mention.start : mention.end]
        if mention.kind not in ("abbreviation", "label") or not re.fullmatch(r"[A-Za-z][\w-]*[A-Za-z]\d{2,}", written):
            return mention
        if self._count(written) > 1:
            return mention
        for cut in range(len(written) - 1, 1, -1):
            base = written[:cut]
            if written[cut:].isdigit() and self._count(base) >= OFTEN:
                kind: Kind = "gas" if base in _ASIDE_CHEMICALS else mention.kind
                text = self.text[mention.start : mention.start + cut]
                meaning = self.meanings.get(base, text)
                return replace(mention, end=mention.start + cut, text=text, kind=kind, meaning=meaning)
        return mention

    def _count(self, word: str) -> int:
        """How often a word stands in the document by itself."""
        if word not in self._counts:
            self._counts[word] = len(re.findall(rf"(?<![\w]){re.escape(word)}(?![\w])", self.plain))
        return self._counts[word]

    def _whole(self, mention: Mention) -> Mention:
        """The name with an unknown part behind or before a slash, ``BMI/POSS-5``, and ``meta-PI`` with its prefix."""
        if mention.kind not in ("name", "abbreviation", "label"):
            return mention
        before = _SLASHED_BEFORE.search(self.plain, max(0, mention.start - 14), mention.start)
        after = _SLASHED_BEHIND.match(self.plain, mention.end)
        prefix = _PREFIX.search(self.plain, max(0, mention.start - 8), mention.start)
        first = before.start("part") if before and before["part"] not in self.not_materials else mention.start
        last = after.end() if after and after["part"] not in self.not_materials else mention.end
        if prefix is not None and mention.kind == "abbreviation" and first == mention.start:
            first = prefix.start("part")
        if (first, last) == (mention.start, mention.end):
            return mention
        text = self.text[first:last]
        return replace(mention, start=first, end=last, text=text, meaning=text)

    def _trusted(self, word: str) -> bool:
        """Whether letters in capitals that no list knows are used as a material's name somewhere in the document."""
        bare = word.removesuffix("s")
        if bare not in self._codes:
            named = self._before_a_noun(bare)
            word = rf"(?<![\w-]){re.escape(bare)}s?"
            subject = re.search(
                rf"(?:^|[.;:]\s)(?:The\s)?{word}\s(?:[a-z]+ly\s)?{_USED}|\b(?:neat|pure|pristine|unmodified|give|gave|giving|yield|called|named|obtain)\s{word}(?![\w-])",
                self.plain,
            )
            coded = re.search(r"\d", bare) is not None and ("-" in bare or len(re.findall(r"[A-Z]", bare)) > 3)
            coded = coded or (
                re.fullmatch(r"[A-Z]{1,2}", bare.split("-")[0]) is not None
                and (
                    bare.split("-")[-1] in self.meanings
                    or bare.split("-", 1)[-1] in self.meanings
                    or _pattern("abbreviations").fullmatch(bare.split("-")[-1]) is not None
                )
            )
            coded = coded or (bare[0].isdigit() and f"{bare}/" in self.plain)  # 0.5GO/PVA
            coded = coded or _TWO_CODES.fullmatch(bare) is not None or _OF_POLYMERS.search(bare) is not None
            self._codes[bare] = named or bool(subject) or self.plain.count(bare) >= 4 or coded
        return self._codes[bare]

    def _before_a_noun(self, code: str) -> bool:
        """Whether the document says "X membranes", "X films" and the like."""
        return (
            re.search(
                rf"(?<![\w-]){re.escape(code)}s?(?:\s(?:and|or|/)\s[\w-]+)?[\s-](?:[a-z]+\s)?{_NOUNS}", self.plain
            )
            is not None
        )

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
            r"\s(?:(?<=amide\s)\d{1,2}(?:[,.]\d{1,2})?(?!\.?\d)|alcohol|oxide|glycol|chloride|fluoride|acetate|carbonate|imides?|amides?|sulfone|ketone|acid|butyrate|succinate|terephthalate|ether)\b"
        ).match(self.plain, last)
        if more and "(" not in word and not (more.group()[1].isdigit() and read_unit(self.plain, more.end())):
            last = more.end()  # "polyamide 6", but not "polyamide 5 wt%"
        return None if _SUFFIX_WORDS.search(word) else last


def _without_value(text: str, match: re.Match[str]) -> int:
    """Where a listed name ends: "LLZO 12 mS/cm" is LLZO and a value, "Nafion 117" one name."""
    number = re.search(r"\s\d+s?$", match.group())
    return match.start() + number.start() if number and read_unit(text, match.end()) is not None else match.end()
