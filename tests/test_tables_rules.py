"""Rules of tables: what breaks them, how rows are brought to obey, which contradict each other, what data suggest."""

import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sozai.errors import UserError
from sozai.knowledge.tables.alternatives import alternatives_of, linear_parts
from sozai.knowledge.tables.expression import Expression
from sozai.knowledge.tables.project import project
from sozai.knowledge.tables.propose import propose
from sozai.knowledge.tables.rulefile import rules_from
from sozai.knowledge.tables.ruleset import TableRules, rules_of
from sozai.materials.tables.table import Column, Group, Table

COLUMNS = ["a", "b", "c", "Cement", "Water", "SP", "Age", "n", "w_c", "Strength", "Phase", "Process"]
EVERY_KIND = [
    {"bounds": "Cement", "min": 50, "max": 500},
    {"bounds": "Water", "min": 0},
    {"bounds": "Age", "values": [1, 3, 7, 28, 90]},
    {"bounds": "n", "whole": True, "min": 0},
    {"bounds": "Phase", "values": ["FCC", "BCC", "HCP"]},
    {"sum": ["a", "b", "c"], "total": 100, "tolerance": 0.5},
    "Water + SP <= 250",
    "SP >= 0",
    {"derived": "w_c = Water / Cement"},
    "w_c <= 0.9",
    {"if": "SP > 5", "then": "Water < 200"},
    {"any": ["Water < 150", "Cement > 300"]},
    {"combinations": ["Phase", "Process"], "allowed": [["FCC", "cast"], ["BCC", "rolled"], ["HCP", "rolled"]]},
    {"if": 'Phase = "FCC"', "then": "Strength >= 10"},
    "n + Age <= 95",
]


def ruled(*entries, columns=COLUMNS):
    return TableRules(rules_from(list(entries), columns))


