"""Does the audit of CIFs see planted defects, and is it quiet on clean files?

Clean: structures of the Materials Project and others, written by six programs' writers and as a journal would print
them. Planted: every kind of defect in ``cif_planting.py`` into many clean files. Experimental: the CIFs of OBELiX as
they are, most of them disordered; what the audit says of them is listed, not judged.

    python benchmarks/cif_audit.py --data ../shared/data
"""

from __future__ import annotations

import argparse
import io
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import cif_planting
import common
import numpy as np

SOURCES = ("materials_project", "wbm_10k", "matminer_structures", "mp_elasticity")


def writers() -> dict[str, Callable]:
    """A function for each program: pymatgen structure to CIF text."""
    from pymatgen.io.cif import CifWriter

    from sozai.materials.crystal_writers import cif_text

    return {
        "sozai": lambda s: cif_text(s, "x"),
        "sozai, P1": lambda s: cif_text(s, "x", None),
        "pymatgen, P1": lambda s: str(CifWriter(s)),
        "pymatgen": lambda s: str(CifWriter(s, symprec=0.01)),
        "gemmi, P1": _gemmi,
        "ASE, P1": _ase,
        "as in a journal": lambda s: cif_planting.journal_cif(s, "x"),
    }


def _gemmi(structure) -> str:
    import gemmi

    small = gemmi.SmallStructure()
    small.name, small.spacegroup_hm = "x", "P 1"
    small.cell = gemmi.UnitCell(*structure.lattice.parameters)
    for number, site in enumerate(structure, start=1):
        row = gemmi.SmallStructure.Site()
        row.label, row.type_symbol = f"{site.specie.symbol}{number}", site.specie.symbol
        row.fract, row.occ, row.element = gemmi.Fractional(*site.frac_coords), 1.0, gemmi.Element(site.specie.symbol)
        small.add_site(row)
    return small.make_cif_block().as_string()


def _ase(structure) -> str:
    from ase.io.cif import write_cif
    from pymatgen.io.ase import AseAtomsAdaptor

    stream = io.BytesIO()
    write_cif(stream, [AseAtomsAdaptor.get_atoms(structure)])
    return stream.getvalue().decode()


def structures(data: Path, count: int, seed: int) -> Iterator[tuple[str, object]]:
    """Structures from all sources, as many of each."""
    for source in SOURCES:
        frame = common.read_crystals(data / "crystals" / f"{source}.parquet", 60)
        for row in frame.sample(min(count // len(SOURCES), len(frame)), random_state=seed).itertuples():
            yield f"{source}/{row.material_id}", common.structure_of(row)


def main() -> None:
    from sozai.assistant.structures.audit import audit_text

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=600, help="structures; each is written by every writer")
    parser.add_argument("--planted", type=int, default=40, help="files into which each defect is planted")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/cif_audit.md"))
    chosen = parser.parse_args()
    rng = np.random.default_rng(chosen.seed)
    clean: dict[str, list[bool]] = defaultdict(list)
    told: Counter[str] = Counter()
    examples: dict[str, str] = {}
    hosts: list[str] = []
    times = []
    ticker = common.Ticker("clean")
    for done, (name, structure) in enumerate(structures(chosen.data, chosen.count, chosen.seed), start=1):
        for writer, write in writers().items():
            try:
                text = write(structure)
            except Exception:  # a writer that cannot write a crystal is not judged here
                continue
            if text is None:
                continue
            begun = time.process_time()
            alarms = audit_text(text).alarms
            times.append(time.process_time() - begun)
            clean[writer].append(bool(alarms))
            for alarm in alarms:
                told[alarm.code] += 1
                examples.setdefault(alarm.code, f"{name}, {writer}: {alarm.sentence()}")
            if writer == "as in a journal" and not alarms:
                hosts.append(text)
        ticker(done, chosen.count)
    rows = [[writer, len(flags), sum(flags)] for writer, flags in clean.items()]
    rows.append(["all", sum(map(len, clean.values())), sum(map(sum, clean.values()))])
    planted = plant_all(hosts, chosen.planted, rng)
    found = sum(hit for hits in planted.values() for hit in hits)
    total = sum(map(len, planted.values()))
    missed = {name: hits for name, hits in planted.items() if not all(hits)}
    experimental, codes = obelix(chosen.data)
    parts = [
        f"Clean files, written from {chosen.count} structures of {', '.join(SOURCES)} (up to 60 atoms): files with an "
        f"alarm (error or warning). {1000 * np.mean(times):.0f} ms a file.",
        common.table(["writer", "files", "with an alarm"], rows),
        "Alarms on them: "
        + ("; ".join(f"{code} {n} ({examples[code]})" for code, n in told.most_common()) or "none")
        + ".",
        f"Planted defects: {len(planted)} kinds, {total} files spoilt by one each; {found} seen "
        f"({found / total:.2%}), by a finding of the right kind. Kinds seen in every file: "
        f"{len(planted) - len(missed)} of {len(planted)}.",
        common.table(["not always seen", "seen", "of"], [[n, sum(h), len(h)] for n, h in missed.items()])
        if missed
        else "",
        f"Experimental files (OBELiX, {experimental[1]} CIFs, most disordered): {experimental[0]} with an alarm. "
        "These are published structures with randomised coordinates; what was found in them:",
        common.table(["code", "files", "an example"], codes),
    ]
    common.write_fragment(chosen.out, "CIF audit: planted defects and false alarms", [part for part in parts if part])


def plant_all(hosts: list[str], count: int, rng: np.random.Generator) -> dict[str, list[bool]]:
    """By kind of defect: whether it was seen, in each of up to ``count`` files that offer a place for it."""
    from sozai.assistant.structures.audit import audit_text

    seen: dict[str, list[bool]] = {}
    for defect in cif_planting.DEFECTS:
        hits: list[bool] = []
        for host in rng.permutation(len(hosts)):
            spoilt = defect.plant(hosts[host], rng)
            if spoilt is None or spoilt == hosts[host]:
                continue
            hits.append(any(finding.code in defect.codes for finding in audit_text(spoilt).alarms))
            if len(hits) == count:
                break
        seen[defect.name] = hits
    return seen


def obelix(data: Path) -> tuple[tuple[int, int], list[list]]:
    """Files with an alarm, files, and rows (code, files, example)."""
    from sozai.assistant.structures.audit import audit_text

    flagged, total = 0, 0
    codes: dict[str, list[str]] = defaultdict(list)
    with zipfile.ZipFile(data / "electrolytes" / "obelix_cifs.zip") as archive:
        for name in archive.namelist():
            if not name.endswith(".cif"):
                continue
            alarms = audit_text(archive.read(name)).alarms
            total += 1
            flagged += bool(alarms)
            for code in {alarm.code for alarm in alarms}:
                first = next(alarm for alarm in alarms if alarm.code == code)
                codes[code].append(f"{Path(name).stem}: {first.message}")
    return (flagged, total), [[code, len(found), found[0]] for code, found in codes.items()]


if __name__ == "__main__":
    main()
