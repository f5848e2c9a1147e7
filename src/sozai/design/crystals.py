"""From a wish to verified candidates: generate, screen, rank, write, report."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.resources import as_file, files
from inspect import signature
from pathlib import Path
from typing import Any

import sozai
from sozai.errors import UserError
from sozai.files import output_folder, sha256, write_json
from sozai.generators.catalog import CRYSTALS
from sozai.generators.catalog import generator as generator_named
from sozai.knowledge.crystals.ruleset import CrystalRules
from sozai.knowledge.crystals.wish import CrystalWish
from sozai.materials.crystal import Crystal, Problem
from sozai.materials.crystal_writers import write_crystals
from sozai.screening.calibration import bundled
from sozai.screening.funnel import Funnel, Screened, Stage
from sozai.trust.manifest import Manifest

Progress = Callable[[int, int, str], None]

RESERVE = 0.3
"""Share of the time budget kept for the second opinion, the files and the report."""

COLUMNS = (
    "rank", "space_group", "energy_above_hull", "probability_metastable", "stability",
    "energy_per_atom", "second_opinion_above_hull", "nearest_known", "symmetry_kept", "density", "generator",
    "template",
)  # fmt: skip
"""Columns of candidates.csv."""


def design_crystals(
    conditions: Mapping[str, Any],
    out: Path | str,
    count: int = 200,
    minutes: float = 5.0,
    relax: int | None = None,
    generator: str = "wyckoff-gpt",
    weights: Path | str | None = None,
    guidance: float | None = None,
    temperature: float | None = None,
    rules: Path | str | None = None,
    seed: int = 0,
    second_opinion: bool = True,
    processes: int | None = None,
    resume: bool = False,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Generate crystals for a wish, screen them, and write a run folder.

    Args:
        conditions: keywords of ``CrystalWish.of``.
        out: run folder: candidates.csv, .cif.zip, .extxyz, .parquet, result.json, manifest.json, report.html.
        count: crystals to generate.
        minutes: time budget of the whole run; relaxations that do not fit in are left out, and said so.
        relax: largest number of relaxations, best ranked first; ``None`` for as many as time allows.
        generator: name in the catalog.
        weights: folder of your own training.
        guidance, temperature: of wyckoff-gpt.
        rules: rule file; its wish is merged with ``conditions``.
        seed: same seed, same candidates (if the time suffices for the same relaxations).
        second_opinion: judge candidates by SevenNet too.
        processes: relaxation workers.
        resume: go on with the run in ``out`` (its settings are used; see ``resume_design``).

    Returns:
        What is in result.json.

    Raises:
        UserError: conditions that cannot be met, wrong files, a folder that cannot be written.
    """
    if count < 1:
        raise UserError(f"{count} crystals cannot be generated", "count", "give a number of 1 or more")
    if seed < 0:
        raise UserError(f"the seed is {seed}", "seed", "give 0 or more")
    _check_budget(minutes, relax)
    tuning = {key: v for key, v in (("guidance", guidance), ("temperature", temperature)) if v is not None}
    if generator not in CRYSTALS:
        raise UserError(f"there is no generator '{generator}'", "generator", f"use one of {', '.join(CRYSTALS)}")
    if generator != "wyckoff-gpt" and tuning:
        raise UserError(f"the generator '{generator}' has no guidance or temperature", "generator", "leave them out")
    if guidance is not None and not 0 <= guidance < math.inf:
        raise UserError(f"a guidance of {guidance:g} steers nowhere", "guidance", "give 0 or more, such as 2")
    started = time.monotonic()
    ruleset = CrystalRules.load(rules)
    wish = ruleset.merge(conditions)
    _refuse_hopeless_formula(ruleset, wish)
    folder = output_folder(out)
    if not resume:
        _refuse_to_overwrite(folder)
    settings = {
        "conditions": _plain(conditions),
        "count": count,
        "minutes": minutes,
        "relax": relax,
        "generator": generator,
        "weights": None if weights is None else str(weights),
        "guidance": guidance,
        "temperature": temperature,
        "rules": None if rules is None else str(rules),
        "seed": seed,
        "second_opinion": second_opinion,
        "processes": processes,
    }
    state = output_folder(folder / "state")
    write_json(state / "settings.json", settings)  # before anything slow, so that Ctrl-C can always be resumed
    source = generator_named(generator, weights, **tuning)
    shown = {**settings, "rules_hash": ruleset.hash, "potential": "CHGNet 0.3.0"}
    data = [] if rules is None else [rules]
    with Manifest(folder, settings=shown, seeds={"generator": seed}, data=data, resume=resume) as manifest:
        manifest.record("generator", source.card())
        crystals, unbuilt, stage = _generated(source, wish, count, seed, state / "generated.jsonl", on_progress)
        funnel = Funnel(
            rules=ruleset,
            wish=wish,
            relax=relax,
            deadline=started + 60 * minutes * (1 - RESERVE),
            grace=60 * minutes * RESERVE * 0.8,
            second_opinion=second_opinion,
            journal=state / "relaxed.jsonl",
            processes=processes,
            on_progress=on_progress,
        )
        _record_parts(manifest, funnel, source.card())
        screened = funnel.screen(crystals)
        screened.stages.insert(0, stage)
        screened.rejected[:0] = unbuilt
        result = {
            "sozai": sozai.__version__,
            "kind": "crystals",
            "command": manifest.content["command"],
            "wish": wish.to_dict(),
            "generator": source.card(),
            "settings": shown,
        }
        return write_run(folder, result, screened, [], manifest)


