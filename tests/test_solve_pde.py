"""Partial differential equations: right answers, right orders, and proofs that fail when they should."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("skfem")
import sympy as S

from sozai.assistant.equations.pde import discrete, faces, orders, reduction, solve, solve_pde, stepping
from sozai.assistant.equations.pde.conserved import conservation
from sozai.assistant.equations.pde.forms import weak_form
from sozai.assistant.equations.pde.noise import without_noise
from sozai.assistant.equations.pde.orders import measure_space, measure_time, verify
from sozai.assistant.equations.pde.refine import study
from sozai.assistant.equations.pde.second import residual_verdict, second_method
from sozai.assistant.equations.pde.stepping import compute, scheme_of
from sozai.assistant.equations.problem import Condition as C
from sozai.assistant.equations.problem import Problem
from sozai.errors import UserError

x, y, z, t = S.symbols("x y z t")
ZERO = S.Integer(0)


def problem(equations, unknowns, box, conditions, end=None, name="", **parameters):
    space = (x, y, z)[: len(box)]
    domain = {str(a): b for a, b in zip(space, box, strict=True)} | ({"t": (0, end)} if end else {})
    return Problem(
        "test",
        "pde",
        name,
        tuple(S.Eq(e, 0) for e in equations),
        tuple(unknowns),
        t if end else None,
        space,
        domain,
        tuple(conditions),
        parameters,
    )


def heat(**changed):
    u = S.Function("u")(x, t)
    made = problem(
        [u.diff(t) - S.Symbol("D") * u.diff(x, 2)],
        ["u"],
        [(0, 1)],
        [C("initial", "u", "t", S.sin(S.pi * x)), C("dirichlet", "u", "boundary", ZERO)],
        0.1,
        "heat",
        D=1.0,
    )
    return replace(made, **changed)


def reaction():
    """A nonlinear problem with a condition of each kind."""
    u = S.Function("u")(x, t)
    return problem(
        [u.diff(t) - ((1 + u**2) * u.diff(x)).diff(x) + u.diff(x) - x * t],
        ["u"],
        [(0, 2)],
        [
            C("initial", "u", "t", S.cos(x)),
            C("robin", "u", "x-", S.Integer(1), 0, S.Integer(3)),
            C("neumann", "u", "x+", t),
        ],
        0.1,
    )


def verdicts(solution):
    return {v.rule: v for v in solution.verdicts}


def run_script(solution, folder):
    (folder / "script.py").write_text(solution.script)
    assert "sozai" not in solution.script
    done = subprocess.run([sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return np.load(folder / "solution.npz")


def test_heat_is_proven_and_its_script_makes_the_same_numbers(tmp_path):
    told = []
    solution = solve_pde(heat(), on_progress=lambda *parts: told.append(parts))
    exact = np.exp(-(np.pi**2) * solution.axes["t"])[:, None] * np.sin(np.pi * solution.axes["x"])
    assert solution.proven and told[-1][:2] == (5, 5)
    assert np.abs(solution.values["u"] - exact).max() <= solution.error["u"] <= 1e-3
    assert S.simplify(S.sympify(solution.closed_form["u"]) - S.exp(-(S.pi**2) * t) * S.sin(S.pi * x)) == 0
    held = {rule for rule, v in verdicts(solution).items() if v.passed}
    assert held >= {
        "order_in_space",
        "order_in_time",
        "residual",
        "closed_form",
        "second_method",
        "energy",
        "tolerance",
    }
    for entry in solution.extra["orders"]:
        theory = entry["theory"]["u"]
        assert theory - 0.3 <= entry["measured"]["u"] <= theory + 0.7
    written = run_script(solution, tmp_path)
    assert np.abs(written["u"] - solution.values["u"]).max() < 1e-12
    assert np.array_equal(written["x_axis"], solution.axes["x"])


def test_the_same_seed_gives_the_same_numbers():
    first, second = (
        measure_space(heat(), weak_form(heat()), degree=2, scheme="sdirk2", cells=[4, 8], seed=3) for _ in "ab"
    )
    assert first == second


def test_nonlinear_with_robin_flux_and_transport_in_script_too(tmp_path):
    solution = solve_pde(reaction(), tolerance=2e-2)
    assert solution.proven and verdicts(solution)["second_method"].passed
    assert np.abs(run_script(solution, tmp_path)["u"] - solution.values["u"]).max() < 1e-9


def test_cahn_hilliard_keeps_mass_and_loses_energy():
    c = S.Function("c")(x, t)
    raw = problem(
        [c.diff(t) - (c**3 - c - c.diff(x, 2) / 50).diff(x, 2)],
        ["c"],
        [(0, 1)],
        [C("initial", "c", "t", S.cos(2 * S.pi * x) / 10), C("periodic", "c", "x-"), C("periodic", "c", "x+")],
        0.05,
        "cahn-hilliard",
    )
    solution = solve_pde(raw)
    found = verdicts(solution)
    assert solution.proven and found["mass"].amount < 1e-10 and found["energy"].passed and found["second_method"].passed
    assert np.allclose(solution.values["c"][:, 0], solution.values["c"][:, -1])


def test_wave_keeps_its_energy():
    u = S.Function("u")(x, t)
    raw = problem(
        [u.diff(t, 2) - 4 * u.diff(x, 2)],
        ["u"],
        [(0, 1)],
        [
            C("initial", "u", "t", S.sin(S.pi * x)),
            C("initial", "u", "t", ZERO, 1),
            C("dirichlet", "u", "boundary", ZERO),
        ],
        1.0,
        "wave",
    )
    solution = solve_pde(raw, tolerance=1e-2)
    assert solution.proven and verdicts(solution)["energy"].amount < 1e-9 and "cos(2*pi*t)" in solution.closed_form["u"]


def test_burgers_against_cole_and_hopf():
    u = S.Function("u")(x, t)
    raw = problem(
        [u.diff(t) + u * u.diff(x) - u.diff(x, 2) / 20],
        ["u"],
        [(0, 1)],
        [C("initial", "u", "t", S.sin(2 * S.pi * x)), C("dirichlet", "u", "boundary", ZERO)],
        0.3,
    )
    found = verdicts(solve_pde(raw))
    assert found["closed_form"].passed and "Cole" in found["closed_form"].message


def test_complex_helmholtz(tmp_path):
    u = S.Function("u")(x)
    raw = problem(
        [u.diff(x, 2) + 25 * u],
        ["u"],
        [(0, 1)],
        [C("dirichlet", "u", "x-", S.Integer(1)), C("robin", "u", "x+", ZERO, 0, -5 * S.I)],
    )
    solution = solve_pde(raw)
    at = solution.axes["x"]
    assert solution.proven
    assert np.abs(solution.values["Re(u)"] - np.cos(5 * at)).max() <= solution.error["Re(u)"]
    assert np.abs(solution.values["Im(u)"] - np.sin(5 * at)).max() <= solution.error["Im(u)"]
    assert np.abs(run_script(solution, tmp_path)["Im(u)"] - solution.values["Im(u)"]).max() < 1e-10


def stokes(out):
    u, v, p = (S.Function(n)(x, y) for n in "uvp")
    walls = [C("dirichlet", n, f, ZERO) for n in "uv" for f in ("y-", "y+")]
    ends = [C("dirichlet", "u", "x-", y * (1 - y)), C("dirichlet", "v", "x-", ZERO), *out]
    equations = [
        -u.diff(x, 2) - u.diff(y, 2) + p.diff(x),
        -v.diff(x, 2) - v.diff(y, 2) + p.diff(y),
        u.diff(x) + v.diff(y),
    ]
    return problem(equations, ["u", "v", "p"], [(0, 1), (0, 1)], walls + ends, name="stokes")


def test_stokes_channel_with_open_end_is_the_flow_of_poiseuille():
    raw = stokes([C("neumann", "u", "x+", ZERO), C("neumann", "v", "x+", ZERO)])
    form = weak_form(raw)
    run = compute(form, [4, 4], 1)
    across = run.axes(2)[0][:, None]
    assert form.traction and form.lower == [2] and not form.mean_free
    assert np.abs(run.field(2)[0] - 2 * (1 - across)).max() < 1e-9  # exact: a parabola and a line
    orders = measure_space(raw, form, degree=2, scheme="steady", cells=[4, 8])
    assert orders.holds("u") and orders.holds("v") and orders.holds("p")


def test_a_closed_cavity_fixes_the_mean_of_the_pressure():
    raw = stokes([C("dirichlet", "u", "x+", y * (1 - y)), C("dirichlet", "v", "x+", ZERO)])
    form = weak_form(raw)
    assert form.mean_free == [2]
    assert abs(compute(form, [4, 4], 1).field(2)[0].mean()) < 1e-9


def bar(strain_faces):
    lame, shear = S.Rational(6, 5), S.Rational(4, 5)
    u, v = (S.Function(n)(x, y) for n in "uv")
    opened = u.diff(x) + v.diff(y)
    equations = [shear * (w.diff(x, 2) + w.diff(y, 2)) + (lame + shear) * opened.diff(a) for w, a in ((u, x), (v, y))]
    return problem(
        [S.expand(e.doit()) for e in equations], ["u", "v"], [(0, 2), (0, 1)], strain_faces, name="linear-elasticity"
    )


def test_pulling_a_bar_gives_the_stress_that_pulls():
    held = [
        C("dirichlet", "u", "x-", ZERO),
        C("neumann", "v", "x-", ZERO),
        C("dirichlet", "v", "y-", ZERO),
        C("neumann", "u", "y-", ZERO),
        *(C("neumann", n, "y+", ZERO) for n in "uv"),
        C("neumann", "u", "x+", S.Rational(1, 10)),
        C("neumann", "v", "x+", ZERO),
    ]
    form = weak_form(bar(held))
    run = compute(form, [2, 2], 1)
    lame, shear = 1.2, 0.8
    young = 4 * shear * (lame + shear) / (lame + 2 * shear)  # in plane strain
    assert form.traction and any("traction" in note for note in form.notes)
    assert abs(run.field(0)[0][-1].mean() - 2 * 0.1 / young) < 1e-10


def test_rates_may_be_missing_poisson_nernst_planck():
    a, b, phi = (S.Function(n)(x, t) for n in ("a", "b", "phi"))
    faces = [C("dirichlet", "phi", "x-", S.Integer(1)), C("dirichlet", "phi", "x+", S.Integer(-1))]
    for n, sign in (("a", 1), ("b", -1)):  # no ion leaves: c_n + z phi_n c = 0
        faces += [C("robin", n, "x-", ZERO, 0, -sign * phi.diff(x)), C("robin", n, "x+", ZERO, 0, sign * phi.diff(x))]
    raw = problem(
        [
            a.diff(t) - (a.diff(x) + a * phi.diff(x)).diff(x),
            b.diff(t) - (b.diff(x) - b * phi.diff(x)).diff(x),
            -phi.diff(x, 2) / 5 - a + b,
        ],
        ["a", "b", "phi"],
        [(0, 1)],
        [C("initial", n, "t", S.Integer(1)) for n in "ab"] + faces,
        0.2,
    )
    form = weak_form(raw)
    found = study(form, degree=2, scheme="sdirk2", tolerance=5e-2, deadline=1e12)
    assert [v.passed for v in conservation(found) if v.rule == "mass"] == [True, True]
    assert all(o.holds(n) for o in verify(raw, form) for n in o.errors)


def test_noise_is_the_same_on_every_mesh_and_a_beam_may_rest_on_its_ends():
    c = S.Function("c")(x, t)
    faces = [C("neumann", "c", f, ZERO, order) for f in ("x-", "x+") for order in (0, 3)]
    raw = problem(
        [c.diff(t) - (c**3 - c - c.diff(x, 2) / 50).diff(x, 2)],
        ["c"],
        [(0, 1)],
        [C("initial", "c", "t", S.Function("noise")(S.Rational(1, 10))), *faces],
        0.01,
    )
    first, second, other = (without_noise(raw, seed).conditions[0].value for seed in (1, 1, 2))
    assert first == second != other and abs(first.subs(x, 0.3)) <= 0.1
    form = weak_form(without_noise(raw, 1))
    found = study(form, degree=2, scheme="sdirk2", tolerance=0.2, deadline=1e12)
    assert next(v for v in conservation(found) if v.rule == "mass").passed
    u = S.Function("u")(x)
    rests = [C(kind, "u", f, ZERO, order) for f in ("x-", "x+") for kind, order in (("dirichlet", 0), ("neumann", 2))]
    beam = problem([u.diff(x, 4) - 24], ["u"], [(0, 1)], rests)
    run = compute(weak_form(beam), [8], 1)
    at = run.axes(0)[0]
    assert np.abs(run.field(0)[0] - (at**4 - 2 * at**3 + at)).max() < 1e-4


# What is broken on purpose must be found.


def test_a_wrong_coefficient_in_the_weak_form_is_found_three_times(monkeypatch):
    right = weak_form(heat())
    true_divergence = reduction._divergence

    def wrong(*parts):
        flux, rest = true_divergence(*parts)
        return [S.Rational(101, 100) * f for f in flux], rest

    monkeypatch.setattr(reduction, "_divergence", wrong)
    form = weak_form(heat())
    assert form.flux != right.flux
    orders = measure_space(heat(), form, degree=2, scheme="sdirk2", cells=[8, 16, 32])
    assert not orders.holds("u") and orders.verdict("x").passed is False and orders.measured("u") < 0.5
    solution = solve_pde(heat())
    found = verdicts(solution)
    assert not solution.proven and "FAILED" in solution.shown
    assert found["order_in_space"].passed is False and found["closed_form"].passed is False
    assert found["second_method"].passed is False


def test_a_grossly_wrong_coefficient_leaves_a_residual(monkeypatch):
    true_divergence = reduction._divergence
    monkeypatch.setattr(
        reduction, "_divergence", lambda *p: ([2 * f for f in true_divergence(*p)[0]], true_divergence(*p)[1])
    )
    form = weak_form(heat())
    found = study(form, degree=2, scheme="sdirk2", tolerance=1e-3, deadline=1e12)
    assert residual_verdict(heat(), found).passed is False


def test_a_wrong_sign_on_the_boundary_is_found(monkeypatch):
    true_face = faces._set_face

    def wrong(form, face, *others):
        true_face(form, face, *others)
        for row in form.boundary:
            if face in row:
                row[face] = -row[face]

    monkeypatch.setattr(faces, "_set_face", wrong)
    heated = heat(
        conditions=(C("initial", "u", "t", x), C("dirichlet", "u", "x-", ZERO), C("neumann", "u", "x+", 1 + t))
    )
    orders = measure_space(heated, weak_form(heated), degree=2, scheme="sdirk2", cells=[8, 16])
    assert not orders.holds("u") and orders.measured("u") < 0.5
    with pytest.raises(UserError, match="no solution"):  # here the wrong sign makes the numbers blow up
        solve_pde(reaction(), tolerance=1e-1, minutes=0.5)


def test_a_first_order_scheme_declared_as_second_is_found(monkeypatch):
    def backward_euler(newton, scheme, at, h, state):
        return newton.solve(at + h, newton.discrete.hold(at + h, state.copy()), state, 1.0 / h)

    monkeypatch.setattr(stepping, "one_step", backward_euler)
    orders = measure_time(heat(), weak_form(heat()), degree=2, scheme="sdirk2", steps=[8, 16, 32], cells=3)
    assert not orders.holds("u") and 0.8 < orders.measured("u") < 1.2
    assert orders.verdict("x").passed is False
    assert solve_pde(heat(), tolerance=1e-2).proven is False


def test_linear_elements_declared_as_quadratic_are_found(monkeypatch):
    true = stepping.degrees_of
    monkeypatch.setattr(stepping, "degrees_of", lambda form, degree: [1 for _ in true(form, degree)])
    orders = measure_space(heat(), weak_form(heat()), degree=2, scheme="sdirk2", cells=[8, 16, 32])
    assert not orders.holds("u") and orders.measured("u") < 2.3


def test_a_leak_of_mass_is_found(monkeypatch):
    u = S.Function("u")(x, t)
    raw = problem(
        [u.diff(t) - u.diff(x, 2)],
        ["u"],
        [(0, 1)],
        [C("initial", "u", "t", 1 + S.cos(S.pi * x)), C("neumann", "u", "boundary", ZERO)],
        0.1,
    )
    form = weak_form(raw)
    found = study(form, degree=2, scheme="sdirk2", tolerance=1e-2, deadline=1e12)
    assert {v.rule: v.passed for v in conservation(found)}["mass"]
    found.best.states[-1] *= 1 + 1e-6
    assert {v.rule: v.passed for v in conservation(found)}["mass"] is False


def test_the_second_method_finds_numbers_that_are_off_by_more_than_the_bar():
    form = weak_form(heat())
    found = study(form, degree=2, scheme="sdirk2", tolerance=1e-3, deadline=1e12)
    assert second_method(heat(), found, 60).passed
    found.best.states[1:] += 0.01
    assert second_method(heat(), found, 60).passed is False


def test_the_error_bar_holds_for_a_start_that_does_not_fit_its_boundary():
    raw = heat(conditions=(C("initial", "u", "t", S.Integer(1)), C("dirichlet", "u", "boundary", ZERO)))
    solution = solve_pde(raw, tolerance=4e-3, minutes=0.4)
    found = verdicts(solution)
    assert found["closed_form"].passed is not False and found["second_method"].passed is not False


# What cannot be solved is refused.


@pytest.mark.parametrize(
    ("term", "names"),
    [
        (lambda u: u.diff(x, 3), "third order"),
        (lambda u: u.diff(x, 2) ** 2, "not linear in the second derivative u_xx"),
        (lambda u: S.sqrt(u.diff(x)) * u.diff(x, 2), "depends on other derivatives"),
        (lambda u: S.Heaviside(x - S.Rational(1, 2)) * u.diff(x, 2), "jumps"),
        (lambda u: u.diff(x, t), "mixes"),
        (lambda u: S.Integral(u, x), "Integral"),
        (lambda u: S.Function("u")(x / 2, t), "elsewhere"),
        (lambda u: S.Symbol("k") * u, "k"),
        (lambda u: S.Function("w")(x, t), "w"),
    ],
)
def test_terms_that_cannot_be_solved_are_named(term, names):
    u = S.Function("u")(x, t)
    raw = heat(equations=(S.Eq(u.diff(t) - u.diff(x, 2), term(u)),))
    with pytest.raises(UserError, match=names):
        solve_pde(raw)


def test_a_start_that_is_infinite_under_a_boundary_value_is_refused():
    raw = heat(conditions=(C("initial", "u", "t", 1 / x), C("dirichlet", "u", "boundary", ZERO)))
    with pytest.raises(UserError, match="infinite"):
        solve_pde(raw)


def test_newton_takes_absolute_values_and_jumps():
    u = S.Function("u")(x, t)
    for term in (S.Abs(u.diff(x)), S.sign(u), S.Max(u, 0), S.Heaviside(x - S.Rational(1, 2)) * u):
        form = weak_form(heat(equations=(S.Eq(u.diff(t), u.diff(x, 2) + term),)))
        ends = [compute(form, [16], steps).field(0)[-1] for steps in (10, 20)]
        assert np.abs(ends[0] - ends[1]).max() < 2e-3 * np.abs(ends[1]).max()


def test_orders_are_measured_while_what_grows_or_vibrates_can_be_followed():
    u = S.Function("u")(x, t)
    ends = [C("dirichlet", "u", "boundary", ZERO), C("dirichlet", "u", "boundary", ZERO, 2)]
    starts = [C("initial", "u", "t", S.sin(S.pi * x)), C("initial", "u", "t", ZERO, 1)]
    beam = heat(
        equations=(S.Eq(u.diff(t, 2), -u.diff(x, 4)),), conditions=(*starts, *ends), domain={"x": (0, 1), "t": (0, 0.5)}
    )
    steep = heat(equations=(S.Eq(u.diff(t), u.diff(x, 2) + 100 * u),), domain={"x": (0, 1), "t": (0, 0.5)})
    for raw in (beam, steep):
        in_space, in_time = verify(raw, weak_form(raw))
        assert in_space.holds("u") and in_time.holds("u")
        assert in_time.span < 1 and "over the first" in in_time.verdict("").message


def test_where_no_tolerance_is_given_it_is_that_of_fields(monkeypatch):
    from sozai.assistant.equations import pde
    from sozai.assistant.equations.solve import solve as whole

    monkeypatch.setattr(pde, "solve_pde", lambda problem, **options: options)
    assert whole(heat())["tolerance"] == 1e-3
    assert whole(heat(), tolerance=1e-5)["tolerance"] == 1e-5


@pytest.mark.parametrize("term", ["u_x^2 + u_xx^2", "abs(u_xx)", "sin(u_xx)", "u_xxxxx", "u_xt"])
def test_odd_terms_typed_by_a_person_are_refused_with_a_sentence(term):
    from sozai.assistant.equations.parse import read_problem
    from sozai.assistant.equations.solve import solve as whole

    raw = read_problem(f"u_t = {term}, 0<x<1, periodic, u(x,0)=sin(2 pi x)/100, t=0..0.1")
    with pytest.raises(UserError, match="cannot solve this equation"):
        whole(raw)


def test_transport_without_diffusion_is_refused_unless_periodic_and_linear():
    u = S.Function("u")(x, t)
    with pytest.raises(UserError, match="diffusion"):
        weak_form(heat(equations=(S.Eq(u.diff(t) + u * u.diff(x), 0),)))
    raw = heat(
        equations=(S.Eq(u.diff(t) + u.diff(x), 0),),
        conditions=(C("initial", "u", "t", S.sin(2 * S.pi * x)), C("periodic", "u", "x")),
    )
    solution = solve_pde(raw, tolerance=3e-2)
    assert solution.proven and "sin(" in solution.closed_form["u"]


def test_conditions_are_checked():
    with pytest.raises(UserError, match="initial value"):
        weak_form(heat(conditions=(C("dirichlet", "u", "boundary", ZERO),)))
    with pytest.raises(UserError, match="2 conditions"):
        weak_form(heat(conditions=(*heat().conditions, C("neumann", "u", "x-", ZERO))))
    with pytest.raises(UserError, match="face"):
        weak_form(heat(conditions=(C("dirichlet", "u", "left", ZERO),)))
    with pytest.raises(UserError, match="tolerance"):
        solve_pde(heat(), tolerance=0)
    with pytest.raises(UserError, match="let it end after"):
        weak_form(heat(domain={"x": (1, 0), "t": (0, 1)}))


def test_a_steady_flux_that_does_not_balance_is_named():
    u = S.Function("u")(x)
    raw = problem([u.diff(x, 2) + 1], ["u"], [(0, 1)], [C("neumann", "u", "boundary", ZERO)])
    with pytest.raises(UserError, match="differ"):
        solve_pde(raw)


def test_a_solution_that_blows_up_is_told():
    u = S.Function("u")(x, t)
    raw = heat(
        equations=(S.Eq(u.diff(t), u.diff(x, 2) + 30 * u**3),),
        domain={"x": (0, 1), "t": (0, 1)},
        conditions=(C("initial", "u", "t", 3 * S.sin(S.pi * x)), C("dirichlet", "u", "boundary", ZERO)),
    )
    with pytest.raises(UserError, match="no solution was found"):
        solve_pde(raw, minutes=0.3)


def test_the_page_shows_film_orders_and_script(tmp_path):
    pytest.importorskip("jinja2")
    from sozai.reports.equations import solution_report

    solution = solve_pde(heat(), tolerance=1e-2)
    page = solution_report(solution, tmp_path / "report.html").read_text()
    assert "Solved and proven" in page and "data-film" in page and "theory: order 3" in page and "import skfem" in page
    assert "script-src 'sha256-" in page and "D*u_xx" in page
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page
    bad = replace(solution, verdicts=[replace(solution.verdicts[0], passed=False)])
    assert "Not proven" in solution_report(bad, tmp_path).read_text()


def test_names_used_by_others_exist():
    assert scheme_of(weak_form(heat())) == "sdirk2" and discrete.NEWTON_TOLERANCE < 1e-9
    assert orders.ORDER_TOLERANCE < 0.5 and solve.solve_pde is solve_pde
