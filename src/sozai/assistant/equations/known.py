"""Equations known by name: how they are called, and what they say in one to three dimensions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Known:
    """An equation known by name.

    Attributes:
        name: as of ``Problem.name``.
        called: regular expression of its names in words.
        unknowns: of the dimension (1 to 3); the first is replaced by one of ``also`` that the text uses.
        equations: texts, of the dimension; ``f`` is a source that must be given where it occurs.
        also: other names of the first unknown.
        words: parameters by regular expression of their names in words or of other letters.
        steady: it has no time.
        source: a source may be added to the first equation's right side.
    """

    name: str
    called: str
    unknowns: Callable[[int], tuple[str, ...]]
    equations: Callable[[int], tuple[str, ...]]
    also: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    steady: bool = False
    source: bool = False
    partial: bool = True


_AXES = ("x", "y", "z")
_DIFFUSIVITY = r"(?:thermal\s+)?diffusivity|diffusion\s+(?:coefficient|constant)|alpha|kappa|a"


def _one(*names: str) -> Callable[[int], tuple[str, ...]]:
    return lambda dimension: names


def _vector(dimension: int) -> tuple[str, ...]:
    return tuple(f"u{axis}" for axis in _AXES[:dimension])


def _divergence(dimension: int) -> str:
    return " + ".join(f"diff(u{axis}, {axis})" for axis in _AXES[:dimension])


def _elasticity(dimension: int) -> tuple[str, ...]:
    total = _divergence(dimension)
    return tuple(f"-(lam + mu)*diff({total}, {axis}) - mu*laplacian(u{axis}) = b{axis}" for axis in _AXES[:dimension])


def _stokes(dimension: int) -> tuple[str, ...]:
    momentum = tuple(f"-mu*laplacian(u{axis}) + diff(p, {axis}) = b{axis}" for axis in _AXES[:dimension])
    return (*momentum, f"{_divergence(dimension)} = 0")


KNOWN = (
    Known(
        "heat",
        r"(?:(?!on\b|in\b|solve\b|the\b)[a-z]{2,}\s+)?heat(?:\s+conduction|\s+transport|\s+diffusion)?\s+equation|heat\s+conduction|"
        r"heat\s+flow|temperature(?=\s+(?:in|of|along|inside)\s+an?\b)|(?:cooling|quenching|heating)(?=\s+of\s+an?\b)",
        _one("u"),
        _one("u_t = D*laplacian(u)"),
        ("T", "theta"),
        {"D": _DIFFUSIVITY},
        source=True,
    ),
    Known(
        "fick",
        r"(?:de)?carburi[sz](?:ation|ing)|nitrid(?:ing|ation)|interdiffusion|ficks?\s+(?:second\s+)?law(?:\s+of\s+diffusion)?|ficks?\s+(?:second\s+)?(?:diffusion\s+)?equation|"
        r"diffusion\s+equation|diffusion(?=\s+(?:in|on|of|through|across|along|into))",
        _one("c"),
        _one("c_t = D*laplacian(c)"),
        ("u", "C", "n"),
        {"D": _DIFFUSIVITY},
        source=True,
    ),
    Known(
        "fisher-kpp",
        r"fisher(?:[\s-]+k(?:olmogorov|pp)[\w\s-]*?)?(?:\s+equation)?(?=\s|,|$)|kpp\s+equation",
        _one("u"),
        _one("u_t = D*laplacian(u) + r*u*(1 - u)"),
        ("c", "n"),
        {"D": _DIFFUSIVITY, "r": r"growth\s+rate|rate"},
    ),
    Known(
        "gray-scott",
        r"gray[\s-]+scott(?:\s+(?:model|equations?|system))?",
        _one("u", "v"),
        _one("u_t = Du*laplacian(u) - u*v^2 + F*(1 - u)", "v_t = Dv*laplacian(v) + u*v^2 - (F + k)*v"),
        (),
        {"Du": r"D_u", "Dv": r"D_v", "F": r"feed(?:\s+rate)?|f", "k": r"kill(?:\s+rate)?|kappa"},
    ),
    Known(
        "allen-cahn",
        r"allen[\s-]+cahn(?:\s+equation)?",
        _one("u"),
        _one("u_t = M*(eps^2*laplacian(u) + u - u^3)"),
        ("phi", "c"),
        {"M": r"mobility|L", "eps": r"interface\s+width"},
    ),
    Known(
        "cahn-hilliard",
        r"cahn[\s-]+hilliard(?:\s+equation)?",
        _one("c"),
        _one("c_t = M*laplacian(c^3 - c - eps^2*laplacian(c))"),
        ("u", "phi"),
        {"M": r"mobility|D", "eps": r"interface\s+width"},
    ),
    Known(
        "poisson-nernst-planck",
        r"poisson[\s-]+nernst[\s-]+planck(?:\s+equations?|\s+system)?|"
        r"pnp\s+(?:equations?|system)",
        _one("cp", "cn", "phi"),
        _one(
            "cp_t = div(Dp*(grad(cp) + zp*cp*grad(phi)))",
            "cn_t = div(Dn*(grad(cn) + zn*cn*grad(phi)))",
            "-eps^2*laplacian(phi) = zp*cp + zn*cn",
        ),
    ),
    Known(
        "laplace",
        r"laplaces?\s+(?:equation|problem)",
        _one("u"),
        _one("-laplacian(u) = 0"),
        ("phi", "T", "V"),
        {},
        True,
    ),
    Known(
        "poisson",
        r"poissons?\s+(?:equation|problem)",
        _one("u"),
        _one("-laplacian(u) = f"),
        ("phi", "T", "V"),
        {},
        True,
    ),
    Known(
        "helmholtz",
        r"helmholtz(?:\s+(?:equation|problem))?",
        _one("u"),
        _one("laplacian(u) + k^2*u = f"),
        ("p", "E"),
        {"k": r"wave\s*number"},
        True,
    ),
    Known(
        "wave",
        r"wave\s+equation|vibrating(?=\s+string)",
        _one("u"),
        _one("u_tt = c^2*laplacian(u)"),
        ("w", "y"),
        {"c": r"(?:wave\s+)?speed(?:\s+of\s+sound)?|velocity"},
        source=True,
    ),
    Known(
        "burgers",
        r"(?:viscous\s+)?burgers?(?:\s+equation)?",
        _one("u"),
        _one("u_t + u*u_x = nu*u_xx"),
        (),
        {"nu": r"(?:kinematic\s+)?viscosity|D"},
    ),
    Known(
        "linear-elasticity",
        r"(?:linear\s+)?elasticity(?:\s+equations?|\s+problem)?|"
        r"navier[\s-]+cauchy(?:\s+equations?)?",
        _vector,
        _elasticity,
        (),
        {"lam": r"first\s+lame\s+\w+|la", "mu": r"shear\s+modulus|G"},
        True,
    ),
    Known(
        "stokes",
        r"stokes(?:\s+(?:equations?|flow|problem))?",
        lambda d: (*_vector(d), "p"),
        _stokes,
        (),
        {"mu": r"(?:dynamic\s+)?viscosity|eta|nu"},
        True,
    ),
    # Ordinary equations with a name.
    Known(
        "beam",
        r"(?:euler[\s-]+bernoulli\s+)?beam\s+(?:equation|bending)|euler[\s-]+bernoulli(?=\s+beam)|"
        r"(?:bending|deflection)\s+of(?=\s+an?\s+(?:\w+[\s-]){0,2}(?:beam|cantilever))|(?:cantilever|simply[\s-]supported)(?=\s+beam)",
        _one("w"),
        _one("diff(EI*diff(w, x, 2), x, 2) = q"),
        ("y", "v", "u"),
        {"EI": r"(?:bending|flexural)\s+(?:stiffness|rigidity)", "q": r"(?:uniform\s+|distributed\s+)*load"},
        partial=False,
    ),
    Known(
        "decay",
        r"(?:radioactive|exponential|first[\s-]order)\s+decay",
        _one("u"),
        _one("u' = -k*u"),
        ("N", "c", "n"),
        {"k": r"rate(?:\s+constant)?|lam"},
        partial=False,
    ),
    Known(
        "logistic",
        r"logistic\s+(?:equation|growth)",
        _one("u"),
        _one("u' = r*u*(1 - u/K)"),
        ("N", "x", "P"),
        {"r": r"(?:growth\s+)?rate", "K": r"(?:carrying\s+)?capacity"},
        partial=False,
    ),
    Known(
        "oscillator",
        r"(?:damped\s+)?harmonic\s+oscillator",
        _one("x"),
        _one("x'' + 2*zeta*omega*x' + omega^2*x = 0"),
        ("u",),
        {"zeta": r"damping(?:\s+ratio)?|z", "omega": r"(?:angular\s+)?frequency|w"},
        partial=False,
    ),
    Known(
        "pendulum",
        r"(?:simple\s+)?pendulum(?:\s+equation)?",
        _one("theta"),
        _one("theta'' + g/L*sin(theta) = 0"),
        ("x",),
        {"g": r"gravity", "L": r"length|l"},
        partial=False,
    ),
    Known(
        "van-der-pol",
        r"van\s+der\s+pol(?:\s+(?:oscillator|equation))?",
        _one("x"),
        _one("x'' - mu*(1 - x^2)*x' + x = 0"),
        ("u",),
        {},
        partial=False,
    ),
    Known(
        "lotka-volterra",
        r"lotka[\s-]+volterra(?:\s+(?:model|equations?))?|predator[\s-]+prey(?:\s+(?:model|"
        r"equations?))?",
        _one("x", "y"),
        _one("x' = a*x - b*x*y", "y' = -c*y + d*x*y"),
        (),
        {},
        partial=False,
    ),
    Known(
        "lorenz",
        r"lorenz(?:\s+(?:system|equations?|attractor))?",
        _one("x", "y", "z"),
        _one("x' = sigma*(y - x)", "y' = x*(rho - z) - y", "z' = x*y - beta*z"),
        (),
        {},
        partial=False,
    ),
    Known(
        "robertson",
        r"robertson(?:\s+(?:problem|kinetics|equations?))?",
        _one("x", "y", "z"),
        _one("x' = -0.04*x + 1e4*y*z", "y' = 0.04*x - 1e4*y*z - 3e7*y^2", "z' = 3e7*y^2"),
        (),
        {},
        partial=False,
    ),
)


def find_known(text: str) -> tuple[Known, str] | None:
    """The equation that a text names, and the text without the name; the earliest and longest name counts."""
    found = []
    for known in KNOWN:
        match = re.search(rf"\b(?:the\s+)?(?:\w+-dimensional\s+)?(?:{known.called})", text, re.IGNORECASE)
        if match:
            found.append((match.start(), -len(match.group()), known.name, known, match))
    if not found:
        return None
    *_, known, match = min(found, key=lambda item: item[:3])
    return known, text[: match.start()] + " " + text[match.end() :]
