"""The measured structures that ``cif_build`` compares with: cells, one atom of each orbit, and where they are from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

OBELIX = "coordinates as spread by OBELiX (CC BY 4.0), file"


@dataclass(frozen=True)
class Reference:
    """A known structure: number of the space group, a, b, c, alpha, beta, gamma, one atom of each orbit."""

    group: int
    lattice: tuple[float, float, float, float, float, float]
    sites: tuple[tuple[str, float, float, float], ...]
    source: str


def cubic(a: float) -> tuple[float, float, float, float, float, float]:
    return a, a, a, 90.0, 90.0, 90.0


def uniaxial(a: float, c: float, gamma: float = 120.0) -> tuple[float, float, float, float, float, float]:
    return a, a, c, 90.0, 90.0, gamma


# fmt: off
KNOWN = {
    "rock_salt": Reference(225, cubic(5.6402), (("Na", 0, 0, 0), ("Cl", .5, .5, .5)),
                           "Wyckoff, Crystal Structures 1 (1963)"),
    "perovskite": Reference(221, cubic(3.905), (("Sr", .5, .5, .5), ("Ti", 0, 0, 0), ("O", .5, 0, 0)),
                            "Mitchell et al., Appl. Phys. A 71 (2000) 43"),
    "spinel": Reference(227, cubic(8.0806), (("Mg", .125, .125, .125), ("Al", .5, .5, .5), ("O", .2624, .2624, .2624)),
                        "Yamanaka and Takeuchi, Z. Kristallogr. 165 (1983) 65"),
    "rutile": Reference(136, uniaxial(4.5937, 2.9587, 90.0), (("Ti", 0, 0, 0), ("O", .3048, .3048, 0)),
                        "Burdett et al., J. Am. Chem. Soc. 109 (1987) 3639"),
    "quartz": Reference(154, uniaxial(4.9160, 5.4054),
                        (("Si", .4697, 0, 2 / 3), ("O", .4135, .2669, .7858)),
                        "Levien, Prewitt and Weidner, Am. Mineral. 65 (1980) 920"),
    "garnet": Reference(230, cubic(11.845), (("Ca", .125, 0, .25), ("Al", 0, 0, 0), ("Si", .375, 0, .25),
                                             ("O", .0381, .0449, .6514)),
                        "Novak and Gibbs, Am. Mineral. 56 (1971) 791"),
    "olivine": Reference(62, (10.332, 6.010, 4.692, 90.0, 90.0, 90.0),
                         (("Li", 0, 0, 0), ("Fe", .2822, .25, .9747), ("P", .0948, .25, .4181),
                          ("O", .0968, .25, .7428), ("O", .4571, .25, .2060), ("O", .1656, .0465, .2848)),
                         "Streltsov et al., Acta Cryst. B49 (1993) 147"),
    "layered_oxide": Reference(166, uniaxial(2.8156, 14.0542), (("Li", 0, 0, 0), ("Co", 0, 0, .5), ("O", 0, 0, .2395)),
                               "Akimoto, Gotoh and Oosawa, J. Solid State Chem. 141 (1998) 298"),
    "nasicon": Reference(167, uniaxial(8.8043, 22.7585),
                         (("Na", 0, 0, 0), ("Zr", 0, 0, .1456), ("P", .2909, 0, .25), ("O", .186, -.014, .195),
                          ("O", .193, .168, .087)),
                         "Hagman and Kierkegaard, Acta Chem. Scand. 22 (1968) 1822, coordinates to three decimals"),
    "latp": Reference(167, uniaxial(8.5112, 20.8479),
                      (("Li", 0, 0, 0), ("Ti", 0, 0, .141455), ("P", .709466, 0, .25), ("O", .002665, .188274, .69027),
                       ("O", .023873, .18846, .419577)),
                      "measured cell: doi:10.1021/ic400577v; coordinates by DFT: Materials Project mp-18640"),
    "argyrodite": Reference(216, cubic(9.898),
                            (("Li", .0204, .25, .75), ("P", 0, 0, .5), ("S", .11777, .38223, .11777),
                             ("S", .25, .25, .75), ("Cl", 0, 0, 0)),
                            f"doi:10.1021/jacs.7b06327, {OBELIX} 122; S and Cl ordered, Li in the middle of its pair"),
    "thiophosphate": Reference(31, (7.70829, 6.53521, 6.1365, 90.0, 90.0, 90.0),
                               (("Li", .22741, .65757, .51814), ("Li", 0, .12664, .46307), ("P", 0, .81092, .98479),
                                ("S", .20981, .67622, .88436), ("S", 0, .11941, .88835), ("S", 0, .79717, .31984)),
                               f"doi:10.1021/ja3110895, {OBELIX} joc; S sites (97 to 99%) full"),
    "llto": Reference(13, (5.551855, 5.559399, 7.767693, 90.0, 90.0, 90.0),
                      (("La", .5, .990921, .25), ("Li", 0, .5, 0), ("O", 0, .962201, .25), ("O", .5, .544561, .25),
                       ("O", .25, .250498, .48027), ("O", .269038, .231437, .017848), ("Ti", 0, 0, 0),
                       ("Ti", .5, .5, 0)),
                      "an ordered model by DFT, not an experiment: Materials Project mp-767402 (CC BY 4.0)"),
    "llzo": Reference(142, uniaxial(13.134, 12.663, 90.0),
                      (("Li", .0806, .1643, .4291), ("Li", .1797, .3203, .5), ("Li", 0, 0, 0), ("La", .127, .25, .875),
                       ("La", 0, 0, .25), ("Zr", 0, .25, .125), ("O", .0338, .1952, .2774), ("O", .0541, .1029, .5912),
                       ("O", .1496, .2224, .0714)),
                      f"Awaka et al., J. Solid State Chem. 182 (2009) 2046, {OBELIX} wyu"),
    "lgps": Reference(105, uniaxial(8.71121, 12.6078, 90.0),
                      (("Li", .237, .752, .8031), ("Li", .246, .746, .5), ("Li", 0, 0, .555), ("Li", .5, .5, .945),
                       ("Ge", 0, 0, .3079), ("P", .5, .5, .1921), ("P", 0, .5, 0), ("S", 0, .687, .0908),
                       ("S", .5, .813, .4092), ("S", 0, .7943, .4032), ("S", .5, .7057, .0968), ("S", 0, .804, .7062),
                       ("S", .5, .696, .7938)),
                      f"doi:10.1021/acs.chemmater.8b00266, {OBELIX} mtn (P4_2/nmc, disordered), ordered in P4_2mc: Ge "
                      "on one chain of (Ge, P), P on the other, Li on 8f, 4d (in the middle of its pairs) and that "
                      "half of 16h which has the lower energy by CHGNet"),
}
"""Structures whose rule files come with the package; the builder was made with the first fourteen of them at hand."""

UNSEEN = {
    "anatase": Reference(141, uniaxial(3.7845, 9.5143, 90.0), (("Ti", 0, .75, .125), ("O", 0, .75, .33306)),
                         "Howard, Sabine and Dickson, Acta Cryst. B47 (1991) 462"),
    "wurtzite": Reference(186, uniaxial(3.2499, 5.2066), (("Zn", 1 / 3, 2 / 3, 0), ("O", 1 / 3, 2 / 3, .3826)),
                          "ZnO: Abrahams and Bernstein, Acta Cryst. B25 (1969) 1233"),
    "fluorite": Reference(225, cubic(5.463), (("Ca", 0, 0, 0), ("F", .25, .25, .25)),
                          "Wyckoff, Crystal Structures 1 (1963)"),
    "corundum": Reference(167, uniaxial(4.757, 12.9877), (("Al", 0, 0, .35219), ("O", .30633, 0, .25)),
                          "Lewis, Schwarzenbach and Flack, Acta Cryst. A38 (1982) 733"),
    "zircon": Reference(141, uniaxial(6.607, 5.982, 90.0),
                        (("Zr", 0, .75, .125), ("Si", 0, .25, .375), ("O", 0, .0661, .1953)),
                        "Robinson, Gibbs and Ribbe, Am. Mineral. 56 (1971) 782"),
    "k2nif4_type": Reference(139, uniaxial(3.884, 12.60, 90.0),
                             (("Sr", 0, 0, .355), ("Ti", 0, 0, 0), ("O", 0, .5, 0), ("O", 0, 0, .152)),
                             "Sr2TiO4: Ruddlesden and Popper, Acta Cryst. 10 (1957) 538"),
    "pyrochlore": Reference(227, cubic(10.095), (("Y", .5, .5, .5), ("Ti", 0, 0, 0), ("O", .3288, .125, .125),
                                                 ("O", .375, .375, .375)),
                            "Y2Ti2O7: Subramanian, Aravamudan and Subba Rao, Prog. Solid State Chem. 15 (1983) 55"),
    "caesium_chloride": Reference(221, cubic(4.123), (("Cs", 0, 0, 0), ("Cl", .5, .5, .5)),
                                  "Wyckoff, Crystal Structures 1 (1963)"),
    "delafossite": Reference(166, uniaxial(2.8584, 16.958), (("Cu", 0, 0, 0), ("Al", 0, 0, .5), ("O", 0, 0, .1099)),
                             "CuAlO2: Koehler and Jansen, Z. anorg. allg. Chem. 543 (1986) 73"),
    "calcium_ferrite": Reference(62, (9.230, 3.024, 10.705, 90.0, 90.0, 90.0),
                                 (("Ca", .755, .25, .6545), ("Fe", .4329, .25, .6117), ("Fe", .4202, .25, .1040),
                                  ("O", .2083, .25, .1615), ("O", .1176, .25, .4744), ("O", .519, .25, .7823),
                                  ("O", .427, .25, .4213)),
                                 "CaFe2O4: cell of Decker and Kasper, Acta Cryst. 10 (1957) 332; coordinates of the "
                                 "isostructural CaV2O4, which give FeO6 of 1.99 to 2.08 and CaO8 of 2.36 to 2.57 Å"),
    "molybdenite": Reference(194, uniaxial(3.1604, 12.295), (("Mo", 1 / 3, 2 / 3, .25), ("S", 1 / 3, 2 / 3, .6215)),
                             "MoS2: after Bronsema, de Boer and Jellinek, Z. anorg. allg. Chem. 540 (1986) 15"),
    "palladium_oxide": Reference(131, uniaxial(3.043, 5.337, 90.0), (("Pd", 0, .5, 0), ("O", 0, 0, .25)),
                                 "PdO: Rogers, Shannon and Gillson, J. Solid State Chem. 3 (1971) 314"),
}
"""Structures whose rules were written once, from textbooks, and never adjusted.