def resume_design(
    folder: Path | str, minutes: float | None = None, on_progress: Progress | None = None
) -> dict[str, Any]:
    """Go on with an interrupted run: what was generated and relaxed is kept.

    Raises:
        UserError: the folder holds no run, or a damaged one.
    """
    path = Path(folder) / "state" / "settings.json"
    known = set(signature(design_crystals).parameters) - {"out", "resume", "on_progress"}
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        if set(settings) != known or not isinstance(settings, dict):
            raise ValueError("other settings")
    except OSError as error:
        raise UserError(
            "there is no run to go on with", str(folder), "name the folder given as --out before"
        ) from error
    except (ValueError, TypeError) as error:
        raise UserError(
            "the settings of the run are damaged, so it cannot go on", str(path), "start it anew in another folder"
        ) from error
    if minutes is not None:
        settings["minutes"] = minutes
    return design_crystals(**settings, out=folder, resume=True, on_progress=on_progress)


def screen_crystals(
    crystals: Sequence[Crystal],
    problems: Sequence[Problem],
    out: Path | str,
    read_seconds: float = 0.0,
    conditions: Mapping[str, Any] | None = None,
    relax: int | None = None,
    minutes: float = 5.0,
    rules: Path | str | None = None,
    novel: bool = True,
    second_opinion: bool = True,
    processes: int | None = None,
    source: Path | str | None = None,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """The same funnel on anybody's crystals; writes the same run folder.

    Args:
        crystals, problems: what ``materials.crystal_files.read_crystals`` returned.
        source: the file or folder they came from, hashed in the manifest.
        (others as in ``design_crystals``)

    Raises:
        UserError: as ``design_crystals``.
    """
    _check_budget(minutes, relax)
    started = time.monotonic()
    ruleset = CrystalRules.load(rules)
    wish = ruleset.merge(conditions) if conditions else None
    folder = output_folder(out)
    if (folder / "state" / "settings.json").exists():
        raise UserError("a run of sozai design is in this folder", str(folder), "choose another --out")
    state = output_folder(folder / "state")
    settings = {
        "conditions": _plain(conditions or {}),
        "minutes": minutes,
        "relax": relax,
        "rules": None if rules is None else str(rules),
        "rules_hash": ruleset.hash,
        "novel": novel,
        "second_opinion": second_opinion,
        "potential": "CHGNet 0.3.0",
    }
    data = [path for path in (rules, source) if path is not None]
    with Manifest(folder, settings=settings, data=data, resume=True) as manifest:
        funnel = Funnel(
            rules=ruleset,
            wish=wish,
            relax=relax,
            deadline=started + 60 * minutes * (1 - RESERVE),
            grace=60 * minutes * RESERVE * 0.8,
            second_opinion=second_opinion,
            novel=novel,
            journal=state / "relaxed.jsonl",
            processes=processes,
            on_progress=on_progress,
        )
        _record_parts(manifest, funnel)
        screened = funnel.screen(crystals)
        note = f"{len(problems)} could not be read" if problems else ""
        screened.stages.insert(0, Stage("read", len(crystals), read_seconds, note=note))
        result = {
            "sozai": sozai.__version__,
            "kind": "crystals",
            "command": manifest.content["command"],
            "wish": wish.to_dict() if wish else {},
            "generator": {"name": f"files of {source}" if source else "files"},
            "settings": settings,
        }
        return write_run(folder, result, screened, problems, manifest)


def _record_parts(manifest: Manifest, funnel: Funnel, generator: Mapping[str, Any] | None = None) -> None:
    """Hashes of all that decides a result besides the code: weights, library, calibration."""
    manifest.record("weights", {"ranker": funnel.ranker.settings.get("weights")})
    if generator and generator.get("weights"):
        manifest.record("weights", {generator["name"]: generator["weights"]})
    bundled_files = {
        "known_materials.parquet": "sozai.materials",
        "known_phases.csv.gz": "sozai.materials",
        "calibration.json": "sozai.screening",
    }
    for name, package in bundled_files.items():
        with as_file(files(package) / name) as path:
            manifest.record("bundled", {**manifest.content.get("bundled", {}), name: sha256(path)})


def write_run(
    folder: Path, result: dict[str, Any], screened: Screened, problems: Sequence[Problem], manifest: Manifest
) -> dict[str, Any]:
    """Write the candidates in all formats, result.json and report.html."""
    from pymatgen.core import Structure

    from sozai.reports.crystals import write_report

    cost = manifest.cost()
    result = {
        **result,
        "seconds": cost["seconds"],
        "energy_wh": cost["energy_wh"],
        "funnel": [stage.to_dict() for stage in screened.stages],
        "candidates": screened.candidates,
        "rejected": screened.rejected,
        "problems": [asdict(problem) for problem in problems],
        "calibration": bundled().report,
    }
    crystals = [
        Crystal(record["id"], Structure.from_dict(record["structure"]), _row(record), record["provenance"])
        for record in screened.candidates
    ]
    write_crystals(crystals, folder, columns=COLUMNS)
    write_json(folder / "result.json", result)
    write_report(result, manifest.content, folder / "report.html")
    return result


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    """A candidate's line in candidates.csv."""
    opinion = record["second_opinion"] or {}
    provenance = record["provenance"]
    return {
        **{name: record.get(name) for name in COLUMNS},
        "space_group": record["space_group"]["number"],
        "second_opinion_above_hull": opinion.get("energy_above_hull"),
        "nearest_known": (record["nearest_known"] or {}).get("id"),
        "symmetry_kept": record["relaxation"]["symmetry_kept"],
        "density": record["properties"]["density"],
        "generator": provenance.get("generator"),
        "template": provenance.get("template"),
    }


def _generated(
    source: Any, wish: CrystalWish, count: int, seed: int, path: Path, on_progress: Progress | None
) -> tuple[list[Crystal], list[dict[str, Any]], Stage]:
    """Generate, or read what an interrupted run had generated; also what was drawn but could not be built."""
    from pymatgen.core import Structure

    began = time.monotonic()
    note = f"by {source.name}"
    if path.exists():
        note += ", kept from before"
    else:
        crystals = source.sample(count, wish, seed=seed, on_progress=on_progress)
        entries = [{"id": c.id, "structure": c.structure.as_dict(), "provenance": c.provenance} for c in crystals]
        entries += [{"formula": formula, "reason": reason} for formula, reason in source.unbuilt]
        temporary = path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        temporary.replace(path)
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        unbuilt = [
            {
                "id": f"not-built-{number:04d}",
                "formula": line["formula"],
                "stage": "generated",
                "reason": line["reason"],
            }
            for number, line in enumerate(line for line in lines if "structure" not in line)
        ]
        crystals = [
            Crystal(line["id"], Structure.from_dict(line["structure"]), {}, line["provenance"])
            for line in lines
            if "structure" in line
        ]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            "the crystals of the interrupted run cannot be read",
            str(path),
            "the file is damaged: delete it to generate them again",
        ) from error
    drawn = len(crystals) + len(unbuilt)
    if drawn < count:
        note += f"; {count} asked for, {count - drawn} fewer: the wish has no more distinct ones to draw"
    dropped = Counter({"could not be built": len(unbuilt)} if unbuilt else {})
    return crystals, unbuilt, Stage("generated", len(crystals), time.monotonic() - began, dropped, note)


