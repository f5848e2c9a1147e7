"""What is seen of a whole record: features of the chance that value, material and conditions are all right.

Few on purpose: with thirty more (brackets, inequalities, how the material was found, ...) the chance was less right in
cross-validation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from sozai.assistant.extraction.clauses import cost
from sozai.assistant.extraction.conditions import Condition
from sozai.assistant.extraction.mentions import Mention
from sozai.assistant.extraction.quantities import Found
from sozai.assistant.extraction.record import Quantity
from sozai.assistant.extraction.unnamed import Value

_OWN_SAMPLE = re.compile(
    r"(?:^|\s|-)(?!(?:the|this|these|those|that|all|both|our|its|their|obtained|resulting|resultant|prepared|synthesi[sz]ed|same|such|new|novel|as-prepared|present|studied|and|of|for|in|on|a|an|each|with|from|two|three|polymer|composite|thin|solid|single|developed|proposed)\s)"
    r"[a-z-]{4,}\s(?:membranes?|films?|polymers?|copolymers?|composites?|nanocomposites?|blends?|ceramics?|electrolytes?|samples?|glass|hydrogels?|specimens?|alloys?|coatings?|resins?|networks?|powders?|foams?|gels?|materials?|oligomers?|thermosets?|fibers?|electrodes?|cathodes?|support|layers?|product|supports?|hybrids?)\b",
    re.IGNORECASE,
)
"""A sample that is told from others by a word: "the rinsed membrane", "cured polymers"."""
_CLAUSE = re.compile(r";|\b(?:while|whereas|but|although|though|compared|than)\b")


def record_features(value: Value, one: Found, mentions: Sequence[Mention], conditions: Sequence[Condition],
                    attached: Mapping[str, Quantity], unsure: Sequence[str], plain: str, start: int, end: int,
                    doubts: int) -> dict[str, float]:  # fmt: skip
    """Features by name.

    Args:
        value: that the record is of; ``one`` its quantity.
        mentions, conditions: of its sentence.
        attached: the record's conditions; ``unsure``: those that may belong to another value.
        plain, start, end: of the sentence, signs unified.
        doubts: how many the rules have.
    """
    heat = attached.get("temperature")
    offered = any(condition.name == "temperature" for condition in conditions)
    takes = "temperature" in value.property.conditions
    here = heat is not None and start <= heat.span.start < end
    far = (
        cost(plain, min(heat.span.end, one.end), max(heat.span.start, one.start)) if heat is not None and here else 0.0
    )
    return {
        "no property's name": float(value.cue is None),
        "a sample of its own": float(_OWN_SAMPLE.search(plain[start : one.start]) is not None),
        "a list": float(value.rank is not None),
        "several materials": float(len({m.meaning for m in mentions if m.kind not in ("generic", "gas")}) > 1),
        "no temperature": float(takes and heat is None),
        "temperature left": float(takes and heat is None and offered),
        "temperature of another sentence": float(heat is not None and not start <= heat.span.start < end),
        "temperature taken": float(heat is not None),
        "temperature far": math.log1p(far),
        "temperature of another clause": float(
            heat is not None
            and here
            and _CLAUSE.search(plain, min(heat.span.end, one.end), max(heat.span.start, one.start)) is not None
        ),
        "temperature of a range": float(heat is not None and heat.low is not None),
        "temperature unsure": float("temperature" in unsure),
        "a range": float(value.low is not None),
        "a change": float(bool(one.change)),
        "doubts of the rules": float(min(doubts, 2)),
        "long sentence": math.log(min(max(end - start, 80), 400) / 200.0) if value.property.of == "device" else 0.0,
    }


_OF_THE_MATERIAL = (
    "in the sentence", "in the value's clause", "behind the value", "alone in the sentence", "others between", "an aside", "compared with",  # noqa: E501
    "a helper", "a reagent", "a product", "a short name", "never a subject", "most often a subject", "its noun", "another's noun",  # noqa: E501
    "noun fits", "noun does not fit", "one sentence back", "sentences back", "subject of the last", "in passing before",
    "compared with before", "others, not in passing, in the sentence", "most frequent before", "a label", "a name", "a formula",  # noqa: E501
    "the rules' choice", "the rules' choice, of", "the rules' choice, for", "the rules' choice, clause", "the rules' choice, aside",  # noqa: E501
    "the rules' choice, before", "the rules' choice, behind", "the rules' choice, earlier clause",
)  # fmt: skip


def material_features(best: Mapping[str, float], share: float, device: bool) -> dict[str, float]:
    """What a record's chance takes from its material: the candidate's own features and its chance among the others.

    A device's value takes less: cells are spoken of in another way, and there are fewer records to fit it on.
    """
    chance = {"chance of the material": math.log(max(share, 1e-4) / max(1.0 - share, 1e-2))}
    if device:
        return chance | {
            "material the rules' choice": best["the rules' choice"],
            "material of an earlier sentence": float("in the sentence" not in best),
        }
    return chance | {f"material {name}": best[name] for name in _OF_THE_MATERIAL if best.get(name)}


def together(features: Mapping[str, float]) -> dict[str, float]:
    """Features of the record and of its material that say more together than alone."""
    elsewhere = not features.get("material in the sentence")
    own = features.get("a sample of its own", 0.0)
    return dict(features) | {"a sample of its own, another's name": float(elsewhere and own)}
