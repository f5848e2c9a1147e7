"""Can one get the elements, and at what price? Preferences rather than laws: soft unless a rule file says otherwise."""

from __future__ import annotations

from collections.abc import Mapping

from sozai.knowledge.crystals.elements import element_table
from sozai.knowledge.verdict import Verdict


def mass_fractions(counts: Mapping[str, int]) -> dict[str, float]:
    """Share of the mass by element."""
    table = element_table()
    masses = {symbol: number * table[symbol].mass for symbol, number in counts.items()}
    total = sum(masses.values())
    return {symbol: mass / total for symbol, mass in masses.items()}


def scarcity(
    counts: Mapping[str, int], limit_production: float = 5000, limit_reserve: float = 5000, severity: str = "soft"
) -> Verdict:
    """Whether the elements come from enough countries: the Herfindahl-Hirschman index (HHI), averaged by mass.

    Gaultois et al., Chem. Mater. 2013, 25, 2911: 0 when every country has a little, 10,000 when one has it all;
    above 2,500 a market counts as highly concentrated.

    Args:
        counts: atoms by element symbol.
        limit_production: greatest index of today's production.
        limit_reserve: greatest index of the known reserves.
        severity: ``"hard"`` or ``"soft"``.

    Returns:
        the verdict; its amount is the greater excess over a limit (HHI).
    """
    rule, unit = "scarcity", "HHI"
    table = element_table()
    blank = sorted(symbol for symbol in counts if table[symbol].hhi_production is None)
    if blank:
        return Verdict(rule, None, f"Not judged: no HHI is known for {', '.join(blank)}.", unit=unit, severity=severity)
    shares = mass_fractions(counts)
    production = sum((table[s].hhi_production or 0.0) * share for s, share in shares.items())
    reserve = sum((table[s].hhi_reserve or 0.0) * share for s, share in shares.items())
    told = f"HHI {production:.0f} for production (limit {limit_production:.0f}), {reserve:.0f} for reserves "
    told += f"(limit {limit_reserve:.0f})"
    excess = max(production - limit_production, reserve - limit_reserve)
    if excess <= 0:
        return Verdict(rule, True, f"{told}.", unit=unit, severity=severity)
    worst = max(shares, key=lambda s: shares[s] * max(table[s].hhi_production or 0.0, table[s].hhi_reserve or 0.0))
    return Verdict(rule, False, f"{told}: few countries supply it, above all {worst}.", excess, unit, severity)


def element_cost(counts: Mapping[str, int], limit: float = 1000, severity: str = "soft") -> Verdict:
    """Whether the elements cost at most ``limit`` US dollars a kilogram of the compound.

    Prices of the pure elements in 2013 (pymatgen's cost database): good for orders of magnitude.

    Returns:
        the verdict; its amount is the excess (USD/kg).
    """
    rule, unit = "element_cost", "USD/kg"
    table = element_table()
    blank = sorted(symbol for symbol in counts if table[symbol].price is None)
    if blank:
        message = f"Not judged: no price is known for {', '.join(blank)}."
        return Verdict(rule, None, message, unit=unit, severity=severity)
    parts = {s: (table[s].price or 0.0) * share for s, share in mass_fractions(counts).items()}
    price = sum(parts.values())
    told = f"The elements cost about {price:,.0f} USD/kg (2013 prices; limit {limit:,.0f})"
    if price <= limit:
        return Verdict(rule, True, f"{told}.", unit=unit, severity=severity)
    dearest = max(parts, key=parts.__getitem__)
    message = f"{told}, {parts[dearest] / price:.0%} of it for {dearest}; replace it or use less."
    return Verdict(rule, False, message, price - limit, unit, severity)
