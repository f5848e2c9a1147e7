"""What an element costs and who supplies it, from the table that sozai brings along."""

from __future__ import annotations

from sozai.assistant.answers.evidence import Statement
from sozai.assistant.answers.lexicon import ELEMENT_NAMES
from sozai.assistant.answers.names import elements
from sozai.knowledge.crystals.elements import element_table

PRICES = "price of the pure element in 2013 (pymatgen's cost database, sozai's elements.csv): an order of magnitude"
SHARES = (
    "Herfindahl-Hirschman index of production (Gaultois et al., Chem. Mater. 2013, 25, 2911; sozai's elements.csv); "
    "above 2,500 few countries supply it"
)
_PLAIN = ("O", "H", "N")


def price_of(agent: str) -> tuple[Statement, ...]:
    """What the elements of an agent cost, or nothing where none is known."""
    made = []
    for symbol in _symbols(agent):
        price = element_table()[symbol].price
        if price is not None:
            text = f"{ELEMENT_NAMES[symbol].capitalize()} costs about {price:,.3g} USD/kg."
            made.append(Statement(text, (), "table of sozai", PRICES))
    return tuple(made)


def supply_of(agent: str) -> tuple[Statement, ...]:
    """How concentrated the supply of an agent's elements is, or nothing where that is not known."""
    made = []
    for symbol in _symbols(agent):
        index = element_table()[symbol].hhi_production
        if index is not None:
            judged = "concentrated in few countries" if index > 2500 else "spread over several countries"
            text = f"Supply of {ELEMENT_NAMES[symbol]} is {judged} (HHI {index:,.0f})."
            made.append(Statement(text, (), "table of sozai", SHARES))
    return tuple(made)


def _symbols(agent: str) -> list[str]:
    if agent in ELEMENT_NAMES:
        return [agent]
    return [symbol for symbol in sorted(elements(agent)) if symbol not in _PLAIN] if agent else []
