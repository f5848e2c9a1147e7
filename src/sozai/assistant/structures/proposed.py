"""What a language model proposed for a structure, read and judged by code.

A model may write rules, of which code builds the structure, or a CIF. Neither is believed: rules must be possible, must
keep what the person stated and give a structure; a CIF must pass the audit; every structure is judged by the rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from sozai.assistant.structures.audit import Audit, audit_text
from sozai.errors import UserError
from sozai.knowledge.crystals.structure.check import check_structure
from sozai.knowledge.crystals.structure.possible import impossible
from sozai.knowledge.crystals.structure.read import to_content
from sozai.knowledge.crystals.structure.rulefile import KEYS, rules_of, rules_of_text
from sozai.knowledge.crystals.structure.rules import Polyhedron, StructureRules
from sozai.knowledge.crystals.structure.shapes import SHAPES
from sozai.knowledge.crystals.wish import parse_formula, reduced
from sozai.knowledge.verdict import Verdict

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from sozai.assistant.models.base import LanguageModel
    from sozai.assistant.models.propose import Proposal, Round

SYSTEM = """\
You are a crystallographer. You state what a crystal structure must obey, as a JSON object with some of these keys:
formula (text), space_group (number or symbol), sites (list such as "Na 6b"; one entry for each independent site;
Wyckoff letters of the standard setting), polyhedra (list such as {"Zr-O": 6, "range": [1.9, 2.35], "shape":
"octahedron"}; shapes are SHAPES), connect (list such
as {"Zr-P": "corner", "count": 6}; ways are corner, edge, face, none), oxidation (charges by element), density ([low,
high] in g/cm3), distances ({"O-O": [2.3, null]}), cell ({"a": [8.6, 9.0]}). Code builds the structure of it: state no
coordinates. Multiplicities must give the formula. Only if you are asked for it, write a whole CIF instead. Answer with
the JSON object (or the CIF) alone.""".replace("SHAPES", ", ".join(SHAPES))
Builder = Callable[[StructureRules], "Structure"]
"""Makes the best structure of rules; raises ``UserError`` when there is none."""


@dataclass
class Proposed:
    """One answer of a model.

    Attributes:
        kind: ``"rules"`` or ``"cif"``.
        text: the CIF or the rules as the model wrote them.
        rules: those it wrote; ``None`` for a CIF.
        structure: from the CIF, or built of the rules; ``None`` when there is none.
        audit: of the CIF.
    """

    kind: str
    text: str
    rules: StructureRules | None = None
    structure: Structure | None = None
    audit: Audit | None = None


def propose_structure(
    model: LanguageModel,
    wanted: str,
    rules: StructureRules | None,
    builder: Builder,
    *,
    rounds: int = 4,
    minutes: float | None = None,
    seed: int = 0,
    on_progress: Callable[[int, int, str], None] | None = None,
    on_round: Callable[[int, Round[Proposed]], None] | None = None,
) -> Proposal[Proposed]:
    """Let a model propose until its answer passes every check, or the rounds are used up.

    Args:
        model: to ask.
        wanted: the person's words.
        rules: what they state, by code; ``None`` when code did not understand them. Then only whether the structure is
            sound can be judged, not whether it is the one that was asked for, and a verdict says so.
        builder: makes the structure of rules.
        rounds, minutes, seed, on_progress, on_round: see ``assistant.models.propose``.

    Raises:
        UserError: the model cannot be asked, or no structure can obey ``rules``.
    """
    from sozai.assistant.models.propose import propose

    task = f"Wanted: {wanted}\n"
    if rules is not None:
        import json

        told = json.dumps(to_content(rules), ensure_ascii=False)
        task += f"Code understood this of it, which must stay as it is; add what is missing: {told}\n"
    task += "Give the rules of this crystal structure as one JSON object."
    return propose(
        model, task, lambda value: judge(value, rules, builder), read=read_proposed, rounds=rounds, system=SYSTEM,
        max_tokens=4000, minutes=minutes, seed=seed, on_progress=on_progress, on_round=on_round,
    )  # fmt: skip


def read_proposed(text: str) -> Proposed:
    """Rules (JSON or YAML) or a CIF out of a model's reply.

    Raises:
        UserError: it is neither, or the rules are not well written; the sentence tells the model what to mend.
    """
    from sozai.assistant.models.reading import ReplyError, read_json

    cif = re.search(r"(?m)^[ \t]*data_\S*[ \t]*$", text)
    if cif and re.search(r"(?i)_cell_length_a", text):
        body = text[cif.start() :]
        return Proposed("cif", re.split(r"(?m)^[ \t]*(?:```|~~~)", body)[0].strip() + "\n")
    try:
        content = read_json(text).value
    except ReplyError as error:
        block = re.search(r"```(?:ya?ml)?[ \t]*\n(.*?)```", text, re.DOTALL)
        body = block[1] if block else text
        if not re.search(rf"(?m)^(?:{'|'.join(KEYS)})\s*:", body):
            raise UserError(
                f"there are no rules and no CIF in the reply ({error.what})", mend="answer with one JSON object"
            ) from None
        return Proposed("rules", body, rules_of_text(body, "your answer"))
    import json

    return Proposed("rules", json.dumps(content, ensure_ascii=False, indent=1), rules_of(content, "your answer"))


def judge(proposed: Proposed, rules: StructureRules | None, builder: Builder) -> list[Verdict]:
    """Verdicts of code on a proposal; sets its ``structure`` and ``audit``."""
    verdicts = _judge_cif(proposed) if proposed.kind == "cif" else _judge_rules(proposed, rules, builder)
    if proposed.structure is not None:
        wanted = rules if proposed.kind == "cif" or rules is None else merged(rules, proposed.rules or rules)
        verdicts += check_structure(proposed.structure, wanted or proposed.rules or StructureRules())
    if rules is None:
        told = "Not judged: the words could not be read as rules, so nobody checked that this is what they ask for."
        verdicts.append(Verdict("as_asked", None, told, severity="soft"))
    return verdicts


def _judge_cif(proposed: Proposed) -> list[Verdict]:
    from sozai.materials.cif_parser import parse_cif

    proposed.audit = audit_text(proposed.text)
    verdicts = [
        Verdict(f"file {finding.code}", False, finding.sentence(), 1.0, "",
                "hard" if finding.severity == "error" else "soft")
        for finding in proposed.audit.alarms
    ]  # fmt: skip
    if not proposed.audit.alarms:
        verdicts.append(Verdict("file", True, "The CIF is sound in itself."))
    try:
        for _, structure, problem, _ in parse_cif(proposed.text):
            if structure is None:
                verdicts.append(Verdict("file readable", False, f"No crystal can be read from it: {problem}.", 1.0))
            proposed.structure = structure
            break
    except ValueError as error:
        verdicts.append(Verdict("file readable", False, f"No crystal can be read from it: {error}.", 1.0))
    return verdicts


def _judge_rules(proposed: Proposed, rules: StructureRules | None, builder: Builder) -> list[Verdict]:
    assert proposed.rules is not None
    verdicts = [] if rules is None else _kept(rules, proposed.rules)
    whole = proposed.rules if rules is None else merged(rules, proposed.rules)
    reasons = impossible(whole)
    verdicts += [Verdict("possible", False, reason, 1.0) for reason in reasons]
    if whole.formula is None:
        verdicts.append(Verdict("formula", False, "State the formula.", 1.0))
    if any(verdict.fatal for verdict in verdicts):
        return verdicts
    verdicts.append(Verdict("possible", True, "No reason was found why no crystal could obey the rules."))
    try:
        proposed.structure = builder(whole)
    except UserError as error:
        return [
            *verdicts,
            Verdict("built", False, f"No structure could be built of the rules: {error.sentence()}", 1.0),
        ]
    return verdicts


def _kept(person: StructureRules, model: StructureRules) -> list[Verdict]:
    """Whether the model kept what the person stated; what it left out is kept anyway."""
    verdicts = []
    stated, given = to_content(person), to_content(model)
    for key in stated:
        if key not in given or stated[key] == given[key]:
            continue
        if key == "formula" and reduced(parse_formula(stated[key])) == reduced(parse_formula(given[key])):
            continue
        if key == "polyhedra" and all(any(_agree(item, other) for other in given[key]) for item in stated[key]):
            continue
        whole = isinstance(stated[key], list) and key != "density" and all(item in given[key] for item in stated[key])
        if whole and (key != "sites" or len(stated[key]) == len(given[key]) or _more_elements(person, model)):
            continue
        if isinstance(stated[key], dict) and all(given[key].get(k, v) == v for k, v in stated[key].items()):
            continue
        told = f"{key} was stated as {stated[key]}; the answer has {given[key]}."
        verdicts.append(Verdict(f"keeps {key}", False, told, 1.0))
    return verdicts


def _agree(stated: dict[str, Any], given: dict[str, Any]) -> bool:
    """Whether a polyhedron is the stated one; what one of the two leaves out is no difference."""
    pair = next(iter(stated))
    return pair in given and all(given.get(key, value) == value for key, value in stated.items())


def _more_elements(person: StructureRules, model: StructureRules) -> bool:
    """Whether further sites are all of elements that the person placed nowhere."""
    placed = {site.element for site in person.sites}
    extra = list(model.sites)
    for site in person.sites:
        if site in extra:
            extra.remove(site)
    return all(site.element not in placed for site in extra)


def merged(person: StructureRules, model: StructureRules) -> StructureRules:
    """The person's rules, and the model's where the person stated nothing."""
    taken: dict[str, Any] = {}
    for part in fields(StructureRules):
        own, other = getattr(person, part.name), getattr(model, part.name)
        if part.name == "where":
            continue
        if isinstance(own, tuple) and part.name in ("sites", "polyhedra", "connections"):
            placed = {item.element for item in own} if part.name == "sites" else set()
            more = [item for item in other if item not in own and getattr(item, "element", None) not in placed]
            if part.name == "polyhedra":
                own, more = _completed(own, more)
            taken[part.name] = (*own, *more)
        elif isinstance(own, dict):
            taken[part.name] = {**other, **own}
        else:
            taken[part.name] = other if own is None else own
    return replace(person, **taken)


def _completed(
    person: tuple[Polyhedron, ...], model: Sequence[Polyhedron]
) -> tuple[tuple[Polyhedron, ...], list[Polyhedron]]:
    """The person's polyhedra with what the model says of the same ones, and the model's others."""
    same: dict[tuple, Polyhedron] = {}
    for rule in model:
        same.setdefault((rule.centre, rule.ligands, rule.coordination), rule)
    completed = []
    for own in person:
        other = same.pop((own.centre, own.ligands, own.coordination), own)
        if own.low is None and own.high is None and own.length is None:
            own = replace(own, low=other.low, high=other.high, length=other.length)
        completed.append(replace(own, shape=own.shape or other.shape))
    return tuple(completed), list(same.values())
