"""The rotations that hold a Wyckoff position in place."""

from __future__ import annotations

from functools import cache

import numpy as np

from sozai.materials.wyckoff import space_group


@cache
def site_rotations(number: int, letter: str) -> frozenset[int]:
    """Types of the rotations that fix a site, as the Tables write them: 1, 2, 3, 4, 6 and -1, -2 (m), -3, -4, -6.

    Args:
        number: of the space group.
        letter: of the Wyckoff position.
    """
    group = space_group(number)
    general, position = group.positions[-1], group.by_letter[letter]
    point = position.orbit([0.1378, 0.2713, 0.0519][: position.degrees_of_freedom])[0]
    shift = general.rotations @ point + general.translations - point
    fixing = np.abs(shift - np.round(shift)).max(axis=1) < 1e-6
    kinds = set()
    for rotation in general.rotations[fixing]:
        sign = round(float(np.linalg.det(rotation)))
        order = {3: 1, 2: 6, 1: 4, 0: 3, -1: 2}[round(sign * float(np.trace(rotation)))]
        kinds.add(sign * order)
    return frozenset(kinds)
