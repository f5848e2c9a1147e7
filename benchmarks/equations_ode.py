"""sozai solve on the ordinary equations of ODEBench, against its reference, a Taylor series, and the reference re-made.

python benchmarks/equations_ode.py --data FOLDER --cache FILE.jsonl

The data are equations/odebench_half.json.gz: 32 systems (Strogatz and others; d'Ascoli et al., ODEFormer,
arXiv:2310.05573), two initial states each, with solutions at 512 times that scipy's LSODA made.
"""

from __future__ import annotations

import common  # isort: skip

import argparse
import gzip
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.integrate import LSODA, solve_ivp
from scipy.integrate._ivp.lsoda import LsodaDenseOutput

RTOL, ATOL, FIRST = 1e-5, 1e-7, 1e-6
LIMIT = 1e-6


class EarlierLSODA(LSODA):
    """LSODA with the interpolation that scipy had before version 1.11, between the steps."""

    def _dense_output_impl(self) -> LsodaDenseOutput:
        work = self._lsoda_solver._integrator
        order, step = work.iwork[14], work.rwork[11]
        history = work.rwork[20 : 20 + (order + 1) * self.n]
        return LsodaDenseOutput(
            self.t_old, self.t, step, order, np.reshape(history, (self.n, order + 1), order="F").copy()
        )


def entry(system: dict[str, Any], which: int) -> dict[str, Any]:
    """Differences of one system from one initial state, each relative to the largest value of its unknown."""
    from sozai.assistant.equations.parse import read_problem
    from sozai.assistant.equations.solve import solve
    from sozai.assistant.equations.system import Clock, first_order
    from sozai.assistant.equations.taylor import taylor

    solution = system["solutions"][0][which]
    start, end = solution["t"][0], solution["t"][-1]
    clauses = [f"x_{i}' = {text}" for i, text in enumerate(system["substituted"][0])]
    clauses += [f"x_{i}(0) = {value!r}" for i, value in enumerate(system["init"][which])]
    problem = read_problem("; ".join([*clauses, f"t = {start:g}..{end:g}"]))
    begun = time.process_time()
    made = solve(problem, points=len(solution["t"]), minutes=8)
    used = time.process_time() - begun
    ours = np.array([made.values[name] for name in problem.unknowns])
    ts = np.array(solution["t"])
    assert np.allclose(ts, made.axes["t"], atol=1e-12)
    reference = np.array(solution["y"])
    size = np.abs(ours).max(axis=1)[:, None]

    def gap(one: np.ndarray, two: np.ndarray | None) -> float | None:
        return None if two is None or one.shape != two.shape else float(np.max(np.abs(one - two) / size))

    form = first_order(problem, Clock(5))
    assert form is not None
    series = taylor(form, ts, digits=34, seconds=200)
    again = solve_ivp(form.f, (start, end), form.start, EarlierLSODA, rtol=RTOL, atol=ATOL, first_step=FIRST, t_eval=ts)
    tight = solve_ivp(form.f, (start, end), form.start, LSODA, rtol=1e-12, atol=1e-14, t_eval=ts)
    remade = again.y if again.status == 0 else None
    return {
        "name": system["eq_description"].split(" (")[0], "id": system["id"], "which": which + 1, "dim": system["dim"],
        "reference": gap(ours, reference), "series": gap(ours, series), "tight": gap(ours, tight.y),
        "remade": gap(reference, remade), "remade_ours": gap(ours, remade),
        "error": max(made.error[n] / s[0] for n, s in zip(problem.unknowns, size, strict=True)),
        "proven": made.proven, "closed": bool(made.closed_form), "sensitivity": made.extra["sensitivity"],
        "failed": [v.rule for v in made.verdicts if v.passed is False], "method": made.method.split(",")[1].strip(),
        "seconds": used,
    }  # fmt: skip


def digits(value: float | None) -> str:
    return "–" if value is None else f"{value:.0e}"


