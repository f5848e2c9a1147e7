"""Samplers beyond their proofs: any denoiser, any shape, conditions, rules, saved state, mistakes."""

import pytest
import torch

from sozai.errors import UserError
from sozai.fields import category, image, number
from sozai.generators.families.diffusion import GaussianDiffusion
from sozai.generators.processes.gaussian import CosineSchedule, LinearSchedule
from sozai.generators.proofs import mixture
from sozai.generators.proofs.mixture import Mixture
from sozai.generators.recipes.samplers import RECIPES
from sozai.generators.samplers import catalog, guidance, ode, paths
from sozai.generators.tensors import seeded

NAMES = ("ancestral", "ddim", "dp", "analytic-dpm", "ddss", "genie", "heun", "dpm-solver")
QUICK = {"ddss": {"steps": 3, "fit_steps": 3, "batch_size": 32}, "genie": {"fit_steps": 3, "batch_size": 32}}
SMALL = {"grid": 20, "rows": 16}


def sampler_for(name, event, **settings):
    return catalog.make(name, event, **{"steps": 4, **SMALL, **QUICK.get(name, {}), **settings})


@pytest.mark.parametrize("schedule", [LinearSchedule(), CosineSchedule()], ids=["linear", "cosine"])
@pytest.mark.parametrize("name", NAMES)
def test_every_sampler_draws_from_an_exact_denoiser_of_any_shape(name, schedule):
    with seeded(0):
        flat = mixture.default_parts()
        denoiser = Mixture(schedule, *flat, event=(1, 1, 2))
        data = denoiser.sample(200)
        sampler = sampler_for(name, denoiser.event)
        sampler.fit(denoiser, data)
        drawn = sampler.draw(denoiser, 50)
        assert drawn.shape == (50, 1, 1, 2) and bool(torch.isfinite(drawn).all())
        assert float(drawn.std()) == pytest.approx(float(data.std()), rel=0.5)


@pytest.mark.parametrize("name", ["ancestral", "ddim", "analytic-dpm", "dp", "dpm-solver", "genie", "heun"])
def test_conditions_are_obeyed(name):
    with seeded(0):
        denoiser = mixture.ring()
        to_mode = torch.where(torch.eye(8, dtype=torch.float64) > 0, 0.0, -40.0)
        wanted = torch.arange(80) % 8
        sampler = sampler_for(name, (2,), **({"head": False} if name == "genie" else {}))
        sampler.fit(denoiser, denoiser.sample(100))
        drawn = sampler.draw(denoiser, 80, to_mode[wanted], steps=12)
        nearest = torch.cdist(drawn, denoiser.means).argmin(1)
        assert float((nearest == wanted).double().mean()) > 0.95


FIELDS = {
    "mixed": {"x": number(), "kind": category(3)},
    "image": {"picture": image(1, 8, 8)},
    "volume": {"grains": image(1, 4, 4, 4)},
}


def rows(fields, count):
    made = {}
    for name, field in fields.items():
        if field.discrete:
            made[name] = torch.randint(field.categories, (count, *field.shape))
        else:
            made[name] = torch.rand(count, *field.shape) * 2 - 1
    return made


@pytest.mark.parametrize("kind", FIELDS)
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_recipes_serve_every_field_and_save_what_they_fit(recipe, kind):
    fields = FIELDS[kind]
    conditions = {"strength": number(), "route": category(2)}
    settings = {"width": 16, "layers": 1}
    given = {**SMALL, **QUICK.get(recipe.name, {"steps": 3})}
    with seeded(0):
        core = recipe.build(fields, conditions, sampler_settings=given, **settings)
        data = {**rows(fields, 24), "strength": torch.randn(24), "route": torch.randint(2, (24,))}
        core.prepare(data)
        before = {name: value.clone() for name, value in core.net.state_dict().items()}
        core.finish(data)
        assert all(torch.equal(before[name], value) for name, value in core.net.state_dict().items())
        assert all(parameter.requires_grad for parameter in core.net.parameters())
        fresh = recipe.build(fields, conditions, sampler_settings=given, **settings)
        fresh.load_state_dict(core.state_dict(), strict=True)
        drawn = []
        for each in (core, fresh):
            with seeded(1):
                drawn.append(each.sample(5, {"strength": torch.full((5,), float("nan"))}))
    for name, field in fields.items():
        assert torch.equal(drawn[0][name], drawn[1][name])
        assert drawn[0][name].shape == (5, *field.shape)


