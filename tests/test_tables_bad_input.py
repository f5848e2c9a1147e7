"""Mistakes with tables: one sentence that says what and where, exit code 2, no traceback, nothing written over."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from sozai.cli.app import app

RULES = {
    "broken.yaml": "rules: [",
    "unknown.yaml": "rules:\n  - Clay <= 3\n",
    "nonsense.yaml": "rules:\n  - shape: round\n",
    "contradictory.yaml": "rules:\n  - Water <= 150\n  - Water >= 180\n",
    "impossible_sum.yaml": "rules:\n  - sum: [Cement, Water]\n    total: 1\n  - Cement >= 100\n",
    "wrong_unit.yaml": "rules:\n  - unit: Strength\n    is: kg/m^3\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "Cement": rng.uniform(100, 500, 40).round(1),
            "Water": rng.uniform(120, 220, 40).round(1),
            "Grade": rng.choice(["low", "high"], 40),
            "Same": 7.0,
            "Empty": np.nan,
            "Remark": [f"as batch {i}, see the notebook" for i in range(40)],
            "Strength [MPa]": rng.uniform(10, 80, 40).round(2),
        }
    )
    frame.to_csv(made / "mixes.csv", index=False)
    frame.head(4).to_csv(made / "few.csv", index=False)
    (made / "nothing.csv").write_text("")
    (made / "heading.csv").write_text("Cement,Water\n")
    (made / "words.csv").write_text("a\n" + "word\n" * 30)
    (made / "picture.csv").write_bytes(bytes(range(256)) * 20)
    for name, text in RULES.items():
        (made / name).write_text(text)
    return made


CHECK, AUGMENT, DESIGN = ["check"], ["augment", "--out", "OUT"], ["design", "--out", "OUT"]
GENERATE = ["generate", "--out", "OUT", "--table"]
MIXES, GOAL = "mixes.csv", ["--maximise", "Strength"]
CASES = [
    ([*CHECK, "none.csv"], "none.csv"),
    ([*CHECK, "nothing.csv"], "empty"),
    ([*CHECK, "heading.csv"], "rows"),
    ([*CHECK, "picture.csv"], "picture.csv"),
    ([*CHECK, MIXES, "--kinds", "Cement=colour"], "colour"),
    ([*CHECK, MIXES, "--kinds", "Cement"], "COLUMN=VALUE"),
    ([*CHECK, MIXES, "--kinds", "Grade=count"], "Grade"),
    ([*CHECK, MIXES, "--units", "Strength=furlong"], "Strength"),
    ([*CHECK, MIXES, "--units", "Strength=wibble"], "wibble"),
    ([*CHECK, MIXES, "--target", "Strenght"], "Strenght"),
    ([*CHECK, MIXES, "--target", "Remark"], "Remark"),
    ([*CHECK, MIXES, "--rules", "missing.yaml"], "missing.yaml"),
    ([*CHECK, MIXES, "--rules", "broken.yaml"], "broken.yaml"),
    ([*CHECK, MIXES, "--rules", "unknown.yaml"], "Clay"),
    ([*CHECK, MIXES, "--rules", "nonsense.yaml"], "shape"),
    ([*CHECK, MIXES, "--rules", "wrong_unit.yaml"], "Strength"),
    ([*CHECK, MIXES, "--schema", "missing.yaml"], "missing.yaml"),
    ([*GENERATE, MIXES, "--method", "magic"], "magic"),
    ([*GENERATE, MIXES, "--count", "0"], "0"),
    ([*GENERATE, MIXES, "--minutes", "0"], "--minutes"),
    ([*GENERATE, MIXES, "--given", "Water >= 900"], "Water"),
    ([*GENERATE, MIXES, "--given", "Water >= 180", "--given", "Water <= 150"], "Water"),
    ([*GENERATE, MIXES, "--given", "Wat >= 3"], "Wat"),
    ([*GENERATE, MIXES, "--given", "import os"], "import os"),
    ([*GENERATE, MIXES, "--rules", "contradictory.yaml"], "Water"),
    ([*GENERATE, MIXES, "--rules", "impossible_sum.yaml"], "Cement"),
    ([*GENERATE, "few.csv"], "few"),
    ([*GENERATE, "words.csv"], "words.csv"),
    ([*AUGMENT, MIXES, "--target", "Same"], "Same"),
    ([*AUGMENT, MIXES, "--target", "Empty"], "Empty"),
    ([*AUGMENT, MIXES, "--target", "Remark"], "Remark"),
    ([*AUGMENT, MIXES, "--target", "Grade"], "Grade"),
    ([*AUGMENT, "few.csv", "--target", "Strength"], "few.csv"),
    ([*AUGMENT, MIXES, "--target", "Strength", "--minutes", "-1"], "--minutes"),
    ([*AUGMENT, MIXES, "--target", "Strength", "--learner", "oracle"], "oracle"),
    ([*AUGMENT, MIXES, "--target", "Strength", "--generator", "oracle"], "oracle"),
    ([*DESIGN, MIXES], "goal"),
    ([*DESIGN, MIXES, "--maximise", "Same"], "Same"),
    ([*DESIGN, MIXES, "--maximise", "Grade"], "Grade"),
    ([*DESIGN, MIXES, *GOAL, "--target", "Water"], "value"),
    ([*DESIGN, MIXES, *GOAL, "--given", "Water <= 150", "--given", "Water >= 180"], "Water"),
    ([*DESIGN, MIXES, *GOAL, "--minimise", "Cement = 2*Water"], "column"),
    ([*DESIGN, MIXES, *GOAL, "--rules", "contradictory.yaml"], "Water"),
    ([*DESIGN, MIXES, *GOAL, "--ignore", "Clay"], "Clay"),
]


@pytest.mark.parametrize(("arguments", "word"), CASES, ids=[" ".join(arguments) for arguments, _ in CASES])
def test_a_mistake_is_one_sentence(folder, tmp_path, monkeypatch, arguments, word):
    monkeypatch.chdir(folder)
    typed = [str(tmp_path / "out") if each == "OUT" else each for each in arguments]
    told = CliRunner().invoke(app, typed)
    assert told.exit_code == 2, told.output + str(told.exception)
    assert word in told.output and "Traceback" not in told.output
    as_json = CliRunner().invoke(app, [*typed, "--json"])
    assert as_json.exit_code == 2
    assert json.loads(as_json.stdout)["error"]["what"]
