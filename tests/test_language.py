"""The language family: any fields as tokens, conditions, saved states, sampling options, preferences, prompting."""

import math

import pytest
import torch

from sozai.errors import UserError
from sozai.fields import MASK, Field, category, image, number, sequence
from sozai.generators.families.autoregressive import Autoregressive
from sozai.generators.families.preference import DPO, RewardModel, pairs
from sozai.generators.families.reinforcement import GRPO, PPO
from sozai.generators.language.prompting import Alphabet, FewShot, Template, only
from sozai.generators.networks.gpt import GPT
from sozai.generators.recipes.language import RECIPES
from sozai.generators.tensors import as_batch, seeded
from sozai.generators.token_codec import TokenCodec
from sozai.generators.train import train

FIELDS = {
    "y": number(2),
    "level": Field("continuous", levels=5),
    "kind": category(3, 2),
    "angle": Field("periodic"),
    "picture": image(1, 2, 2),
    "grey": image(1, 2, 2, levels=3),
    "text": sequence(4, 3),
}
CONDITIONS = {"c": category(2), "z": number()}
SMALL = {"width": 16, "layers": 1, "heads": 2, "bins": 8}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def rows(count=60):
    length = torch.randint(0, 5, (count, 1))
    mask = torch.arange(4) < length
    return as_batch(
        {
            "y": torch.randn(count, 2),
            "level": torch.randint(0, 5, (count,)) * 2.5 - 1,
            "kind": torch.randint(0, 3, (count, 2)),
            "angle": torch.rand(count),
            "picture": torch.rand(count, 1, 2, 2) * 2 - 1,
            "grey": torch.randint(0, 3, (count, 1, 2, 2)) - 1.0,
            "text": torch.randint(0, 3, (count, 4)) * mask,
            "mask": mask,
            "c": torch.randint(0, 2, (count,)),
            "z": torch.randn(count),
        },
        {**FIELDS, **CONDITIONS},
    )


def fitted(fields=FIELDS, conditions=CONDITIONS, **settings):
    core = Autoregressive(fields, conditions, **(SMALL | settings))
    if fields is FIELDS:
        core.prepare(rows())
    return core.eval()


def test_every_field_comes_back_from_tokens():
    batch, core = rows(), fitted()
    tokens = core.encode(batch)
    assert core.codec.legal[torch.arange(tokens.shape[1]), tokens].all()
    back = core.codec.decode(tokens)
    for name in ("level", "kind", "grey", "text", MASK):
        assert torch.allclose(back[name].float(), batch[name].float(), atol=1e-6), name
    assert torch.equal(core.encode(back), tokens)  # numbers stay in their bins
    assert back["angle"].ge(0).all() and back["angle"].lt(1).all()


def test_values_that_are_always_the_same_in_a_bin_come_back_exactly():
    data = {"y": torch.cat([torch.zeros(50), torch.full((30,), 28.0), torch.linspace(90, 100, 20)])}
    codec = TokenCodec({"y": number()}, bins=6)
    codec.fit(data)
    assert torch.equal(codec.decode(codec.encode(data))["y"][:80], data["y"][:80])
    constant = TokenCodec({"y": number()}, bins=6)
    constant.fit({"y": torch.full((9,), 3.0)})
    assert torch.equal(constant.decode(constant.encode({"y": torch.full((9,), 3.0)}))["y"], torch.full((9,), 3.0))
    assert torch.isfinite(constant.log_density({"y": torch.tensor([-1e3, 3.0, 1e3])})).all()


def test_trains_samples_legal_rows_and_has_a_likelihood():
    core = Autoregressive(FIELDS, CONDITIONS, **SMALL)
    log = train(core, rows(), rows(20), steps=30, batch_size=20, every=30)
    assert log["rounds"][-1]["held_out"]["loss"] < math.log(8)
    with seeded(1):
        new = core.sample(40, {"c": torch.ones(40, dtype=torch.long)})
    as_batch(new, FIELDS)
    assert new[MASK].dtype == torch.bool and not (new[MASK][:, 1:] & ~new[MASK][:, :-1]).any()
    with seeded(1):
        again = core.sample(40, {"c": torch.ones(40, dtype=torch.long)})
    assert all(torch.equal(new[name], again[name]) for name in new)
    assert torch.isfinite(core.log_prob({**new, "c": torch.zeros(40, dtype=torch.long)})).all()


def test_conditions_are_heeded():
    c = torch.randint(0, 2, (400,))
    core = Autoregressive({"x": category(2)}, {"c": category(2)}, **SMALL)
    train(core, {"x": c, "c": c}, steps=150, batch_size=64)
    assert (core.sample(200, {"c": torch.arange(200) % 2})["x"] == torch.arange(200) % 2).float().mean() > 0.97
    assert 0.3 < core.sample(400)["x"].float().mean() < 0.7  # not given


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_recipes_can_be_saved_and_built_again(recipe):
    core = recipe.build(FIELDS, CONDITIONS, **SMALL)
    if recipe.name in ("transformer", "gpt", "gpt-2"):
        core.prepare(rows())
    else:
        core.start_from(fitted())
    again = recipe.build(FIELDS, CONDITIONS, **SMALL)
    again.load_state_dict(core.state_dict(), strict=True)
    with seeded(0):
        one = core.sample(8)
    with seeded(0):
        two = again.sample(8)
    assert all(torch.equal(one[name], two[name]) for name in one)
    weights = [value.data_ptr() for value in core.state_dict().values() if value.numel()]
    assert len(weights) == len(set(weights))  # safetensors keeps no weight twice


