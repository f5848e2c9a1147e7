"""Records of the rules read again by the network: whose a value is, at what temperature, and how probable all is right.

Neither decides alone: what the rules see of a material (``ranking``) and what the network says of it are weighed
together, by weights that ``benchmarks/extraction_stack.py`` fits on passages of writers that the network had not seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sozai.assistant.extraction.carried import Carried, dot, log_shares, same_heat
from sozai.assistant.extraction.pairing import Reading, reasons
from sozai.assistant.extraction.questions import Offer, Question
from sozai.assistant.extraction.ranking import chances, logistic, scaled, weights
from sozai.assistant.extraction.reader import Answer
from sozai.assistant.extraction.record import Record

_LEAST = math.log(1e-3)
"""The logarithm of the smallest chance that is told from none."""
_CHOICE = "the rules' choice"
_CARRIED, _ELSEWHERE = "carried", "elsewhere"
PASSAGE = "as in a passage"
"""What rules and network say of a value in a paper without a look at the rest of it."""
Features = Mapping[str, float]


def owner_features(reading: Reading, question: Question, answer: Answer) -> list[Features]:
    """What is known of each material offered, and last of none of them."""
    shares = chances(reading.candidates)
    chosen = reading.record.material_span
    out: list[Features] = []
    for offer, read in zip(question.materials, answer.materials[:-1], strict=True):
        share = 0.0 if offer.candidate is None else shares[offer.candidate]
        seen = {} if offer.candidate is None else reading.candidates[offer.candidate].features
        ours = bool(reading.record.material) and (offer.span == chosen or offer.name == reading.record.material)
        out.append(
            {
                "read": max(read, 2 * _LEAST),
                "share by rules": max(math.log(max(share, 1e-9)), _LEAST),
                "not offered by rules": float(offer.candidate is None),
                _CHOICE: float(ours),
                **{name: 1.0 for name, x in seen.items() if x and name.startswith(_CHOICE + ",")},
            }
        )
    return [*out, {"read": max(answer.materials[-1], 2 * _LEAST), "none": 1.0, "share by rules": _LEAST}]


def heat_options(question: Question, carried: Carried | None) -> list[Offer | None]:
    """Temperatures that a value may have: of its sentence and those before, of the rest of the document, and none;
    nothing where the property takes none."""
    if question.heats is None:
        return []
    near = {_key(offer) for offer in question.heats}
    return [*question.heats, *(o for o, _ in (carried.offers if carried else ()) if _key(o) not in near), None]


def heat_features(
    reading: Reading, question: Question, answer: Answer, carried: Carried | None = None
) -> list[Features]:
    """What is known of each of ``heat_options``."""
    chosen, begins = reading.record.conditions.get("temperature"), reading.record.sentence.start
    shares = {_key(offer): share for offer, share in carried.offers} if carried else {}
    here = any(offer.span.start >= begins for offer in question.heats or ())
    out: list[Features] = []
    for number, offer in enumerate(heat_options(question, carried)):
        near = offer is not None and number < len(question.heats or ())
        seen = {
            "read": max(answer.heats[number if near else -1], 2 * _LEAST),
            _CHOICE: float(chosen is None if offer is None else chosen is not None and offer.span == chosen.span),
            "none": float(offer is None),
            "of another sentence": float(near and offer is not None and offer.span.start < begins),
        }
        if carried is not None:
            own = near and offer is not None and offer.span.start >= begins
            seen |= {
                _ELSEWHERE: float(offer is not None and not near),
                "elsewhere, though one is here": float(offer is not None and not near and here),
                "of its sentence": float(own),
                "of none": float(offer is None),
                _CARRIED: 0.0 if own else carried.none if offer is None else shares.get(_key(offer), _LEAST),
            }
        out.append(seen)
    return out


def _key(offer: Offer) -> tuple[float, float | None]:
    assert offer.quantity is not None
    return same_heat(offer.quantity)


def weighed(features: Sequence[Features], table: Mapping[str, float]) -> list[float]:
    """The share of each."""
    return [math.exp(log) for log in log_shares(features, table)] if features else []


def in_paper(heats: Sequence[Features], table: Mapping[str, float]) -> list[Features]:
    """What decides on the temperatures of a paper: what is said of them as in a passage (``table``), and what the rest
    of the paper says."""
    names = (_ELSEWHERE, "elsewhere, though one is here", "of its sentence", "of none", _CARRIED)
    return [{PASSAGE: dot(one, table), **{name: one[name] for name in names}} for one in heats]


def heat_shares(heats: Sequence[Features], tables: Mapping[str, Mapping[str, float]]) -> list[float]:
    """The share of each temperature, of ``heat_features``."""
    if heats and _CARRIED in heats[0]:
        return weighed(in_paper(heats, tables["heat"]), tables["heat of a paper"])
    return weighed(heats, tables["heat"])


def record_features(
    reading: Reading,
    answer: Answer,
    owners: Sequence[Features],
    heats: Sequence[Features],
    tables: Mapping[str, Mapping[str, float]],
    device: bool,
) -> tuple[dict[str, float], int | None, int | None]:
    """Features of the chance that a whole record is right; the number of the material and of the temperature in it.

    Args:
        reading: of the rules; ``answer``: of the network.
        owners, heats: from ``owner_features`` and ``heat_features``.
        tables: fitted weights ``owner`` and ``heat``.
        device: whether the property is one of devices.
    """
    shares = weighed(owners, tables["owner"])
    best = max(range(len(shares) - 1), key=shares.__getitem__, default=None)
    warm = heat_shares(heats, tables)
    at = max(range(len(warm)), key=warm.__getitem__, default=None)
    chance = reading.record.probability or 0.0
    features = {
        "owner": 0.0 if best is None else odds(shares[best]),
        "heat": odds(warm[at]) if at is not None else 0.0,
        "no heat asked": float(at is None),
        "valid": max(-8.0, min(8.0, answer.valid)),
        "materials offered": math.log(len(owners)),
        "none of them, read": max(answer.materials[-1], -10.0),
        "rules": odds(chance),
        "rules chose another": float(best is not None and not owners[best]["the rules' choice"]),
        "rules' heat is another": float(at is not None and not heats[at][_CHOICE]),
        "of a device": float(device),
        "found by the network": float(reading.told is not None),
        "its property": reading.told or 0.0,
    }
    return features, best, at


def reread(
    reading: Reading, question: Question, answer: Answer, device: bool, carried: Carried | None = None
) -> Record:
    """The record with the material and the temperature that rules and network say together, and its chance.

    Args:
        reading: of the rules.
        question: made of it; ``answer``: the network's.
        device: whether the property is one of devices.
        carried: temperatures of the rest of the document, where it is long.
    """
    tables = weights()["reader"]
    owners, heats = owner_features(reading, question, answer), heat_features(reading, question, answer, carried)
    features, best, at = record_features(reading, answer, owners, heats, tables, device)
    record = reading.record
    if best is None:
        return record
    chance = chance_of(features, tables["record"], tables["device"] if device else None)
    least = tables["threshold"]["device" if device else "material"]
    if carried is not None and at is not None:
        least = tables["threshold"]["paper"]
        table = tables["device of a paper" if device else "material of a paper"]
        chance = logistic(dot(paper_features(chance, heats[at], features["heat"]), table) + table["constant"])
    doubts = list(reading.doubts)
    if not owners[best]["the rules' choice"]:
        doubts = [f"it may be a value of {record.material}"] if record.material else []
        offer = question.materials[best]
        record = replace(record, material=offer.name, material_span=offer.span)
    conditions = dict(record.conditions)
    if at is not None and not heats[at]["the rules' choice"]:
        told = conditions.pop("temperature", None)
        heat = heat_options(question, carried)[at]
        if heat is not None and heat.quantity is not None:
            conditions["temperature"] = heat.quantity
        if told is not None:
            doubts.append(f"its temperature may be {told.text}")
        else:
            here = heat is None or heat.span.start >= record.sentence.start
            doubts.append("its temperature may not be its own" if here else "its temperature stands elsewhere")
    return replace(
        record,
        conditions=conditions,
        by="network" if reading.told is not None else "rules and network",
        probability=round(chance, 3),
        doubts=reasons(chance, doubts, True, bool(record.cited), least),
    )


def chance_of(features: Features, table: Mapping[str, float], device: Mapping[str, float] | None = None) -> float:
    """The chance that a whole record is right.

    Args:
        features: from ``record_features``; ``table``: their weights.
        device: for a device's value: ``agreement`` is added to the odds where rules and network agree on it all, else
            taken away; with ``slope`` and ``constant`` they are then what was seen.
    """
    score = table["constant"] + sum(table.get(name, 0.0) * x for name, x in features.items())
    if device is not None:
        apart = (
            features["rules chose another"] or features["rules' heat is another"] or features["found by the network"]
        )
        score = scaled(score + (-device["agreement"] if apart else device["agreement"]), device)
    return logistic(score)


def paper_features(chance: float, heat: Features, share: float) -> Features:
    """Features of the chance that a record of a paper is right.

    Args:
        chance: as in a passage.
        heat: features of its temperature; ``share``: the odds that it is this one.
    """
    return {
        PASSAGE: odds(chance),
        "its temperature": share,
        _ELSEWHERE: heat[_ELSEWHERE],
        "of none": heat["of none"],
        "of its sentence": heat["of its sentence"],
    }


def odds(chance: float) -> float:
    """Logarithm of the odds of a chance, none beyond a thousand to one."""
    chance = min(max(chance, 1e-3), 1 - 1e-3)
    return math.log(chance / (1 - chance))
