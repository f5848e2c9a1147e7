from __future__ import annotations

import gzip
import io
import json
import sys
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter
from pymatgen.io.vasp import Poscar

from sozai import UserError
from sozai.materials import sources
from sozai.materials.crystal import Crystal
from sozai.materials.crystal_files import read_crystals, structure_fault, write_crystals

QUICK = (Phase.explicit, Phase.reuse, Phase.generate)  # shrinking a failure costs minutes here
STRICT = StructureMatcher(ltol=0.01, stol=0.01, angle_tol=0.1)


def only(path, **options):
    crystals, problems = read_crystals(path, **options)
    assert not problems
    (crystal,) = crystals
    return crystal


def same_exactly(one: Structure, other: Structure, tolerance=1e-9) -> bool:
    return (
        one.species == other.species
        and np.allclose(one.lattice.matrix, other.lattice.matrix, rtol=0, atol=tolerance)
        and np.allclose(one.frac_coords, other.frac_coords, rtol=0, atol=tolerance)
    )


# --- each format ------------------------------------------------------------------------------------------


def test_reads_each_format_of_one_crystal(tmp_path, quartz):
    (tmp_path / "a.cif").write_text(str(CifWriter(quartz, symprec=0.01, significant_figures=10)))
    (tmp_path / "POSCAR").write_text(Poscar(quartz).get_str(significant_figures=12))
    (tmp_path / "b.vasp").write_text(Poscar(quartz).get_str(significant_figures=12))
    quartz.to_ase_atoms().write(tmp_path / "c.extxyz", format="extxyz")
    (tmp_path / "d.json").write_text(json.dumps(quartz.as_dict()))
    (tmp_path / "e.cif.gz").write_bytes(gzip.compress((tmp_path / "a.cif").read_bytes()))
    crystals, problems = read_crystals(tmp_path)
    assert not problems
    assert sorted(crystal.id for crystal in crystals) == ["POSCAR", "a", "b", "c", "d", "e"]
    for crystal in crystals:
        assert STRICT.fit(crystal.structure, quartz), crystal.provenance


def test_an_entry_gives_its_id_and_energy(tmp_path, rutile):
    from pymatgen.entries.computed_entries import ComputedStructureEntry

    entry = ComputedStructureEntry(rutile, -53.5, entry_id="mp-2657", data={"band_gap": 1.8})
    (tmp_path / "entries.json").write_text(json.dumps([entry.as_dict(), {"structure": rutile.as_dict(), "id": "x"}]))
    crystals, _ = read_crystals(tmp_path / "entries.json")
    assert [crystal.id for crystal in crystals] == ["mp-2657", "x"]
    assert crystals[0].properties["energy"] == -53.5
    assert crystals[0].properties["band_gap"] == 1.8


def test_every_block_of_a_cif_even_with_equal_names(tmp_path, quartz, rutile):
    blocks = [str(CifWriter(structure)).partition("data_")[2].partition("\n")[2] for structure in (quartz, rutile)]
    text = "data_global\n_journal_year 2020\n" + "".join(f"data_I\n{block}\n" for block in blocks)
    (tmp_path / "two.cif").write_text(text)
    crystals, problems = read_crystals(tmp_path / "two.cif")
    assert not problems
    assert [crystal.structure.composition.reduced_formula for crystal in crystals] == ["SiO2", "TiO2"]
    assert len({crystal.id for crystal in crystals}) == 2


def test_poscar_with_a_volume_and_cartesian_coordinates(tmp_path, rock_salt):
    lines = Poscar(rock_salt).get_str(direct=False).splitlines()
    cell = rock_salt.copy()
    cell.scale_lattice(200.0)
    lines[1] = "-200.0"
    (tmp_path / "POSCAR").write_text("\n".join(lines) + "\n")
    assert same_exactly(only(tmp_path / "POSCAR").structure, cell, 1e-4)


def test_content_decides_when_the_name_does_not(tmp_path, rutile):
    (tmp_path / "from_a_colleague").write_text(str(CifWriter(rutile)))
    assert only(tmp_path / "from_a_colleague").structure.composition.reduced_formula == "TiO2"


