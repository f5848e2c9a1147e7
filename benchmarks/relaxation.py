"""Relaxation against chgnet's own optimizer: same potential, same force limit, same single core.

    python benchmarks/relaxation.py --data crystals.parquet --count 40 --out docs/benchmarks/relaxation.md

``--data`` names a parquet file with the columns ``numbers``, ``lattice`` (9 floats) and ``frac_coords`` (flat).
Three questions: how long does a structure take from a rattled start, does it end at the same energy, and is the
symmetry of a symmetric start kept? Times are CPU seconds of one thread, so that other work on the machine does not
count. At one force limit two optimizers may stop at different distances from the same minimum; therefore both ends
are also relaxed on to ``TIGHT`` and compared there.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
import warnings
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"  # before torch is imported: one core for both sides

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402
from pymatgen.core import Structure  # noqa: E402

from sozai.screening import potentials  # noqa: E402
from sozai.screening.relax import relax  # noqa: E402

RATTLE, STRAIN, SCALES = 0.1, 0.02, (0.97, 1.03)
SAME = 0.001  # eV/atom
TIGHT = 0.005  # eV/angstrom


def read(path: str, count: int) -> list[Structure]:
    """A fixed sample of structures of 2 to 20 sites."""
    table = pd.read_parquet(path, columns=["numbers", "lattice", "frac_coords"])
    table = table[table.numbers.map(len).between(2, 20)].sample(count, random_state=7)
    return [
        Structure(np.reshape(row.lattice, (3, 3)), row.numbers, np.reshape(row.frac_coords, (-1, 3)))
        for row in table.itertuples()
    ]


def rattled(structure: Structure, rng: np.random.Generator) -> Structure:
    """Atoms moved by 0.1 angstrom (root mean square), cell strained by a random 2% tensor."""
    noise = rng.normal(size=(3, 3))
    lattice = structure.lattice.matrix @ (np.eye(3) + STRAIN * (noise + noise.T) / 2)
    positions = structure.frac_coords @ lattice
    positions = positions + rng.normal(scale=RATTLE / 3**0.5, size=positions.shape)
    return Structure(lattice, structure.species, positions, coords_are_cartesian=True)


def stock(model, structures: list[Structure], fmax: float, max_steps: int):
    """chgnet's StructOptimizer as its users call it (FIRE, Frechet cell filter)."""
    from chgnet.model import StructOptimizer

    optimizer = StructOptimizer(model=model, use_device="cpu")
    ends, steps, seconds = [], [], []
    for structure in structures:
        begun = time.process_time()
        answer = optimizer.relax(structure, fmax=fmax, steps=max_steps, verbose=False)
        seconds.append(time.process_time() - begun)
        ends.append(answer["final_structure"])
        steps.append(len(answer["trajectory"]) - 2)  # the first and the last are recorded besides the steps
    return ends, np.array(steps), np.array(seconds)


def energies(model, structures: list[Structure]) -> np.ndarray:
    """Energy an atom of each, by the stock model."""
    return np.array([float(model.predict_structure(s, task="e")["e"]) for s in structures])


def same_results(model, start: list[Structure], fmax: float, max_steps: int) -> dict[str, float]:
    """Relax the same starts with both and compare time, steps and energies."""
    theirs, their_steps, their_seconds = stock(model, start, fmax, max_steps)
    begun = time.process_time()
    ours = relax(start, potentials.load("chgnet", "cpu"), fmax=fmax, max_steps=max_steps)
    our_seconds = time.process_time() - begun
    gap = energies(model, [r.structure for r in ours]) - energies(model, theirs)
    final = [
        np.array([r.energy_per_atom for r in relax(ends, potentials.load("chgnet", "cpu"), fmax=TIGHT)])
        for ends in ([r.structure for r in ours], theirs)
    ]
    final_gap = final[0] - final[1]
    return {
        "their seconds": float(their_seconds.mean()),
        "our seconds": our_seconds / len(start),
        "ratio": float(their_seconds.sum()) / our_seconds,
        "their steps": float(their_steps.mean()),
        "our steps": float(np.mean([r.steps for r in ours])),
        "our unconverged": float(np.mean([not r.converged for r in ours])),
        "their unconverged": float((their_steps >= max_steps).mean()),
        "same": float((np.abs(gap) <= SAME).mean()),
        "ours lower": float((gap < -SAME).mean()),
        "ours higher": float((gap > SAME).mean()),
        "same minimum": float((np.abs(final_gap) <= SAME).mean()),
        "minimum lower": float((final_gap < -SAME).mean()),
        "kept": float(np.mean([r.symmetry_kept for r in ours])),
        "theirs kept": float(np.mean([space_group(a) == space_group(b) for a, b in zip(start, theirs, strict=True)])),
    }