def _check_budget(minutes: float, relax: int | None) -> None:
    if not 0 < minutes < math.inf:
        raise UserError(f"{minutes:g} minutes are no time to work in", "minutes", "give a number above 0")
    if relax is not None and relax < 1:
        raise UserError(f"{relax} relaxations cannot be done", "relax", "give a number of 1 or more")


def _refuse_hopeless_formula(ruleset: CrystalRules, wish: CrystalWish) -> None:
    """A formula that breaks a hard rule could only be generated in vain: say so before the work."""
    if wish.formula is None:
        return
    for verdict in ruleset.check_composition(wish.formula, wish):
        if verdict.fatal:
            raise UserError(
                f"every crystal of this formula breaks the hard rule '{verdict.rule}': {verdict.message}",
                "formula",
                f"wish for another formula, or give --rules a file in which '{verdict.rule}' is soft",
            )


def _refuse_to_overwrite(folder: Path) -> None:
    """A run that was refused before it generated anything is none: the mended wish may use its folder."""
    if (folder / "state" / "generated.jsonl").exists():
        mend = f"go on with it (--resume {folder}), or choose another --out"
        raise UserError("a run is in this folder already", str(folder), mend)
    if (folder / "result.json").exists():
        raise UserError("results are in this folder already", str(folder), "choose another --out")


def _plain(conditions: Mapping[str, Any]) -> dict[str, Any]:
    """Conditions as JSON can keep them and ``CrystalWish.of`` reads them again."""
    return {
        key: list(value) if isinstance(value, tuple | set | frozenset) else value
        for key, value in conditions.items()
        if value is not None
    }
