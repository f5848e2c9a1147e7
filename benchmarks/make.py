"""Joins the sections in docs/benchmarks/ into docs/benchmarks.md.

    python benchmarks/make.py

Each benchmark writes its own section, with the command, date and machine under its tables; this puts them in order.
"""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

import common

TABLES = ["quality", "rules", "generators", "leaks", "augment", "experiments"]
ORDER = [
    "generation", "stability", "relaxation", "wyckoff_form", "published", "samplers", "language", "peers",
    *(f"tables_{name}" for name in TABLES), "cif_build", "cif_audit", "extraction", "ask", "equations_ode",
    "equations_pde", "preferences",
]  # fmt: skip
HEAD = """# Benchmarks

What sozai's parts do, in numbers, each with the command that gives it. Crystals and energies of the data sets are not
part of the repository; a command names its files without their folders. Joined on {date} by
`python benchmarks/make.py` on {machine}; {versions}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sections", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks.md"))
    options = parser.parse_args()
    places = {name: place for place, name in enumerate(ORDER)}
    paths = sorted(options.sections.glob("*.md"), key=lambda path: (places.get(path.stem, len(ORDER)), path.stem))
    if not paths:
        parser.error(f"there is no section in {options.sections}; run a benchmark first")
    texts = [path.read_text(encoding="utf-8").strip() for path in paths]
    titles = [text.splitlines()[0].removeprefix("## ") for text in texts]
    contents = "\n".join(f"- [{title}](#{anchor(title)})" for title in titles)
    head = HEAD.format(date=date.today().isoformat(), machine=common.machine(), versions=common.versions())
    options.out.write_text("\n\n".join([head.strip(), contents, *texts]) + "\n", encoding="utf-8")
    print(f"{options.out}: {', '.join(path.stem for path in paths)}")


def anchor(title: str) -> str:
    """The anchor that GitHub gives a heading."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c == "-")


if __name__ == "__main__":
    main()