The last two have polyhedra that are neither tetrahedra nor octahedra (trigonal prisms, squares).
"""

SHAPED = {
    "cooperite": Reference(131, uniaxial(3.4700, 6.1096, 90.0), (("Pt", 0, .5, 0), ("S", 0, 0, .25)),
                           "PtS: Gronvold, Haraldsen and Kjekshus, Acta Chem. Scand. 14 (1960) 1879"),
    "tenorite": Reference(15, (4.6837, 3.4226, 5.1288, 90.0, 99.54, 90.0), (("Cu", .25, .25, 0), ("O", 0, .4184, .25)),
                          "CuO: Asbrink and Norrby, Acta Cryst. B26 (1970) 8"),
    "cuprite": Reference(224, cubic(4.2696), (("Cu", 0, 0, 0), ("O", .25, .25, .25)),
                         "Cu2O: after Kirfel and Eichhorn, Acta Cryst. A46 (1990) 271"),
    "calcite": Reference(167, uniaxial(4.9896, 17.0610), (("Ca", 0, 0, 0), ("C", 0, 0, .25), ("O", .2568, 0, .25)),
                         "Effenberger, Mereiter and Zemann, Z. Kristallogr. 156 (1981) 233"),
    "t_prime": Reference(139, uniaxial(3.9437, 12.1693, 90.0),
                         (("Nd", 0, 0, .3513), ("Cu", 0, 0, 0), ("O", 0, .5, 0), ("O", 0, .5, .25)),
                         "Nd2CuO4: after Mueller-Buschbaum and Wollschlaeger, Z. anorg. allg. Chem. 414 (1975) 76"),
    "k2ptcl4": Reference(123, uniaxial(7.025, 4.1475, 90.0),
                         (("K", 0, .5, .5), ("Pt", 0, 0, 0), ("Cl", .2324, .2324, 0)),
                         "Mais, Owston and Wood, Acta Cryst. B28 (1972) 393"),
    "tungsten_carbide": Reference(187, uniaxial(2.906, 2.837), (("W", 0, 0, 0), ("C", 1 / 3, 2 / 3, .5)),
                                  "WC: Leciejewicz, Acta Cryst. 14 (1961) 200"),
    "lithium_niobite": Reference(194, uniaxial(2.906, 10.447),
                                 (("Li", 0, 0, 0), ("Nb", 1 / 3, 2 / 3, .25), ("O", 1 / 3, 2 / 3, .6263)),
                                 "LiNbO2: after Meyer and Hoppe, J. Less-Common Met. 46 (1976) 55"),
    "vanadium_pentoxide": Reference(59, (11.512, 3.564, 4.368, 90.0, 90.0, 90.0),
                                    (("V", .10118, .25, .8917), ("O", .1043, .25, .531), ("O", .9311, .25, .003),
                                     ("O", .25, .25, .001)),
                                    "V2O5: Enjalbert and Galy, Acta Cryst. C42 (1986) 1467"),
    "sr2cuo3": Reference(71, (12.684, 3.906, 3.495, 90.0, 90.0, 90.0),
                         (("Sr", .3550, 0, 0), ("Cu", 0, 0, 0), ("O", .1545, 0, 0), ("O", 0, .5, 0)),
                         "after Teske and Mueller-Buschbaum, Z. anorg. allg. Chem. 371 (1969) 325"),
}
"""Squares, prisms, triangles, lines and pyramids: rules written once, before the builder that knows shapes saw one."""

REFERENCES = KNOWN | UNSEEN | SHAPED
# fmt: on
ORIGIN_ONE = {"llzo": (0.0, 0.25, -0.125)}
"""Where the published origin is not that of our tables: what to add to the coordinates."""


def reference(name: str):
    """The known structure as pymatgen's, conventional cell."""
    from pymatgen.core import Lattice, Structure

    from sozai.materials.wyckoff import space_group

    known = REFERENCES[name]
    general = space_group(known.group).positions[-1]
    lattice = Lattice.from_parameters(*known.lattice)
    species, points = [], []
    for element, *place in known.sites:
        moved = np.array(place) + np.array(ORIGIN_ONE.get(name, (0, 0, 0)))
        orbit = (general.rotations @ moved + general.translations) % 1.0
        kept: list[np.ndarray] = []
        for point in orbit:
            gaps = [point - other - np.round(point - other) for other in kept]
            if all(np.linalg.norm(gap @ lattice.matrix) > 0.3 for gap in gaps):
                kept.append(point)
        species += [element] * len(kept)
        points += kept
    return Structure(lattice, species, points)
