"""Hard masks: which next token still leads to a crystal that fulfils the wish.

Sites are written in canonical order, so a wish becomes a search: *can the sequence be finished?* The answer
is exact (a memoised depth-first search over the positions of one space group), therefore every sample
fulfils the exact conditions by construction and a wish that cannot be met is known before sampling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sozai.errors import UserError
from sozai.generators.wyckoff_gpt.tokens import INDEX, element_order, letter_table
from sozai.knowledge.crystals.wish import SYMBOLS, CrystalWish
from sozai.materials.wyckoff import space_group

START = -1
LARGEST_HINT = 96
"""Atoms up to which a refusal looks for a cell that would do."""


@dataclass(frozen=True)
class State:
    """Where a sequence stands.

    Attributes:
        element: place of the current element in the planner's list, ``START`` before the first site.
        letter: smallest position index that the current element may still take.
        used: bit mask of the occupied positions without free coordinates.
        atoms: atoms so far (primitive cell).
        left: with a formula, atoms still to place, by the planner's elements; else empty.
    """

    element: int = START
    letter: int = 0
    used: int = 0
    atoms: int = 0
    left: tuple[int, ...] = ()


class Planner:
    """The search for one space group and one wish (with a formula: one number of formula units).

    Args:
        number: space group.
        elements: indices of the admissible elements.
        required: those of them that must occur.
        min_atoms, max_atoms: atoms in the primitive cell.
        counts: with a formula, atoms of each element; then all of them are required.
    """

    def __init__(
        self,
        number: int,
        elements: frozenset[int],
        required: frozenset[int],
        min_atoms: int,
        max_atoms: int,
        counts: Mapping[int, int] | None = None,
    ):
        order = element_order()
        self.elements = tuple(sorted(elements, key=lambda index: order[index]))
        self.required = tuple(element in required for element in self.elements)
        self.place = {element: place for place, element in enumerate(self.elements)}
        self.min_atoms, self.max_atoms = min_atoms, max_atoms
        self.table = letter_table(number)
        # From each place on (START first): the next required element, and what of a place matters for the rest.
        size = len(self.elements)
        self._next_required = [
            next((later for later in range(place + 1, size) if self.required[later]), size)
            for place in range(START, size)
        ]
        self._keys = [
            (sum(self.required[place + 1 :]), min(1, self._next_required[place + 1] - place - 1))
            for place in range(START, size)
        ]
        self.start = State(left=tuple(counts[e] for e in self.elements) if counts else ())
        self._memo: dict[tuple, bool] = {}
        self._sums_memo: dict[int, int] = {}

    @cached_property
    def feasible(self) -> bool:
        """Whether any crystal fulfils the wish in this space group."""
        return self._can_finish(self.start)

    def may_stop(self, state: State) -> bool:
        """Whether the sequence may end here (fractions are checked by the sampler, on the whole crystal)."""
        if state.element == START or state.atoms < self.min_atoms:
            return False
        return not any(state.left) and self._next_required[state.element + 1] == len(self.elements)

    def next_elements(self, state: State) -> dict[int, list[int]]:
        """Elements that may come next, each with its positions."""
        options: dict[int, list[int]] = {}
        fresh: dict[tuple, list[int]] = {}  # elements that no condition tells apart have the same positions
        for place in range(max(state.element, 0), len(self.elements)):
            if not self._reachable(state, place):
                break
            key = (place == state.element, self._key(place), state.left[place] if state.left else 0)
            if key not in fresh:
                fresh[key] = [
                    letter
                    for letter in self._letters(state, place)
                    if self._can_finish(self.step(state, place, letter))
                ]
            if fresh[key]:
                options[self.elements[place]] = fresh[key]
        return options

    def step(self, state: State, place: int, letter: int) -> State:
        """The state after a site."""
        _, _, _, multiplicity, fixed = self.table[letter]
        left = state.left
        if left:
            left = (*left[:place], left[place] - multiplicity, *left[place + 1 :])
        return State(
            place,
            letter + fixed,  # a position with free coordinates may be occupied again
            state.used | (1 << letter if fixed else 0),
            state.atoms + multiplicity,
            left,
        )

    def _reachable(self, state: State, place: int) -> bool:
        """No required element (or, with a formula, unfinished one) would be passed over."""
        if place == state.element:
            return True
        if place < state.element:
            return False
        if state.left and any(state.left[max(state.element, 0) : place]):
            return False
        return place <= self._next_required[state.element + 1]

    def _letters(self, state: State, place: int) -> list[int]:
        first = state.letter if place == state.element else 0
        room = min(self.max_atoms - state.atoms, state.left[place] if state.left else self.max_atoms)
        return [
            letter
            for letter in range(first, len(self.table))
            if self.table[letter][3] <= room and not (self.table[letter][4] and state.used >> letter & 1)
        ]

    def _key(self, place: int) -> tuple[int, int]:
        """How many required elements follow, and whether a free choice comes before the next of them."""
        return self._keys[place + 1]

    def _can_finish(self, state: State) -> bool:
        if self.may_stop(state):
            return True
        least, most = max(self.min_atoms - state.atoms, 1), self.max_atoms - state.atoms
        if most < least or not self._sums(state.used) >> least & (1 << most - least + 1) - 1:
            return False
        if not state.left and self._key(state.element) == (0, 1):
            return True  # a fresh element may take any positions, so the sum alone decides
        where: object = state.element if state.left else (state.element == START, *self._key(state.element))
        key = (where, state.letter, state.used, state.atoms, state.left)
        if key not in self._memo:
            self._memo[key] = self._search(state)
        return self._memo[key]

    def _sums(self, used: int) -> int:
        """Bit set of the numbers of atoms that the free positions can add up to."""
        if used not in self._sums_memo:
            bits, limit = 1, (1 << self.max_atoms + 1) - 1
            for letter, (_, _, _, multiplicity, fixed) in enumerate(self.table):
                if fixed:
                    bits |= 0 if used >> letter & 1 else bits << multiplicity
                else:
                    for _ in range(self.max_atoms // multiplicity):
                        bits |= bits << multiplicity
                bits &= limit
            self._sums_memo[used] = bits
        return self._sums_memo[used]

    def _search(self, state: State) -> bool:
        tried: set[tuple] = set()
        for place in range(max(state.element, 0), len(self.elements)):
            if not self._reachable(state, place):
                break
            kind = (place == state.element, self._key(place), state.left[place] if state.left else 0)
            if kind in tried:
                continue
            tried.add(kind)
            if any(self._can_finish(self.step(state, place, letter)) for letter in self._letters(state, place)):
                return True
        return False


class WishPlanner:
    """Planners for every space group and number of formula units that a wish allows.

    Raises:
        UserError: nothing fulfils the wish; the message names the reason and the nearest that can be had.
    """

    def __init__(self, wish: CrystalWish, known_elements: frozenset[str]):
        self.wish = wish
        missing = sorted(wish.needed_elements() - known_elements)
        if missing:
            raise UserError(
                f"the generator has never seen {', '.join(missing)}",
                "elements",
                "train it on data that holds them, or use --generator substitution",
            )
        self.elements = frozenset(INDEX[symbol] for symbol in wish.possible_elements() & known_elements)
        self.required = frozenset(INDEX[symbol] for symbol in wish.needed_elements())
        self.planners = self._plan(wish.min_atoms, wish.max_atoms, wish.space_groups or range(1, 231))
        if not self.planners:
            self._refuse()

    def _plan(self, least: int, most: int, groups) -> dict[int, list[Planner]]:
        """Feasible planners by space group."""
        found: dict[int, list[Planner]] = {}
        for number in groups:
            planners = [
                planner
                for counts in self._counts(least, most)
                if (planner := Planner(number, self.elements, self.required, least, most, counts)).feasible
            ]
            if planners:
                found[number] = planners
        return found

    def _counts(self, least: int, most: int) -> list[dict[int, int] | None]:
        if self.wish.formula is None:
            return [None]
        if self.wish.composition_fault(self.wish.formula):  # too little of an element that "at least" asks for
            return []
        unit = sum(self.wish.formula.values())
        return [
            {INDEX[symbol]: units * count for symbol, count in self.wish.formula.items()}
            for units in range(1, most // unit + 1)
            if units * unit >= least
        ]

    def _refuse(self) -> None:
        wish = self.wish
        what = "a crystal of "
        if wish.formula:
            formula = "".join(f"{symbol}{count if count > 1 else ''}" for symbol, count in wish.formula.items())
            fault = wish.composition_fault(wish.formula)
            if fault:
                raise UserError(f"{formula} {fault}", "at_least", "drop one of the two")
            what += formula
        else:
            what += " and ".join(SYMBOLS[index] for index in sorted(self.required)) or "any elements"
        atoms = f"{wish.min_atoms} to {wish.max_atoms}" if wish.min_atoms < wish.max_atoms else f"{wish.max_atoms}"
        what += f" with {_atoms(atoms)} in the primitive cell cannot be built"
        if wish.space_groups:
            what += " in space group " + self._names(wish.space_groups[:3])
            what += f" or {len(wish.space_groups) - 3} others" if len(wish.space_groups) > 3 else ""
        groups = wish.space_groups[:10] or (1,)  # P1 holds any atoms, so that it speaks for all groups
        hints = [f"allow {_atoms(size)}" for size in self._nearest_sizes(groups)]
        if wish.space_groups:
            near = self._nearest_groups(wish.min_atoms, wish.max_atoms)
            if near:
                hints.append(f"take space group {near}")
            elif not hints:
                hints = [
                    f"allow {_atoms(size)} and take space group {self._nearest_groups(size, size)}"
                    for size in self._nearest_sizes((1,))
                ]
        raise UserError(what, mend=" or ".join(hints) or "relax one of the conditions")

    @staticmethod
    def _names(numbers: Sequence[int]) -> str:
        return ", ".join(f"{number} ({space_group(number).symbol})" for number in numbers)

    def _nearest_groups(self, least: int, most: int) -> str:
        """The three nearest space groups in which so many atoms could be had."""
        first = self.wish.space_groups[0]
        numbers = sorted(self._plan(least, most, range(1, 231)), key=lambda number: abs(number - first))
        return self._names(numbers[:3])

    def _nearest_sizes(self, groups: Sequence[int]) -> list[int]:
        """Numbers of atoms outside the wish, the nearest below and above, with which these groups could meet it."""
        if not self.elements:
            return []
        sizes = range(self.wish.min_atoms - 1, 0, -1), range(self.wish.max_atoms + 1, LARGEST_HINT + 1)
        found = (next((size for size in side if self._plan(size, size, groups)), None) for side in sizes)
        return [size for size in found if size is not None]


def _atoms(count: int | str) -> str:
    return f"{count} {'atom' if str(count) == '1' else 'atoms'}"
