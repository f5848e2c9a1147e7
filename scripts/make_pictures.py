"""Make the pictures of the README from a run: docs/images.

    python scripts/make_pictures.py run/demo

funnel.svg and candidate.svg are drawn by sozai; report.png is the top of report.html and candidate.png one of its
candidates, as headless Chromium shows them (left as they are where there is no Chromium).
"""

import argparse
import json
import sys
import time
from pathlib import Path

from pymatgen.core import Structure

from sozai.reports.structure_view import candidate_svg
from sozai.reports.svg import funnel_svg, save_svg

ROOT = Path(__file__).resolve().parents[1]
LARGEST = 300_000  # bytes of a picture in the repository
NARROWEST = 800  # pixels, down to which a report is shown narrower to stay below that


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--rank", type=int, default=1, help="the candidate to draw")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/images")
    options = parser.parse_args()
    result = json.loads((options.run / "result.json").read_text(encoding="utf-8"))
    if not 1 <= options.rank <= len(result["candidates"]):
        raise SystemExit(f"the run has {len(result['candidates'])} candidates, none of rank {options.rank}")
    options.out.mkdir(parents=True, exist_ok=True)
    structure = Structure.from_dict(result["candidates"][options.rank - 1]["structure"])
    written = [
        save_svg(funnel_svg(result, standalone=True), options.out / "funnel.svg"),
        save_svg(candidate_svg(structure, standalone=True), options.out / "candidate.svg"),
        *photographs(options.run / "report.html", options.out, options.rank),
    ]
    for path in written:
        print(f"{path}  {path.stat().st_size / 1e3:.0f} kB")


def photographs(report: Path, folder: Path, rank: int) -> list[Path]:
    """The top of the report and one of its candidates, each narrower until it is small enough."""
    sys.path.insert(0, str(ROOT / "tests"))
    import chromium

    if chromium.COMMAND is None:
        print("no Chromium here: report.png and candidate.png are not made anew")
        return []
    written = []
    for name, place, height in (("report.png", "", 860), ("candidate.png", f"#c{rank}", 760)):
        for width in range(1120, NARROWEST - 1, -80):
            with chromium.Browser(width, height) as browser:
                browser.open(report)
                if place:
                    scroll = "scrollIntoView({behavior: 'instant'})"
                    browser.run(f"document.querySelector('{place}').{scroll}")
                    browser.wait(f"document.querySelector('{place} .view.live canvas') !== null")
                    time.sleep(2)  # the 3-D view's first frame
                path = browser.picture(folder / name)
            if path.stat().st_size <= LARGEST:
                break
        written.append(path)
    return written


if __name__ == "__main__":
    main()
