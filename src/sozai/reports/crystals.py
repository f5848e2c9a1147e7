"""The report of a crystal run: one HTML file with pictures that never asks the network for anything."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from sozai.errors import UserError
from sozai.reports import svg, words
from sozai.reports.diffraction import MAX_SITES, TWO_THETA, diffraction_svg, powder_peaks
from sozai.reports.structure_view import Cell, drawn_cell, scene, scene_svg

_TEMPLATES = Path(__file__).parent / "templates"
MAX_REJECTED = 400
"""Rows of the list of what fell out; ``result.json`` has them all."""


def write_report(
    result: Mapping[str, Any], manifest: Mapping[str, Any] | None, path: str | Path, max_candidates: int = 60
) -> Path:
    """Write ``report.html`` of a run.

    The file holds everything it needs, Plotly included (compressed), and forbids itself any network access
    by its Content-Security-Policy; scripts run only if their hash is listed there.

    Args:
        result: the ``result.json`` of a run. Every part but ``candidates`` may be missing.
        manifest: the ``manifest.json`` of a run, shown as it is.
        path: file to write; its folder is made if it is missing.
        max_candidates: cards with pictures; candidates after these are in the table only.

    Raises:
        UserError: the file cannot be written.
    """
    path = Path(path)
    page = render_report(result, manifest, max_candidates)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UserError(
            f"the report cannot be written ({error.strerror})", str(path), "choose a folder you may write to"
        ) from error
    return path


def render_report(
    result: Mapping[str, Any], manifest: Mapping[str, Any] | None = None, max_candidates: int = 60
) -> str:
    """The report as HTML text; see ``write_report``."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(
        formula=words.formula_html, group=words.space_group_html, num=words.number, seconds=svg.seconds_words
    )
    manifest = manifest or {}
    candidates = list(result.get("candidates") or [])
    shown = [_card(candidate, position) for position, candidate in enumerate(candidates[:max_candidates])]
    rows = [*shown, *(_row(c, p) for p, c in enumerate(candidates[max_candidates:], start=len(shown)))]
    script = (_TEMPLATES / "report.js").read_text(encoding="utf-8")
    plotly, plotly_hash = _packed_plotly() if any(card["scene"] for card in shown) else ("", "")
    hashes = [_script_hash(script), plotly_hash] if plotly else [_script_hash(script)]
    rejected = list(result.get("rejected") or [])
    page = environment.get_template("report.html.j2").render(
        script_sources=Markup(" ").join(Markup("'sha256-{}'").format(Markup(h)) for h in hashes),
        style=Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        plotly=plotly,
        plotly_hash=plotly_hash,
        command=str(result.get("command") or ""),
        manifest_text=_pretty(manifest),
        settings=_settings(result, manifest),
        title=words.wish_title(result.get("wish") or {}),
        wish=words.wish_sentence(result.get("wish") or {}),
        verdict=words.verdict_sentence(result),
        found=any(c.get("stability") in ("stable", "metastable") for c in candidates),
        facts=_facts(result, manifest),
        funnel=_funnel(result),
        funnel_wide=svg.funnel_svg(result, wide=True),
        funnel_narrow=svg.funnel_svg(result, wide=False),
        cards=shown,
        rows=rows,
        reliability=_reliability(result),
        calibration=_only(result.get("calibration") or {}, "data", "expected_calibration_error"),
        rejected=[_only(item, "id", "formula", "stage", "reason") for item in rejected[:MAX_REJECTED]],
        rejected_total=len(rejected),
        problems=[_only(item, "where", "reason", "mend") for item in result.get("problems") or []],
        near_hull=words.NEAR_HULL,
        two_theta=TWO_THETA,
        version=str(result.get("sozai") or ""),
    )
    return str(page)


