"""Proofs of the language models: attention, GPT-2's logits, exact likelihoods, decoding under masks, prompting."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from sozai.fields import MASK, category, image, number, sequence
from sozai.generators.families import autoregressive
from sozai.generators.families.autoregressive import Autoregressive
from sozai.generators.language.prompting import Alphabet, FewShot, Template
from sozai.generators.networks import gpt
from sozai.generators.networks.gpt import GPT
from sozai.generators.proofs import preference  # noqa: F401  (its checks are registered with these)
from sozai.generators.proofs.proof import Finding, Mutation, at_least, at_most, check, holds, near
from sozai.generators.tensors import Batch
from sozai.generators.train import train

REFERENCE = Path(__file__).with_name("gpt2_reference.safetensors")
STYLES: dict[str, dict[str, Any]] = {
    "transformer": {"norm": "post", "positions": "sinusoidal", "activation": "relu"},
    "gpt": {"norm": "post"},
    "gpt-2": {},
}
NETWORK, CORE = "sozai.generators.networks.gpt", "sozai.generators.families.autoregressive"
SEES_AHEAD = Mutation(
    "tokens see those ahead", f"{NETWORK}:attend", lambda q, k, v, dropout=0.0: F.scaled_dot_product_attention(q, k, v)
)


def explicit_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(Q K^T / sqrt(d)) V over the tokens so far, written out."""
    rows = []
    for place in range(q.shape[-2]):
        seen = k.shape[-2] - q.shape[-2] + place + 1
        weights = torch.exp(torch.einsum("bhd,bhnd->bhn", q[:, :, place], k[:, :, :seen]) / math.sqrt(q.shape[-1]))
        rows.append(torch.einsum("bhn,bhnd->bhd", weights / weights.sum(-1, keepdim=True), v[:, :, :seen]))
    return torch.stack(rows, 2)


@check(
    "transformer", "gpt", "gpt-2", seconds=0.1,
    broken_by=[
        SEES_AHEAD,
        Mutation("no division by sqrt(d)", f"{NETWORK}:attend",
                 make=lambda attend: lambda q, k, v, dropout=0.0: attend(q * math.sqrt(q.shape[-1]), k, v)),
        Mutation("with a cache the newest token is not seen", f"{NETWORK}:causal_mask",
                 make=lambda mask: lambda new, total, device=None: mask(new, total, device).roll(-1, 1)),
    ],
)  # fmt: skip
def attention_is_a_masked_softmax() -> Iterator[Finding]:
    """Attention equals softmax(Q K^T / sqrt(d)) V written out token by token, whole and for the last tokens only."""
    q, k, v = torch.randn(3, 2, 3, 9, 8, dtype=torch.float64)
    for new in (9, 4):
        last = q[:, :, -new:]
        gap = (gpt.attend(last, k, v) - explicit_attention(last, k, v)).abs().max()
        yield at_most(f"largest difference, {new} of 9 tokens", 1e-12, float(gap), "rounding of float64")


@check(
    "transformer", "gpt", "gpt-2", seconds=0.3,
    broken_by=[
        SEES_AHEAD,
        Mutation("the cache is forgotten", f"{NETWORK}:Block.attention",
                 make=lambda attention: lambda self, x, layer, cache: attention(self, x, layer, None)),
    ],
)  # fmt: skip
def the_past_is_all_that_counts() -> Iterator[Finding]:
    """A changed token leaves all earlier logits as they were; token by token with a cache gives the same logits."""
    for name, style in STYLES.items():
        network = GPT(11, 16, 32, 2, 4, **style).double().eval()
        with torch.no_grad():
            network.token.weight.normal_()
            tokens = torch.randint(0, 11, (3, 12))
            changed = tokens.clone()
            changed[:, 7] = (tokens[:, 7] + 1) % 11
            before, after = network(tokens), network(changed)
            change = (after - before).abs().amax((0, 2))
            yield at_most(f"{name}: change of logits 0 to 6", 1e-13, float(change[:7].max()), "rounding")
            yield at_least(f"{name}: change of each later one", 1e-3, float(change[7:].min()), "all look at token 7")
            cache: gpt.Cache = {}
            pieces = [network(piece, cache=cache) for piece in tokens.split([5, 1, 1, 3, 2], 1)]
            gap = (torch.cat(pieces, 1) - before).abs().max()
            yield at_most(f"{name}: cache against full pass", 1e-12, float(gap), "rounding of float64")


