"""The library of known materials that ships with sozai: their Wyckoff forms, formulas and energies.

It serves three rooms: generators take prototypes (templates) from it, screening asks it what is known
already, and the convex hull is built from its energies. ``scripts/build_known_materials.py`` makes it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sozai.errors import UserError
from sozai.materials.wyckoff import Gene, WyckoffCrystal, WyckoffSite, space_group

if TYPE_CHECKING:
    import pandas as pd
    from pymatgen.core import Structure

_STEPS = 65535  # a coordinate is kept to 1/65535 of the cell length: below 0.001 angstrom


@dataclass
class KnownMaterials:
    """Known materials as a table, one row a material.

    Attributes:
        table: columns ``id``, ``formula`` (reduced), ``n_atoms`` (primitive cell), ``space_group``,
            ``sites`` (``"Na@a Cl@b"``), ``parameters`` (free coordinates of all sites in order, as 16-bit
            steps), ``lattice`` (6 numbers, angstrom and degrees, conventional cell), ``energy`` (potential
            energy, eV/atom, by the potential named in ``source``) and property columns; missing is NaN.
        source: what the rows and energies are, their licence and how they were made.
    """

    table: pd.DataFrame
    source: dict[str, Any]

    @classmethod
    def from_crystals(
        cls, rows: Iterable[tuple[str, WyckoffCrystal, Mapping[str, float]]], source: Mapping[str, Any]
    ) -> KnownMaterials:
        """Build the library from ``(id, Wyckoff form, properties)``."""
        import pandas as pd

        records = []
        for identifier, crystal, properties in rows:
            values = np.array([value for site in crystal.sites for value in site.parameters])
            records.append(
                {
                    "id": identifier,
                    "formula": reduced_formula(crystal.gene.counts),
                    "n_atoms": crystal.gene.n_atoms,
                    "space_group": crystal.space_group,
                    "sites": " ".join(f"{site.element}@{site.letter}" for site in crystal.sites),
                    "parameters": np.rint((values % 1.0) * _STEPS).astype(np.uint16),
                    "lattice": np.array(crystal.lattice, dtype=np.float32),
                    **properties,
                }
            )
        return cls(pd.DataFrame(records), dict(source))

    @classmethod
    def read(cls, path: Path) -> KnownMaterials:
        """Read a library file.

        Raises:
            UserError: the file is missing, damaged, or no such library.
        """
        import json

        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
            source = json.loads((table.schema.metadata or {})[b"sozai"])
        except (OSError, KeyError, ValueError, pa.ArrowInvalid) as error:
            raise UserError(
                f"this is not a library of known materials ({type(error).__name__})", str(path), "reinstall sozai"
            ) from error
        return cls(table.to_pandas(), source)

    def write(self, path: Path) -> None:
        """Write the library as one compressed parquet file."""
        import json

        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(self.table, preserve_index=False)
        metadata = {**(table.schema.metadata or {}), b"sozai": json.dumps(self.source).encode()}
        pq.write_table(table.replace_schema_metadata(metadata), path, compression="zstd", compression_level=19)

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def _columns(self) -> dict[str, np.ndarray]:
        return {name: self.table[name].to_numpy() for name in self.table.columns}

    def crystal(self, row: int) -> WyckoffCrystal:
        """The Wyckoff form of one row."""
        columns = self._columns
        number = int(columns["space_group"][row])
        by_letter = space_group(number).by_letter
        values = np.asarray(columns["parameters"][row], dtype=float) / _STEPS
        sites, used = [], 0
        for text in columns["sites"][row].split(" "):
            element, letter = text.split("@")
            count = by_letter[letter].degrees_of_freedom
            sites.append(WyckoffSite(element, letter, tuple(values[used : used + count].tolist())))
            used += count
        lattice = tuple(float(value) for value in columns["lattice"][row])
        return WyckoffCrystal(number, tuple(sites), lattice)  # type: ignore[arg-type]

    def gene(self, row: int) -> Gene:
        """Space group and occupied positions of one row, without decoding coordinates."""
        sites = (tuple(text.split("@")) for text in self._columns["sites"][row].split(" "))
        return Gene(int(self._columns["space_group"][row]), tuple(sorted(sites)))  # type: ignore[arg-type]

    def structure(self, row: int) -> Structure:
        """The structure of one row in its primitive cell."""
        return self.crystal(row).to_structure()

    @cached_property
    def by_formula(self) -> dict[str, list[int]]:
        """Rows by reduced formula."""
        return _group(self._columns["formula"].tolist())

    @cached_property
    def by_anonymous(self) -> dict[str, list[int]]:
        """Rows by anonymous Wyckoff fingerprint (``Gene.anonymous``)."""
        letters = ("".join(sorted(text.split("@")[1] for text in sites.split(" "))) for sites in self._columns["sites"])
        keys = [f"{n}:{text}" for n, text in zip(self._columns["space_group"], letters, strict=True)]
        return _group(keys)

    @cached_property
    def by_system(self) -> dict[frozenset[str], list[int]]:
        """Rows by chemical system."""
        return _group([frozenset(text.split("@")[0] for text in s.split(" ")) for s in self._columns["sites"]])


def _group(keys: Sequence) -> dict[Any, list[int]]:
    groups: dict[Any, list[int]] = defaultdict(list)
    for row, key in enumerate(keys):
        groups[key].append(row)
    return dict(groups)


def reduced_formula(counts: Mapping[str, int]) -> str:
    """Reduced formula in pymatgen's order, e.g. ``"Li3PS4"``; the key that all rooms share."""
    return _reduced_formula(tuple(sorted(counts.items())))


@lru_cache(maxsize=200_000)
def _reduced_formula(counts: tuple[tuple[str, int], ...]) -> str:
    from pymatgen.core import Composition

    return Composition(dict(counts)).reduced_formula


@lru_cache(maxsize=1)
def known_materials() -> KnownMaterials:
    """The bundled library.

    Raises:
        UserError: the file is missing or damaged.
    """
    with as_file(files("sozai.materials") / "known_materials.parquet") as path:
        return KnownMaterials.read(path)


@dataclass(frozen=True)
class KnownPhase:
    """A known material of which no structure is at hand: it competes in the hull all the same.

    Attributes:
        formation_energy: eV/atom, by DFT (MP2020-corrected).
    """

    id: str
    formula: str
    formation_energy: float


@lru_cache(maxsize=1)
def known_phases() -> dict[frozenset[str], list[KnownPhase]]:
    """The bundled phases by chemical system (``scripts/build_known_phases.py``; LeMaterial, CC BY 4.0)."""
    import pandas as pd

    with as_file(files("sozai.materials") / "known_phases.csv.gz") as path:
        table = pd.read_csv(path, keep_default_na=False)
    groups: dict[frozenset[str], list[KnownPhase]] = defaultdict(list)
    for identifier, formula, energy in zip(table["id"], table["formula"], table["formation_energy"], strict=True):
        system = frozenset(re.findall("[A-Z][a-z]?", formula))
        groups[system].append(KnownPhase(identifier, formula, float(energy)))
    return dict(groups)
