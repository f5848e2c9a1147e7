"""Does tuning wyckoff-gpt by one potential's energies lower those by another, on chemical systems it has not seen?

    python benchmarks/preferences.py --cache preferences/        # resumes; about an hour of one core

The reward is CHGNet's relaxed energy within a formula; the judge is SevenNet-l3i5. Formulas to learn from and to be
judged on share no chemical system.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import common

from sozai.design.preferences.compare import change_of, compare
from sozai.design.preferences.tune import formulas_for, tune_by_stability
from sozai.files import plain, write_json
from sozai.generators.wyckoff_gpt.model import WyckoffGPT


def changed(change: dict[str, float], digits: int = 3) -> str:
    return f"{change['mean']:+.{digits}f} ({change['low']:+.{digits}f} to {change['high']:+.{digits}f})"


def main() -> None:
    """Run what the cache does not hold, and write the fragment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--formulas", type=int, default=150)
    parser.add_argument("--held-out", type=int, default=60)
    parser.add_argument("--each", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--methods", nargs="+", default=["dpo", "grpo"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--cached", action="store_true", help="only what the cache holds")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/preferences.md"))
    chosen = parser.parse_args()
    chosen.cache.mkdir(parents=True, exist_ok=True)
    rows, rounds_of, together = [], [], {method: [] for method in chosen.methods}
    for seed in chosen.seeds:
        learn, held_out = formulas_for(chosen.formulas, chosen.held_out, 20, seed)
        for method in chosen.methods:
            name = f"{method}-{chosen.formulas}x{chosen.each}x{chosen.rounds}-{seed}"
            path = chosen.cache / f"{name}.json"
            if chosen.cached and not path.exists():
                continue
            if not path.exists():
                generator, begun = WyckoffGPT.load(device="cpu"), time.process_time()
                tuned, rounds = tune_by_stability(
                    generator, learn, method=method, rounds=chosen.rounds, each=chosen.each, seed=seed,
                    folder=chosen.cache, processes=1,
                )  # fmt: skip
                spent = time.process_time() - begun
                tuned.save(chosen.cache / name)
                judged = compare(generator, tuned, held_out, each=chosen.each, seed=seed, folder=chosen.cache,
                                 processes=1)  # fmt: skip
                write_json(path, {"rounds": plain([vars(each) for each in rounds]), "judged": judged.to_dict(),
                                  "cpu": spent})  # fmt: skip
            found = json.loads(path.read_text())
            judged = found["judged"]
            together[method] += judged["by_formula"].values()
            before, after = judged["before"], judged["after"]
            rows.append([
                method, seed, judged["formulas"], changed(judged["energy"]), changed(judged["best"]),
                f"{before['unique']:.0%} / {after['unique']:.0%}", f"{before['novel']:.0%} / {after['novel']:.0%}",
                f"{before['sound']:.0%} / {after['sound']:.0%}", f"{found['cpu']:.0f}",
            ])  # fmt: skip
            rounds_of += [
                [method, seed, each["number"], each["crystals"], each["failed"], each["learned"],
                 "-" if each["ordered"] is None else f"{each['ordered']:.0%}", f"{each['unique']:.2f}",
                 f"{each['drift']:.2f}", each["note"] or "kept"]
                for each in found["rounds"]
            ]  # fmt: skip
    for method, changes in together.items():
        if sum(row[0] == method for row in rows) > 1:
            pooled = [vars(change_of(changes, key)) for key in ("energy", "best", "unique", "novel", "sound")]
            rows.append([
                f"{method}, all", "-", len(changes), changed(pooled[0]), changed(pooled[1]),
                *(f"{100 * change['mean']:+.0f} ({100 * change['low']:+.0f} to {100 * change['high']:+.0f})"
                  for change in pooled[2:]), "-",
            ])  # fmt: skip
    head = ["method", "seed", "formulas", "mean energy, eV/atom", "lowest of a formula, eV/atom",
            "distinct, before / after", "novel", "sound", "CPU s to tune"]  # fmt: skip
    told = ["method", "seed", "round", "crystals", "failed", "pairs or genes", "ordered right, held out",
            "distinct, of before", "drift, nats", "outcome"]  # fmt: skip
    parts = [
        "Changes (after minus before, 95% interval by bootstrap over formulas) of what is drawn for formulas of other "
        f"chemical systems than those learned from, {chosen.each} draws a formula, relaxed by SevenNet-l3i5; CHGNet's "
        "energies were the reward. Negative is better. A mean energy can fall because the best arrangements are drawn "
        "more often; the lowest of a formula falls only where better ones are found. Of all seeds together the "
        "shares are changes in per cent.",
        common.table(head, rows),
        "Rounds:",
        common.table(told, rounds_of),
    ]
    common.write_fragment(chosen.out, "Preferences: tuned by one potential, judged by another", parts)


if __name__ == "__main__":
    main()
