"""Whose a value is: every material that it may belong to, weighed by what is seen of it in the text.

A conditional logistic model: a candidate's score is the sum of its features' weights, the chance that the value is its
own the softmax of the scores of all candidates. The weights are fitted by ``benchmarks/extraction_fit.py``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sozai.assistant.extraction.clauses import clause_of, cost
from sozai.assistant.extraction.mentions import Mention
from sozai.assistant.extraction.quantities import Found
from sozai.assistant.extraction.subjects import asides, is_compared, is_helper

MOST_BEFORE = 5
"""Materials of earlier sentences that are weighed."""
_NOUN = re.compile(
    r"\)?\s(?:[a-z]+\s)?(?:membrane|film|polymer|copolymer|composite|blend|ceramic|electrolyte|pellet|sample|glass|hydrogel|cell|cathode|anode|fiber|specimen|alloy|crystal)s?\b"
)
_REFERENCE = re.compile(r"(?:pristine|neat|pure|commercial|unmodified|conventional|original|undoped|bare)\s$", re.I)
_PRODUCT = re.compile(r"\b(?:Nafion|Kapton|Celgard|Matrimid|Aquivion|Teflon|Hyflon|Pebax)\b")
"""Products sold: papers name them to compare with their own."""
_REAGENT = re.compile(
    r"(?<!poly)(?:anhydride|diamine|aniline|acid|chlorides?|bromide|iodide|nitrate|sulfate|hydroxide|acrylate|acrylic|styrene|isocyanate|methylene\w*|phenols?|quinones?|resorcinol|catechol|glycerol|diols?|glycol|amines?|benzene|toluene|thiophene|pyrrole|pyridine|aldehyde|monomers?|catalysts?|initiator|plasticizer|lactone|lactide|carbonate|ester|ether|alcohol|solvent|salt|silane|ethane|methane|silyl\w*|ketones?|phenone|water|dye|enzyme|oil)$",
    re.IGNORECASE,
)
"""Names of what a material is made from rather than of the material: monomers, solvents, salts."""
_POLYMERIC = re.compile(r"poly|rubber|epoxy|resin|cellulose|chitosan|nylon|PI$|P[A-Z]{2,}|gelatin|starch")
_NOUNS_OF_POLYMERS = frozenset(["polymer", "copolymer", "homopolymer", "terpolymer", "elastomer", "resin", "ionomer", "hydrogel", "gel", "blend", "adhesive", "network"])  # fmt: skip  # noqa: E501
_NOUNS_OF_SOLIDS = frozenset(["ceramic", "pellet", "oxide", "crystal", "alloy", "glass", "phase", "compound", "conductor", "powder"])  # fmt: skip  # noqa: E501
_IN_BRACKETS = re.compile(r"\s?[(\[]\s?(?:for\s|in\s|of\s)?(?:the\s)?$")
_OWN = re.compile(r"\b(?:of|for)\s(?:the\s|our\s|a\s)?$", re.I)


@dataclass(frozen=True)
class Candidate:
    """A material that a value may belong to, with the features of that pairing."""

    mention: Mention
    features: Mapping[str, float]


@dataclass(frozen=True)
class Spoken:
    """What was said of a material before a sentence.

    Attributes:
        mention: the last one; ``sentence`` it stands in.
        first: sentence that named it first; ``count``: how often it was named.
        weight: how much it has been spoken of, lately more than long ago.
        role: of the last mention: ``"subject"``, ``"aside"``, ``"compared"`` or ``""``.
        subjects: how often it was the first of a sentence, not in passing.
        nouns: what it was called: "LLZO pellets" were pellets.
    """

    mention: Mention
    sentence: int
    first: int
    count: int
    weight: float
    role: str = ""
    subjects: int = 0
    nouns: frozenset[str] = frozenset()


@lru_cache(maxsize=1)
def weights() -> dict[str, Any]:
    """The fitted numbers: ``material``, ``record``, ``device record``, ``scale``, ``threshold``, their source.

    ``reader`` holds those of ``reread``.
    """
    return json.loads(Path(__file__).with_name("weights.json").read_text(encoding="utf-8"))


def candidates_of(one: Found, cue: tuple[int, int] | None, mentions: Sequence[Mention], plain: str, start: int, end: int,  # noqa: E501
                  pieces: Sequence[tuple[int, int]], number: int, before: Sequence[Spoken], rule: tuple[Mention | None, str],  # noqa: E501
                  device: bool) -> list[Candidate]:  # fmt: skip
    """The materials that a value may belong to.

    Args:
        one: the value.
        cue: place of the property's name.
        mentions: materials of the sentence.
        plain, start, end: of the sentence, signs unified.
        pieces: its clauses.
        number: of the sentence in the document.
        before: materials of earlier sentences.
        rule: the mention that the rules choose, and how.
        device: whether the property is one of devices.
    """
    named = [m for m in mentions if m.kind not in (("generic", "gas") if device else ("generic", "gas", "device"))]
    total = sum(spoken.count for spoken in before) + len(named)
    known = {key_of(spoken.mention.meaning): spoken for spoken in before}
    nouns = {noun_of(m.text) for m in mentions if m.kind == "generic" and m.start < one.start}
    owners = sum(bool(nouns & spoken.nouns) for spoken in before)
    most = max((spoken.subjects for spoken in before), default=0)
    places: dict[str, list[Mention]] = {}
    for mention in named:
        places.setdefault(key_of(mention.meaning), []).append(mention)
    chosen, how = rule
    chosen_key = key_of(chosen.meaning) if chosen is not None else ""
    home = clause_of(pieces, one.start)
    passing = asides(named, plain, start)
    main = [m for m in named if m not in passing]
    before_it = [m for m in named if m.end <= one.start]
    out = []
    for key, group in places.items():
        mention = (
            chosen if chosen in group else min(group, key=lambda m: min(abs(m.start - one.end), abs(one.start - m.end)))
        )
        assert mention is not None
        spoken = known.get(key)
        features = _general(mention, spoken, len(group), total, key == chosen_key, how, device)
        features |= _in_text(mention, spoken, nouns, owners, most)
        first, last = sorted(((mention.start, mention.end), (one.start, one.end)))
        between = {k for k, others in places.items() if k != key and any(first[1] <= m.start < last[0] for m in others)}
        lead, tail = plain[max(start, mention.start - 30) : mention.start], plain[mention.end : mention.end + 40]
        features |= {
            "in the sentence": 1.0,
            "behind the value": float(mention.start >= one.end),
            "in the value's clause": float(clause_of(pieces, mention.start) == home),
            "far": math.log1p(cost(plain, first[1], last[0])),
            "others between": min(len(between), 3.0),
            "alone in the sentence": float(len(places) == 1),
            "first of the sentence": float(named[0] in group),
            "an aside": float(mention in passing),
            "compared with": float(is_compared(plain, start, mention)),
            "compared with, behind": float(mention.start >= one.end and is_compared(plain, start, mention)),
            "a helper": float(is_helper(plain, mention)),
            "a reference": float(_REFERENCE.search(lead) is not None),
            "of or for it": float(_OWN.search(lead) is not None),
            "before a noun": float(_NOUN.match(tail) is not None),
            "behind the property": float(cue is not None and cue[1] <= mention.start < one.start),
            "in brackets behind the value": float(
                _IN_BRACKETS.fullmatch(plain[one.end : mention.start]) is not None
                and plain[mention.end : mention.end + 1] in (")", "]")
            ),
            "main of the sentence": float(bool(main) and main[0] in group),
            "nearest before": float(bool(before_it) and before_it[-1] in group),
        }
        features["second of two"] = float(_follows_another(mention, named, plain))
        out.append(Candidate(mention, features))
    earlier = sorted(
        (s for k, s in known.items() if k not in places and (device or s.mention.kind != "device")),
        key=lambda s: -s.weight * (0.4 if is_reagent(s.mention) else 1.5 if s.subjects else 1.0),
    )
    kept = earlier[:MOST_BEFORE]
    kept += [s for s in earlier[MOST_BEFORE:] if key_of(s.mention.meaning) == chosen_key]
    strongest = max((s.count for s in before), default=0)
    for spoken in kept:
        ours = key_of(spoken.mention.meaning) == chosen_key
        features = _general(spoken.mention, spoken, 0, total, ours, how, device)
        features |= _in_text(spoken.mention, spoken, nouns, owners, most)
        features |= {
            "one sentence back": float(number - spoken.sentence == 1),
            "sentences back": math.log1p(number - spoken.sentence),
            "weight before": spoken.weight / (spoken.weight + 1.0),
            "most spoken of before": float(spoken is earlier[0]),
            "most frequent before": float(spoken.count == strongest),
            "others in the sentence": float(bool(places)),
            "others, not in passing, in the sentence": float(bool(main)),
            "subject of the last": float(spoken.role == "subject"),
            "in passing before": float(spoken.role == "aside"),
            "compared with before": float(spoken.role == "compared"),
        }
        out.append(Candidate(spoken.mention, features))
    return out


def _follows_another(mention: Mention, named: Sequence[Mention], plain: str) -> bool:
    """Whether a name is the second of "A and B"."""
    return any(
        m.end <= mention.start and re.fullmatch(r"\)?\s(?:and|or)\s(?:the\s)?", plain[m.end : mention.start])
        for m in named
    )


def _general(
    mention: Mention, spoken: Spoken | None, here: int, total: int, chosen: bool, how: str, device: bool
) -> dict[str, float]:
    count = here + (spoken.count if spoken else 0)
    bare = re.sub(r"[^A-Za-z]", "", mention.text)
    return {
        "the rules' choice": float(chosen),
        f"the rules' choice, {how}": float(chosen),
        f"a {mention.kind}": 1.0,
        "a device for a device's value": float(device and mention.kind == "device"),
        "a material for a device's value": float(device and mention.kind != "device"),
        "a device for a material's value": float(not device and mention.kind == "device"),
        "share of mentions": count / max(1, total),
        "in the first sentence": float(spoken is not None and spoken.first == 0),
        "a short name": float(len(bare) <= 2),
        "a product": float(_PRODUCT.match(mention.text) is not None),
    }


def _in_text(mention: Mention, spoken: Spoken | None, nouns: set[str], owners: int, most: int) -> dict[str, float]:
    """Features of what the text says of the material elsewhere, and of the noun the sentence uses for it."""
    polymeric = _POLYMERIC.search(mention.meaning) is not None
    own = spoken is not None and bool(nouns & spoken.nouns)
    return {
        "a reagent": float(is_reagent(mention)),
        "most often a subject": float(spoken is not None and spoken.subjects == most > 0),
        "never a subject": float(spoken is not None and spoken.subjects == 0),
        "its noun": float(own),
        "its noun alone": float(own and owners == 1),
        "another's noun": float(not own and owners > 0),
        "noun fits": float(
            (bool(nouns & _NOUNS_OF_POLYMERS) and polymeric)
            or (bool(nouns & _NOUNS_OF_SOLIDS) and mention.kind == "formula")
        ),
        "noun does not fit": float(
            (bool(nouns & _NOUNS_OF_POLYMERS) and not polymeric) or (bool(nouns & _NOUNS_OF_SOLIDS) and polymeric)
        ),
    }


def is_reagent(mention: Mention) -> bool:
    """Whether a name is that of a monomer, a solvent, a salt: what a material is made from."""
    polymeric = _POLYMERIC.search(mention.meaning) is not None
    return all(_REAGENT.search(part) for part in mention.parts or (mention.meaning,)) and not polymeric


def noun_of(text: str) -> str:
    """A generic name in singular."""
    return text.lower().removesuffix("s") if not text.lower().endswith("ss") else text.lower()


def chances(candidates: Sequence[Candidate], fitted: Mapping[str, float] | None = None) -> list[float]:
    """For each candidate the chance that the value is its own, among them; fitted weights by default."""
    table = weights()["material"] if fitted is None else fitted
    scores = [sum(table.get(name, 0.0) * x for name, x in one.features.items()) for one in candidates]
    top = max(scores, default=0.0)
    shares = [math.exp(score - top) for score in scores]
    return [share / sum(shares) for share in shares]


def probability(features: Mapping[str, float], device: bool, fitted: Mapping[str, float] | None = None) -> float:
    """The chance that a whole record is right; a device's value has weights of its own.

    It is scaled to how often records were right in passages that nothing else was fitted on (J. Platt, Probabilistic
    outputs for support vector machines, 1999); with weights that are given it is not.
    """
    table = weights()["device record" if device else "record"] if fitted is None else fitted
    score = table.get("constant", 0.0) + sum(table.get(name, 0.0) * x for name, x in features.items())
    return logistic(
        score if fitted is not None else scaled(score, weights()["scale"]["device" if device else "material"])
    )


def scaled(score: float, scale: Mapping[str, float]) -> float:
    """A logarithm of odds with a ``slope`` and a ``constant``."""
    return scale["slope"] * score + scale["constant"]


def logistic(score: float) -> float:
    """The chance of a score, its logarithm of odds."""
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, score))))


def key_of(name: str) -> str:
    """A name without signs, case and plural, for comparing."""
    return re.sub(r"[\s_{}-]", "", name).lower().removesuffix("s")
