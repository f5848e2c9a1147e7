"""Numbers of a run turned into sentences for a reader who has never seen generative models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup, escape

from sozai.knowledge.crystals.wish import TARGETS
from sozai.reports.svg import seconds_words

NEAR_HULL = 0.1
"""Energy above the hull, eV/atom, up to which a crystal counts as metastable."""


def formula_html(formula: object) -> Markup:
    """``Li3PS4`` with its numbers as subscripts; everything else escaped."""
    return Markup(re.sub(r"(?<=[A-Za-z)\]])(\d+(?:\.\d+)?)", r"<sub>\1</sub>", str(escape(formula))))


def space_group_html(symbol: str) -> Markup:
    """A Hermann-Mauguin symbol: ``P6_3/mmc`` with a subscript, ``Fm-3m`` with an overbar."""
    safe = str(escape(symbol))
    safe = re.sub(r"_(\d)", r"<sub>\1</sub>", safe)
    return Markup(re.sub(r"-(\d)", r'<span class="bar">\1</span>', safe))


def listing(items: Iterable[object], last: str = "and") -> str:
    """``a, b and c``."""
    words = [str(item) for item in items]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}" if words else ""


def counted(count: int, noun: str) -> str:
    """``1 value``, ``2 values``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def number(value: float, digits: int = 3) -> str:
    """Fixed digits with a real minus sign, and no minus before zero."""
    shown = f"{value:.{digits}f}"
    if float(shown) == 0:
        shown = shown.lstrip("-")
    return shown.replace("-", "−")


def wish_title(wish: Mapping[str, Any]) -> str:
    """A headline such as ``Crystals of lithium, phosphorus and sulfur``."""
    if wish.get("formula"):
        return f"Crystals of {_formula(wish['formula'])}"
    elements = list(wish.get("elements") or [])
    if elements:
        return "Crystals of " + listing([_name(e) for e in elements] if len(elements) < 5 else elements)
    if wish.get("required"):
        return "Crystals with " + listing(wish["required"])
    return "Crystals, free choice of elements"


def _formula(counts: Any) -> str:
    if isinstance(counts, Mapping):
        return "".join(f"{symbol}{int(n) if n != 1 else ''}" for symbol, n in counts.items())
    return str(counts)


def _name(symbol: str) -> str:
    from ase.data import atomic_names, atomic_numbers

    number = atomic_numbers.get(symbol)
    return atomic_names[number].lower() if number else symbol


def wish_sentence(wish: Mapping[str, Any]) -> str:
    """All conditions of a wish in one sentence; exact ones first, then what was aimed at."""
    exact: list[str] = []
    if wish.get("formula"):
        exact.append(f"the formula {_formula(wish['formula'])}")
    if wish.get("elements"):
        exact.append(f"made of {listing(wish['elements'])} and nothing else")
    if wish.get("allowed"):
        exact.append(f"only elements among {listing(wish['allowed'], 'or')}")
    if wish.get("required"):
        exact.append(f"at least {listing(wish['required'])} present")
    if wish.get("forbidden"):
        exact.append(f"no {listing(wish['forbidden'], 'or')}")
    for symbol, share in (wish.get("at_least") or {}).items():
        exact.append(f"at least {share:.0%} {symbol} by atoms")
    groups = wish.get("space_group") or []
    if groups:
        several = "space groups" if len(groups) > 1 else "space group"
        exact.append(f"{several} {listing(groups, 'or')}")
    low, high = int(wish.get("min_atoms") or 1), wish.get("max_atoms")
    if high is not None:
        atoms = f"exactly {low}" if low == high else f"{low} to {high}" if low > 1 else f"at most {high}"
        exact.append(f"{atoms} atoms in the primitive cell")
    sentence = "You asked for: " + ("; ".join(exact) if exact else "any crystal") + "."
    aims = [_aim(name, value) for name, value in (wish.get("targets") or {}).items()]
    return sentence + (f" Aimed at (steered, not guaranteed): {listing(aims)}." if aims else "")


def _aim(name: str, value: Any) -> str:
    words, unit = name.replace("_", " "), TARGETS.get(name, "")
    if isinstance(value, (list, tuple)):
        return f"{words} {' to '.join(f'{v:g}' for v in value)} {unit}".rstrip()
    return f"{words} {value:g} {unit}".rstrip()


def verdict_sentence(result: Mapping[str, Any]) -> str:
    """The outcome of the run in one sentence, from the funnel and the candidates."""
    counts = {str(s.get("stage")): int(s.get("count") or 0) for s in result.get("funnel") or []}
    parts = [
        f"{counts[stage]:,} {word}"
        for stage, word in (
            ("generated", "generated"), ("read", "read"), ("valid", "chemically sensible"),
            ("novel", "unlike anything in the reference"), ("relaxed", "relaxed"),
        )
        if stage in counts
    ]  # fmt: skip
    candidates = list(result.get("candidates") or [])
    near = sum(c.get("stability") in ("stable", "metastable") for c in candidates)
    stable = sum(c.get("stability") == "stable" for c in candidates)
    unknown = sum(c.get("stability") == "unknown" for c in candidates)
    end = (
        f"{near} crystal{'' if near == 1 else 's'} within {NEAR_HULL} eV/atom of the hull"
        if near
        else ("none within 0.1 eV/atom of the hull")
    )
    if stable:
        end += f", {stable} of them on or below it"
    if unknown:
        end += f"; for {unknown} there are too few known materials to tell"
    return ", ".join(parts) + (" → " if parts else "") + end + "."


