"""MP2020 corrections: from the energies of plain PBE and PBE+U to those the Materials Project compares.

SevenNet was trained on uncorrected energies, CHGNet on corrected ones. The corrections (Wang et al., Scientific
Reports 11, 15496 (2021), https://doi.org/10.1038/s41598-021-94550-5) shift anions (oxides, sulfides, halides,
nitrides, ...) and the metals that the Materials Project computes with a Hubbard U in oxides and fluorides.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymatgen.core import Structure


@lru_cache(maxsize=1)
def _scheme() -> Any:
    """The scheme as the Materials Project applied it to the data both potentials were trained on.

    Later versions of pymatgen deny some anions their correction unless their guessed oxidation state is below -1
    (``strict_anions``); the training data are older than that.
    """
    import inspect

    from pymatgen.entries.compatibility import MaterialsProject2020Compatibility as Scheme

    known = inspect.signature(Scheme.__init__).parameters
    strict: dict[str, Any] = {"strict_anions": "no_check"} if "strict_anions" in known else {}
    return Scheme(check_potcar=False, **strict)


def mp2020_correction(structure: Structure) -> float:
    """What MP2020 adds to the energy of the whole cell, in eV.

    Args:
        structure: an ordered crystal; it tells oxides from peroxides and superoxides.
    """
    from pymatgen.core import Composition
    from pymatgen.entries.computed_entries import ComputedStructureEntry

    scheme = _scheme()
    plain = structure.copy()
    plain.remove_oxidation_states()
    composition = Composition(plain.composition)
    if len(composition) == 1:
        return 0.0
    strongest = max(composition.elements, key=lambda element: element.X).symbol
    settings = scheme.u_settings.get(strongest, {})
    hubbards = {e.symbol: float(settings[e.symbol]) for e in composition.elements if e.symbol in settings}
    entry = ComputedStructureEntry(
        plain,
        0.0,
        parameters={
            "run_type": "GGA+U" if hubbards else "GGA",
            "hubbards": hubbards,
            "is_hubbard": bool(hubbards),
            "potcar_symbols": [f"PBE {element.symbol}" for element in composition.elements],
        },
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adjustments = scheme.get_adjustments(entry)
    return float(sum(adjustment.value for adjustment in adjustments))


def mp2020_energy(structure: Structure, uncorrected: float) -> float:
    """The MP2020-corrected energy of the whole cell (eV), from an uncorrected one such as SevenNet's."""
    return uncorrected + mp2020_correction(structure)