def test_charges_and_moments_are_left_out_and_deuterium_is_hydrogen(tmp_path):
    ice = Structure(Lattice.cubic(4), ["D+", "Cl-"], [[0, 0, 0], [0.5, 0.5, 0.5]], site_properties={"magmom": [1, 2]})
    (tmp_path / "x.json").write_text(json.dumps(ice.as_dict()))
    structure = only(tmp_path / "x.json").structure
    assert [site.specie.symbol for site in structure] == ["H", "Cl"]
    assert not structure.site_properties


# --- round trips ------------------------------------------------------------------------------------------


@st.composite
def lattices(draw):
    lengths = [draw(st.floats(3, 9)) for _ in range(3)]
    angles = [draw(st.floats(65, 110)) for _ in range(3)]
    return Lattice.from_parameters(*lengths, *angles)


@st.composite
def structures(draw):
    """Any cell and coordinates that are no fault: mostly without symmetry."""
    count = draw(st.integers(1, 6))
    species = draw(st.lists(st.sampled_from(["H", "Li", "O", "Fe", "Cs", "U"]), min_size=count, max_size=count))
    coords = draw(
        st.lists(st.tuples(*[st.floats(-1, 2, allow_nan=False)] * 3), min_size=count, max_size=count, unique=True)
    )
    return Structure(draw(lattices()), species, coords)


characters = st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufeff")
names = st.text(characters, min_size=1, max_size=12).map(lambda name: " ".join(name.split())).filter(bool)
labels = st.dictionaries(
    st.from_regex(r"[a-z][a-z_]{1,8}", fullmatch=True).filter(lambda key: key not in ("name", "pbc", "id", "pos")),
    st.one_of(st.floats(-1e6, 1e6), st.integers(-1000, 1000)),
    max_size=3,
)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), phases=QUICK)
@given(data=st.data())
def test_round_trip_keeps_ids_order_cells_and_properties(tmp_path_factory, data):
    ids = data.draw(st.lists(names, min_size=1, max_size=3, unique=True))
    crystals = []
    for name in ids:
        structure = data.draw(structures().filter(lambda structure: structure_fault(structure) is None))
        crystals.append(Crystal(name, structure, data.draw(labels)))
    folder = tmp_path_factory.mktemp("trip")
    write_crystals(crystals, folder)
    for file in ("candidates.extxyz", "candidates.parquet", "candidates.cif.zip"):
        again, problems = read_crystals(folder / file)
        assert not problems, problems
        assert [crystal.id for crystal in again] == ids, file
        for before, after in zip(crystals, again, strict=True):
            if file.endswith("zip"):  # the conventional cell, with the symmetry that was found
                assert STRICT.fit(before.structure, after.structure)
            else:
                assert same_exactly(before.structure, after.structure)
                assert {key: pytest.approx(value) for key, value in before.properties.items()} == after.properties
    assert list(pd.read_csv(folder / "candidates.csv", dtype=str, keep_default_na=False).material_id) == ids


@pytest.mark.parametrize("group", ["P1", "P-1", "C2/c", "Pnma", "Fddd", "I-42d", "R-3m", "P6_3/mmc", "Fd-3m", "Ia-3d"])
def test_cif_round_trip_in_settings_that_go_wrong_elsewhere(tmp_path, group):
    from pymatgen.symmetry.groups import SpaceGroup

    system = SpaceGroup(group).crystal_system
    cell = {
        "triclinic": Lattice.from_parameters(5, 6, 7, 80, 95, 100),
        "monoclinic": Lattice.monoclinic(6, 7, 8, 105),
        "orthorhombic": Lattice.orthorhombic(9, 10, 11),
        "tetragonal": Lattice.tetragonal(9, 12),
        "trigonal": Lattice.hexagonal(11, 24),
        "hexagonal": Lattice.hexagonal(11, 14),
        "cubic": Lattice.cubic(20),
    }[system]
    structure = Structure.from_spacegroup(group, cell, ["Zr", "O"], [[0, 0, 0], [0.13, 0.21, 0.37]])
    assert structure_fault(structure) is None
    write_crystals([Crystal("x", structure.get_primitive_structure())], tmp_path, formats=["cif"])
    assert STRICT.fit(only(tmp_path / "candidates.cif.zip").structure, structure)


