"""The language models: nanoGPT's small recipe against two libraries, examples in a prompt, formulas made neutral.

python benchmarks/language.py

Peers (left out where they are not installed): pip install transformers x-transformers
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import common
import torch
from common import Cache, Ticker, table
from torch import Tensor, nn
from torch.nn import functional as F

BLOCK, BATCH, LAYERS, HEADS, WIDTH = 64, 12, 4, 4, 128  # nanoGPT's README, "i only have a macbook"
ELEMENTS_MOST, COUNT_MOST = 4, 12


def text() -> str:
    """The topics of Python's help(): about half a million characters that every CPython brings along."""
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))


def models(vocabulary: int) -> dict[str, nn.Module]:
    """Networks of one size by library; each maps tokens to logits."""
    from sozai.generators.networks.gpt import GPT

    found: dict[str, nn.Module] = {"sozai GPT-2": GPT(vocabulary, BLOCK, WIDTH, LAYERS, HEADS)}
    try:
        from transformers import GPT2Config, GPT2LMHeadModel

        config = GPT2Config(
            vocab_size=vocabulary, n_positions=BLOCK, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, resid_pdrop=0.0,
            embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0, use_cache=False,
        )  # fmt: skip
        found["transformers GPT2LMHeadModel"] = Logits(GPT2LMHeadModel(config))
    except ImportError:
        print("transformers is not installed: left out")
    try:
        from x_transformers import Decoder, TransformerWrapper

        layers = Decoder(dim=WIDTH, depth=LAYERS, heads=HEADS, attn_dim_head=WIDTH // HEADS, attn_flash=True)
        found["x-transformers Decoder"] = TransformerWrapper(
            num_tokens=vocabulary, max_seq_len=BLOCK, attn_layers=layers, tie_embedding=True
        )
    except ImportError:
        print("x-transformers is not installed: left out")
    return found


class Logits(nn.Module):
    """The logits alone of a transformers model."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, tokens, vocabulary)."""
        return self.model(tokens).logits


def rate_at(step: int, steps: int) -> float:
    """nanoGPT's: 100 steps of warm-up to 1e-3, then a cosine to 1e-4."""
    if step < 100:
        return 1e-3 * (step + 1) / 101
    return 1e-4 + 0.5 * (1 + math.cos(math.pi * (step - 100) / (steps - 100))) * 9e-4


def windows(data: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """All of the text, in pieces without overlap."""
    pieces = (len(data) - 1) // BLOCK
    for start in torch.arange(pieces).split(64):
        index = start[:, None] * BLOCK + torch.arange(BLOCK)
        yield data[index], data[index + 1]


def validation(network: nn.Module, data: Tensor) -> float:
    """Nats a character."""
    total = count = 0.0
    with torch.no_grad():
        for x, y in windows(data):
            total += float(F.cross_entropy(network.eval()(x).transpose(1, 2), y, reduction="sum"))
            count += y.numel()
    return total / count


def train_side_by_side(steps: int, seed: int) -> dict[str, dict[str, float]]:
    """Each library's model on the same batches, a step each in turn, so that load on the machine hits all alike."""
    content = text()
    characters = sorted(set(content))
    data = torch.tensor([characters.index(character) for character in content])
    cut = int(0.9 * len(data))
    torch.manual_seed(seed)
    networks = models(len(characters))
    optimizers = {
        name: torch.optim.AdamW(
            [
                {"params": [p for p in network.parameters() if p.dim() >= 2], "weight_decay": 0.1},
                {"params": [p for p in network.parameters() if p.dim() < 2], "weight_decay": 0.0},
            ],
            betas=(0.9, 0.99),
        )
        for name, network in networks.items()
    }
    results = {name: {"seconds": 0.0, "parameters": float(sum(p.numel() for p in network.parameters()))}
               for name, network in networks.items()}  # fmt: skip
    tell = Ticker(f"training, seed {seed}")
    for step in range(steps):
        start = torch.randint(0, cut - BLOCK - 1, (BATCH, 1)) + torch.arange(BLOCK)
        x, y = data[start], data[start + 1]
        for name, network in networks.items():
            begun = time.process_time()
            for group in optimizers[name].param_groups:
                group["lr"] = rate_at(step, steps)
            loss = F.cross_entropy(network.train()(x).transpose(1, 2), y)
            optimizers[name].zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizers[name].step()
            results[name]["seconds"] += time.process_time() - begun
        tell(step + 1, steps)
    for name, network in networks.items():
        results[name]["nats"] = validation(network, data[cut:])
    return results


def section_text(steps: int, seeds: int, cache: Cache) -> list[str]:
    """nanoGPT's recipe, by library."""
    for seed in range(seeds):
        if f"{steps}-{seed}" not in cache:
            cache.add(f"{steps}-{seed}", train_side_by_side(steps, seed))
    runs = [cache[f"{steps}-{seed}"] for seed in range(seeds)]
    content = text()
    rows = []
    base = [run["sozai GPT-2"]["seconds"] for run in runs]
    for name in runs[0]:
        nats = [run[name]["nats"] for run in runs]
        ratio = [s / run[name]["seconds"] for s, run in zip(base, runs, strict=True)]
        rows.append([
            name, common.spread(nats, "{:.3f}"), common.spread([n / math.log(2) for n in nats], "{:.3f}"),
            common.spread([run[name]["seconds"] for run in runs], "{:.0f}"), common.spread(ratio, "{:.2f}"),
            f"{runs[0][name]['parameters']:,.0f}",
        ])  # fmt: skip
    return [
        "nanoGPT's recipe for a CPU (4 layers, 4 heads, 128 wide, 64 characters of context, batches of 12, "
        f"{steps:,} steps, rate 1e-3, no dropout), on text that every Python brings along: the topics of `help()`, "
        f"{len(content):,} characters, {len(set(content))} different ones (sha256 "
        f"{hashlib.sha256(content.encode()).hexdigest()[:12]}), the last tenth held out. On Shakespeare, a text of "
        "65 characters, nanoGPT's README reports 1.88 nats for it; texts differ, so the peers are trained here, on the "
        "same batches, a step each in turn. Seconds are processor time of one core.",
        table(["", "held-out nats / character", "bits / character", "training s", "ours / theirs", "parameters"], rows),
    ]


def section_prompting() -> list[str]:
    """Accuracy by the number of examples, from the proof."""
    from sozai.generators.proofs.language import SHOTS, learns_from_examples_in_its_prompt

    torch.manual_seed(0)
    findings = [f for f in learns_from_examples_in_its_prompt() if f.what.startswith("accuracy with")]
    rows = [[shots, f"{float(f.got):.1%}", f"{float(f.expected.split()[0]):.1%}"]
            for shots, f in zip(SHOTS, findings, strict=True)]  # fmt: skip
    return [
        "Examples in the prompt: a GPT-2 (48 wide, 2 layers) trained on rows of seven examples of one of eight tasks, "
        "then asked with k examples; beside it what Bayes' rule can reach.",
        table(["examples", "accuracy", "best possible"], rows),
    ]


def formulas() -> tuple[dict[str, Tensor], list[str]]:
    """Formulas of the bundled known materials as element, count, element, count ...; and the tokens' names."""
    from pymatgen.core import Composition

    from sozai.materials.known import known_materials

    rows = []
    for formula in sorted(set(known_materials().table["formula"])):
        counts = Composition(formula).get_reduced_composition_and_factor()[0].as_dict()
        if 2 <= len(counts) <= ELEMENTS_MOST and max(counts.values()) <= COUNT_MOST:
            rows.append(sorted((symbol, int(number)) for symbol, number in counts.items()))
    symbols = sorted({symbol for row in rows for symbol, _ in row})
    names = symbols + [str(n) for n in range(1, COUNT_MOST + 1)]
    length = 2 * ELEMENTS_MOST
    tokens, mask = torch.zeros(len(rows), length, dtype=torch.long), torch.zeros(len(rows), length, dtype=torch.bool)
    for place, row in enumerate(rows):
        written = [names.index(word) for symbol, number in row for word in (symbol, str(number))]
        tokens[place, : len(written)], mask[place, : len(written)] = torch.tensor(written), True
    return {"formula": tokens, "mask": mask}, names


def read(rows: dict[str, Tensor], names: list[str]) -> list[dict[str, int]]:
    """Counts by element; empty where what was written is no formula."""
    out = []
    for tokens, real in zip(rows["formula"].tolist(), rows["mask"].tolist(), strict=True):
        words = [names[token] for token, there in zip(tokens, real, strict=True) if there]
        symbols, numbers = words[0::2], words[1::2]
        sound = (
            len(symbols) == len(numbers) > 1
            and all(n.isdigit() for n in numbers)
            and not any(s.isdigit() for s in symbols)
            and symbols == sorted(set(symbols))
        )
        out.append({s: int(n) for s, n in zip(symbols, numbers, strict=True)} if sound else {})
    return out


def section_formulas(turns: int) -> list[str]:
    """A formula model, taught charge neutrality by a reward and by pairs."""
    from sozai.fields import sequence
    from sozai.generators.families.autoregressive import Autoregressive
    from sozai.generators.families.preference import DPO, pairs
    from sozai.generators.families.reinforcement import GRPO, PPO
    from sozai.generators.tensors import split, take
    from sozai.generators.train import train
    from sozai.knowledge.crystals.chemistry import is_alloy, smact_valid

    data, names = formulas()
    rest, held_out = split(data, 0.1)
    known = {tuple(row) for row in rest["formula"].tolist()}

    def reward(rows: dict[str, Tensor]) -> Tensor:
        counts = read(rows, names)
        return torch.tensor([float(bool(c) and not is_alloy(c) and smact_valid(c)) for c in counts])

    model = Autoregressive({"formula": sequence(2 * ELEMENTS_MOST, len(names))}, width=96, layers=3, heads=4)
    train(model, rest, held_out, steps=1500, batch_size=128, ema=0.99, on_progress=Ticker("formulas"))
    drawn = model.sample(6000)
    sound = reward(drawn).bool()
    good, bad = take(drawn, sound), take(drawn, ~sound)
    count = min(len(good["formula"]), len(bad["formula"]))

    def row(name: str, policy: nn.Module, seconds: float) -> list[str]:
        torch.manual_seed(7)
        new = policy.sample(2000)
        distance = (policy.log_prob(new) - model.log_prob(new)).mean()
        written = {tuple(formula) for formula in new["formula"].tolist()}
        unseen = len(written - known) / len(written)
        return [name, f"{float(reward(new).mean()):.1%}", f"{float(distance):.2f}", f"{len(written) / 2000:.1%}",
                f"{unseen:.1%}", f"{seconds:.0f}"]  # fmt: skip

    before = float(reward(model.sample(2000)).mean())
    rows = [row("fitted model", model, 0.0)]
    jobs: list[tuple[str, Callable[[], nn.Module], dict[str, torch.Tensor], dict]] = [
        ("DPO (sound against unsound)", lambda: DPO.wrap(model, beta=0.2),
         pairs(take(good, slice(count)), take(bad, slice(count))), {"steps": 300, "ema": 0.98}),
        ("GRPO", lambda: GRPO.wrap(model, reward=reward, beta=0.1), rest, {"steps": turns, "ema": 0.9}),
        ("GRPO, not normalised, KL in the reward",
         lambda: GRPO.wrap(model, reward=reward, beta=0.1, normalise=False, kl="reward"), rest,
         {"steps": turns, "ema": 0.9}),
        ("PPO", lambda: PPO.wrap(model, reward=reward, beta=0.1), rest, {"steps": turns, "ema": 0.9}),
    ]  # fmt: skip
    for name, make, batches, settings in jobs:
        policy, begun = make(), time.process_time()
        train(policy, copy.copy(batches), batch_size=64, on_progress=Ticker(name), **settings)
        rows.append(row(name, policy, time.process_time() - begun))
    odds = before / (1 - before) * math.exp(1 / 0.1)
    best = odds / (1 + odds)
    least = best * math.log(best / before) + (1 - best) * math.log((1 - best) / (1 - before))
    return [
        f"Formulas: a GPT-2 of {len(data['formula']):,} formulas of the bundled known materials (2 to {ELEMENTS_MOST} "
        "elements), then improved by a rule that a program checks: charges balance in the order of electronegativity "
        "(`smact_valid`) and it is no alloy. The best that a reward of 0 or 1 allows at beta = 0.1 is a share of "
        f"{best:.1%} at a KL of {least:.2f} nats. Of 2,000 samples each.",
        table(["", "sound", "KL to the fitted model, nats", "different", "of these unseen", "training s"], rows),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000, help="of the text models")
    parser.add_argument("--seeds", type=int, default=1, help="of the text models")
    parser.add_argument("--turns", type=int, default=80, help="of PPO and GRPO")
    parser.add_argument("--cache", type=Path, help="JSON lines file to keep finished text runs in")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/language.md"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    parts = [*section_text(options.steps, options.seeds, Cache(options.cache)), *section_prompting()]
    torch.manual_seed(0)
    parts += section_formulas(options.turns)
    common.write_fragment(options.out, "Language models, and learning from preferences", parts)


if __name__ == "__main__":
    main()