@check(
    "transformer", "gpt", seconds=0.1,
    broken_by=[
        Mutation("the norm stands before each part", f"{NETWORK}:Block.forward",
                 lambda self, x, layer=0, cache=None: (y := x + self.attention(self.norm_attention(x), layer, cache))
                 + self.feed(self.norm_feed(y))),
        Mutation("only sines", f"{NETWORK}:sinusoids", make=lambda f: lambda n, w: f(n, 2 * w)[:, ::2]),
    ],
)  # fmt: skip
def original_layers() -> Iterator[Finding]:
    """Transformer and GPT normalise after each sum; the transformer's positions are sinusoids."""
    x = torch.randn(2, 5, 16)
    for activation, by_hand in (("relu", lambda h: h.clamp(min=0)), ("gelu", gelu_by_hand)):
        block = gpt.Block(16, 2, "post", activation, 0.0)
        with torch.no_grad():
            for weight in block.parameters():
                weight.add_(0.2 * torch.randn_like(weight))
        q, k, v = (piece.view(2, 5, 2, 8).transpose(1, 2) for piece in block.qkv(x).chunk(3, -1))
        gathered = block.out(explicit_attention(q, k, v).transpose(1, 2).reshape(2, 5, 16))
        middle = block.norm_attention(x + gathered)
        expected = block.norm_feed(middle + block.shrink(by_hand(block.grow(middle))))
        gap = float((block(x) - expected).abs().max().detach())
        yield at_most(f"norm(x + part(x)), {activation}: largest difference", 1e-5, gap, "rounding of float32")
    places = gpt.sinusoids(40, 16)
    inner = places @ places.T
    steady = (inner[1:, 1:] - inner[:-1, :-1]).abs().max()
    yield at_most("p_i p_j depends on i - j only: largest deviation", 1e-5, float(steady), "sin^2 + cos^2 = 1")
    yield near("|p|^2", 8, float(inner[3, 3]), 1e-5, "half the width")
    off = (places[7, :2] - torch.tensor([math.sin(7), math.cos(7)])).abs().max()
    yield at_most("first wave has period 2 pi", 1e-6, float(off), "section 3.5")


def gelu_by_hand(h: Tensor) -> Tensor:
    """0.5 h (1 + tanh(sqrt(2 / pi) (h + 0.044715 h^3)))."""
    return 0.5 * h * (1 + torch.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3)))


@check(
    "gpt-2", seconds=0.2,
    broken_by=[
        Mutation("GELU by the error function", f"{NETWORK}:ACTIVATIONS", {"gelu": F.gelu, "relu": F.relu}),
        Mutation("the norm stands after each sum", f"{NETWORK}:Block.forward",
                 lambda self, x, layer=0, cache=None: (y := self.norm_attention(x + self.attention(x, layer, cache)))
                 + self.feed(self.norm_feed(y))),
        Mutation("residual projections start as large as the others", f"{NETWORK}:residual_scale", lambda layers: 1.0),
    ],
)  # fmt: skip
def logits_of_gpt2() -> Iterator[Finding]:
    """With the weights of transformers' GPT2LMHeadModel the logits are its logits; it starts as GPT-2 does."""
    state = load_file(REFERENCE)
    tokens, logits = state.pop("tokens"), state.pop("logits")
    with torch.no_grad():
        gap = (GPT.from_gpt2(state, heads=2)(tokens) - logits).abs().max()
    yield at_most("largest difference to the frozen logits", 1e-5, float(gap), "float32")
    if find_spec("transformers") is not None:
        from transformers import GPT2Config, GPT2LMHeadModel

        sizes = {"vocab_size": 40, "n_positions": 20, "n_embd": 32, "n_layer": 3, "n_head": 4}
        model = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)).eval()
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.1 * torch.randn_like(weight))
            tokens = torch.randint(0, 40, (3, 20))
            gap = (GPT.from_gpt2(model.state_dict(), heads=4)(tokens) - model(tokens).logits).abs().max()
        yield at_most("largest difference to transformers, run here", 1e-5, float(gap), "float32")
    network = GPT(50, 8, 64, layers=8)
    for name, expected in (("qkv", 0.02), ("out", 0.02 / 4), ("shrink", 0.02 / 4)):
        weights = torch.stack([getattr(block, name).weight.detach() for block in network.blocks])
        yield near(f"deviation of {name} at the start", expected, float(weights.std()), 0.03 * expected, "1/sqrt(16)")