def energy_words(watt_hours: float | None) -> str:
    """Energy used, with something to hold it against."""
    if watt_hours is None:
        return "not measured"
    minutes = 60 * watt_hours / 10
    lamp = f"{minutes:.0f} min" if 1 <= minutes < 90 else seconds_words(60 * minutes)
    return f"{watt_hours:.2g} Wh (a 10 W lamp for {lamp})"


def probability_words(probability: float | None) -> str:
    """What a calibrated probability means."""
    if probability is None:
        return "No probability: the energy above the hull is unknown here."
    bands = ((0.8, "Likely"), (0.6, "Rather likely"), (0.4, "A coin toss"), (0.2, "Rather unlikely"), (-1, "Unlikely"))
    word = next(word for limit, word in bands if probability >= limit)
    return (
        f"{word}. Of 100 materials with such a score, about {100 * probability:.0f} would lie within "
        f"{NEAR_HULL} eV/atom of the hull when computed with DFT."
    )


def stability_sentence(candidate: Mapping[str, Any]) -> str:
    """Energy above the hull in words."""
    height = candidate.get("energy_above_hull")
    if height is None:
        return str(candidate.get("hull_note") or "The energy above the hull is unknown.")
    if height <= 0:
        how = f"{number(-1000 * height, 0)} meV/atom below it" if height < -0.0005 else "on it"
        return f"Predicted stable: no mixture of known materials has a lower energy ({how})."
    how = f"{number(1000 * height, 0)} meV/atom above the hull"
    if height <= NEAR_HULL:
        return f"Predicted metastable: {how}, a range in which many made materials lie."
    return f"Predicted unstable: {how}; it would gain much by falling apart."


def decomposition_sentence(candidate: Mapping[str, Any]) -> Markup:
    """What the candidate competes with, shares by atoms."""
    products = list(candidate.get("decomposition") or [])
    if not products:
        return Markup("")
    known = [
        formula_html(str(p.get("formula", "?"))) + (Markup(" ({})").format(p["id"]) if p.get("id") else "")
        for p in products
    ]
    if len(products) == 1:
        return Markup("The lowest-energy known alternative is {}.").format(known[0])
    shares = [
        Markup("{} in {}").format(f"{p['fraction']:.0%}", k) if p.get("fraction") is not None else k
        for p, k in zip(products, known, strict=True)
    ]
    joined = Markup(", ").join(shares[:-1]) + Markup(" and ") + shares[-1]
    return Markup("If it fell apart, its atoms would end up: {}.").format(joined)


def second_opinion(candidate: Mapping[str, Any]) -> dict[str, str]:
    """Whether two potentials agree: ``state`` (agree, disagree, unknown, none), a short word and a sentence.

    They agree when both put the crystal on the same side of ``NEAR_HULL``.
    """
    other = candidate.get("second_opinion")
    if not other:
        return {"state": "none", "short": "not asked", "sentence": "No second potential was asked."}
    name = str(other.get("potential") or "The second potential")
    mine, theirs = candidate.get("energy_above_hull"), other.get("energy_above_hull")
    if mine is None or theirs is None:
        return {"state": "unknown", "short": "unknown",
                "sentence": f"{name} cannot be compared: the hull is unknown for one of the two."}  # fmt: skip
    gap = f"{number(1000 * abs(theirs - mine), 0)} meV/atom apart"
    if (mine <= NEAR_HULL) != (theirs <= NEAR_HULL):
        sentence = f"{name} disagrees: it says {number(theirs)} eV/atom ({gap}). Trust neither before DFT."
        return {"state": "disagree", "short": "disagrees", "sentence": sentence}
    side = "within" if mine <= NEAR_HULL else "beyond"
    sentence = f"{name} agrees: both put it {side} {NEAR_HULL} eV/atom of the hull ({gap})."
    return {"state": "agree", "short": "agrees", "sentence": sentence}


def relaxation_sentence(relaxation: Mapping[str, Any] | None) -> str:
    """How the relaxation went, and whether the symmetry survived."""
    if not relaxation:
        return "Not relaxed."
    force = relaxation.get("max_force")
    rest = f", largest force left {force:.3f} eV/Å" if force is not None else ""
    steps, time = relaxation.get("steps"), relaxation.get("seconds")
    taken = f" after {steps} steps" if steps is not None else ""
    taken += f" in {seconds_words(time)}" if time is not None else ""
    came = "Came to rest" if relaxation.get("converged") else "Did NOT come to rest: read its energy with care"
    sentence = f"{came}{taken}{rest}."
    before, after = relaxation.get("space_group_before"), relaxation.get("space_group_after")
    if before is not None and after is not None:
        kept = relaxation.get("symmetry_kept", before == after)
        sentence += (f" Symmetry kept (space group {after})." if kept
                     else f" Symmetry changed from space group {before} to {after}.")  # fmt: skip
    if relaxation.get("message"):
        sentence += f" {relaxation['message']}"
    return sentence
