"""How bonds can be dealt out to ligands: whole coordination numbers, charges balanced (Pauling's second rule)."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import numpy as np

from sozai.assistant.structures.build.targets import Targets
from sozai.materials.wyckoff import space_group


def unbalanced(number: int, sites: tuple[tuple[str, str], ...], targets: Targets) -> float:
    """Least share by which ligands miss their charge when whole numbers of bonds are dealt out (Pauling's second rule).

    Each centre's bonds go to ligand orbits in numbers that make whole coordination numbers of both.
    """
    options = bond_counts(number, sites, targets, most=1)
    return options[0][0] if options else 2.0


def bond_counts(
    number: int, sites: tuple[tuple[str, str], ...], targets: Targets, most: int = 6
) -> list[tuple[float, dict[tuple[int, int], tuple[int, ...]]]]:
    """Ways to deal each centre's bonds to the ligand orbits, the most balanced first.

    Args:
        number: space group.
        sites: (element, letter) of each orbit.
        targets: what is wanted.
        most: ways to return.

    Returns:
        pairs of the imbalance (root mean square over ligand orbits, relative to their charge) and the bonds: by
        (orbit of the centre, index of the bond rule), the number to each orbit. Only stated bonds are dealt.
    """
    group = space_group(number)
    multiplicities = [group.by_letter[letter].multiplicity for _, letter in sites]
    # Where rules of one centre are alternatives, it is not known which one holds for an orbit.
    alone = Counter((bond.centre, frozenset(bond.ligands)) for bond in targets.bonds if bond.stated)
    wanted = [
        (orbit, index)
        for orbit, (element, _) in enumerate(sites)
        for index, bond in enumerate(targets.bonds)
        if bond.centre == element and bond.stated and alone[(bond.centre, frozenset(bond.ligands))] == 1
    ]
    charge = np.array([abs(targets.charges[element]) or 1.0 for element, _ in sites])
    strengths = np.zeros((1, len(sites)))  # that the ligands of each partial deal get, and its rows of bonds
    taken: list[np.ndarray] = []
    for orbit, index in wanted:
        bond = targets.bonds[index]
        ligands = [k for k, (element, _) in enumerate(sites) if element in bond.ligands]
        deals = _deals(bond.count, multiplicities[orbit], tuple(multiplicities[k] for k in ligands))
        if not deals:
            return []
        rows = np.zeros((len(deals), len(sites)))
        rows[:, ligands] = deals
        added = rows * multiplicities[orbit] / np.array(multiplicities) * bond.strength
        grown = (strengths[:, None] + added[None]).reshape(-1, len(sites))
        # Overbonded ligands can only get worse; keep the least of them.
        over = np.sum(np.maximum(grown / charge - 1.15, 0.0) ** 2, axis=1)
        best = np.argsort(over, kind="stable")[:400]
        strengths = grown[best]
        taken = [kept[best // len(deals)] for kept in taken] + [rows[best % len(deals)]]
    ligand_orbits = [
        k
        for k, (element, _) in enumerate(sites)
        if any(element in bond.ligands for bond in targets.bonds if bond.stated)
    ]
    if not wanted or not ligand_orbits:
        return [(0.0, {})]
    # Cations without stated polyhedra give what they have to all ligands alike.
    weight = np.array([multiplicities[k] for k in ligand_orbits], float)
    given = strengths[:, ligand_orbits]
    missing = np.maximum(np.sum(charge[ligand_orbits] * weight) - given @ weight, 0.0) / weight.sum()
    relative = (given + missing[:, None]) / charge[ligand_orbits] - 1
    imbalance = np.sqrt(np.average(relative**2, weights=weight, axis=1))
    return [
        (float(imbalance[k]), {key: tuple(map(int, rows[k])) for key, rows in zip(wanted, taken, strict=True)})
        for k in np.argsort(imbalance, kind="stable")[:most]
    ]


@lru_cache(maxsize=4096)
def _deals(count: int, multiplicity: int, ligands: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Ways to split ``count`` bonds over ligand orbits so that every ligand has a whole number of them."""
    if not ligands:
        return ()
    if len(ligands) == 1:
        return ((count,),) if count * multiplicity % ligands[0] == 0 else ()
    found = []
    for bonds in range(count + 1):
        if bonds * multiplicity % ligands[0] == 0:
            found += [(bonds, *rest) for rest in _deals(count - bonds, multiplicity, ligands[1:])]
    return tuple(found[:2000])
