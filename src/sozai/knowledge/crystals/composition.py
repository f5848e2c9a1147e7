"""Does a crystal hold the elements, and as many atoms, as were wished for?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sozai.knowledge.crystals.wish import CrystalWish
from sozai.knowledge.verdict import Verdict


def composition(counts: Mapping[str, int], wish: CrystalWish | None, severity: str = "hard") -> Verdict:
    """Whether the elements, the formula and the least fractions of the wish hold.

    Args:
        counts: atoms by element symbol.
        wish: the wish; ``None`` when nothing was asked for.
        severity: ``"hard"`` or ``"soft"``.

    Returns:
        the verdict; its amount is the number of elements too many or too few, or 1 for a wrong ratio.
    """
    rule, unit = "composition", "elements"
    if wish is None:
        return Verdict(rule, None, "No elements or formula were asked for.", unit=unit, severity=severity)
    fault = wish.composition_fault(counts)
    if fault is None:
        return Verdict(rule, True, "The composition is as asked for.", unit=unit, severity=severity)
    present = set(counts)
    wrong = len(present - wish.possible_elements()) + len(wish.needed_elements() - present)
    return Verdict(rule, False, f"The composition {fault}.", float(max(wrong, 1)), unit, severity)


def number_of_atoms(
    atoms: int, low: int | None, high: int | None, cell: str = "primitive cell", severity: str = "hard"
) -> Verdict:
    """Whether the primitive cell has an allowed number of atoms.

    Args:
        atoms: atoms in the primitive cell, or in a larger cell that is known to lead to the same answer.
        low, high: least and greatest number; ``None`` for no limit.
        cell: which cell was counted, for the message.
        severity: ``"hard"`` or ``"soft"``.
    """
    rule, unit = "number_of_atoms", "atoms"
    told = f"{atoms} atom{'s' if atoms != 1 else ''} in the {cell}"
    if low is None and high is None:
        return Verdict(rule, None, f"{told}; no number was asked for.", unit=unit, severity=severity)
    if high is not None and atoms > high:
        return Verdict(rule, False, f"{told}, more than {high}.", float(atoms - high), unit, severity)
    if low is not None and atoms < low:
        return Verdict(rule, False, f"{told}, fewer than {low}.", float(low - atoms), unit, severity)
    return Verdict(rule, True, f"{told}, as asked for.", unit=unit, severity=severity)


def without_elements(
    rule: str, counts: Mapping[str, int], elements: Sequence[str] | frozenset[str], kind: str, severity: str
) -> Verdict:
    """Whether the composition has none of a class of elements.

    Args:
        rule: name of the rule.
        counts: atoms by element symbol.
        elements: the class.
        kind: what they are, in a sentence, e.g. ``"radioactive"``.
        severity: ``"hard"`` or ``"soft"``.

    Returns:
        the verdict; its amount is the share of the atoms that are of the class.
    """
    unit = "atomic fraction"
    present = [symbol for symbol in counts if symbol in elements]
    if not present:
        return Verdict(rule, True, f"No element is {kind}.", unit=unit, severity=severity)
    share = sum(counts[symbol] for symbol in present) / sum(counts.values())
    verb = "is" if len(present) == 1 else "are"
    message = f"{', '.join(present)} {verb} {kind} ({share:.0%} of the atoms); replace or leave out."
    return Verdict(rule, False, message, share, unit, severity)