def copies(rows: int, half: int = 4, tokens: int = 6) -> Batch:
    """Rows whose second half repeats the first."""
    return {"x": torch.randint(0, tokens, (rows, half)).repeat(1, 2)}


@check(
    "transformer", "gpt", "gpt-2", seconds=8,
    broken_by=[
        Mutation("tokens gather evenly, whatever they ask for", f"{NETWORK}:attend",
                 make=lambda attend: lambda q, k, v, dropout=0.0: attend(0 * q, k, v)),
    ],
)  # fmt: skip
def copies_what_it_read() -> Iterator[Finding]:
    """Copying is learned by all three; the likelihood reaches that of the truth, which no model can pass."""
    for name, style in STYLES.items():
        torch.manual_seed(1)
        core = Autoregressive({"x": sequence(8, 6)}, width=32, layers=2, heads=2, rate=4e-3, **style)
        train(core, copies(4000), steps=400, batch_size=64, ema=0.98)
        new = copies(500)["x"]
        written, _ = core.generate(500, prompt=new[:, :4], temperature=0)
        right = (written[:, 4:] == new[:, 4:]).all(1).float().mean()
        yield at_least(f"{name}: unseen rows copied without a mistake", 1.0, float(right), "the task has no noise")
        nats = -float(core.log_prob({"x": new}).mean())
        yield near(f"{name}: nats a row", 4 * math.log(6), nats, 0.06, "4 free tokens out of 6")


def sequences(length: int, tokens: int) -> Batch:
    """All sequences up to a length."""
    rows = [row for n in range(length + 1) for row in itertools.product(range(tokens), repeat=n)]
    padded = torch.tensor([[*row, *[0] * (length - len(row))] for row in rows])
    return {"x": padded, MASK: torch.tensor([[place < len(row) for place in range(length)] for row in rows])}


def varied(core: Autoregressive, strength: float = 0.3) -> Autoregressive:
    """An untrained core whose distribution is far from uniform."""
    with torch.no_grad():
        for weight in core.network.parameters():
            weight.add_(strength * torch.randn_like(weight) / max(1, weight.shape[-1]) ** 0.25)
    return core.eval()


