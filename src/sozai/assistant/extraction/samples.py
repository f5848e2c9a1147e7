"""Samples that a text names by a description only: "the rinsed membrane", "cured nematic thermosets", "the 70/30 blend"."""  # noqa: E501

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from sozai.assistant.extraction.mentions import Mention
from sozai.assistant.extraction.quantities import Found
from sozai.assistant.extraction.ranking import noun_of
from sozai.assistant.extraction.subjects import choose
from sozai.assistant.extraction.unnamed import Value

DESCRIBED = 0.9
"""The chance that a described sample is the value's, as seen where it was tuned."""
AS_DESCRIBED = {
    "the rules' choice": 1.0,
    "the rules' choice, clause": 1.0,
    "in the sentence": 1.0,
    "in the value's clause": 1.0,
    "a name": 1.0,
}
"""Features of such a sample, for the chance of its record."""

_NOUN = (
    r"(?:membrane|film|polymer|copolymer|terpolymer|homopolymer|composite|nanocomposite|blend|ceramic|electrolyte|pellet|sample|specimen|"
    r"glass|hydrogel|aerogel|xerogel|gel|alloy|coating|resin|network|powder|foam|oligomer|thermoset|fib(?:er|re)|nanofib(?:er|re)|crystal|"
    r"hybrid|multilayer|elastomer|adhesive|ionomer|laminate|mixture|scaffold|perovskite|steel|support|nanoparticle|electrode|cathode|anode|"
    r"hybrid material|composite material|porous material|product)(?:es|s)?"
)
_NO_DESCRIPTION = frozenset(
    ["the", "a", "an", "this", "that", "these", "those", "our", "its", "their", "all", "both", "each", "some", "such", "same", "other", "any", "every", "no", "one", "two", "three", "four", "five", "six", "several", "various", "different", "many", "most", "more", "new", "novel", "present", "resulting", "resultant", "obtained", "prepared", "synthesized", "synthesised", "produced", "fabricated", "developed", "proposed", "studied", "investigated", "reported", "corresponding", "final", "thus", "made", "tested", "used", "measured", "of", "for", "in", "on", "with", "and", "or", "as", "by", "from", "to", "at", "was", "were", "is", "are", "have", "has", "had", "which", "where", "when", "after", "before", "while", "whereas", "compared", "than", "like", "unlike", "although", "also", "then", "that", "into", "through", "via", "using", "under", "between", "among", "only", "similar", "first", "second", "third", "best", "optimal", "optimum", "optimized", "thin", "whole", "entire", "target", "desired", "typical", "based", "containing", "type", "series", "kind", "class", "family", "here", "however", "moreover", "furthermore", "thick", "high", "low", "good", "excellent", "gave", "give", "showed", "shows", "show", "between", "per", "versus", "against", "soluble", "available", "promising", "potential", "wide", "very", "additional", "respective", "individual", "single", "as-prepared", "as-synthesized", "as-obtained", "made", "mother", "so", "it", "we", "not", "can", "could", "may", "will", "be", "been", "being", "these", "there", "increasing", "decreasing", "increased", "decreased", "improved", "enhanced", "within", "inside", "over", "around", "without", "per", "off", "out", "up", "down", "during", "since", "if", "due", "because", "thus", "hence", "groups", "group", "amount", "content", "number", "ratio", "degree"]  # noqa: E501
)  # fmt: skip
"""Words before a noun that tell no sample from another."""
_WORD = r"(?:[A-Za-z][A-Za-z\d]*(?:[-/][A-Za-z\d]+)*|\d{1,3}[/:]\d{1,3}(?:[/:]\d{1,3})*|\d{1,2}%)"
_PHRASE = re.compile(
    rf"(?<![\w-])(?P<words>(?:{_WORD}\s){{1,4}}){_NOUN}(?![\w-])(?!\s(?:(?:[A-Z]+|[a-z-]+ed|gas|ion|exchange)\s)?{_NOUN}(?![\w-]))"
)
_MIXTURE = re.compile(
    r"(?:(?:[\w-]+\s){0,2})?(?:hybrid|composite|nanocomposite|blended?|TFC|TFN|thin-film|mixed|mixed-matrix|multilayer|modified|unmodified|functionali[sz]ed|non-\w+|un(?!iform)\w+ed)\b",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"nanotube|WC?NTs?\b|graphene|\bGO\b|clay|montmorillonite|\bO?MMT\b|silica|SiO|TiO|ZnO|Al2O3|Fe3O4|nanoparticle|nanofill|particle|whisker|"
    r"nanocrystal|zeolite|ZIF-|MOF|UiO-|POSS|fib(?:er|re)s?$|carbon black|\bsilver\b|^Ag",
    re.IGNORECASE,
)
"""What is mixed into others."""
_PART = re.compile(
    r"\s(?:(?:with|containing|without)\s(?!an?\s|the\s|high|low|excellent|good)(?:\d+(?:\.\d+)?\s?(?:wt|mol|vol|at)?\.?\s?%\s(?:of\s)?)?[A-Za-z][\w-]*(?:\s[a-z]+(?=\s(?:has|had|show|exhibit|was|is|were|are|broke|gave|reach)))?)"
)  # fmt: skip