def space_group(structure: Structure) -> int:
    """Number by spglib at 0.01 angstrom."""
    return int(structure.get_space_group_info(symprec=0.01)[1])


def spread(runs: list[dict[str, float]], key: str, form: str = "{:.2f}") -> str:
    """Mean over the seeds and, with more than one, their standard deviation."""
    values = [run[key] for run in runs]
    text = form.format(np.mean(values))
    return text + (" ± " + form.format(np.std(values, ddof=1)) if len(values) > 1 else "")


def table(title: str, runs: list[dict[str, float]], symmetric: bool) -> str:
    """One comparison as markdown."""
    percent = "{:.1%}"
    rows = [
        ("CPU seconds a structure", spread(runs, "their seconds", "{:.3f}"), spread(runs, "our seconds", "{:.3f}")),
        ("steps", spread(runs, "their steps", "{:.1f}"), spread(runs, "our steps", "{:.1f}")),
        ("not converged", spread(runs, "their unconverged", percent), spread(runs, "our unconverged", percent)),
    ]
    if symmetric:
        rows.append(("space group kept", spread(runs, "theirs kept", percent), spread(runs, "kept", percent)))
    lines = [f"### {title}", "", "| | chgnet StructOptimizer (FIRE) | sozai |", "|---|---|---|"]
    lines += [f"| {name} | {theirs} | {ours} |" for name, theirs, ours in rows]
    lines += [
        "",
        f"**{spread(runs, 'ratio', '{:.1f}')} times faster.** Energies (by the stock model on both ends) within "
        f"1 meV/atom: {spread(runs, 'same', percent)}; sozai lower by more than that: "
        f"{spread(runs, 'ours lower', percent)}; higher: {spread(runs, 'ours higher', percent)}. "
        f"After both ends are relaxed on to {TIGHT} eV/Å: within 1 meV/atom {spread(runs, 'same minimum', percent)}, "
        f"sozai lower {spread(runs, 'minimum lower', percent)}.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="parquet file of crystals")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3, help="how many rattles")
    parser.add_argument("--fmax", type=float, default=0.05, help="eV/angstrom")
    parser.add_argument("--max-steps", type=int, default=250)
    parser.add_argument("--out", default="docs/benchmarks/relaxation.md")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    from chgnet.model import CHGNet

    model = CHGNet.load(model_name="0.3.0", use_device="cpu", verbose=False)
    structures = read(arguments.data, arguments.count)
    relax(structures[:1], potentials.load("chgnet", "cpu"), max_steps=1)  # imports are not timed
    model.predict_structure(structures[0])
    limits = (arguments.fmax, arguments.max_steps)
    shaken = []
    for seed in range(arguments.seeds):
        rng = np.random.default_rng(seed)
        shaken.append(same_results(model, [rattled(s, rng) for s in structures], *limits))
        print(shaken[-1], flush=True)
    scaled = []
    for scale in SCALES:
        start = [Structure(s.lattice.matrix * scale, s.species, s.frac_coords) for s in structures]
        scaled.append(same_results(model, start, *limits))
        print(scaled[-1], flush=True)
    text = "\n".join(
        [
            "## Relaxation",
            "",
            f"CHGNet 0.3.0, force limit {arguments.fmax} eV/Å (cell included), at most {arguments.max_steps} steps, "
            f"{arguments.count} structures of 2 to 20 sites from `{Path(arguments.data).name}`, one core for either "
            f"side ({platform.processor() or platform.machine()}, torch {torch.__version__}). Spread: standard "
            "deviation over the runs.",
            "",
            table(f"From a rattled start (0.1 Å, 2% strain, {arguments.seeds} seeds)", shaken, False),
            table("From a symmetric start (cells scaled by 0.97 and 1.03)", scaled, True),
            f"Run: `python benchmarks/relaxation.py --data FILE --count {arguments.count} --seeds {arguments.seeds}`.",
            "",
        ]
    )
    out = Path(arguments.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
