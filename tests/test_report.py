"""The crystal report: what it says, that nothing breaks out of it, and how it behaves in a real browser."""

import base64
import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import chromium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from sozai.errors import UserError
from sozai.reports import words
from sozai.reports.crystals import render_report, write_report
from sozai.reports.diffraction import miller, powder_peaks, profile
from sozai.reports.structure_view import candidate_svg, drawn_cell, scene
from sozai.reports.svg import funnel_svg, gauge_svg, percent, reliability_svg, save_svg, seconds_words

EVIL = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"


def salt(a: float = 5.64) -> Structure:
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def perovskite() -> Structure:
    lattice = Lattice.cubic(3.905)
    return Structure(lattice, ["Sr", "Ti", "O", "O", "O"],
                     [[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])  # fmt: skip


def candidate(position: int, structure: Structure, hull: float | None = 0.03, **more) -> dict:
    verdict = {"amount": 0.0, "unit": "", "severity": "hard"}
    return {
        "id": f"s-{position}", "rank": position, "formula": structure.composition.reduced_formula,
        "space_group": {"number": 225, "symbol": "Fm-3m"}, "n_sites": len(structure),
        "energy_per_atom": -3.4, "energy_above_hull": hull, "hull_note": "" if hull is not None else "too few",
        "stability": "unknown" if hull is None else "metastable" if hull > 0 else "stable",
        "decomposition": [{"formula": "Na", "fraction": 0.5, "id": "mp-127"}, {"formula": "Cl2", "fraction": 0.5}],
        "probability_metastable": None if hull is None else 0.81,
        "second_opinion": {"potential": "sevennet-l3i5", "energy_per_atom": -3.1, "energy_above_hull": 0.2},
        "relaxation": {"steps": 21, "converged": True, "max_force": 0.03, "seconds": 0.9,
                       "space_group_before": 225, "space_group_after": 225, "symmetry_kept": True},
        "verdicts": [verdict | {"rule": "charge_neutrality", "passed": True, "message": "Charges add up."},
                     verdict | {"rule": "bond_valence", "passed": None, "message": "No parameters."},
                     verdict | {"rule": "volume", "passed": False, "message": "Too loose.", "severity": "soft"}],
        "nearest_known": {"id": "mp-22862", "formula": "NaCl", "space_group": 225, "note": "same formula"},
        "properties": {"density": 2.1}, "provenance": {"generator": "wyckoff-gpt", "seed": 0},
        "structure": structure.as_dict(),
    } | more  # fmt: skip


def result(*candidates: dict) -> dict:
    return {
        "sozai": "0.1.0", "kind": "crystals", "command": "sozai design crystals --elements Na,Cl",
        "wish": {"elements": ["Cl", "Na"], "min_atoms": 1, "max_atoms": 20, "targets": {"band_gap": 2.0}},
        "generator": {"name": "wyckoff-gpt"}, "settings": {"potential": "chgnet", "seed": 7},
        "seconds": 251.0, "energy_wh": 1.1,
        "funnel": [{"stage": "generated", "count": 200, "seconds": 3.0, "dropped": {}, "note": ""},
                   {"stage": "valid", "count": 150, "seconds": 2.0, "dropped": {"not neutral": 50}, "note": ""},
                   {"stage": "stable", "count": 2, "seconds": 1.0, "dropped": {"above the hull": 148}}],
        "candidates": list(candidates),
        "rejected": [{"id": "x-1", "formula": "Na2Cl", "stage": "valid", "reason": "not neutral"}],
        "problems": [{"where": "a.cif, line 3", "reason": "cut off", "mend": "export it again"}],
        "calibration": {"table": [{"predicted": 0.1, "observed": 0.12, "count": 90},
                                  {"predicted": 0.9, "observed": 0.85, "count": 30}],
                        "expected_calibration_error": 0.034, "data": "900 known materials"},
    }  # fmt: skip


class Reader(HTMLParser):
    """Tags with their attributes, and the text outside scripts and styles."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self._silent = False
        self.feed(page)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._silent = tag in ("script", "style")

    def handle_endtag(self, tag):
        self._silent = False

    def handle_data(self, data):
        if not self._silent:
            self.words.append(data)


@pytest.fixture(scope="module")
def page() -> str:
    return render_report(result(candidate(1, salt(), -0.004), candidate(2, perovskite(), None)), {"seed": 7})


def test_says_what_the_run_found(page):
    text = Reader(page).text
    for part in (
        "Crystals of chlorine and sodium", "made of Cl and Na and nothing else", "band gap 2 eV",
        "200 generated, 150 chemically sensible → 1 crystal within 0.1 eV/atom of the hull, 1 of them on or below it",
        "too few known materials", "4 min 11 s", "chgnet", "Charges add up.", "Too loose.", "No parameters.",
        "mp-22862", "50% in Na (mp-127)", "Came to rest after 21 steps", "not neutral", "a.cif, line 3",
        "900 known materials", "3.4 percentage points", "It is not DFT", "sevennet-l3i5 disagrees", "Random seed 7",
    ):  # fmt: skip
        assert part in text, part


def test_page_points_to_nothing_outside(page):
    tags = Reader(page).tags
    policy = next(a["content"] for t, a in tags if t == "meta" and a.get("http-equiv"))
    assert policy.startswith("default-src 'none'") and "unsafe-eval" not in policy and "http" not in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    for _, attributes in tags:
        for name in ("src", "href", "action", "data", "srcset", "poster"):
            value = attributes.get(name) or ""
            assert value.startswith(("#", "data:")) or not value, value
    css = re.search(r"<style>(.*?)</style>", page, re.S).group(1)
    assert "url(" not in css and "@import" not in css


def test_words_of_others_stay_words():
    bad = candidate(1, salt(), formula=EVIL, id=EVIL, stability=EVIL, hull_note=EVIL)
    bad["space_group"]["symbol"] = EVIL
    bad["verdicts"] = [{"rule": EVIL, "passed": False, "message": EVIL, "severity": "hard"}]
    bad["nearest_known"] = {"id": EVIL, "formula": EVIL, "note": EVIL}
    bad["provenance"] = {EVIL: EVIL, "gene": "</script>" + EVIL}
    bad["decomposition"] = [{"formula": EVIL, "id": EVIL, "fraction": 0.5}, {"formula": EVIL}]
    bad["second_opinion"]["potential"] = EVIL
    run = result(bad)
    run["command"] = run["generator"]["name"] = run["calibration"]["data"] = EVIL
    run["wish"] = {"elements": [EVIL], "targets": {EVIL: 1.0}}
    run["funnel"][1]["dropped"] = {EVIL: 3}
    run["funnel"][2]["stage"] = run["funnel"][2]["note"] = EVIL
    run["rejected"] = run["problems"] = [{k: EVIL for k in ("id", "formula", "stage", "reason", "where", "mend")}]
    run["settings"] = {EVIL: EVIL}
    reader = Reader(render_report(run, {EVIL: EVIL}))
    names = [tag for tag, _ in reader.tags]
    assert "img" not in names
    assert names.count("script") == 3  # the scene, Plotly, ours
    assert not any(key.startswith("on") for _, attributes in reader.tags for key in attributes)
    assert "alert(1)" in reader.text


def test_missing_parts_are_told_and_break_nothing():
    assert "No candidate was left" in render_report({})
    bare = {"candidates": [{"id": "a", "formula": "NaCl"}, {"id": "b", "formula": "KCl", "structure": {"x": 1}}]}
    text = Reader(render_report(bare, None)).text
    assert text.count("No picture: the structure cannot be read") == 2
    assert "Not relaxed." in text and "none found in the reference" in text
    assert 'id="plotly-packed"' not in render_report(bare)  # no structure, no 2 MB


def test_candidates_beyond_the_cards_are_in_the_table():
    page = render_report(result(*(candidate(i, salt()) for i in range(1, 6))), max_candidates=2)
    assert page.count('<article class="card"') == 2
    assert page.count('<td data-value="NaCl"') == 5
    assert "2 of 5 have a card here" in page


def test_cif_link_holds_the_structure(page):
    link = next(a["href"] for t, a in Reader(page).tags if t == "a" and "download" in a)
    text = base64.b64decode(link.split(",", 1)[1]).decode()
    found = Structure.from_str(text, fmt="cif")
    assert found.composition == salt().composition and found.volume == pytest.approx(salt().volume, rel=1e-3)


def test_unwritable_place_is_the_users_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="report cannot be written"):
        write_report(result(), {}, tmp_path / "file" / "report.html")
    with pytest.raises(UserError, match="picture cannot be written"):
        save_svg("<svg/>", tmp_path / "none" / "a.svg")


def test_salt_is_drawn_with_its_border_images():
    primitive = salt().get_primitive_structure()
    cell = drawn_cell(primitive)
    assert (cell.conventional, cell.number, len(cell.structure)) == (True, 225, 8)
    assert {(row["element"], row["wyckoff"]) for row in cell.sites} == {("Na", "4a"), ("Cl", "4b")}
    view = scene(cell)
    per_element = np.bincount([atom[3] for atom in view["atoms"]])
    assert sorted(per_element) == [13, 14]  # 8 corners + 6 faces; 12 edges + the centre
    lengths = [np.linalg.norm(np.subtract(s[:3], s[3:6])) for s in view["sticks"]]
    assert np.allclose(lengths, 5.64 / 4, atol=2e-3)  # half of every Na-Cl contact, and no Na-Na
    assert len(view["sticks"]) == 2 * 54  # a 2x2x2 block of cubes has 54 edges
    json.dumps(view)


def test_large_conventional_cells_are_drawn_as_given():
    cell = drawn_cell(salt().get_primitive_structure(), max_sites=4)
    assert (cell.conventional, len(cell.structure)) == (False, 2)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 0.9999), min_size=3, max_size=3))
def test_every_atom_is_drawn_inside_the_cell_or_on_its_border(xyz):
    structure = Structure(Lattice.from_parameters(4, 5, 6, 80, 95, 110), ["Fe", "S"], [xyz, [0.31, 0.77, 0.52]])
    view = scene(drawn_cell(structure))
    matrix = np.array(view["cell"])
    fractions = (np.array([a[:3] for a in view["atoms"]]) - view["origin"]) @ np.linalg.inv(matrix)
    assert fractions.min() > -0.03 and fractions.max() < 1.03
    assert {a[4] for a in view["atoms"]} == set(range(len(view["labels"])))


def test_salt_diffraction_is_the_textbooks():
    peaks = {peak.hkl: peak for peak in powder_peaks(salt())}
    strongest = max(peaks.values(), key=lambda peak: peak.intensity)
    assert strongest.hkl == "200" and strongest.two_theta == pytest.approx(31.7, abs=0.1)
    assert peaks["220"].two_theta == pytest.approx(45.45, abs=0.1)
    assert "100" not in peaks and "110" not in peaks
    angles, values = profile(list(peaks.values()))
    assert angles[values.argmax()] == pytest.approx(strongest.two_theta, abs=0.05)
    assert values.max() == pytest.approx(100)
    assert profile([])[1].max() == 0


def test_standalone_pictures_are_whole_svg_files(tmp_path):
    for picture in (funnel_svg(result(), standalone=True), candidate_svg(perovskite(), standalone=True),
                    reliability_svg(result()["calibration"]["table"], standalone=True)):  # fmt: skip
        path = save_svg(picture, tmp_path / "picture.svg")
        root = ElementTree.parse(path).getroot()
        assert root.tag.endswith("svg") and float(root.get("width")) > 100
        numbers = re.findall(r"nan|inf", path.read_text())
        assert not numbers


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=8), st.booleans())
def test_funnel_bars_are_as_wide_as_their_counts(counts, wide):
    stages = [{"stage": "valid", "count": count} for count in counts]
    root = ElementTree.fromstring(funnel_svg({"funnel": stages}, wide))
    widths = [float(bar.get("width")) for bar in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert len(widths) == len(counts)
    full = 350 if wide else 352
    for width, count in zip(widths, counts, strict=True):
        assert width == pytest.approx(max(3, full * count / max(1, *counts)), abs=0.06)


@given(st.floats(0, 1))
def test_gauge_and_percent_never_claim_certainty(share):
    ElementTree.fromstring(gauge_svg(share))
    if 0 < share < 1:
        assert percent(share) not in ("0%", "100%")


def test_words():
    assert words.formula_html("Ca3(PO4)2") == "Ca<sub>3</sub>(PO<sub>4</sub>)<sub>2</sub>"
    assert words.space_group_html("P6_3/mmc") == "P6<sub>3</sub>/mmc"
    assert words.space_group_html("Fm-3m") == 'Fm<span class="bar">3</span>m'
    assert words.number(-0.0001) == "0.000" and words.number(-0.25) == "−0.250"
    assert [seconds_words(s) for s in (0.41, 59.7, 200, 3900)] == ["0.4 s", "1 min", "3 min 20 s", "1 h 5 min"]
    assert miller((1, 0, -4)) == "1 0 −4" and miller((1, 0, 4)) == "104"
    sentence = words.wish_sentence({"formula": {"Li": 3, "P": 1, "S": 4}, "space_group": [62, 31], "min_atoms": 4,
                                    "max_atoms": 4, "at_least": {"Li": 0.2}, "forbidden": ["Pb"]})  # fmt: skip
    for part in ("formula Li3PS4", "space groups 62 or 31", "exactly 4 atoms", "at least 20% Li", "no Pb"):
        assert part in sentence


@pytest.mark.parametrize(("mine", "theirs", "state"), [(0.02, 0.09, "agree"), (0.2, 0.3, "agree"),
                         (0.02, 0.12, "disagree"), (None, 0.1, "unknown"), (0.1, None, "unknown")])  # fmt: skip
def test_second_opinion(mine, theirs, state):
    asked = {"energy_above_hull": mine, "second_opinion": {"potential": "p", "energy_above_hull": theirs}}
    assert words.second_opinion(asked)["state"] == state
    assert words.second_opinion({})["state"] == "none"


browser_needed = pytest.mark.skipif(chromium.COMMAND is None, reason="no chromium on this machine")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    shapes = [salt, perovskite]
    many = [candidate(i, shapes[i % 2](), hull=None if i == 5 else 0.01 * (i * 7 % 12)) for i in range(1, 13)]
    return write_report(result(*many), {"seed": 7}, tmp_path_factory.mktemp("report") / "report.html")


LIVE = "document.querySelectorAll('.view.live').length"


@browser_needed
def test_in_a_browser(report, tmp_path):
    with chromium.Browser() as browser:
        browser.open(report)
        browser.run("document.getElementById('c1').scrollIntoView({behavior: 'instant'})")
        browser.wait("document.querySelector('#c1 .view.live canvas') !== null")
        drawn = browser.run("Plotly.version + ' ' + document.querySelector('#c1 .solid').data.length")
        assert drawn.endswith(" 5")  # three elements, the cell's edges, the letters of its axes

        # Sorting: by height above the hull, both ways; the unknown stays last.
        column = "[...document.querySelectorAll('#table tbody tr')].map(r => r.cells[3].dataset.value)"
        head = "document.querySelectorAll('#table th button')[3].click()"
        browser.run(head)
        up = browser.run(column)
        assert up[-1] == "" and [float(v) for v in up[:-1]] == sorted(float(v) for v in up[:-1])
        browser.run(head)
        down = browser.run(column)
        assert down[-1] == "" and down[:-1] == sorted(up[:-1], key=float, reverse=True) and up != down

        # Views come and go with scrolling, so that no context is lost however many candidates there are.
        for card in [3, 5, 7, 9, 11, 12, 1]:
            browser.run(f"document.getElementById('c{card}').scrollIntoView({{behavior: 'instant'}})")
            browser.wait(f"document.querySelector('#c{card} .view.live canvas') !== null")
            assert 1 <= browser.run(LIVE) <= 8
        browser.scheme("dark")
        browser.wait("getComputedStyle(document.body).backgroundColor === 'rgb(16, 21, 26)'")
        browser.wait("document.querySelector('#c1 .view.live canvas') !== null")
        assert browser.picture(tmp_path / "page.png").stat().st_size > 10_000

        # A request that is tried all the same is refused by the page's own policy.
        refused = browser.run("fetch('https://example.org/').then(() => 'sent', () => 'refused')")
        assert refused == "refused"
        outside = [url for url in browser.requests if not url.startswith(("file:", "data:", "blob:"))]
        assert outside in ([], ["https://example.org/"])  # told about our own attempt at most
        others = [text for text in browser.complaints if "example.org" not in text and "Canvas2D" not in text]
        assert others == []

        # Nothing sticks out on a telephone.
        browser.resize(360, 740)
        assert browser.run("document.documentElement.scrollWidth") <= 360


@browser_needed
def test_without_webgl_the_flat_pictures_stay(report):
    with chromium.Browser(webgl=False) as browser:
        browser.open(report)
        browser.run("document.getElementById('c1').scrollIntoView({behavior: 'instant'})")
        assert browser.run(LIVE) == 0
        box = "(e => getComputedStyle(e).visibility + e.querySelectorAll('circle').length)"
        assert browser.run(f"{box}(document.querySelector('#c1 .flat'))") == "visible15"
        assert browser.run("window.Plotly === undefined")