def _only(plain: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """The named entries; one that is missing or null becomes ``""`` (``None`` for a verdict's ``passed``)."""
    return {key: value if (value := plain.get(key)) is not None or key == "passed" else "" for key in keys}


def _other(opinion: Mapping[str, Any] | None) -> dict[str, Any]:
    """The second potential's numbers, ``None`` where one is missing."""
    if not opinion:
        return {}
    energies = {"energy": opinion.get("energy_per_atom"), "hull": opinion.get("energy_above_hull")}
    return {"potential": str(opinion.get("potential") or "second potential"), **energies}


def _script_hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


@cache
def _packed_plotly() -> tuple[str, str]:
    """Plotly's script, gzipped and in base64 (2 MB instead of 4.8), and the hash that allows it to run."""
    from plotly.offline import get_plotlyjs

    script = get_plotlyjs().replace("\r\n", "\n")
    packed = gzip.compress(script.encode("utf-8"), compresslevel=9, mtime=0)
    return base64.b64encode(packed).decode("ascii"), _script_hash(script)


def _row(candidate: Mapping[str, Any], position: int) -> dict[str, Any]:
    """What the table needs of a candidate; a value that is missing becomes ``None``."""
    verdicts = [_only(verdict, "rule", "passed", "message", "severity") for verdict in candidate.get("verdicts") or []]
    relaxation = candidate.get("relaxation") or {}
    before, after = relaxation.get("space_group_before"), relaxation.get("space_group_after")
    kept = relaxation.get("symmetry_kept", None if before is None or after is None else before == after)
    group = candidate.get("space_group") or {}
    return {
        "anchor": f"c{position + 1}",
        "has_card": False,
        "id": str(candidate.get("id", position + 1)),
        "rank": candidate.get("rank", position + 1),
        "formula": str(candidate.get("formula", "?")),
        "group_symbol": str(group.get("symbol") or "?"),
        "group_number": group.get("number"),
        "n_sites": candidate.get("n_sites"),
        "hull": candidate.get("energy_above_hull"),
        "hull_note": str(candidate.get("hull_note") or ""),
        "stability": str(candidate.get("stability") or "unknown"),
        "probability": candidate.get("probability_metastable"),
        "opinion": words.second_opinion(candidate),
        "kept": kept,
        "converged": relaxation.get("converged"),
        "passed": [v for v in verdicts if v["passed"] is True],
        "failed": [v for v in verdicts if v["passed"] is False],
        "unknown": [v for v in verdicts if v["passed"] is None],
    }


def _card(candidate: Mapping[str, Any], position: int) -> dict[str, Any]:
    """A row with everything its card shows, pictures included."""
    card = _row(candidate, position)
    provenance = dict(candidate.get("provenance") or {})
    probability, nearest = card["probability"], candidate.get("nearest_known")
    card |= {
        "has_card": True,
        "energy": candidate.get("energy_per_atom"),
        "other": _other(candidate.get("second_opinion")),
        "stability_sentence": words.stability_sentence(candidate),
        "decomposition": words.decomposition_sentence(candidate),
        "gauge": svg.gauge_svg(probability) if probability is not None else "",
        "probability_sentence": words.probability_words(probability),
        "relaxation": words.relaxation_sentence(candidate.get("relaxation")),
        "nearest": nearest and _only(nearest, "id", "formula", "space_group", "note"),
        "properties": {k.replace("_", " "): _plain(v) for k, v in (candidate.get("properties") or {}).items()},
        "provenance": {k.replace("_", " "): _plain(v) for k, v in provenance.items() if v is not None},
        "scene": None, "picture": "", "cell": None, "diffraction": "", "diffraction_note": "", "cif": "",
        "file": re.sub(r"[^A-Za-z0-9._-]+", "_", f"{card['id']}_{card['formula']}") + ".cif",
        "structure_note": "",
    }  # fmt: skip
    try:
        structure = _structure(candidate.get("structure"))
    except Exception as error:  # a foreign result.json may hold anything here; the rest of the card stands
        card["structure_note"] = f"No picture: the structure cannot be read ({error})."
        return card
    cell = drawn_cell(structure)
    card["cell"] = _cell_facts(cell, structure)
    card["scene"] = scene(cell)
    card["picture"] = scene_svg(card["scene"], card["formula"], prefix=f"{card['anchor']}-")
    card["cif"] = _cif_link(structure)
    if len(cell.structure) > MAX_SITES:
        card["diffraction_note"] = f"No diffraction pattern: the cell has more than {MAX_SITES} atoms."
    else:
        card["diffraction"] = diffraction_svg(powder_peaks(cell.structure), card["formula"])
    return card


def _structure(plain: Any) -> Any:
    from pymatgen.core import Structure

    if not plain:
        raise ValueError("the result holds none")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        structure = plain if isinstance(plain, Structure) else Structure.from_dict(plain)
    if not structure.is_ordered or len(structure) == 0:
        raise ValueError("it is disordered or empty")
    structure = structure.copy()
    structure.remove_oxidation_states()
    return structure


def _cif_link(structure: Any) -> str:
    """The relaxed structure exactly as computed, as a ``data:`` link that works without scripts."""
    from pymatgen.io.cif import CifWriter

    text = str(CifWriter(structure))
    return "data:chemical/x-cif;base64," + base64.b64encode(text.encode("utf-8")).decode("ascii")


def _cell_facts(cell: Cell, given: Any) -> dict[str, Any]:
    lattice = cell.structure.lattice
    return {
        "conventional": cell.conventional,
        "number": cell.number,
        "symbol": cell.symbol,
        "abc": [float(length) for length in lattice.abc],
        "angles": [float(angle) for angle in lattice.angles],
        "volume": float(lattice.volume),
        "density": float(cell.structure.density),
        "n_sites": len(cell.structure),
        "n_given": len(given),
        "given": [*map(float, given.lattice.abc), *map(float, given.lattice.angles)],
        "sites": cell.sites,
    }


def _facts(result: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The short facts under the headline."""
    generator = (result.get("generator") or {}).get("name")
    potential, other = _find("potential", result, manifest), _second_potential(result, manifest)
    seed = _find("seed", result, manifest)
    facts = [
        ("Time", svg.seconds_words(result.get("seconds"))),
        ("Energy used", words.energy_words(result.get("energy_wh"))),
        ("Generator", _plain(generator) if generator else "none (files were read)"),
        ("Potential", _plain(potential) if potential else "not stated"),
        ("Second opinion", other or "not asked"),
        ("Random seed", _plain(seed) if seed is not None else "not stated"),
    ]
    return facts


def _find(key: str, result: Mapping[str, Any], manifest: Mapping[str, Any]) -> Any:
    for place in (result, result.get("settings"), result.get("generator"), manifest, manifest.get("settings")):
        if isinstance(place, Mapping) and place.get(key) is not None:
            return place[key]
    return None


def _second_potential(result: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    for candidate in result.get("candidates") or []:
        if candidate.get("second_opinion"):
            return str(candidate["second_opinion"].get("potential") or "")
    return _plain(_find("second_opinion", result, manifest) or "")


def _funnel(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for stage in result.get("funnel") or []:
        title, meaning = svg.stage_words(str(stage.get("stage", "")))
        rows.append({"title": title, "meaning": meaning, "count": int(stage.get("count") or 0),
                     "seconds": stage.get("seconds"), "dropped": svg.fell_out(stage),
                     "note": str(stage.get("note") or "")})  # fmt: skip
    return rows


def _reliability(result: Mapping[str, Any]) -> Markup | str:
    table = (result.get("calibration") or {}).get("table") or []
    return svg.reliability_svg(list(table)) if table else ""


def _settings(result: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    settings = result.get("settings") or manifest.get("settings") or {}
    return [(str(key).replace("_", " "), _plain(value)) for key, value in settings.items()]


def _plain(value: Any) -> str:
    """A value of unknown kind as short text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (Mapping, list, tuple)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "none" if value is None else str(value)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
