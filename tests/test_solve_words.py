"""The words and LaTeX of engineers: what is read of each, and what is refused rather than guessed."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sozai.assistant.equations.parse import read_problem
from sozai.assistant.equations.wellposed import check_problem
from sozai.errors import UserError

CASES = yaml.safe_load((Path(__file__).parent / "data" / "equation_words.yaml").read_text(encoding="utf-8"))


def told(condition):
    primes = "'" * (condition.derivative or (condition.kind in ("neumann", "robin")))
    if condition.kind == "periodic":
        value = "~"
    elif condition.value is not None and condition.value.is_number:
        value = str(float(condition.value))
    else:
        value = str(condition.value)
    return f"{condition.unknown}{primes}@{condition.where}={value}{'+' * (condition.kind == 'robin')}"


@pytest.mark.parametrize("case", CASES, ids=[case["text"][:50] for case in CASES])
def test_what_people_write_is_read(case):
    problem = read_problem(case["text"])
    assert problem.name == case["name"]
    assert " ".join(f"{k}:{a:.6g}..{b:.6g}" for k, (a, b) in problem.domain.items()) == case["domain"]
    assert " ".join(f"{k}={v:.6g}" for k, v in problem.parameters.items()) == case["numbers"]
    assert " ".join(sorted(map(told, problem.conditions))) == case["conditions"]
    assert not any(verdict.fatal for verdict in check_problem(problem))


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("random start around 0", "noise(1/20)"),
        ("random start", "noise(1/20)"),
        ("random start around 0.1 with amplitude 0.05", "noise(1/20) + 1/10"),
        ("random initial condition between -0.2 and 0.4", "noise(3/10) + 1/10"),
        ("random noise of 0.1", "noise(1/10)"),
        ("noise with amplitude 0.1 around 0.2 at the start", "noise(1/10) + 1/5"),
        ("small random perturbation around 0.3", "noise(1/20) + 3/10"),
        ("initially random ± 0.02", "noise(1/50)"),
    ],
)
def test_a_random_start(words, value):
    problem = read_problem(
        f"Cahn-Hilliard equation in 2-D on 0<x<1, 0<y<1, no flux, {words}, epsilon = 0.05, for t = 0..0.5"
    )
    (start,) = [c for c in problem.conditions if c.kind == "initial"]
    assert str(start.value) == value and problem.parameters == {"eps": 0.05, "M": 1.0}
    given = any(word in words for word in ("amplitude", "between", " of ", "±"))
    assert given != any("No amplitude" in note for note in problem.notes)
    assert any("No mobility" in note for note in problem.notes)


def test_what_is_missing_is_said_once():
    problem = read_problem("Cahn-Hilliard equation in 2-D on 0<x<1, 0<y<1, random start, epsilon = 0.05, t = 0..0.5")
    (verdict,) = [v for v in check_problem(problem) if v.fatal]
    assert verdict.message.startswith("no condition is given for c on the boundary -> say no flux, or periodic")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Fick's law in an annulus, c = 1 at the surface, D = 1e-14 m2/s, for 10 s", "hollow or flat"),
        ("heat equation on a 1 m rod, ends at 0, random purple start, D = 1, t = 0..1", "not understood"),
        ("heat equation on a 1 m rod, ends at 0, a magnetic field of 3, D = 1, t = 0..1", "it is not known which"),
        ("heat equation on a 1 m rod, ends at 0, initially 20 parrots, D = 1, t = 0..1", "no unit"),
        ("quenching with 3 parrots: u' = -u, u(0) = 1", ""),
    ],
)
def test_what_is_not_understood_is_refused(text, reason):
    with pytest.raises(UserError, match=reason):
        read_problem(text)


def test_a_title_that_is_left_out_is_told():
    problem = read_problem("Avrami kinetics: dX/dt = n*k*t^(n-1)*(1-X), n = 3, k = 0.1, X(0) = 0, 0 < t < 5")
    assert problem.notes == ("The title 'Avrami kinetics' was not read.",)


@st.composite
def _damaged(draw):
    """A text of the cases with words left out, added, exchanged, cut, or with a sign in them."""
    words = draw(st.sampled_from(CASES))["text"].split(" ")
    others = draw(st.sampled_from(CASES))["text"].split(" ")
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(words) - 1))
        how = draw(st.sampled_from(["out", "in", "exchange", "cut", "sign"]))
        if how == "out" and len(words) > 1:
            del words[place]
        elif how == "in":
            words.insert(place, draw(st.sampled_from(others)))
        elif how == "exchange":
            other = draw(st.integers(0, len(words) - 1))
            words[place], words[other] = words[other], words[place]
        else:
            at = draw(st.integers(0, len(words[place])))
            sign = draw(st.sampled_from("()[]{}=,;:^*/+-.'\"\\_$<>09xtuπ∂∇²°µ\n|!&%#@~`")) if how == "sign" else ""
            words[place] = words[place][:at] + sign + (words[place][at:] if sign else "")
    return " ".join(words)


@settings(max_examples=150, deadline=None)
@given(_damaged())
def test_damaged_texts_are_read_or_refused(text):
    """Whatever is wrong with a text, the answer is a problem or a sentence, never another error."""
    try:
        check_problem(read_problem(text))
    except UserError as error:
        assert error.what
