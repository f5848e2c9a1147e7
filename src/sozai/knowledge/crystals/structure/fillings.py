"""Ways to put atoms on the Wyckoff positions of a space group so that their numbers come out right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sozai.knowledge.crystals.structure.rules import Site, StructureRules
from sozai.materials.wyckoff import SpaceGroup, WyckoffPosition, space_group

Filling = dict[str, tuple[str, ...]]
"""Letters by element."""
MOST_STEPS = 200_000
"""The search gives up after so many steps; then nothing is called impossible."""
MOST_UNITS = 24


def fillings(group: SpaceGroup, atoms: Mapping[str, int], used: Sequence[str] = ()) -> Iterator[Filling]:
    """All ways to place so many atoms of each element.

    When the search grows too long it yields a last, empty filling, so that no caller concludes that there is none.

    Args:
        group: the space group.
        atoms: numbers in the conventional cell by element.
        used: letters that are taken; those without a free coordinate cannot be taken again.
    """
    taken = {letter for letter in used if group.by_letter[letter].degrees_of_freedom == 0}
    budget = [MOST_STEPS]
    order = sorted(atoms, key=lambda element: atoms[element])
    yield from _place(group, atoms, order, taken, budget)
    if budget[0] <= 0:
        yield {element: () for element in atoms}


def _place(
    group: SpaceGroup, atoms: Mapping[str, int], order: Sequence[str], taken: set[str], budget: list[int]
) -> Iterator[Filling]:
    if not order:
        yield {}
        return
    element, *others = order
    positions = sorted(group.positions, key=lambda p: -p.multiplicity)
    for letters in _sums(positions, atoms[element], taken, budget):
        fixed = {letter for letter in letters if group.by_letter[letter].degrees_of_freedom == 0}
        for rest in _place(group, atoms, others, taken | fixed, budget):
            yield {element: tuple(sorted(letters)), **rest}


def _sums(
    positions: Sequence[WyckoffPosition], number: int, taken: set[str], budget: list[int]
) -> Iterator[tuple[str, ...]]:
    """Multisets of letters whose multiplicities add up to ``number``."""
    if number == 0:
        yield ()
        return
    budget[0] -= 1
    if budget[0] <= 0:
        return
    for place, position in enumerate(positions):
        if position.multiplicity > number:
            continue
        fixed = position.degrees_of_freedom == 0
        if fixed and position.letter in taken:
            continue
        following = positions[place + 1 :] if fixed else positions[place:]
        for rest in _sums(following, number - position.multiplicity, taken, budget):
            yield (position.letter, *rest)


def z_that_fill(group: SpaceGroup, counts: Mapping[str, int], most: int = 3) -> list[int]:
    """The first few numbers of formula units in the conventional cell for which the atoms can be placed."""
    found: list[int] = []
    for units in range(1, MOST_UNITS + 1):
        atoms = {element: number * units for element, number in counts.items()}
        way = next(fillings(group, atoms), None)
        if way is not None and all(way.values()):
            found.append(units)
            if len(found) == most:
                break
    return found


def spell_filling(group: SpaceGroup, letters: Sequence[str]) -> str:
    """``"12c"`` or ``"6a + 6b"``."""
    return " + ".join(f"{group.by_letter[letter].multiplicity}{letter}" for letter in letters)


def atoms_of(site: Site, number: int) -> int | None:
    """Atoms of a site in the conventional cell of space group ``number``; ``None`` when the rules do not tell."""
    return site.multiplicity if site.letter is None else space_group(number).by_letter[site.letter].multiplicity


def letters_known(rules: StructureRules) -> bool:
    """Whether a space group is stated and has all the Wyckoff letters that are."""
    if not rules.space_group:
        return False
    by_letter = space_group(rules.space_group).by_letter
    return all(site.letter is None or site.letter in by_letter for site in rules.sites)