@pytest.mark.parametrize("cached", [True, False])
def test_prompts_are_kept_and_continued(cached):
    core = fitted({"text": sequence(6, 3)}, {})
    prompt = torch.tensor([2, 0, 1])
    with seeded(0):
        tokens, weight = core.generate(50, prompt=prompt, cached=cached)
    assert torch.equal(tokens[:, :3], prompt.expand(50, 3)) and torch.equal(weight, torch.zeros(50))
    with seeded(0):
        same, _ = core.generate(50, prompt=prompt, cached=not cached)
    assert torch.equal(tokens, same)
    short, _ = core.generate(5, prompt=prompt, most=1)
    assert (short[:, 4:] == core.codec.end).all()
    assert core.training is False and core.train().generate(1)[0].shape == (1, 6) and core.training


def test_bad_settings_are_told():
    for settings in ({"width": 10, "heads": 4}, {"norm": "none"}, {"positions": "x"}, {"activation": "x"}, {"bins": 1}):
        with pytest.raises(UserError):
            Autoregressive(FIELDS, **{**SMALL, **settings})
    with pytest.raises(UserError, match="cannot be written as tokens"):
        Autoregressive({"r": Field("rotation", (3, 3))})
    core = fitted({"text": sequence(6, 3)}, {})
    for options in ({"temperature": -1}, {"top_p": 0}, {"top_k": -1}, {"prompt": torch.zeros(2, 2)}):
        with pytest.raises(UserError):
            core.generate(3, **options)
    with pytest.raises(UserError, match="token 2 cannot stand there"):
        core.generate(3, prompt=torch.tensor([0, 4]))
    with pytest.raises(UserError, match="no legal token at place 1"):
        core.generate(3, mask=lambda tokens: torch.zeros(len(tokens), 5, dtype=torch.bool))
    with pytest.raises(UserError, match="gaps"):
        core.prepare({"text": torch.zeros(1, 6).long(), MASK: torch.tensor([[1, 0, 1, 0, 0, 0]]).bool()})
    with pytest.raises(UserError, match="more than the network's"):
        GPT(3, 4, 8, 1, 2)(torch.zeros(1, 5).long())
    with pytest.raises(UserError, match="kl"):
        GRPO(FIELDS, kl="nowhere", **SMALL)
    with pytest.raises(UserError, match="groups"):
        GRPO(FIELDS, rollouts=30, group=16, **SMALL)


def test_preferences_need_a_fitted_model_pairs_and_a_reward():
    text = {"text": sequence(4, 3)}
    for kind in (RewardModel, DPO, PPO, GRPO):
        with pytest.raises(UserError, match="fitted language model"):
            train(kind(text, **SMALL), rows(), steps=1)
    model = fitted(text, {})
    with pytest.raises(UserError, match="reward"):
        train(PPO.wrap(model), rows(), steps=1)
    with pytest.raises(UserError, match="pairs"):
        DPO.wrap(model).loss(rows())


def test_a_reward_model_heeds_conditions():
    fields, conditions = {"text": sequence(3, 2)}, {"c": category(2)}
    model = Autoregressive(fields, conditions, **SMALL)
    texts = {"text": torch.randint(0, 2, (300, 3)), "c": torch.randint(0, 2, (300,))}
    same = {**texts, "text": texts["c"][:, None].expand(300, 3).clone()}
    judge = RewardModel.wrap(model, rate=1e-2)
    train(judge, pairs(same, {**texts, "text": 1 - same["text"]}), steps=60, batch_size=64)
    assert (judge.score(same) > judge.score({**same, "text": 1 - same["text"]})).float().mean() > 0.95


@pytest.mark.parametrize("kind", [PPO, GRPO])
def test_a_reward_is_followed_given_conditions(kind):
    model = Autoregressive({"x": category(4)}, {"c": category(2)}, **SMALL)
    policy = kind.wrap(model, rollouts=64, rate=1e-2, beta=0.1)
    policy.start_from(model)
    policy.reward = lambda rows: (rows["x"] == 2 * rows["c"]).float()
    data = {"x": torch.zeros(64).long(), "c": torch.arange(64) % 2}
    log = train(policy, data, data, steps=30, batch_size=64, ema=0.9, every=30)
    c = torch.arange(200) % 2
    assert (policy.sample(200, {"c": c})["x"] == 2 * c).float().mean() > 0.9
    assert log["rounds"][-1]["held_out"]["kl"] > 0.5


def test_few_shot_prompts_are_written_and_read():
    template, alphabet = Template("{question}={answer};"), Alphabet("ab=;xy")
    prompt = template.prompt([("a", "xy"), ("b", "y")], "ab")
    assert prompt == "a=xy;b=y;ab=" and alphabet.decode(alphabet.encode(prompt)) == prompt
    assert template.parse("xy;a=", ["xy", "y"]) == "xy" and template.parse("yy;", ["xy", "y"]) is None
    core = fitted({"t": sequence(16, 6)}, {})
    few_shot = FewShot(core, alphabet, template, ["xy", "y"])
    replies = few_shot.ask([[("a", "xy")], []], ["b", "ab"], temperature=5.0)
    assert all(reply in ("xy", "y") for reply in replies)
    mask = only([[4, 5], [5]], 1, 8)
    assert mask(torch.tensor([[0, 4], [0, 5]])).sum(1).tolist() == [1, 8]
    with pytest.raises(UserError, match="alphabet"):
        alphabet.encode("z")
    with pytest.raises(UserError, match="before the answer"):
        Template("{answer}{question}")
