"""What is seen of a whole record: features of the chance that value, material and conditions are all right.

Few on purpose: with thirty more (brackets, inequalities, how the material was found, ...) the chance was less right in
cross-validation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sozai.assistant.extraction.clauses import cost
from sozai.assistant.extraction.conditions import Condition
from sozai.assistant.extraction.materials import Mention
from sozai.assistant.extraction.quantities import Found
from sozai.assistant.extraction.record import Quantity
from sozai.assistant.extraction.values import Value


def record_features(value: Value, one: Found, mentions: Sequence[Mention], conditions: Sequence[Condition],
                    attached: Mapping[str, Quantity], unsure: Sequence[str], plain: str, start: int, end: int,
                    shares: Sequence[float], agreed: bool, doubts: int, mention: Mention | None) -> dict[str, float]:  # fmt: skip  # noqa: E501
    """Features by name.

    Args:
        value: that the record is of; ``one`` its quantity.
        mentions, conditions: of its sentence.
        attached: the record's conditions; ``unsure``: those that may belong to another value.
        plain, start, end: of the sentence, signs unified.
        shares: chances of the candidate materials, the best first.
        agreed: whether the best one is the rules' choice too.
        doubts: how many the rules have.
        mention: the best candidate.
    """
    best = shares[0] if shares else 0.0
    heat = attached.get("temperature")
    offered = any(condition.name == "temperature" for condition in conditions)
    takes = "temperature" in value.property.conditions
    far = cost(plain, min(heat.span.end, one.end), max(heat.span.start, one.start)) if heat is not None else 0.0
    return {
        "chance of the material": math.log(max(best, 1e-4) / max(1.0 - best, 1e-2)),
        "the rules agree": float(agreed),
        "material of an earlier sentence": float(mention is None or mention.start < start),
        "no property's name": float(value.cue is None),
        "a list": float(value.rank is not None),
        "several materials": float(len({m.meaning for m in mentions if m.kind not in ("generic", "gas")}) > 1),
        "temperature left": float(takes and heat is None and offered),
        "temperature taken": float(heat is not None),
        "temperature far": math.log1p(far),
        "temperature of a range": float(heat is not None and heat.low is not None),
        "temperature unsure": float("temperature" in unsure),
        "a range": float(value.low is not None),
        "a change": float(bool(one.change)),
        "doubts of the rules": float(min(doubts, 2)),
        "long sentence": math.log(min(max(end - start, 80), 400) / 200.0),
    }