def mixtures(count, seed=0):
    """Rows that break every rule of EVERY_KIND somewhere."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({part: np.abs(random.normal(33, 15, count)) * (random.random(count) > 0.2) for part in "abc"})
    frame["Cement"], frame["Water"] = random.normal(300, 120, count), random.normal(170, 50, count)
    frame["SP"] = random.normal(5, 5, count)
    frame["Age"] = random.choice([1.0, 3, 7, 28, 90], count) + random.normal(0, 0.5, count)
    frame["n"], frame["w_c"] = random.normal(5, 3, count), random.normal(0.6, 0.3, count)
    frame["Strength"] = random.normal(20, 15, count)
    frame["Phase"] = random.choice(["FCC", "BCC", "HCP"], count).astype(object)
    frame["Process"] = random.choice(["cast", "rolled"], count).astype(object)
    return frame


def table(frame, groups=(), **kinds):
    columns = {
        name: Column(name, kinds.get(name, "continuous" if frame[name].dtype.kind == "f" else "category"),
                     levels=() if frame[name].dtype.kind == "f" else tuple(sorted(frame[name].dropna().unique())))
        for name in frame
    }  # fmt: skip
    return Table(frame, columns, groups)


# Conditions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x <= 2", [True, True, False, False]),
        ("x < 2", [True, False, False, False]),
        ("X between 2 and 3", [False, True, True, False]),
        ("x = 2 or x = 4", [False, True, False, True]),
        ("x in [1, 4]", [True, False, False, True]),
        ("not x in [1, 4]", [False, True, True, False]),
        ("x not in [1, 4] and g != 'q'", [False, True, False, False]),
        ("1 < x < 4", [False, True, True, False]),
        ("x^2 >= 3 * y", [False, False, True, True]),
        ("In in [5, 7] AND x >= 1", [True, False, True, False]),
        ("`yield (MPa)` > 100 or g = p", None),
        ("yield (MPa) + 2*x ≥ 108", [False, False, False, True]),
        ("log10(x * 10) >= 1.4", [False, False, True, True]),
        ("max(x, y) = y", [True, True, False, False]),
        ("g in [p, r]", [True, True, False, True]),
    ],
)
def test_conditions_are_read_as_typed(text, expected):
    frame = pd.DataFrame({"x": [1.0, 2, 3, 4], "y": [2.0, 2, 2, 2], "In": [5.0, 6, 7, 8], "yield (MPa)": [100.0] * 4,
                          "g": ["p", "p", "q", "r"]})  # fmt: skip
    if expected is None:
        with pytest.raises(UserError, match="'p' is no column, number or quoted text"):
            Expression(text, list(frame))
        return
    expression = Expression(text, list(frame))
    assert expression.condition
    assert expression.value(frame).tolist() == expected
    assert (expression.amounts(frame) == 0).tolist() == expected


@pytest.mark.parametrize(
    "text",
    ["x +", "x <= ", "__import__('os') > 1", "x.y > 1", "x if y else 2", "lambda: 1", "x <= 'a' + 1", "z > 1",
     "x and y", "(x > 1) + 1 > 2", "x in 3", "x in []", "sqrt(x, y) > 1", "1e999 > x", "x is y",
     "(" * 300 + "x" + ")" * 300, "+".join(["x"] * 5000) + " > 1", "[x > 1]", "x := 3", "not x", "",
     "`q` > 1", "9" * 5000 + " > x"],
)  # fmt: skip
def test_what_is_no_condition_is_said_in_one_sentence(text):
    with pytest.raises(UserError) as caught:
        made = Expression(text, ["x", "y"])
        assert not made.condition, text
        ruled(text, columns=["x", "y"])
    assert "\n" not in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="xy0123456789.<>=!+-*/^()[]'\"` andornti,", max_size=30))
def test_no_text_makes_a_traceback(text):
    frame = pd.DataFrame({"x": [1.0, 0.0], "y": [2.0, np.nan]})
    try:
        made = Expression(text, list(frame))
        made.value(frame)
        if made.condition:
            assert made.amounts(frame).shape == (2,)
            alternatives_of(made)
    except UserError:
        pass


def test_missing_values_break_nothing_and_infinite_ones_do():
    frame = pd.DataFrame({"x": [np.nan, np.inf, 1.0]})
    rules = ruled("x <= 5", {"bounds": "x", "max": 6}, columns=["x"])
    assert rules.obeyed(frame).tolist() == [True, False, True]
    assert np.isnan(rules.amounts(frame).to_numpy()[0]).all()


def test_linear_parts_and_contraries():
    parts = linear_parts(Expression("2 * (x - 1) <= y / 4 + 3 and x > 0", ["x", "y"]))
    assert [(dict(part.coefficients), part.constant, part.sign) for part in parts] == [
        ({"x": 2.0, "y": -0.25}, -5.0, "<="), ({"x": -1.0}, 0.0, "<")
    ]  # fmt: skip
    assert linear_parts(Expression("x * y <= 1", ["x", "y"])) is None
    assert linear_parts(Expression("x <= 1 or y <= 1", ["x", "y"])) is None
    frame = pd.DataFrame({"x": np.repeat(np.linspace(-2, 2, 9), 9), "y": np.tile(np.linspace(-2, 2, 9), 9)})
    for text in ("x <= 1 and (y > 0 or x = 0)", "not (x < y or x in [1, 2])", "x != y", "0 < x < y < 2"):
        expression = Expression(text, ["x", "y"])
        contrary = Expression(f"not ({text})", ["x", "y"])
        assert (expression.value(frame) != contrary.value(frame)).all()
        holds = np.zeros(len(frame), bool)
        for choice in alternatives_of(contrary):
            good = np.ones(len(frame), bool)
            for part in choice:
                if hasattr(part, "nearest"):
                    good &= part.nearest(frame[part.column].to_numpy()) == frame[part.column]
                else:
                    value = part.value(frame)
                    good &= {"<=": value <= 0, "<": value < 0, "=": value == 0}[part.sign]
            holds |= good
        assert (holds == contrary.value(frame)).all(), text


# Files


def test_a_rule_file_is_read_written_and_read_again(tmp_path):
    extra = [
        {"monotone": "Strength", "rises_with": "Age", "tolerance": 2, "severity": "soft", "source": "hydration"},
        {"duplicates": "Strength", "given": ["Cement", "Water", "Age"]},
        {"correlation": ["w_c", "Strength"], "sign": "negative", "at_least": 0.2},
        {"unit": "Cement", "is": "kg/m^3", "name": "density"},
    ]
    rules = ruled(*EVERY_KIND, *extra)
    rules.save(tmp_path / "rules.yaml")
    again = TableRules.load(tmp_path / "rules.yaml", COLUMNS, {"Cement": "kg/m**3"})
    assert again.to_dict() == rules.to_dict()
    assert [rule.severity for rule in again.rules[-4:]] == ["soft", "soft", "soft", "hard"]
    frame = mixtures(50)
    pd.testing.assert_frame_equal(again.amounts(frame), rules.amounts(frame))
    with pytest.raises(UserError, match="'Cement' is in g/cm\\^3, not in kg/m\\^3: multiply by 1000"):
        TableRules.load(tmp_path / "rules.yaml", COLUMNS, {"Cement": "g/cm^3"})
    with pytest.raises(UserError, match="another kind of quantity"):
        TableRules.load(tmp_path / "rules.yaml", COLUMNS, {"Cement": "MPa"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: [", "line 1"),
        ("rule:\n - Water < 1", "no part of a rule file"),
        ("rules: Water < 1", "no list"),
        ("rules:\n - Watr < 1", "rule 1, 'Watr < 1': 'Watr' is no column"),
        ("rules:\n - Water < 200\n - bound: Water\n   min: 1", "rule 2: it is of no known kind: bound"),
        ("rules:\n - bounds: Watr\n   min: 1", "did you mean 'Water'"),
        ("rules:\n - bounds: Water\n   min: 5\n   max: 1", "min (5) is above max (1)"),
        ("rules:\n - bounds: Water", "allows everything"),
        ("rules:\n - bounds: n\n   whole: true\n   min: 1.2\n   max: 1.8", "no whole number"),
        ("rules:\n - bounds: Water\n   min: much", "no number"),
        ("rules:\n - bounds: Water\n   mn: 1", "'bounds' has no 'mn'; did you mean 'min'"),
        ("rules:\n - condition: Water < 1\n   severity: harsh", "no severity"),
        ("rules:\n - if: Water < 1", "'then' needs a text"),
        ("rules:\n - sum: [a]", "needs a list"),
        ("rules:\n - sum: [a, b]\n   total: -3", "below 0"),
        ("rules:\n - derived: w_c = w_c + 1", "follows from itself"),
        ("rules:\n - derived: Water / Cement", "needs a name"),
        ("rules:\n - combinations: [Phase, Process]\n   allowed: [[FCC]]", "1 values for 2 columns"),
        ("rules:\n - monotone: Strength", "rises_with or falls_with"),
        ("rules:\n - correlation: [a, b]\n   severity: hard", "cannot be hard"),
        ("rules:\n - unit: Water\n   is: kilofoo", "no known unit"),
        ("rules:\n - any: []", "no condition"),
        ("rules:\n - Water < 1\n - Water < 1", "both called"),
        ("rules:\n - Water + 1", "a number, not a condition"),
        ("rules:\n - {if: a > 1, any: [b > 1]}", "of two kinds"),
        ("rules:\n - 5", "this is no rule"),
        ("rules:\n - Water < 100\n - name: wet\n   condition: Water > 200", "obey 'Water < 100' and 'wet'"),
    ],
)  # fmt: skip
def test_a_wrong_rule_file_is_told_with_file_rule_and_remedy(tmp_path, text, words):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        TableRules.load(path, COLUMNS)
    assert words in str(caught.value)
    assert "wrong.yaml" in str(caught.value)


def test_contradictions_name_the_rules_that_make_them():
    columns = ["x", "y", "z", "g"]
    for texts, named in [
        (["x + y <= 1", "z >= 0", "x >= 1", "y > 0.5"], ["x + y <= 1", "x >= 1", "y > 0.5"]),
        (["x < 1 or x > 3", "x between 1 and 3", "y < 0"], ["x < 1 or x > 3", "x between 1 and 3"]),
        (["g = 'p'", "g in [q, r]"], ["g = 'p'", "g in [q, r]"]),
        (["x in [1, 2]", "x = 3", "z < 0"], ["x in [1, 2]", "x = 3"]),
        (["x < 1e-10", "x > 1e-9"], ["x < 1e-10", "x > 1e-9"]),
    ]:
        with pytest.raises(UserError) as caught:
            TableRules.parse(texts, columns)
        assert all((f"'{text}'" in str(caught.value)) == (text in named) for text in texts), caught.value
    TableRules.parse(["x <= 1", "x >= 1", "y < 2", "y > 1.9", "g != 'p'"], columns)
    ruled(*EVERY_KIND).require_possible()


# Judging several rows


def test_trends_duplicates_and_correlations_name_the_rows():
    frame = pd.DataFrame(
        {"mix": [1.0, 1, 1, 2, 2, 3, 3, 3], "Age": [7.0, 28, 90, 7, 28, 7, 7, 28],
         "Strength": [10.0, 20, 15, 30, 40, 10, 20, 20]},
        index=range(2, 10),
    )  # fmt: skip
    rules = ruled(
        {"monotone": "Strength", "rises_with": "Age"}, {"duplicates": "Strength"},
        {"correlation": ["Age", "Strength"], "sign": "positive", "at_least": 0.9}, columns=list(frame),
    )  # fmt: skip
    trend, twice, weak = rules.findings(frame)
    assert trend.rows == (3, 4) and trend.amount == 5 and "rows 3 and 4 differ only in Age" in trend.message
    assert twice.rows == (7, 8) and twice.amount == 10
    assert weak.rows == () and weak.severity == "soft"
    assert rules.amounts(frame)[0].tolist() == [0, 5, 5, 0, 0, 0, 0, 0]
    # The worst earlier row is named, also when it is not the neighbour.
    longer = pd.DataFrame({"mix": 1.0, "Age": [1.0, 2, 3, 4], "Strength": [9.0, 50, 20, 10]})
    assert [each.rows for each in rules.rules[0].findings(longer)] == [(1, 2), (1, 3)]
    falling = ruled({"monotone": "Strength", "falls_with": "Age", "tolerance": 30}, columns=list(frame))
    assert [each.rows for each in falling.findings(longer)] == [(0, 1)]


def test_trends_and_duplicates_are_brought_about_among_rows():
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"mix": random.integers(0, 100, 500).astype(float), "Age": random.choice([1.0, 7, 28], 500),
                          "Strength": random.normal(30, 9, 500)})  # fmt: skip
    rules = ruled({"monotone": "Strength", "rises_with": "Age"}, {"bounds": "Strength", "min": 5}, columns=list(frame))
    made, ok = rules.repair(frame)
    assert ok.all() and not rules.findings(made) and (rules.amounts(frame)[0] > 0).mean() > 0.3
    both = rules + ruled(
        {"duplicates": "Strength", "given": ["mix", "Age"], "tolerance": 0, "severity": "hard"}, columns=list(frame)
    )
    made, ok = both.repair(frame)
    assert ok.all() and not both.findings(made)
    kept, ok = rules.repair(frame, ["Strength"])
    pd.testing.assert_frame_equal(kept, frame)
    assert 0 < ok.mean() < 1


# Bringing rows to obey


def test_every_kind_of_rule_holds_after_repair_and_after_printing():
    frame = mixtures(3000)
    rules = ruled(*EVERY_KIND)
    broken = (rules.amounts(frame) > 0).mean()
    assert (broken.drop([4, 7]) > 0).all()
    made, ok = rules.repair(frame)
    assert ok.mean() > 0.999
    assert rules.obeyed(made)[ok].all()
    printed = pd.read_csv(io.StringIO(made[ok].to_csv(index=False, float_format="%.6g")))
    assert rules.obeyed(printed).all()
    some = frame[["a", "b", "c"]].sum(axis=1) > 0
    for part in "abc":  # structural zeros
        assert (made.loc[some & (frame[part] == 0), part] == 0).all()
    again, ok_again = rules.repair(made[ok])
    pd.testing.assert_frame_equal(again, made[ok])
    assert ok_again.all()


def test_what_cannot_be_mended_comes_back_untouched_and_is_told():
    frame = pd.DataFrame({"x": [1.0, 5.0], "y": [1.0, 5.0], "g": ["p", "p"]})
    made, ok = ruled("x + y <= 4", columns=list(frame)).repair(frame, ["x", "y"])
    assert ok.tolist() == [True, False]
    pd.testing.assert_frame_equal(made, frame)
    made, ok = ruled("x + y <= 4", columns=list(frame)).repair(frame, ["x"])
    assert ok.all() and made["y"].tolist() == pytest.approx([1.0, -1.0])
    rounded, ok = ruled("sqrt(x) + y^2 <= 9", columns=list(frame)).repair(frame)
    assert ok.all() and rounded.loc[0].equals(frame.loc[0])
    assert (rounded["x"] ** 0.5 + rounded["y"] ** 2)[1] == pytest.approx(9, abs=1e-3)


def test_the_nearest_alternative_is_taken():
    frame = pd.DataFrame({"SP": [0.5, 9.0, 0.0, 9.0], "Water": [250.0, 201.0, 250.0, 100.0]})
    rules = ruled({"if": "SP > 0", "then": "Water < 200"}, "SP >= 0", columns=list(frame))
    made, ok = rules.repair(frame, scales={"SP": 5, "Water": 50})
    assert ok.all()
    assert made["SP"].tolist() == [0.0, 9.0, 0.0, 9.0]
    assert made["Water"].iloc[[0, 2, 3]].tolist() == [250.0, 250.0, 100.0]
    assert 198 < made["Water"].iloc[1] < 200


def test_combinations_that_share_a_column_hold_together():
    random = np.random.default_rng(0)
    frame = pd.DataFrame({name: random.choice(list("pqs"), 60).astype(object) for name in "ghk"})
    rules = ruled(
        {"combinations": ["g", "h"], "allowed": [["p", "q"], ["q", "p"], ["s", "s"]]},
        {"combinations": ["h", "k"], "allowed": [["p", "p"], ["q", "s"], ["s", "q"]]},
        "g != 's'",
        columns=list(frame),
    )
    made, ok = rules.repair(frame)
    assert ok.all() and rules.obeyed(made).all()
    kept, ok = rules.repair(frame, ["g"])
    assert (ok == (frame["g"] != "s")).all() and kept["g"].equals(frame["g"])


def test_a_given_derived_column_moves_what_it_follows_from():
    frame = mixtures(200).assign(w_c=0.4)
    rules = ruled({"derived": "w_c = Water / Cement"}, {"bounds": "Cement", "min": 100}, {"bounds": "Water", "min": 10})
    made, ok = rules.repair(frame, ["w_c"])
    assert ok.all() and (made["w_c"] == 0.4).all()
    assert np.allclose(made["Water"] / made["Cement"], 0.4, rtol=1e-4)


def test_whole_numbers_stay_within_linear_rules():
    random = np.random.default_rng(1)
    frame = pd.DataFrame(random.uniform(0, 4, (500, 3)), columns=["i", "j", "x"])
    rules = ruled(
        {"bounds": "i", "whole": True, "min": 0}, {"bounds": "j", "whole": True, "min": 0}, "i + j < 5",
        "2 * i + 3 * j <= 11", "x + i <= 4", columns=list(frame),
    )  # fmt: skip
    made, ok = rules.repair(frame)
    assert ok.all()
    assert (made[["i", "j"]] % 1 == 0).all(axis=None)


coefficient = st.integers(-3, 3)
limit = st.integers(-20, 40)


@st.composite
def rule_sets(draw):
    entries = [{"bounds": name, "min": 0, "max": draw(st.integers(5, 30))} for name in "wxyz"]
    for _ in range(draw(st.integers(0, 4))):
        form = " + ".join(f"{draw(coefficient)} * {name}" for name in "wxyz")
        one = f"{form} {draw(st.sampled_from(['<=', '<', '>=']))} {draw(limit)}"
        other = f"{draw(st.sampled_from('wxyz'))} {draw(st.sampled_from(['<', '>=', '=']))} {draw(st.integers(0, 9))}"
        entries.append(
            draw(st.sampled_from([one, {"if": other, "then": one}, {"any": [one, other]}, {"if": one, "then": other}]))
        )
    if draw(st.booleans()):
        entries.append({"sum": ["x", "y", "z"], "total": 10, "tolerance": draw(st.sampled_from([0, 0.1]))})
    if draw(st.booleans()):
        entries.append({"bounds": "w", "whole": True})
    if draw(st.booleans()):
        entries += [{"derived": "d = w * x + y"}, f"d <= {draw(st.integers(20, 60))}"]
    for place, entry in enumerate(entries):
        entries[place] = {**(entry if isinstance(entry, dict) else {"condition": entry}), "name": f"rule {place}"}
    return entries


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rule_sets(), st.integers(0, 1000), st.sets(st.sampled_from(["w", "x", "y"]), max_size=2))
def test_rows_that_count_as_mended_obey_and_nothing_else_changes(entries, seed, fixed):
    random = np.random.default_rng(seed)
    values = random.normal(5, 6, (25, 4)) * (random.random((25, 4)) > 0.15)
    frame = pd.DataFrame(values, columns=list("wxyz"))
    frame["d"] = frame["w"] * frame["x"] + frame["y"]
    frame.loc[random.random(25) < 0.1, "z"] = np.nan
    rules = ruled(*entries, columns=list(frame))
    before = frame.copy()
    obeyed = rules.obeyed(frame)
    made, ok = rules.repair(frame, fixed)
    pd.testing.assert_frame_equal(frame, before)
    assert (rules.obeyed(made) == ok).all()
    assert ok[obeyed].all()
    pd.testing.assert_frame_equal(made[obeyed | ~ok], frame[obeyed | ~ok])
    pd.testing.assert_frame_equal(made[list(fixed)], frame[list(fixed)])
    assert (made["z"].isna() == frame["z"].isna()).all()
    again, still = rules.repair(made[ok], fixed)
    assert still.all()
    pd.testing.assert_frame_equal(again, made[ok])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 8))
def test_the_projection_is_the_nearest_point(seed, columns, constraints):
    from scipy.optimize import nnls

    random = np.random.default_rng(seed)
    points, matrix = random.normal(0, 3, (6, columns)), random.normal(size=(constraints, columns))
    right = random.normal(0.5, 1, constraints)
    made, found = project(points, matrix, right, np.zeros(constraints, bool), np.ones((6, columns), bool))
    for point, near, good in zip(points, made, found, strict=True):
        # Least-distance programming by non-negative least squares (Lawson and Hanson 1974, chapter 23).
        height = matrix @ point - right
        solution, rest = nnls(np.vstack([-matrix.T, height]), np.r_[np.zeros(columns), 1.0])
        residual = np.vstack([-matrix.T, height]) @ solution - np.r_[np.zeros(columns), 1.0]
        if rest < 1e-6:
            assert not good or (matrix @ near <= right + 1e-6).all()
            continue
        assert good
        assert (matrix @ near <= right + 1e-8).all()
        nearest = point - residual[:-1] / residual[-1]
        assert np.linalg.norm(near - point) <= np.linalg.norm(nearest - point) + 1e-6


# From and out of data


def test_rules_follow_from_the_columns():
    random = np.random.default_rng(0)
    parts = random.dirichlet([2, 1, 1], 60) * 100
    frame = pd.DataFrame(parts, columns=["a", "b", "c"])
    frame["n"], frame["T"] = random.integers(1, 9, 60).astype(float), random.normal(0, 10, 60)
    frame["Phase"] = random.choice(["FCC", "BCC"], 60)
    rules = rules_of(table(frame, (Group(("a", "b", "c"), 100.0, 0.1),), n="count"))
    assert rules.obeyed(frame).all()
    wrong = frame.head(4).copy()
    wrong.loc[0, "a"] += 50
    wrong.loc[1, "n"] = 2.5
    wrong.loc[2, "n"] = -1
    wrong.loc[3, "Phase"] = "liquid"
    assert not rules.obeyed(wrong).any()
    made, ok = rules.repair(wrong)
    assert ok.all()
    assert made["n"].tolist()[1:3] == [2.0, 0.0]
    assert not (rules.amounts(frame.assign(T=-1e6)).iloc[0] > 0)[
        [i for i, r in enumerate(rules.rules) if r.severity == "hard"]
    ].any()


def planted(count=300):
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"Cement": random.uniform(200, 500, count), "Water": random.uniform(120, 220, count)}).round(1)
    frame["Slag"] = (random.uniform(0, 200, count) * (random.random(count) > 0.4)).round(1)
    frame["Binder"] = frame["Cement"] + frame["Slag"]
    frame["w_b"] = (frame["Water"] / frame["Binder"]).round(3)
    frame["cost"] = (0.12 * frame["Cement"]).round(3)
    frame["dose"] = np.where(frame["Slag"] == 0, 0, random.uniform(1, 5, count).round(2))
    frame[["s", "t", "u"]] = (random.dirichlet([2, 1, 1], count) * 100).round(2)
    frame["YS"] = random.uniform(100, 300, count).round(1)
    frame["UTS"] = (frame["YS"] * random.uniform(1, 1.4, count)).round(1)
    frame["Phase"] = random.choice(["FCC", "BCC"], count)
    frame["Process"] = np.where(frame["Phase"] == "FCC", "cast", random.choice(["rolled", "sintered"], count))
    return frame


def test_planted_relations_are_proposed():
    proposals = propose(table(planted()))
    words = [each.rule.words() for each in proposals]
    for wanted in ("s + t + u = 100 within 0.01, none below 0", "Binder = Cement + Slag", "w_b = Water / Binder",
                   "cost = 0.12 * Cement", "YS <= UTS", "if Slag = 0 then dose = 0", "Cement > 0",
                   "Slag >= 0"):  # fmt: skip
        assert wanted in words
    assert any(word.startswith("Phase and Process together") for word in words)
    assert all(each.support >= 10 and str(each.support) for each in proposals)
    accepted = TableRules([each.rule for each in proposals])
    assert accepted.obeyed(planted()).all()
    accepted.require_possible()


def test_trends_are_proposed_and_noise_is_not():
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"mix": np.repeat(random.normal(0, 1, 40), 3), "Age": np.tile([1.0, 7, 28], 40)})
    frame["Strength"] = 20 + 5 * frame["mix"] + 3 * np.log(frame["Age"]) + random.normal(0, 0.1, 120)
    words = [each.rule.words() for each in propose(table(frame))]
    assert "Strength does not fall with Age, all else equal" in words
    noise = pd.DataFrame(random.normal(0, 1, (200, 6)), columns=list("abcdef"))
    noise["g"], noise["h"] = random.choice(list("pqr"), 200), random.choice(list("xyz"), 200)
    assert propose(table(noise)) == []