def test_one_fitted_diffusion_serves_all_samplers_and_rules_hold():
    with seeded(0):
        core = GaussianDiffusion({"x": number(3)}, width=16, layers=1)
        data = {"x": torch.rand(64, 3)}
        core.prepare(data)
        assert set(NAMES) <= set(catalog.SAMPLERS)
        for name in NAMES:
            sampler = sampler_for(name, core.event)
            sampler.fit(core, core.encode(data))
            assert core.sample(4, sampler=sampler)["x"].shape == (4, 3)
            rule = core.in_units(guidance.onto_plane(torch.ones(1, 3), torch.tensor([30.0])))  # far from the data
            if name != "ddss":
                assert core.sample(4, sampler=sampler, project=rule)["x"].sum(1) == pytest.approx([30.0] * 4, rel=1e-3)


def test_predictions_stay_within_the_range_of_the_data_and_need_not():
    with seeded(0):
        denoiser = Mixture()
        narrow = denoiser.sample(500).clamp(-0.5, 0.5)
        for clip, most in ((True, 0.6), (False, 3.0)):
            sampler = catalog.make("ddim", (2,), clip=clip)
            sampler.fit(denoiser, narrow)
            drawn = float(sampler.draw(denoiser, 200).abs().max())
            assert (drawn <= most + 1e-6) and (clip or drawn > 0.6)


def test_learned_variance_is_used():
    with seeded(0):
        core = GaussianDiffusion({"x": number(2)}, width=16, layers=1, variance="learned", objective="hybrid")
        core.prepare({"x": torch.randn(30, 2)})
        assert core.sample(4, sampler=catalog.make("ancestral", (2,), variance="learned", steps=4))["x"].shape == (4, 2)
        plain = GaussianDiffusion({"x": number(2)}, width=16, layers=1)
        with pytest.raises(UserError, match="learned"):
            plain.sample(4, sampler=catalog.make("ancestral", (2,), variance="learned", steps=4))


def test_paths_fall_from_one_to_zero():
    for schedule in (LinearSchedule(), CosineSchedule()):
        for name in paths.PATHS:
            for steps in (1, 2, 7):
                path = paths.times(name, schedule, steps)
                assert len(path) == steps + 1 and float(path[0]) == pytest.approx(1, abs=1e-9) and float(path[-1]) == 0
                assert bool((path.diff() < 0).all())
        log_snr = torch.linspace(-4, 4, 9, dtype=torch.float64)
        found = schedule.log_snr(paths.time_of(schedule, log_snr))
        assert torch.allclose(found, log_snr, atol=1e-6)
    assert paths.even(10, 4).tolist() == [10, 7, 4, 1, 0]


def test_the_likelihood_works_on_images_and_by_probes():
    with seeded(0):
        core = GaussianDiffusion({"picture": image(1, 8, 8)}, width=8, layers=1).eval()
        x = torch.rand(3, 1, 8, 8)
        assert bool(torch.isfinite(ode.log_prob(core, x, steps=3, probes=2)).all())
    with pytest.raises(UserError):
        ode.log_prob(Mixture(), torch.zeros(2, 2), probes=-1)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ddimm", {}),
        ("ddim", {"eta": 2}),
        ("ddim", {"etta": 1}),
        ("ddim", {"path": "straight"}),
        ("ddim", {"steps": 0}),
        ("ancestral", {"variance": "gamma"}),
        ("ddss", {"kernel": "cubic"}),
    ],
)
def test_bad_settings_are_told(name, settings):
    with pytest.raises(UserError):
        catalog.make(name, (2,), **settings)


def test_what_was_not_fitted_is_told():
    for name in ("dp", "analytic-dpm", "ddss"):
        with pytest.raises(UserError, match="not been fitted"):
            catalog.make(name, (2,)).draw(Mixture(), 3)
    sampler = sampler_for("ddss", (2,))
    sampler.fit(Mixture(), Mixture().sample(50))
    with pytest.raises(UserError, match="3 steps"):
        sampler.draw(Mixture(), 3, steps=4)
    sampler = sampler_for("dp", (2,))
    sampler.fit(Mixture(), Mixture().sample(50))
    with pytest.raises(UserError, match="grid"):
        sampler.draw(Mixture(), 3, steps=40)
