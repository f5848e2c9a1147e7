"""A crystal as a function of its free parameters: free coordinates of the orbits and free lengths and angles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sozai.assistant.structures.build.assignments import Assignment
from sozai.materials.wyckoff import WyckoffCrystal, WyckoffSite, space_group

# By crystal system: which parameter gives each of a, b, c, and which of alpha, beta, gamma are free.
_LENGTHS = {"cubic": (0, 0, 0), "tetragonal": (0, 0, 1), "trigonal": (0, 0, 1), "hexagonal": (0, 0, 1)}
_ANGLES = {"triclinic": (0, 1, 2), "monoclinic": (1,)}
# Ratios of c to a (or of any two axes) that starts are drawn from, least and greatest.
_RATIOS = {"trigonal": (0.4, 5.5), "hexagonal": (0.4, 3.5), "tetragonal": (0.4, 3.0)}


@dataclass(frozen=True)
class Parameters:
    """The free parameters of an assignment and what they make.

    A vector of parameters holds the free coordinates of each orbit in turn, then the natural logarithms of the
    free cell lengths, then the cosines of the free angles.

    Attributes:
        assignment: elements on Wyckoff positions.
    """

    assignment: Assignment

    @cached_property
    def positions(self):
        """The Wyckoff position of each orbit."""
        by_letter = space_group(self.assignment.space_group).by_letter
        return tuple(by_letter[letter] for _, letter in self.assignment.sites)

    @cached_property
    def system(self) -> str:
        """Crystal system."""
        return space_group(self.assignment.space_group).crystal_system

    @cached_property
    def multiplicities(self) -> np.ndarray:
        """Atoms of each orbit in the conventional cell, ``(orbits,)``."""
        return np.array([position.multiplicity for position in self.positions])

    @cached_property
    def owner(self) -> np.ndarray:
        """Orbit of each atom of the conventional cell, ``(atoms,)``."""
        return np.repeat(np.arange(len(self.positions)), self.multiplicities)

    @cached_property
    def first(self) -> np.ndarray:
        """Index of the first atom of each orbit, ``(orbits,)``."""
        return np.concatenate([[0], np.cumsum(self.multiplicities)[:-1]])

    @cached_property
    def coordinates(self) -> int:
        """Number of free coordinates."""
        return sum(position.degrees_of_freedom for position in self.positions)

    @cached_property
    def linear(self) -> tuple[np.ndarray, np.ndarray]:
        """Fractional coordinates are ``matrix @ free + offset``: ``(atoms, 3, coordinates)`` and ``(atoms, 3)``."""
        matrix = np.zeros((len(self.owner), 3, self.coordinates))
        offset = np.concatenate([position.translations for position in self.positions])
        column = 0
        for start, position in zip(self.first, self.positions, strict=True):
            free = list(position.free)
            rows = slice(start, start + position.multiplicity)
            matrix[rows, :, column : column + len(free)] = position.rotations[:, :, free]
            column += len(free)
        return matrix, offset

    @cached_property
    def lengths(self) -> np.ndarray:
        """Which free length gives a, b and c."""
        return np.array(_LENGTHS.get(self.system, (0, 1, 2)))

    @cached_property
    def angles(self) -> tuple[int, ...]:
        """Which of alpha, beta, gamma are free."""
        return _ANGLES.get(self.system, ())

    @cached_property
    def size(self) -> int:
        """Number of free parameters, cell included."""
        return self.coordinates + int(self.lengths.max()) + 1 + len(self.angles)

    @cached_property
    def cell_size(self) -> int:
        """Free parameters of the cell."""
        return self.size - self.coordinates

    def metric(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Metric tensor ``(3, 3)`` and its derivatives by the cell's parameters ``(cell_size, 3, 3)``."""
        cell = values[self.coordinates :]
        count = int(self.lengths.max()) + 1
        edges = np.exp(cell[:count])[self.lengths]
        cosines = np.eye(3)
        if self.system in ("trigonal", "hexagonal"):
            cosines[0, 1] = cosines[1, 0] = -0.5
        pairs = ((1, 2), (0, 2), (0, 1))
        for angle, cosine in zip(self.angles, cell[count:], strict=True):
            i, j = pairs[angle]
            cosines[i, j] = cosines[j, i] = cosine
        outer = np.outer(edges, edges)
        tensor = outer * cosines
        slopes = np.zeros((self.cell_size, 3, 3))
        for k in range(count):
            power = (self.lengths == k).astype(float)
            slopes[k] = tensor * (power[:, None] + power[None, :])
        for k, angle in enumerate(self.angles, start=count):
            i, j = pairs[angle]
            slopes[k, i, j] = slopes[k, j, i] = outer[i, j]
        return tensor, slopes

    def lattice(self, values: np.ndarray) -> tuple[float, float, float, float, float, float]:
        """a, b, c (angstrom), alpha, beta, gamma (degrees)."""
        tensor, _ = self.metric(values)
        edges = np.sqrt(np.diag(tensor))
        cosines = [
            tensor[1, 2] / edges[1] / edges[2],
            tensor[0, 2] / edges[0] / edges[2],
            tensor[0, 1] / edges[0] / edges[1],
        ]
        angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
        return (*map(float, edges), *map(float, angles))  # type: ignore[return-value]

    def crystal(self, values: np.ndarray) -> WyckoffCrystal:
        """The crystal of these values, in Wyckoff form."""
        sites, column = [], 0
        for (element, letter), position in zip(self.assignment.sites, self.positions, strict=True):
            free = values[column : column + position.degrees_of_freedom] % 1.0
            sites.append(WyckoffSite(element, letter, tuple(map(float, free))))
            column += position.degrees_of_freedom
        return WyckoffCrystal(self.assignment.space_group, tuple(sites), self.lattice(values))

    def bounds(self, ranges: Mapping[str, tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest value of each parameter, from stated ranges of a, b, c, alpha, beta, gamma."""
        low, high = np.full(self.size, -np.inf), np.full(self.size, np.inf)
        count = int(self.lengths.max()) + 1
        at = self.coordinates
        low[at : at + count], high[at : at + count] = np.log(1.5), np.log(80.0)
        for axis, name in enumerate("abc"):
            if name in ranges:
                k = at + self.lengths[axis]
                low[k] = max(low[k], np.log(max(ranges[name][0], 1e-3)))
                high[k] = min(high[k], np.log(ranges[name][1]))
        names = ("alpha", "beta", "gamma")
        for k, angle in enumerate(self.angles, start=at + count):
            small, large = ranges.get(names[angle], (60.0, 130.0))
            low[k], high[k] = np.cos(np.radians(large)), np.cos(np.radians(small))
        for column, value in self.held():
            low[column], high[column] = value - 1e-9, value + 1e-9
        gap = high - low < 1e-8  # the solver needs room
        low[gap] -= 1e-8
        high[gap] += 1e-8
        return low, high

    def held(self) -> list[tuple[int, float]]:
        """Free coordinates that the rules state: column and value."""
        found, column = [], 0
        places = self.assignment.held or (None,) * len(self.positions)
        for position, place in zip(self.positions, places, strict=True):
            if place is not None:
                orbit = (position.rotations @ np.asarray(place, float) + position.translations) % 1.0
                values, _ = position.parameters_of(np.vstack([np.asarray(place, float)[None] % 1.0, orbit]))
                found += [(column + k, value) for k, value in enumerate(values)]
            column += position.degrees_of_freedom
        return found

    def draw(
        self,
        rng: np.random.Generator,
        volume: tuple[float, float],
        limits: tuple[np.ndarray, np.ndarray],
    ) -> np.ndarray:
        """Random values: coordinates anywhere, a cell of about this volume (cubic angstrom, least and greatest)."""
        values = np.empty(self.size)
        values[: self.coordinates] = rng.random(self.coordinates)
        for column, value in self.held():
            values[column] = value
        low, high = _RATIOS.get(self.system, (0.35, 2.8))
        count = int(self.lengths.max()) + 1
        ratios = np.exp(rng.uniform(np.log(low), np.log(high), count))
        ratios[0] = 1.0
        cell = values[self.coordinates :]
        cell[:count] = np.log(ratios)
        cell[count:] = rng.uniform(-0.35, 0.35, len(self.angles))
        target = np.exp(rng.uniform(np.log(volume[0]), np.log(volume[1])))
        for _ in range(3):  # stated edges stay in their range, the others make up the volume
            tensor, _slopes = self.metric(values)
            actual = np.sqrt(max(np.linalg.det(tensor), 1e-6))
            cell[:count] += np.log(target / actual) / 3
            np.clip(values, limits[0], limits[1], out=values)
        return values