def main() -> None:
    reader = argparse.ArgumentParser()
    reader.add_argument("--data", type=Path, required=True)
    reader.add_argument("--cache", type=Path)
    reader.add_argument("--out", type=Path, default=Path("docs/benchmarks/equations_ode.md"))
    options = reader.parse_args()
    with gzip.open(options.data / "equations" / "odebench_half.json.gz", "rt") as stream:
        systems = json.load(stream)
    cache, tick = common.Cache(options.cache), common.Ticker("systems")
    jobs = [(system, which) for system in systems for which in range(len(system["init"]))]
    for place, (system, which) in enumerate(jobs):
        key = f"{system['id']}.{which}"
        if key not in cache:
            cache.add(key, entry(system, which))
        tick(place + 1, len(jobs))
    rows = [cache[f"{system['id']}.{which}"] for system, which in jobs]
    proven = sum(row["proven"] for row in rows)
    agree = [row for row in rows if row["reference"] <= LIMIT]
    apart = [row for row in rows if row["reference"] > LIMIT]
    series = [row["series"] for row in rows if row["series"] is not None]
    right = [row for row in rows if row["series"] is not None and row["series"] <= LIMIT]
    # The reference is explained where its own settings give it again, much nearer than it is to the true solution.
    explained = [
        r
        for r in apart
        if r["remade"] is not None
        and r["remade"] <= 0.01 * r["reference"]
        and r["series"] is not None
        and r["series"] <= LIMIT
    ]
    rest = [r for r in apart if r not in explained]
    alike = [r for r in rest if r["remade_ours"] is not None and r["series"] is not None and r["series"] <= LIMIT]
    jacobians = {f"{s['id']}.{which}": s["solutions"][0][which]["njev"] for s, which in jobs}
    switched = sum(jacobians[f"{r['id']}.{r['which'] - 1}"] > 0 for r in rest)
    text = [
        f"{len(systems)} systems, {len(rows)} initial states, t = 0..10, 512 times each. Differences are the "
        f"largest over "
        "time, relative to the largest value of the unknown.",
        f"- {proven} of {len(rows)} solutions are proven (residual, order, second method, and where they exist closed "
        f"form and conserved quantities); {sum(r['closed'] for r in rows)} have a closed form.\n"
        f"- Against a Taylor series with 34 digits, which shares no formula with them: {len(right)} of {len(series)} "
        f"agree to {LIMIT:.0e}; the largest difference is {max(series):.1e}, the median {np.median(series):.1e}.\n"
        f"- Against the reference of the data: {len(agree)} agree to {LIMIT:.0e}; {len(apart)} do not, because the "
        f"reference was made by LSODA with a relative tolerance of {RTOL:.0e}. Re-made with these settings (absolute "
        f"tolerance {ATOL:.0e}, first step {FIRST:.0e}, the interpolation of the scipy of that time), the "
        f"numbers of the "
        f"reference come again, at least a hundred times nearer than they are to the true solution, in "
        f"{len(explained)} "
        f"of these {len(apart)}. In the other {len(rest)} they come again less closely or not at all, and why is not "
        f"shown: in {switched} of these the data record that LSODA changed to its stiff method, whose steps this scipy "
        f"need not repeat; our solution agrees with the series in {len(alike)} of them.",
        common.table(
            [
                "system",
                "state",
                "to reference",
                "reference to itself re-made",
                "to the series",
                "to LSODA at 1e-12",
                "error bar",
                "growth of a change",
                "proven",
                "CPU s",
            ],
            [
                [
                    f"{r['id']} {r['name']}",
                    r["which"],
                    digits(r["reference"]),
                    digits(r["remade"]),
                    digits(r["series"]),
                    digits(r["tight"]),
                    digits(r["error"]),
                    digits(r["sensitivity"]),
                    "yes" if r["proven"] else "no: " + ", ".join(r["failed"]),
                    f"{r['seconds']:.1f}",
                ]
                for r in rows
            ],
        ),
    ]
    common.write_fragment(options.out, "Ordinary equations: ODEBench", text)


if __name__ == "__main__":
    main()
