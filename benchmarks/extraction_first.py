"""The first version of extraction, kept as it was in spirit: regular expressions, units, the nearest name. About 90 lines.

It is what one writes in an afternoon and shows what the rest is worth; nothing else uses it.
"""  # noqa: E501

from __future__ import annotations

import re

from extraction_sets import Case

from sozai.assistant.documents.document import Span
from sozai.assistant.extraction.record import Quantity, Record

NUMBER = r"[-−]?\d+(?:\.\d+)?(?:\s?[x×·]\s?10\s?\^?\{?\s?[-−]?\d+\s?\}?|[eE]-?\d+)?"
UNITS = {  # as written: factor, unit in the schema, property when its name is not near
    r"mS\s?/?\s?cm(?:\^?\{?\s?[-−⁻][1¹]\s?\}?)?": (1e-3, "S/cm", "ionic_conductivity"),
    r"S\s?/?\s?[·⋅]?\s?cm(?:\^?\{?\s?[-−⁻][1¹]\s?\}?)?": (1.0, "S/cm", "ionic_conductivity"),
    r"mW\s?/?\s?cm\^?\{?\s?[-−]?2\s?\}?": (1.0, "mW/cm^2", "power_density"),
    r"W\s?/?\s?cm\^?\{?\s?[-−]?2\s?\}?": (1e3, "mW/cm^2", "power_density"),
    r"mA\s?/?\s?cm\^?\{?\s?[-−]?2\s?\}?": (1.0, "mA/cm^2", "current_density"),
    r"A\s?/?\s?cm\^?\{?\s?[-−]?2\s?\}?": (1e3, "mA/cm^2", "current_density"),
    r"(?:Ω|Ohm|ohm)\s?[·⋅]?\s?cm\^?\{?\s?2\s?\}?": (1.0, "ohm*cm^2", "area_specific_resistance"),
    r"eV": (1.0, "eV", "activation_energy"),
    r"GPa": (1.0, "GPa", ""),
    r"MPa": (1.0, "MPa", ""),
    r"°\s?C": (1.0, "degC", ""),
    r"%": (1.0, "%", ""),
    r"V\b": (1.0, "V", "open_circuit_voltage"),
    r"[Bb]arrers?": (1.0, "barrer", "gas_permeability"),
    r"g/mol|g mol\^?\{?[-−]1\s?\}?": (1.0, "g/mol", "molecular_weight"),
}
NAMES = {
    "electronic conductivity": "electronic_conductivity", "electrical conductivity": "electronic_conductivity",
    "conductivit": "ionic_conductivity", "activation energ": "activation_energy", "tensile strength": "tensile_strength",  # noqa: E501
    "modul": "elastic_modulus", "glass transition": "glass_transition_temperature", "T_{g": "glass_transition_temperature",  # noqa: E501
    "melting": "melting_temperature", "elongation": "elongation_at_break", "open circuit voltage": "open_circuit_voltage",  # noqa: E501
    "OCV": "open_circuit_voltage", "water uptake": "water_uptake", "power density": "power_density",
    "weight loss": "decomposition_temperature", "rejection": "rejection", "permeability": "gas_permeability",
}  # fmt: skip
HAS_UNIT = {
    "tensile_strength": "MPa",
    "elastic_modulus": "GPa",
    "elongation_at_break": "%",
    "water_uptake": "%",
    "rejection": "%",
}
MATERIAL = re.compile(
    r"\b(?:[A-Z][a-z]?\d*\.?\d*){2,}(?:\([A-Z\d]+\)\d*)?\b|\b[A-Z\d]{3,}(?:-[A-Z\d]+)*\b|[Pp]oly\([^)]*\)|[Pp]oly[a-z]+|\bcells?\b"
)


def number(text: str) -> float:
    text = text.replace("−", "-").replace("{", "").replace("}", "").replace("^", "")
    match = re.match(r"(-?\d+(?:\.\d+)?)\s?(?:[x×·]\s?10\s?(-?\s?\d+))?(?:[eE](-?\d+))?", text)
    assert match is not None
    exponent = (match[2] or match[3] or "0").replace(" ", "")
    return float(f"{float(match[1]) * 10.0 ** int(exponent):.10g}")


def first_version(case: Case) -> list[Record]:
    """Records of a document: each number with a unit, the nearest name before it, the nearest material, the nearest temperature."""  # noqa: E501
    out, text = [], case.document.text
    for sentence in case.document.sentences:
        body = text[sentence.start : sentence.end]
        found = []
        for unit, (factor, target, default) in UNITS.items():
            for match in re.finditer(rf"({NUMBER})\s?(?:{unit})", body):
                if not any(a <= match.start() < b for a, b, *_ in found):
                    found.append((match.start(), match.end(), number(match[1]) * factor, target, default))
        heats = [one for one in found if one[3] == "degC"]
        materials = list(MATERIAL.finditer(body))
        for start, end, value, target, default in found:
            names = [
                (body.rfind(name, 0, start), key) for name, key in NAMES.items() if body.rfind(name, 0, start) >= 0
            ]
            names = [one for one in names if fits(one[1], target)]
            name = max(names)[1] if names and start - max(names)[0] < 80 else default
            if not name or (case.wanted and name not in case.wanted):
                continue
            if HAS_UNIT.get(name, target) == "GPa" and target == "MPa":
                value, target = value / 1000, "GPa"
            if not materials:
                continue
            material = min(materials, key=lambda one: abs(one.start() - start))
            conditions = {}
            if heats and target != "degC":
                near = min(heats, key=lambda one: abs(one[0] - start))
                span = Span(sentence.start + near[0], sentence.start + near[1])
                conditions["temperature"] = Quantity(span, text[span.start : span.end], near[2], "degC")
            span = Span(sentence.start + start, sentence.start + end)
            place = Span(sentence.start + material.start(), sentence.start + material.end())
            quantity = Quantity(span, text[span.start : span.end], value, target)
            out.append(
                Record(
                    material.group(),
                    place,
                    name,
                    quantity,
                    Span(sentence.start, sentence.end),
                    conditions,
                    by="first version",
                )
            )
    return out


def fits(name: str, unit: str) -> bool:
    if name.endswith("temperature"):
        return unit == "degC"
    if name in HAS_UNIT:
        return HAS_UNIT[name] == unit or (HAS_UNIT[name] == "GPa" and unit == "MPa")
    return (
        name in {default for _, _, default in UNITS.values()}
        and any(u[1] == unit and u[2] == name for u in UNITS.values())
    ) or (name, unit) == ("electronic_conductivity", "S/cm")