@check(
    "transformer", "gpt", "gpt-2", seconds=0.3,
    broken_by=[
        Mutation("padding is predicted like tokens", f"{CORE}:Autoregressive.ended",
                 lambda self, tokens: torch.zeros_like(tokens, dtype=torch.bool)),
        Mutation("illegal tokens have probability too", "sozai.generators.objectives.language:token_log_prob",
                 make=lambda f: lambda logits, tokens, legal=None: f(logits, tokens)),
        Mutation("widths of bins are forgotten", "sozai.generators.token_codec:TokenCodec.log_density",
                 lambda self, batch: torch.zeros(len(batch["y"]))),
    ],
)  # fmt: skip
def likelihood_is_exact() -> Iterator[Finding]:
    """Probabilities of all rows sum to one, with ends and padding; densities of numbers integrate to one."""
    texts, levels = sequences(3, 2), torch.tensor([-1.0, 0.0, 1.0])
    fields = {"c": category(3), "x": sequence(3, 2), "i": image(1, 1, 2, levels=3)}
    grid = list(itertools.product(range(3), range(len(texts["x"])), range(3), range(3)))
    c, x, i, j = torch.tensor(grid).T
    pixels = torch.stack([levels[i], levels[j]], 1)[:, None, None]
    rows = {"c": c, "x": texts["x"][x], MASK: texts[MASK][x], "i": pixels}
    core = varied(Autoregressive(fields, {"z": number()}, width=16, layers=2, heads=2))
    for z in (-1.0, 2.0):
        total = core.log_prob({**rows, "z": torch.full((len(c),), z)}).double().exp().sum()
        yield near(f"sum over all {len(c)} rows given z = {z:g}", 1, float(total), 1e-5, "float32")
    data = {"y": torch.cat([torch.randn(200), 3 + 0.1 * torch.randn(100), torch.full((50,), 5.0)])}
    core = Autoregressive({"y": number()}, width=16, layers=1, heads=2, bins=16)
    core.prepare(data)
    y = torch.linspace(-40, 40, 200_001, dtype=torch.float64).float()
    total = varied(core).log_prob({"y": y}).double().exp().sum() * 4e-4
    yield near("integral over a number", 1, float(total), 2e-3, "trapezoids across 15 jumps of the histogram")


def no_twins(tokens: Tensor) -> Tensor:
    """No token follows itself, and no row ends after an odd number of tokens; the end is token 2."""
    mask = torch.ones(len(tokens), 4, dtype=torch.bool)
    if tokens.shape[1]:
        last = tokens[:, -1]
        mask[torch.arange(len(tokens)), last] = last == 2
        mask[:, 2] = (tokens.shape[1] % 2 == 0) | (last == 2)
    return mask


@check(
    "gpt-2", seconds=0.25,
    broken_by=[
        Mutation("the mask is ignored", f"{CORE}:constrain", lambda allowed, mask, place: allowed),
        Mutation("what is left is not renormalised to the model's odds", f"{CORE}:truncate",
                 lambda logits, top_k=0, top_p=1.0: torch.where(logits.isfinite(), 0.0, logits)),
    ],
)  # fmt: skip
def masks_never_break_and_renormalise() -> Iterator[Finding]:
    """Rows under a mask all obey it; they are distributed, and weighted, as enumerating all rows says.

    From the probabilities of all rows follow those of each next token, by sums; divided by what the mask lets
    through they give q(row). Weights p / q turn that into the plain model's rows, given that they obey.
    """
    core = varied(Autoregressive({"x": sequence(4, 2)}, width=16, layers=2, heads=2))
    every = sequences(4, 2)
    tokens, p = core.encode(every), core.log_prob(every).double().exp()
    allowed, q = torch.ones(len(p), dtype=torch.bool), torch.ones(len(p), dtype=torch.float64)
    for place in range(4):
        same = (tokens[:, None, :place] == tokens[None, :, :place]).all(2)
        onward = torch.stack([(same & (tokens[:, place] == t)).double() @ p for t in range(4)], 1)
        open_ = no_twins(tokens[:, :place])
        onward = onward * open_
        q *= onward.gather(1, tokens[:, place : place + 1])[:, 0] / onward.sum(1)
        allowed &= open_.gather(1, tokens[:, place : place + 1])[:, 0]
    count = 20_000
    drawn, weight = core.generate(count, mask=no_twins)
    index = (drawn[:, None] == tokens[None]).all(2).double().argmax(1)
    yield near("share of rows that obey the mask", 1, float(allowed[index].double().mean()), 0, "none can break it")
    frequency = torch.bincount(index, minlength=len(p)) / count
    yield at_most("total variation to q", 0.015, float((frequency - q).abs().sum() / 2), "20,000 rows, 7 kinds: 0.007")
    yield at_most("largest |log weight - log p/q|", 1e-4, float((weight - (p / q).log()[index]).abs().max()), "float32")
    true = p * allowed / (p * allowed).sum()
    again = torch.zeros_like(true).index_add(0, index, weight.double().exp())
    gap = (again / again.sum() - true).abs().sum() / 2
    yield at_most("total variation of weighted rows to p given obedience", 0.02, float(gap), "20,000 weighted rows")
    yield at_least("total variation of q to the same", 0.03, float((q - true).abs().sum() / 2), "or weights idle")
    top, _ = core.generate(2000, top_k=1)
    yield holds("the likeliest token alone gives one row", len(top.unique(dim=0)) == 1)
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    kept = [autoregressive.truncate(logits, top_p=share).isfinite().sum().item() for share in (0.4, 0.6, 0.81, 1.0)]
    yield holds("top-p keeps the fewest tokens that reach it", kept == [1, 2, 3, 4], str(kept))


