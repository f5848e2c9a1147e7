"""A run of tuning: weights, what each round did, and the verdict of a judge, in a run folder."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from sozai.design.preferences.choices import recall
from sozai.design.preferences.compare import Comparison, compare
from sozai.design.preferences.tune import Method, Round, formulas_for, tune_by_choices, tune_by_stability
from sozai.errors import UserError
from sozai.files import output_folder, write_json
from sozai.generators.wyckoff_gpt.model import WyckoffGPT
from sozai.screening.potentials import NAMES
from sozai.trust.manifest import Manifest

WEIGHTS = "weights"
Progress = Callable[[int, int, str], None]


def tune(
    out: Path | str,
    *,
    choices: Sequence[Path | str] = (),
    formulas: int = 60,
    method: str = "dpo",
    rounds: int = 2,
    each: int = 8,
    beta: float = 0.1,
    held_out: int = 24,
    reward: str = "chgnet",
    judge: str = "sevennet-l3i5",
    max_atoms: int = 20,
    minutes: float = math.inf,
    weights: Path | str | None = None,
    processes: int | None = None,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Tune wyckoff-gpt, judge it on chemical systems it has not seen, and write a run folder.

    Args:
        out: gets ``weights/`` (for ``--weights``), result.json, manifest.json and report.html. The same call on the
            same folder goes on after an interruption: relaxed energies are kept.
        choices: files of a person's choices; without any the reward is stability.
        formulas: to draw for, in tuning by stability.
        method: ``"dpo"`` or ``"grpo"``; choices are always learned by DPO.
        rounds, each, beta: see ``tune_by_stability``.
        held_out: formulas to judge on.
        reward, judge: two different potentials.
        minutes: of the whole run; the judge gets 40% of them.
        weights: folder of a wyckoff-gpt to start from; by default the one that ships with sozai.

    Raises:
        UserError: reward and judge are the same, an unknown method or potential, too few choices.
    """
    if method not in get_args(Method):
        raise UserError(f"there is no method '{method}'", "--method", f"use one of {', '.join(get_args(Method))}")
    for option, name in (("--reward", reward), ("--judge", judge)):
        if name not in NAMES:
            raise UserError(f"there is no potential '{name}'", option, f"use one of {', '.join(NAMES)}")
    if reward == judge:
        raise UserError(
            f"'{judge}' would judge what it has rewarded itself", "--judge", "name another potential than the reward's"
        )
    if not minutes > 0:
        raise UserError("the time must be more than 0", "--minutes", "give a number above 0")
    folder = output_folder(out)
    known = [choice for path in choices for choice in recall(path)]
    settings = {
        "choices": [str(path) for path in choices], "formulas": formulas, "method": method, "rounds": rounds,
        "each": each, "beta": beta, "held_out": held_out, "reward": reward, "judge": judge, "max_atoms": max_atoms,
        "minutes": None if math.isinf(minutes) else minutes, "weights": None if weights is None else str(weights),
    }  # fmt: skip
    begun = time.monotonic()
    with Manifest(folder, settings=settings, seeds={"tuning": seed}, data=choices, resume=True) as manifest:
        generator = WyckoffGPT.load(weights)
        manifest.record("generator", generator.card())
        learn, rest = formulas_for(formulas, held_out, max_atoms, seed)
        if known:
            seen = {formula for choice in known for formula in choice.formulas}
            tuned, told = tune_by_choices(generator, known, beta=beta, seed=seed, on_progress=on_progress)
            rounds_done, learn = [told], sorted(seen)
            rest = [formula for formula in rest if formula not in seen]
        else:
            tuned, rounds_done = tune_by_stability(
                generator, learn, method=method, rounds=rounds, each=each, potential=reward, beta=beta,  # type: ignore[arg-type]
                max_atoms=max_atoms, seed=seed, minutes=0.6 * minutes, folder=folder, processes=processes,
                on_progress=on_progress,
            )  # fmt: skip
        tuned.save(folder / WEIGHTS)
        deadline = None if math.isinf(minutes) else begun + 60 * minutes
        judged = compare(
            generator, tuned, rest, judge=judge, each=each, max_atoms=max_atoms, seed=seed, folder=folder,
            deadline=deadline, processes=processes, on_progress=on_progress,
        )  # fmt: skip
        result = {
            "kind": "preferences",
            "by": "choices" if known else "stability",
            "learned_from": learn,
            "choices": [asdict(choice) for choice in known],
            "rounds": [asdict(each) for each in rounds_done],
            "comparison": judged.to_dict(),
            "sentence": _sentence(judged, rounds_done),
            "weights": str(folder / WEIGHTS),
            **manifest.cost(),
        }
        write_json(folder / "result.json", result)
        from sozai.reports.preferences import write_report

        write_report(result, manifest.content, folder / "report.html")
    return result


def _sentence(judged: Comparison, rounds: Sequence[Round]) -> str:
    if not any(each.kept for each in rounds):
        why = "; ".join(each.note for each in rounds)
        return f"No round passed the guards ({why}): the weights are those it started from."
    return judged.sentence
