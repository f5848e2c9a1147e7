"""Charge neutrality and the order of electronegativities, from a composition alone.

The chemistry is that of SMACT (Davies et al., Chem 2016, 1, 617; JOSS 2019, 4, 1361): an element takes one oxidation
state in a compound, out of those seen in the ICSD; a composition is valid when some combination is neutral and
every cation is less electronegative than every anion; elements and alloys of metals are exempt.
Two settings matter: ``consensus`` (a state counts when at least so many reports show it) and ``commonality``
(and when it makes at least this share of its element's reports). SMACT 3 made the strict ``consensus=3,
commonality="medium"`` its default, which calls about a third of the known materials invalid; sozai uses
``consensus=1, commonality="low"``, and says so in its verdicts.

SMACT tries every combination, which explodes on some formulas. Here the reachable charges are built up one element
at a time (a subset-sum table), so the answer is the same and the time grows with the number of elements only.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from math import log

from sozai.knowledge.crystals.elements import element_table
from sozai.knowledge.crystals.wish import reduced
from sozai.knowledge.verdict import Verdict

COMMONALITY = {"low": 0.0, "medium": 10.0, "high": 50.0}
"""Least share (per cent) of an element's reports that an oxidation state must have, by SMACT's names."""

RARE = 0.02
"""An oxidation state with a smaller share of its element's reports is called rare."""

_Counts = tuple[tuple[str, int], ...]
_States = tuple[tuple[str, int], ...]


@cache
def oxidation_states(consensus: int = 1, commonality: str | float = "low") -> dict[str, dict[int, float]]:
    """Oxidation states seen in the ICSD (2024, by way of SMACT) and their share of the element's reports.

    Args:
        consensus: least number of reports.
        commonality: ``"low"`` (0), ``"medium"`` (10), ``"high"`` (50) or a number: least share in per cent.

    Returns:
        by element symbol, share (0 to 1) by oxidation state; state zero is left out.
    """
    from smact.utils.oxidation import ICSD24OxStatesFilter

    least_share = COMMONALITY[commonality] if isinstance(commonality, str) else float(commonality)
    reports: dict[str, dict[int, int]] = {}
    frame = ICSD24OxStatesFilter().ox_states_df
    for symbol, state, count in zip(frame["element"], frame["oxidation_state"], frame["results_count"], strict=True):
        if state != 0 and count >= max(consensus, 1):
            reports.setdefault(str(symbol), {})[int(state)] = int(count)
    shares: dict[str, dict[int, float]] = {}
    for symbol, counts in reports.items():
        total = sum(counts.values())
        kept = {state: count / total for state, count in counts.items() if 100 * count / total >= least_share}
        if kept:
            shares[symbol] = kept
    return shares


@cache
def _metals() -> frozenset[str]:
    import smact

    return frozenset(smact.metals)


def is_alloy(counts: Mapping[str, int]) -> bool:
    """Whether SMACT exempts the composition: one element alone, or metals only (Ge and Sb count as metals)."""
    return len(counts) == 1 or _metals().issuperset(counts)


def smact_valid(
    counts: Mapping[str, int], consensus: int = 1, commonality: str | float = "low", pauling: bool = True
) -> bool:
    """The answer of ``smact.screening.smact_validity`` (alloys exempt, no mixed valence), in microseconds.

    Args:
        counts: atoms by element symbol.
        consensus: least number of ICSD reports of an oxidation state.
        commonality: least share of its element's reports.
        pauling: whether cations must also be less electronegative than anions. As in SMACT, an element without
            an electronegativity (He, Ne, Ar, Pm, ...) then makes the composition invalid.
    """
    return is_alloy(counts) or _reachable(_key(counts), consensus, commonality, pauling)


def _key(counts: Mapping[str, int]) -> _Counts:
    return tuple(sorted(reduced(counts).items()))