def test_the_four_views_of_one_run_are_read_once(tmp_path, quartz, rutile):
    write_crystals([Crystal("b", quartz), Crystal("a", rutile)], tmp_path)
    crystals, problems = read_crystals(tmp_path)
    assert [crystal.id for crystal in crystals] == ["b", "a"]
    assert not problems


def test_writing_is_whole_and_the_same_each_time(tmp_path, quartz):
    first = write_crystals([Crystal("q", quartz, {"gap": 5.7})], tmp_path / "one")
    second = write_crystals([Crystal("q", quartz, {"gap": 5.7})], tmp_path / "two")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    broken = Crystal("x", None)  # type: ignore[arg-type]
    before = first[1].read_bytes()
    with pytest.raises(AttributeError):
        write_crystals([Crystal("q", quartz), broken], tmp_path / "one", formats=["extxyz"])
    assert first[1].read_bytes() == before, "an older file must stay until the new one is whole"
    assert len(list((tmp_path / "one").iterdir())) == 4, "no temporary file is left behind"


def test_columns_choose_properties_and_their_order(tmp_path, quartz):
    write_crystals([Crystal("q", quartz, {"a": 1.5, "b": 2, "c": [1, 2]})], tmp_path, columns=["b", "z", "a"])
    table = pd.read_csv(tmp_path / "candidates.csv")
    assert list(table.columns[-3:]) == ["b", "z", "a"]
    assert pd.read_parquet(tmp_path / "candidates.parquet").a[0] == 1.5


def test_writing_refuses_what_it_cannot_do(tmp_path, quartz):
    with pytest.raises(UserError, match="more than one"):
        write_crystals([Crystal("q", quartz), Crystal("q", quartz)], tmp_path)
    with pytest.raises(UserError, match="no format"):
        write_crystals([Crystal("q", quartz)], tmp_path, formats=["pdf"])
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_crystals([Crystal("q", quartz)], tmp_path / "file" / "run")


# --- real data --------------------------------------------------------------------------------------------


def test_reads_real_rows_with_their_properties(shared_data):
    path = shared_data / "crystals" / "materials_project.parquet"
    crystals, problems = read_crystals(path, limit=200)
    assert len(crystals) == 200 and not problems
    assert crystals[0].id.startswith("mp-") and "formation_energy_per_atom" in crystals[0].properties


def test_real_disordered_cifs_are_named_and_the_others_read(shared_data):
    crystals, problems = read_crystals(shared_data / "electrolytes" / "obelix_cifs.zip")
    assert len(crystals) + len(problems) == 321
    assert all("disordered" in problem.reason and ".cif" in problem.where for problem in problems)
    assert len(crystals) > 50 and all(crystal.structure.is_ordered for crystal in crystals)


# --- selection --------------------------------------------------------------------------------------------


def test_limit_and_max_atoms(tmp_path, quartz, rutile):
    write_crystals([Crystal("q", quartz), Crystal("r", rutile)], tmp_path, formats=["parquet"])
    assert [crystal.id for crystal in read_crystals(tmp_path, limit=1)[0]] == ["q"]
    crystals, problems = read_crystals(tmp_path, max_atoms=6)
    assert [crystal.id for crystal in crystals] == ["r"]
    assert "9 atoms" in problems[0].reason and "row 1 (q)" not in problems[0].reason
    for options in ({"limit": 0}, {"limit": -3}, {"max_atoms": 0}):
        with pytest.raises(UserError, match="at least 1"):
            read_crystals(tmp_path, **options)


# --- what is not to be trusted ----------------------------------------------------------------------------


def in_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_archive_names_cannot_point_outside(tmp_path, quartz):
    cif = str(CifWriter(quartz))
    names = ("../evil.cif", "/etc/evil.cif", "C:\\evil.cif", "good.cif")
    path = in_zip(tmp_path / "slip.zip", dict.fromkeys(names, cif))
    crystals, problems = read_crystals(path)
    assert [crystal.id for crystal in crystals] == ["good"]
    assert len(problems) == 3 and all("outside" in problem.reason for problem in problems)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["slip.zip"]