QUESTIONS, ANSWERS, SHOTS = "abcdefgh", "WXYZ", (0, 1, 2, 4, 6)


def tasks() -> Tensor:
    """Eight tasks: an answer to each of eight questions."""
    return torch.randint(0, 4, (8, 8), generator=torch.Generator().manual_seed(0))


def lessons(rows: int, shots: int) -> tuple[Tensor, Tensor, Tensor]:
    """Task, questions ``(rows, shots + 1)`` and their answers."""
    table = tasks()
    task, asked = torch.randint(0, 8, (rows,)), torch.randint(0, 8, (rows, shots + 1))
    return task, asked, table[task[:, None], asked]


def bayes(asked: Tensor, answers: Tensor) -> Tensor:
    """Probability of the likeliest answer to the last question, given the examples and that there are eight tasks."""
    table = tasks()
    fits = (table[:, asked[:, :-1]] == answers[None, :, :-1]).all(2).double()  # (tasks, rows)
    votes = torch.einsum("tr,tra->ra", fits, F.one_hot(table[:, asked[:, -1]], 4).double())
    return (votes / votes.sum(1, keepdim=True)).amax(1)


@check(
    "gpt-2", seconds=25,
    broken_by=[
        Mutation("the prompt shows no examples", "sozai.generators.language.prompting:Template.prompt",
                 lambda self, shots, question: self.example.partition("{answer}")[0].format(question=question)),
        Mutation("any answer can be written", f"{CORE}:constrain", lambda allowed, mask, place: allowed),
    ],
)  # fmt: skip
def learns_from_examples_in_its_prompt() -> Iterator[Finding]:
    """Accuracy rises with the number of examples as Bayes' rule says it can; under the mask every answer parses.

    The model is trained on rows of seven examples of one of eight tasks, and never told which one.
    """
    _, asked, answers = lessons(20_000, 6)
    rows = torch.stack([asked, answers + 8], 2).flatten(1)
    core = Autoregressive({"text": sequence(14, 12)}, width=48, layers=2, heads=4, rate=6e-3)
    train(core, {"text": rows}, steps=1500, batch_size=64, ema=0.99)
    few_shot = FewShot(core, Alphabet(QUESTIONS + ANSWERS), Template("{question}{answer}"), list(ANSWERS))
    scores = []
    for shots in SHOTS:
        _, asked, answers = lessons(500, shots)
        shown = [
            [(QUESTIONS[q], ANSWERS[a]) for q, a in zip(qs[:-1], given[:-1], strict=True)]
            for qs, given in zip(asked.tolist(), answers.tolist(), strict=True)
        ]
        questions = [QUESTIONS[q] for q in asked[:, -1].tolist()]
        replies = few_shot.ask(shown, questions)
        right = sum(r == ANSWERS[a] for r, a in zip(replies, answers[:, -1].tolist(), strict=True)) / 500
        best = float(bayes(asked, answers).mean())
        scores.append(right)
        yield near(f"accuracy with {shots} examples (Bayes)", best, right, 0.06, "500 questions: 0.02; training")
        hot = few_shot.ask(shown[:100], questions[:100], temperature=5.0)
        yield near(f"share parsed at temperature 5, {shots} examples", 1, sum(r is not None for r in hot) / 100, 0)
    yield holds("accuracy rises with each", all(a < b for a, b in itertools.pairwise(scores)), str(scores))