@lru_cache(maxsize=100_000)
def _reachable(counts: _Counts, consensus: int, commonality: str | float, pauling: bool) -> bool:
    """Whether some combination is neutral; sets of reachable charges are the bits of an integer."""
    states = oxidation_states(consensus, commonality)
    if any(symbol not in states for symbol, _ in counts):
        return False
    if not pauling:
        # Charges are shifted by each element's lowest one, so that they stay positive.
        bits, offset = 1, 0
        for symbol, number in counts:
            lowest = min(states[symbol])
            offset -= lowest * number
            bits = _or(bits << ((state - lowest) * number) for state in states[symbol])
        return bool(bits >> offset & 1) if offset >= 0 else False
    order = _by_electronegativity(counts)
    if order is None:
        return False
    positive = [1]
    for symbol, number in order:
        positive.append(_or(positive[-1] << (q * number) for q in states[symbol] if q > 0))
    negative = 1
    table = element_table()
    for cut in range(len(order) - 1, 0, -1):
        symbol, number = order[cut]
        negative = _or(negative << (-q * number) for q in states[symbol] if q < 0)
        below = table[order[cut - 1][0]].electronegativity
        # Elements of equal electronegativity must carry the same sign: no cut between them.
        if positive[cut] & negative and below != table[symbol].electronegativity:
            return True
    return False


def _or(values) -> int:
    total = 0
    for value in values:
        total |= value
    return total


def _by_electronegativity(counts: _Counts) -> list[tuple[str, int]] | None:
    table = element_table()
    scale = {symbol: table[symbol].electronegativity for symbol, _ in counts}
    if any(value is None for value in scale.values()):
        return None
    return sorted(counts, key=lambda item: scale[item[0]] or 0.0)


@lru_cache(maxsize=20_000)
def _likeliest(counts: _Counts, consensus: int, commonality: str | float, pauling: bool) -> tuple[int, _States | None]:
    """Least unbalanced charge a formula unit can have, and the commonest states that reach it.

    With ``pauling``, only combinations in the order of electronegativity are tried; the states are ``None`` where
    no combination exists.
    """
    states = oxidation_states(consensus, commonality)
    if any(symbol not in states for symbol, _ in counts):
        return 0, None
    if not pauling:
        sums = _sums(counts, states, (1, -1))
        charge = min(sums, key=lambda total: (abs(total), -sums[total][0]))
        return charge, sums[charge][1]
    order = _by_electronegativity(counts)
    if order is None:
        return 0, None
    table = element_table()
    best: tuple[float, _States] | None = None
    for cut in range(1, len(order)):
        if table[order[cut - 1][0]].electronegativity == table[order[cut][0]].electronegativity:
            continue
        cations = _sums(tuple(order[:cut]), states, (1,))
        anions = _sums(tuple(order[cut:]), states, (-1,))
        for total in cations.keys() & {-charge for charge in anions}:
            score = cations[total][0] + anions[-total][0]
            if best is None or score > best[0]:
                best = score, cations[total][1] + anions[-total][1]
    return 0, best[1] if best else None


def _sums(
    counts: _Counts, states: Mapping[str, Mapping[int, float]], signs: tuple[int, ...]
) -> dict[int, tuple[float, _States]]:
    """Charges that can be reached, each with the log share of its commonest combination and the combination."""
    table: dict[int, tuple[float, _States]] = {0: (0.0, ())}
    for symbol, number in counts:
        grown: dict[int, tuple[float, _States]] = {}
        choices = [(q, log(share)) for q, share in states[symbol].items() if (q > 0) - (q < 0) in signs]
        for total, (score, chosen) in table.items():
            for state, gain in choices:
                key = total + state * number
                if key not in grown or score + gain > grown[key][0]:
                    grown[key] = score + gain, (*chosen, (symbol, state))
        table = grown
    return table


def likely_states(
    counts: Mapping[str, int], consensus: int = 1, commonality: str | float = "low"
) -> dict[str, int] | None:
    """The commonest neutral oxidation states in the order of electronegativity, e.g. ``{"Na": 1, "Cl": -1}``.

    ``None`` for elements and alloys, and where no such combination exists.
    """
    if is_alloy(counts):
        return None
    _, states = _likeliest(_key(counts), consensus, commonality, True)
    return dict(states) if states else None


def rare_states(states: Mapping[str, int]) -> list[str]:
    """Those of the states that are rare in the ICSD, e.g. ``["O-3"]``: often a sign of mixed valence."""
    shares = oxidation_states()
    return [f"{symbol}{state:+d}" for symbol, state in states.items() if shares[symbol][state] < RARE]


def _setting(consensus: int, commonality: str | float) -> str:
    return f"SMACT with ICSD-24 states, consensus={consensus}, commonality={commonality!r}"


def _spell(states: _States) -> str:
    return " ".join(f"{symbol}{state:+d}" for symbol, state in states)