def test_zip_bombs_are_not_unpacked(tmp_path, quartz, monkeypatch):
    monkeypatch.setattr(sources, "HIGHEST_RATIO", 50)
    path = in_zip(tmp_path / "bomb.zip", {"bomb.cif": b" " * (8 << 20), "good.cif": str(CifWriter(quartz))})
    crystals, problems = read_crystals(path)
    assert [crystal.id for crystal in crystals] == ["good"]
    assert "zip bomb" in problems[0].reason


def test_sizes_are_bounded_whatever_the_header_says(tmp_path, quartz, monkeypatch):
    monkeypatch.setattr(sources, "LARGEST_FILE", 1000)
    text = str(CifWriter(quartz))
    for name in ("x.cif", "x.cif.gz", "x.zip", "x.tar"):
        path = tmp_path / name
        if name.endswith("zip"):
            in_zip(path, {"x.cif": text})
        elif name.endswith("tar"):
            with tarfile.open(path, "w") as archive:
                info = tarfile.TarInfo("x.cif")
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text.encode()))
        else:
            path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
        with pytest.raises(UserError, match=r"larger than|more than is safe"):
            read_crystals(path)


def test_tar_with_links_and_a_good_file(tmp_path, rutile):
    text = str(CifWriter(rutile)).encode()
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        link = tarfile.TarInfo("passwd.cif")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        info = tarfile.TarInfo("dir/good.cif")
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))
    crystals, problems = read_crystals(tmp_path / "a.tar.gz")
    assert [crystal.id for crystal in crystals] == ["good"]
    assert "link" in problems[0].reason


def test_a_cut_off_tar_keeps_what_came_before(tmp_path, rutile):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("one.cif", "two.cif"):
            text = str(CifWriter(rutile)).encode()
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))
    (tmp_path / "cut.tar").write_bytes(buffer.getvalue()[:2700])
    crystals, problems = read_crystals(tmp_path / "cut.tar")
    assert [crystal.id for crystal in crystals] == ["one"]
    assert problems and "cut.tar" in problems[0].where


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), phases=QUICK)
@given(cut=st.integers(0, 1400), flip=st.integers(0, 1400), byte=st.integers(0, 255), kind=st.sampled_from("cjpxq"))
def test_damaged_files_never_crash_the_reader(tmp_path_factory, cut, flip, byte, kind):
    """Cut or changed anywhere, a file is read or refused with a sentence, never with another exception."""
    cell = Structure.from_spacegroup("P4_2/mnm", Lattice.tetragonal(4.6, 2.96), ["Ti", "O"], [[0, 0, 0], [0.3, 0.3, 0]])
    folder = tmp_path_factory.mktemp("damaged")
    name = {"c": "x.cif", "j": "x.json", "p": "POSCAR", "x": "x.extxyz", "q": "x.parquet"}[kind]
    if kind == "q":
        write_crystals([Crystal("x", cell)], folder, formats=["parquet"], stem="x")
        data = bytearray((folder / name).read_bytes())
    elif kind == "x":
        write_crystals([Crystal("x", cell)], folder, formats=["extxyz"], stem="x")
        data = bytearray((folder / name).read_bytes())
    else:
        text = {"c": str(CifWriter(cell, symprec=0.01)), "j": json.dumps(cell.as_dict()), "p": Poscar(cell).get_str()}
        data = bytearray(text[kind].encode())
    data = data[: max(cut, 1)] if cut % 2 else data
    if flip < len(data):
        data[flip] = byte
    (folder / name).write_bytes(bytes(data))
    try:
        crystals, _ = read_crystals(folder / name)
        assert crystals and all(structure_fault(crystal.structure) is None for crystal in crystals)
    except UserError as error:
        assert name in error.sentence() and "\n" not in error.sentence()


@pytest.mark.parametrize(
    ("name", "library"), [("x.cif", "pymatgen.io.cif"), ("x.extxyz", "ase.io"), ("x.json", "pymatgen.core")]
)
def test_a_missing_library_is_not_the_files_fault(tmp_path, quartz, monkeypatch, name, library):
    text = {"x.cif": str(CifWriter(quartz)), "x.json": json.dumps(quartz.as_dict())}
    (tmp_path / name).write_text(text.get(name, '1\nLattice="3 0 0 0 3 0 0 0 3"\nCu 0 0 0\n'))
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ModuleNotFoundError):
        read_crystals(tmp_path / name)
