"""A run of ``sozai cif --propose``: rounds with a model on disk as they are judged, and gone on with after a stop."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sozai.assistant.structures.proposed import Builder, Proposed, merged, propose_structure
from sozai.assistant.structures.run import Judged, mark, write_built, write_marked
from sozai.errors import UserError
from sozai.files import atomic, write_json
from sozai.knowledge.crystals.structure.possible import refuse_impossible
from sozai.knowledge.crystals.structure.read import to_content
from sozai.knowledge.crystals.structure.rules import StructureRules

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from sozai.assistant.models.base import LanguageModel
    from sozai.assistant.models.kept import KeptReplies
    from sozai.assistant.models.propose import Proposal, Round

Progress = Callable[[int, int, str], None]
TRANSCRIPT = "transcript.json"
_INTERRUPTED = "interrupted"  # as the builder says it


def propose_run(
    model: LanguageModel,
    wanted: str,
    rules: StructureRules | None,
    out: Path,
    *,
    rounds: int = 4,
    starts: int | None = None,
    relax: bool = True,
    potential: str = "chgnet",
    minutes: float | None = None,
    seed: int = 0,
    kept: KeptReplies | None = None,
    on_progress: Progress | None = None,
) -> tuple[list[Judged], dict[str, Any]]:
    """Let a model propose; keep the transcript and every answer with its verdicts, each as soon as it was judged.

    While the model is asked, structures are built without relaxation; rules that passed are built again and relaxed.

    Args:
        model: to ask; with ``kept`` one whose answers are kept there (``Connection.keep``).
        wanted, rules: see ``propose_structure``.
        out: folder of the run.
        rounds, starts, relax, potential, minutes, seed: see ``propose`` and ``build``.
        kept: of an attempt that was stopped: its answers are not asked for again, and what was built of them within
            the time that there was then is not built again, so that the same questions follow.
        on_progress: called with done, total and a note.

    Returns:
        the best structure (marked failed when it is), and the transcript; its ``"cut_short"`` says why the work is not
        finished (Ctrl-C, the time, the endpoint), and is empty when it is.

    Raises:
        UserError: the model cannot be asked, or the rules are impossible.
        KeyboardInterrupt: before the first answer was judged.
    """
    from sozai.assistant.structures.build import build
    from sozai.assistant.structures.build.journal import FILE_NAME

    if rules is not None:
        refuse_impossible(rules)
    each = 2.0 if minutes is None else max(0.2, minutes / (2 * rounds))

    def builder(given: StructureRules) -> Structure:
        best = build(given, starts=starts, relax=False, minutes=each, seed=seed)[0]
        if best.provenance["cut_short"] == _INTERRUPTED:
            raise KeyboardInterrupt  # the builder gives what it has; here it is the whole run that was to stop
        return best.structure

    files: dict[int, str] = {}

    def write_round(number: int, one: Round[Proposed]) -> None:
        if one.value is None:
            return
        item = Judged(f"round_{number}", one.value.structure, list(one.verdicts), one.value.audit)
        files[number] = f"round_{number}.{'cif' if one.value.kind == 'cif' else 'yaml'}"
        with atomic(out / files[number]) as stream:
            stream.write(mark(item) + one.value.text.rstrip() + "\n")

    proposal = propose_structure(
        model, wanted, rules, _kept_builder(builder, kept), rounds=rounds, minutes=minutes, seed=seed,
        on_progress=on_progress, on_round=write_round,
    )  # fmt: skip
    transcript = _transcript(proposal, files)
    write_json(out / TRANSCRIPT, transcript)  # before minutes of relaxation
    best = proposal.best
    if best is None or best.value is None or best.value.structure is None:
        return [], transcript
    if proposal.passed and best.value.kind == "rules" and relax and best.value.rules is not None:
        whole = best.value.rules if rules is None else merged(rules, best.value.rules)
        made = build(
            whole, starts=starts, potential=potential, minutes=minutes, seed=seed, on_progress=on_progress,
            journal=out / FILE_NAME,
        )  # fmt: skip
        transcript["cut_short"] = transcript["cut_short"] or made[0].provenance["cut_short"]
        judged = write_built(made[:3], out, "proposed")
        for item in judged:
            item.verdicts += [v for v in best.verdicts if v.rule == "as_asked"]
            item.file = write_marked(item, Path(item.file))
        return judged, transcript
    item = Judged("proposed_1", best.value.structure, list(best.verdicts), best.value.audit)
    item.file = write_marked(item, out / "proposed_1.cif")
    return [item], transcript


def _kept_builder(builder: Builder, kept: KeptReplies | None) -> Builder:
    """The builder, which builds nothing twice: how far it came depended on the time it had."""
    if kept is None:
        return builder

    def build_once(given: StructureRules) -> Structure:
        from pymatgen.core import Structure

        told = json.dumps(to_content(given), sort_keys=True)
        key = f"built {hashlib.sha256(told.encode()).hexdigest()[:32]}"
        known = kept.note(key)
        if known is None:
            try:
                known = {"structure": builder(given).as_dict()}
            except UserError as error:
                known = {"problem": [error.what, error.where, error.mend]}
            kept.put_note(key, known)
        if "problem" in known:
            raise UserError(*known["problem"])
        return Structure.from_dict(known["structure"])

    return build_once


def _transcript(proposal: Proposal[Proposed], files: dict[int, str]) -> dict[str, Any]:
    transcript = proposal.to_dict()
    for number, name in files.items():
        transcript["rounds"][number - 1]["file"] = name
    why = proposal.rounds[-1].problem if proposal.rounds[-1].reply is None else ""  # of an endpoint that failed
    told = f"{proposal.stopped}: {why.rstrip('.')}" if why else proposal.stopped
    transcript["cut_short"] = told if proposal.cut_short else ""
    return transcript