def charge_neutral(
    counts: Mapping[str, int],
    consensus: int = 1,
    commonality: str | float = "low",
    exempt_alloys: bool = True,
    severity: str = "hard",
) -> Verdict:
    """Whether oxidation states of the elements can add up to zero (rule ``charge_neutrality``).

    Args:
        counts: atoms by element symbol.
        consensus: least number of ICSD reports of an oxidation state.
        commonality: least share of its element's reports (SMACT's name or per cent).
        exempt_alloys: whether elements and alloys of metals pass as they are (SMACT's ``include_alloys``).
        severity: ``"hard"`` or ``"soft"``.

    Returns:
        the verdict; its amount is the least charge an atom that is left over (e/atom).
    """
    rule = "charge_neutrality"
    if exempt_alloys and is_alloy(counts):
        kind = "element" if len(counts) == 1 else "metallic alloy"
        return Verdict(rule, True, f"{kind}: exempt.", severity=severity)
    setting = _setting(consensus, commonality)
    known = oxidation_states(consensus, commonality)
    unknown = sorted(symbol for symbol in counts if symbol not in known)
    if unknown:
        message = f"No oxidation state of {', '.join(unknown)} is on record ({setting})."
        return Verdict(rule, False, message, amount=1.0, unit="e/atom", severity=severity)
    key = _key(counts)
    charge, states = _likeliest(key, consensus, commonality, True)
    ordered = states is not None
    if not ordered:
        charge, states = _likeliest(key, consensus, commonality, False)
    assert states is not None  # every element has a state, so some combination exists
    if charge == 0:
        spelled = _spell(states) if ordered else f"{_spell(states)}, against the order of electronegativities"
        rare = rare_states(dict(states))
        if rare:
            spelled += f", where {' and '.join(rare)} {'is' if len(rare) == 1 else 'are'} rare (mixed valence?)"
        return Verdict(rule, True, f"Neutral as {spelled} ({setting}).", unit="e/atom", severity=severity)
    message = (
        f"No oxidation states add up to zero: at best {charge:+d} a formula unit, as {_spell(states)}; "
        f"change the ratio of the elements ({setting}, one state an element)."
    )
    amount = abs(charge) / sum(number for _, number in key)
    return Verdict(rule, False, message, amount=amount, unit="e/atom", severity=severity)


def electronegativity_order(
    counts: Mapping[str, int],
    consensus: int = 1,
    commonality: str | float = "low",
    exempt_alloys: bool = True,
    severity: str = "soft",
) -> Verdict:
    """Whether a neutral combination exists in which all cations are less electronegative than all anions.

    Arguments as for :func:`charge_neutral`. The amount is how far the commonest neutral combination breaks the
    order (Pauling units).
    """
    rule = "electronegativity_order"
    if exempt_alloys and is_alloy(counts):
        kind = "element" if len(counts) == 1 else "metallic alloy"
        return Verdict(rule, True, f"{kind}: exempt.", severity=severity)
    table = element_table()
    blank = sorted(symbol for symbol in counts if table[symbol].electronegativity is None)
    if blank:
        message = f"Not judged: no Pauling electronegativity is known for {', '.join(blank)}."
        return Verdict(rule, None, message, severity=severity)
    key = _key(counts)
    if not _reachable(key, consensus, commonality, False):
        return Verdict(rule, None, "Not judged: no neutral oxidation states to order.", severity=severity)
    _, states = _likeliest(key, consensus, commonality, True)
    if states is not None:
        return Verdict(rule, True, f"Cations and anions are in order as {_spell(states)}.", severity=severity)
    _, states = _likeliest(key, consensus, commonality, False)
    assert states is not None  # it is neutral
    scale = {symbol: table[symbol].electronegativity or 0.0 for symbol in counts}
    cation = max((symbol for symbol, state in states if state > 0), key=scale.__getitem__)
    anion = min((symbol for symbol, state in states if state < 0), key=scale.__getitem__)
    message = (
        f"Neutral only against the electronegativities, e.g. as {_spell(states)}: {cation} ({scale[cation]:.2f}) "
        f"would be the cation of {anion} ({scale[anion]:.2f})."
    )
    amount = scale[cation] - scale[anion]
    return Verdict(rule, False, message, amount=amount, unit="Pauling", severity=severity)
