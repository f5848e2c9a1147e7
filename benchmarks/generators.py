"""All generators side by side on the same work; writes docs/generators.md and what `sozai systems NAME` shows of it.

    python benchmarks/generators.py --data ../data --seeds 3

``--data`` holds tables/concrete.csv, tables/oqmd_formulas.csv.gz and micrographs/polycrystal_grains.tar; without it the
tasks that need no file are run. Results are kept in ``--cache``: interrupted, the same command goes on. One thread.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import date
from pathlib import Path
from typing import Any

import common  # first: one thread
import numpy as np
import torch
from generators_tasks import Task, tasks

from sozai.errors import UserError
from sozai.generators import trainlog
from sozai.generators.catalog import recipe, recipes
from sozai.generators.system import System

NOT_HERE = {
    "cyclegan": "translates between two sets of images, draws nothing from nothing",
    "reward-model": "learns preferences, not data",
    "dpo": "aligns a fitted language model",
    "grpo": "aligns a fitted language model",
    "ppo": "aligns a fitted language model",
}
SLOW_ON_IMAGES = ("transformer", "gpt", "gpt-2", "maf", "spline-flow", "cnf", "ffjord", "d3pm", "vlae")
"""Those that see pixels one by one or all with all: on the micrographs' 1,024 pixels they learn nothing in the time."""
SLOW_TO_FIT = ("dp", "analytic-dpm", "ddss", "genie")
"""Samplers that first pass the data through the network many times: on the micrographs minutes, up to ten for DDSS."""
ALIKE = ("beta-tcvae", "factor-vae", "joint-vae")
"""VAEs that differ in how latents are disentangled; on the micrographs VAE and beta-VAE stand for them."""
LIKELIHOOD_ROWS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--tasks", help="only these, comma-separated")
    parser.add_argument("--systems", help="only these, comma-separated")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=Path("run/bench/generators.jsonl"))
    parser.add_argument("--out", type=Path, default=Path("docs/generators.md"))
    parser.add_argument("--numbers", type=Path, help="e.g. src/sozai/generators/recipes/measured.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    trainlog.clock = time.process_time  # a budget of processor time: other programs do not change the result
    cache = common.Cache(options.cache)
    chosen = [task for task in tasks(options.data) if options.tasks is None or task.name in options.tasks.split(",")]
    wanted = None if options.systems is None else set(options.systems.split(","))
    work = [
        (task, name, seed)
        for seed in range(options.seeds)
        for task in chosen
        for name in systems_for(task)
        if wanted is None or name in wanted
    ]
    fitted: dict[tuple[str, int], System] = {}
    started = time.monotonic()
    for number, (task, name, seed) in enumerate(work):
        key = f"{task.name}/{name}/{seed}"
        if key not in cache:
            cache.add(key, measure(task, name, seed, fitted))
            print(f"{number + 1}/{len(work)} {key} {time.monotonic() - started:.0f} s {cache[key]}", flush=True)
    write(options.out, chosen, cache, options.seeds)
    if options.numbers is not None:
        options.numbers.write_text(json.dumps(numbers(chosen, cache, options.seeds), indent=1) + "\n", encoding="utf-8")


def systems_for(task: Task) -> list[str]:
    """Systems that serve the task's fields; samplers come after the diffusion that they wrap."""
    left_out = {*NOT_HERE, *(["cgan"] if task.given is None else [])}
    if task.kind == "image":
        left_out.add("field-diffusion")
    if task.name == "grains":
        left_out |= {*SLOW_ON_IMAGES, *SLOW_TO_FIT, *ALIKE}
    names = [r.name for r in recipes().values() if task.kind in r.serves and r.name not in left_out]
    return [n for n in names if not recipe(n).sampler] + [n for n in names if recipe(n).sampler]


def measure(task: Task, name: str, seed: int, fitted: dict[tuple[str, int], System]) -> dict[str, Any]:
    """Fit (or wrap), draw, judge; an error is a result too."""
    try:
        conditional = name == "cgan"
        data = task.given if conditional else task.train
        begun = time.process_time()
        if recipe(name).sampler:
            system = base(task, seed, fitted).wrapped(recipe(name), data, seed)
        else:
            system = System(recipe(name)).fit(data, seed=seed, device="cpu", max_time=task.budget)
        training = time.process_time() - begun
        if name == "ddpm":
            fitted[task.name, seed] = system
        given = {}
        if conditional:
            rows = np.random.default_rng(seed).integers(len(data), size=task.samples)
            given = {condition: data.values[condition][rows] for condition in data.conditions}
        begun = time.process_time()
        made = system.sample(task.samples, given, seed=seed)
        sampling = time.process_time() - begun
        if conditional:
            made = made.assign(**given)
        result: dict[str, Any] = {
            **task.judge(made, seed),
            "training_s": training,
            "sampling_s": sampling * 1000 / task.samples,
            "parameters": sum(weight.numel() for weight in system.core.parameters()),  # type: ignore[union-attr]
        }
        if recipe(name).likelihood != "none" and not recipe(name).sampler and not conditional:
            test = task.test
            few = {field: values[:LIKELIHOOD_ROWS] for field, values in test.values.items()}
            rows_of = type(test)(test.material, test.fields, test.conditions, few)
            result["likelihood"] = task.likelihood(float(system.log_prob(rows_of).mean()))
        return result
    except (UserError, RuntimeError, ValueError, NotImplementedError) as error:
        return {"error": f"{type(error).__name__}: {error}"}


def base(task: Task, seed: int, fitted: dict[tuple[str, int], System]) -> System:
    """The DDPM of this task and seed; fitted again when the run was interrupted between it and its samplers."""
    if (task.name, seed) not in fitted:
        fitted[task.name, seed] = System(recipe("ddpm")).fit(task.train, seed=seed, device="cpu", max_time=task.budget)
    return fitted[task.name, seed]


def write(path: Path, chosen: list[Task], cache: common.Cache, seeds: int) -> None:
    """The page."""
    found = {task.name: results_of(task, cache, seeds) for task in chosen}
    parts = [HEAD.format(date=date.today().isoformat(), machine=common.machine(), seeds=seeds)]
    parts += [in_short(chosen, found), side_by_side(chosen, found)]
    for task in chosen:
        parts.append(section(task, cache, seeds))
    left = "\n".join(f"- `{name}`: {why}." for name, why in NOT_HERE.items())
    slow, fit, alike = (", ".join(f"`{name}`" for name in names) for names in (SLOW_ON_IMAGES, SLOW_TO_FIT, ALIKE))
    left += (
        "\n- on images `field-diffusion`: it lets all pixels attend to each other, and is made for other fields.\n"
        f"- on the micrographs {slow}: they see pixels one by one, or all with all, and learn nothing in the time.\n"
        f"- on the micrographs {fit}: fitting them takes minutes there; the digits have them.\n"
        f"- on the micrographs {alike}: as generators they are a VAE.\n"
        "- `cgan` where there is nothing to condition on: it is the GAN."
    )
    parts.append(f"## Not in the tables\n\n{left}\n")
    path.write_text("\n".join(parts), encoding="utf-8")
    print(path)


def results_of(task: Task, cache: common.Cache, seeds: int) -> dict[str, list[dict[str, Any]]]:
    """Results without errors by system, nearest first."""
    found = {}
    for name in systems_for(task):
        keys = [f"{task.name}/{name}/{seed}" for seed in range(seeds)]
        good = [cache[key] for key in keys if key in cache and "error" not in cache[key]]
        if good:
            found[name] = good
    return dict(sorted(found.items(), key=lambda item: mean(item[1])))


def numbers(chosen: list[Task], cache: common.Cache, seeds: int) -> dict[str, dict[str, dict[str, Any]]]:
    """By system and task: means over seeds, and how many systems of the task came nearer."""
    made: dict[str, dict[str, dict[str, Any]]] = {}
    for task in chosen:
        found = results_of(task, cache, seeds)
        for place, (name, results) in enumerate(found.items()):
            entry: dict[str, Any] = {"title": task.title, "nearer": place, "systems": len(found), "seeds": len(results)}
            deviation = np.std([r["distance"] for r in results], ddof=min(1, len(results) - 1))
            entry["distance"] = [round(mean(results), 2), round(float(deviation), 2)]
            if "likelihood" in results[0]:
                entry["likelihood"] = [round(float(np.mean([r["likelihood"] for r in results])), 3), task.unit]
            for key in ("training_s", "sampling_s"):
                entry[key] = round(float(np.mean([r[key] for r in results])), 2)
            made.setdefault(name, {})[task.name] = entry
    return dict(sorted(made.items()))


def in_short(chosen: list[Task], found: dict[str, dict[str, list[dict[str, Any]]]]) -> str:
    """For each task the nearest system of all, of those with a likelihood, of those that draw at once."""
    lines = [
        "| task | nearest | nearest with an exact likelihood | nearest that draws 1,000 in a second |",
        "|---|---|---|---|",
    ]
    for task in chosen:
        systems = found[task.name]
        if not systems:
            continue
        wanted = (
            list(systems),
            [name for name in systems if recipe(name).likelihood == "exact" and "likelihood" in systems[name][0]],
            [name for name in systems if np.mean([result["sampling_s"] for result in systems[name]]) < 1],
        )
        cells = [f"`{names[0]}` ({spread(systems[names[0]], 'distance', 2)})" if names else "" for names in wanted]
        lines.append(f"| {task.title} | {' | '.join(cells)} |")
    return (
        "## In short\n\nBy the distance (in brackets); where spreads overlap the order says nothing. Each task's table "
        "has the rest.\n\n" + "\n".join(lines) + "\n"
    )


def side_by_side(chosen: list[Task], found: dict[str, dict[str, list[dict[str, Any]]]]) -> str:
    """Every system's distance on every task, by mean place among those that served a task."""
    names = {name for systems in found.values() for name in systems}

    def place(name: str) -> float:
        return float(
            np.mean([list(systems).index(name) / len(systems) for systems in found.values() if name in systems])
        )

    heads = ["system", "family", "mean place", *(task.name for task in chosen)]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for name in sorted(names, key=place):
        cells = [spread(found[task.name][name], "distance", 1) if name in found[task.name] else "" for task in chosen]
        lines.append(f"| `{name}` | {recipe(name).family} | {place(name):.0%} | {' | '.join(cells)} |")
    return (
        "## All systems, all tasks\n\nDistance. *Mean place*: how many of the systems of a task were nearer, averaged "
        "over the tasks that a system served.\n\n" + "\n".join(lines) + "\n"
    )


def section(task: Task, cache: common.Cache, seeds: int) -> str:
    """One task's table, best distance first."""
    keys = [(name, f"{task.name}/{name}/{seed}") for name in systems_for(task) for seed in range(seeds)]
    failed = [f"`{name}`: {cache[key]['error']}" for name, key in keys if key in cache and "error" in cache[key]]
    rows = list(results_of(task, cache, seeds).items())
    if not rows:
        return f"## {task.title}\n\nNot run.\n"
    extras = [key for key in rows[0][1][0] if key not in FIXED]
    heads = [
        "system",
        "family",
        "distance",
        "told apart",
        *extras,
        task.unit,
        "training s",
        "sampling s / 1,000",
        "weights",
    ]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for name, results in rows:
        cells = [f"`{name}`", recipe(name).family, spread(results, "distance", 2), spread(results, "told_apart", 2)]
        cells += [spread(results, key, 2) for key in extras]
        kind = {"bound": "≥ " if task.unit.startswith("nats") else "≤ "}.get(recipe(name).likelihood, "")
        cells += [kind + spread(results, "likelihood", 3) if "likelihood" in results[0] else ""]
        cells += [spread(results, "training_s", 0), spread(results, "sampling_s", 1), f"{results[0]['parameters']:,}"]
        lines.append(f"| {' | '.join(cells)} |")
    best = rows[0][0]
    close = [f"`{name}`" for name, results in rows[1:] if mean(results) < 1.5 * max(1.0, mean(rows[0][1]))]
    words = (
        f"{len(task.train):,} rows to learn from, {len(task.test):,} held out, {task.samples:,} samples; at most "
        f"{task.budget:.0f} s of training. Nearest to real rows: `{best}`"
        + (f"; almost as near: {', '.join(close)}" if close else "")
    )
    text = f"## {task.title}\n\n{words}.\n\n" + "\n".join(lines) + "\n"
    if failed:
        text += "\nFailed:\n\n" + "\n".join(f"- {line}" for line in failed) + "\n"
    return text


FIXED = {"distance", "told_apart", "training_s", "sampling_s", "parameters", "likelihood"}
HEAD = """# Which generator to take

All systems of `sozai systems` that serve a task, with their default settings, on the same rows of the same data, judged
alike. Mean and standard deviation over {seeds} seeds of training and sampling.

- **distance**: energy distance of samples to held-out rows, over that of training rows to held-out rows. 1: as near
  as real rows are.
- **told apart**: area under the ROC curve of gradient boosting that is to tell samples from held-out rows; 0.5: it
  cannot.
- **likelihood** of held-out rows where there is one; ≥ and ≤ mark bounds. For digits and grains bits a pixel (lower
  is better), else nats a row (higher is better).
- Seconds are CPU seconds on one core of {machine}. A sampler (`ddim`, `dp`, ...) wraps the `ddpm` of the same seed;
  its training seconds are what it adds.

Budgets of training are seconds to half a minute: those of somebody in a hurry with one core, not of the papers. What
needs long to learn (VDM and ScoreFlow on images, hierarchies such as NVAE and VQ-VAE-2) is judged unfinished here, and
may lead after an hour or on a GPU. A few defaults (rates, batch sizes, the WGANs' penalty) were chosen on these very
tasks, on seed 0.

Samplers of few steps keep the errors that a diffusion's many random steps would mend: of a network trained for half
a minute on the micrographs DDIM's 20 deterministic steps leave 30 to 40, the same steps at eta = 1 left 2.6, DDPM's
chain at 100 steps 3.4 (one seed, 200 samples, beside the table).

A low distance can also be had by copying the training rows, which these columns do not show: compare with the
likelihood of held-out rows, which a copier does not reach.

Made on {date} by `python benchmarks/generators.py --data FOLDER --seeds {seeds}`.
"""


def mean(results: list[dict[str, Any]]) -> float:
    """Of the distance."""
    return float(np.mean([result["distance"] for result in results]))


def spread(results: list[dict[str, Any]], key: str, digits: int) -> str:
    """Mean and standard deviation."""
    values = [result[key] for result in results if key in result]
    return common.spread(values, f"{{:.{digits}f}}") if values else ""


if __name__ == "__main__":
    main()