def described(plain: str, text: str, start: int, end: int, mentions: Sequence[Mention]) -> list[Mention]:
    """Phrases of a sentence that describe a sample without naming a material.

    Args:
        plain: the text with unified signs; ``text`` as written.
        start, end: of the sentence.
        mentions: of the sentence; a phrase that holds a named one is left out.
    """
    named = [m for m in mentions if m.kind not in ("generic", "gas")]
    out: list[Mention] = []
    for match in _PHRASE.finditer(plain, start, end):
        words = list(re.finditer(r"\S+", match["words"]))
        kept = len(words)
        while kept and words[kept - 1].group().lower() not in _NO_DESCRIPTION:
            kept -= 1
        if kept == len(words):
            continue
        first = match.start() + words[kept].start()
        last = match.end()
        if any(m.start < last and first < m.end for m in named):
            continue
        if (more := _PART.match(plain, last, end)) is not None:
            last = more.end()
        out.append(Mention(first, last, text[first:last], "sample", text[first:last]))
    return out


def is_mixture_of(sample: Mention, part: Mention, nouns: Collection[str]) -> bool:
    """Whether a described sample is another than the material named before: "the composite membranes" are no filler.

    Args:
        sample: as described.
        part: the material.
        nouns: what the text called the material; films of it may be "the modified films".
    """
    if _MIXTURE.match(sample.text) is None or re.search(r"[/:]|-(?:g|b|co)-", part.meaning):
        return False
    return _FILLER.search(part.meaning) is not None or noun_of(sample.text.split()[-1]) not in nouns


def sample_of(value: Value, one: Found, mentions: Sequence[Mention], text: str, plain: str, start: int, end: int,
              pieces: Sequence[tuple[int, int]], same_property: Sequence[Found]) -> Mention | None:  # fmt: skip
    """The sample that a value belongs to where its sentence describes it and does not name it; else ``None``.

    Args:
        value: with ``one``, its quantity.
        mentions: of the sentence.
        text: as written; ``plain``: with unified signs.
        start, end: of the sentence; ``pieces``: its clauses.
        same_property: values of that property in the sentence.
    """
    samples = described(plain, text, start, end, mentions)
    others = [m for m in mentions if not any(s.start < m.end and m.start < s.end for s in samples)]
    both = sorted([*others, *samples], key=lambda m: m.start)
    choice = choose(one, value.cue, value.rank, both, plain, start, end, pieces, same_property, False)
    if choice is None or choice.mention.kind != "sample" or choice.how == "aside":
        return None
    return choice.mention
