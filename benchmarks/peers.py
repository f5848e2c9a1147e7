"""Libraries that do the same, in the same run: same model, same data, same steps, one core.

    python benchmarks/peers.py --data ../data --ctgan-python ../ctgan/bin/python

Peers that are not installed are left out: pip install normflows pythae diffusers (beside sozai), and, because its
licence and its dependencies should not mix with ours, ctgan in an environment of its own, whose Python is named.
sozai's side is trained by its own loop with all it does besides (averaged weights, held-out loss each round).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import common  # first: one thread
import numpy as np
import torch
from generators_tasks import Task, concrete, digits, moons, restored

from sozai.generators.catalog import recipe
from sozai.generators.system import System
from sozai.materials import array

STEPS = 1000
CTGAN = """
import json, sys, time
import pandas as pd, torch
from ctgan import CTGAN
torch.set_num_threads(1)
torch.manual_seed(int(sys.argv[3]))
frame = pd.read_csv(sys.argv[1])
model = CTGAN(epochs=int(sys.argv[4]), batch_size=200, pac=10, embedding_dim=128, generator_dim=(128, 128),
              discriminator_dim=(128, 128), enable_gpu=False)
start = time.process_time()
model.fit(frame, [])
seconds = time.process_time() - start
model.sample(1000).to_csv(sys.argv[2], index=False)
print(json.dumps(seconds))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with tables/concrete.csv, for ctgan")
    parser.add_argument("--ctgan-python", type=Path, help="Python of an environment with ctgan")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/peers.md"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    fitted("realnvp", moons(), 0, 50)  # what is loaded on first use belongs to neither side
    rows = [*flows(options.seeds), *glow(options.seeds), *pythae_vae(options.seeds), *samplers(options.seeds)]
    if options.data is not None and options.ctgan_python is not None:
        rows += ctgan(options.data, options.ctgan_python, options.seeds)
    write(options.out, rows, options.seeds)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds and result."""
    begun = time.process_time()
    result = work()
    return time.process_time() - begun, result


def fitted(name: str, task: Task, seed: int, steps: int = STEPS, batch: int = 256, **settings: Any) -> System:
    """Ours, with ten rounds of held-out loss and no early stop."""
    system = System(recipe(name), **settings, steps=steps, batch_size=batch, every=steps // 10, patience=None)
    return system.fit(task.train, seed=seed, device="cpu")


def nats(system: System, task: Task) -> float:
    """Mean held-out log-density."""
    return float(system.log_prob(task.test).mean())


def loop(module: torch.nn.Module, loss: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, seed: int) -> None:
    """The plain loop of the peers' tutorials."""
    torch.manual_seed(seed)
    optimizer = torch.optim.Adam(module.parameters(), 2e-3)
    for _ in range(STEPS):
        value = loss(x[torch.randint(len(x), (256,))])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()


def flows(seeds: int) -> list[dict[str, Any]]:
    """Two flows on two moons: zuko's own, normflows', and ours of the same layers."""
    import zuko

    task = moons()
    x, test = (torch.from_numpy(each.values["x"]) for each in (task.train, task.test))
    settings = {"depth": 3, "width": 64, "layers": 2, "jitter": 0.0}
    spline = {"autoregressive": True, "bins": 8}
    made: list[dict[str, Any]] = []
    for seed in range(seeds):
        for name, own, theirs in (
            ("spline-flow", spline, lambda: zuko.flows.NSF(2, bins=8, transforms=3, hidden_features=(64, 64))),
            ("realnvp", {}, lambda: zuko.flows.RealNVP(2, transforms=3, hidden_features=(64, 64))),
        ):
            seconds, system = timed(lambda: fitted(name, task, seed, **settings, **own))  # noqa: B023
            torch.manual_seed(seed)
            flow = theirs()
            spent, _ = timed(lambda: loop(flow, lambda b: -flow().log_prob(b).mean(), x, seed))  # noqa: B023
            with torch.no_grad():
                peer = float(flow().log_prob(test).mean())
            made.append(row(f"{name}, moons", "zuko", "nats", nats(system, task), peer, seconds, spent, True))
        made += _normflows(task, x, test, seed, settings)
    return made


def _normflows(task: Task, x: torch.Tensor, test: torch.Tensor, seed: int, settings: dict) -> list[dict[str, Any]]:
    try:
        import normflows as nf
    except ImportError:
        return []
    torch.manual_seed(seed)
    layers: list[Any] = []
    for _ in range(3):
        layers += [nf.flows.AffineCouplingBlock(nf.nets.MLP([1, 64, 64, 2], init_zeros=True)), nf.flows.Permute(2)]
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(2), layers)
    spent, _ = timed(lambda: loop(flow, flow.forward_kld, x, seed))
    seconds, system = timed(lambda: fitted("realnvp", task, seed, **settings))
    with torch.no_grad():
        peer = float(flow.log_prob(test).mean())
    return [row("realnvp, moons", "normflows", "nats", nats(system, task), peer, seconds, spent, True)]


def glow(seeds: int) -> list[dict[str, Any]]:
    """Glow on the digits, two scales of four steps, 32 channels."""
    try:
        import normflows as nf
    except ImportError:
        return []
    task = digits()
    level = torch.from_numpy((task.train.values["image"] + 1) * 8)
    held_out = torch.from_numpy((task.test.values["image"] + 1) * 8)

    def noisy(image: torch.Tensor) -> torch.Tensor:
        return (image + torch.rand_like(image)) / 17 * 2 - 1

    made = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        base, layers, merges = [], [], []
        for scale in range(2):  # as in normflows' own example: the coarsest comes first
            channels = 2 ** (3 - scale)
            inner = [nf.flows.GlowBlock(channels, 32, split_mode="channel", scale=True) for _ in range(4)]
            layers.append([*inner, nf.flows.Squeeze()])
            if scale > 0:
                merges.append(nf.flows.Merge())
            shape = (channels // 2, 4, 4) if scale > 0 else (channels, 2, 2)
            base.append(nf.distributions.DiagGaussian(shape))
        try:
            flow = nf.MultiscaleFlow(base, layers, merges, class_cond=False)
            spent, _ = timed(lambda: loop(flow, lambda b: flow.forward_kld(noisy(b)), level, seed))  # noqa: B023
            with torch.no_grad():
                value = -float(flow.log_prob(noisy(held_out), None).mean())
        except RuntimeError as error:
            print("normflows' Glow:", error)
            return made
        peer = (value + 64 * np.log(17 / 2)) / (64 * np.log(2))
        seconds, system = timed(lambda: fitted("glow", task, seed, depth=4, channels=32, layers=2))  # noqa: B023
        bits = task.likelihood(nats(system, task))
        made.append(row("glow, digits", "normflows", "bits/dim", bits, peer, seconds, spent, False))
    return made


def pythae_vae(seeds: int) -> list[dict[str, Any]]:
    """A VAE with the same two perceptrons on the digits, by pythae's trainer and by ours."""
    try:
        from pythae.models import VAE, VAEConfig
        from pythae.models.base.base_utils import ModelOutput
        from pythae.models.nn import BaseDecoder, BaseEncoder
        from pythae.samplers import NormalSampler
        from pythae.trainers import BaseTrainer, BaseTrainerConfig
    except ImportError as error:
        print("pythae left out:", error)
        return []
    import logging
    import tempfile

    logging.disable(logging.WARNING)
    from sozai.generators.families.variational import decoder_for, encoder_for

    task = digits()
    x = task.train.values["image"].reshape(len(task.train), 64)
    flat = replace(task, train=array.dataset_of(x), test=array.dataset_of(x))

    def grey(pixels: np.ndarray) -> np.ndarray:
        return task.train.material.restore({"image": np.rint((pixels + 1) * 8) / 8 - 1})

    epochs = -(-STEPS // -(-len(x) // 128))

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.net = encoder_for((64,), 32, 128, 2, 0)

        def forward(self, data: torch.Tensor) -> Any:
            mean, log_scale = self.net(data.reshape(len(data), -1)).chunk(2, 1)
            return ModelOutput(embedding=mean, log_covariance=2 * log_scale)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.net = decoder_for(16, (64,), 128, 2, 0)

        def forward(self, z: torch.Tensor) -> Any:
            return ModelOutput(reconstruction=self.net(z))

    made = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        config = VAEConfig(input_dim=(64,), latent_dim=16, reconstruction_loss="mse")
        model = VAE(config, encoder=Encoder(), decoder=Decoder())
        with tempfile.TemporaryDirectory() as folder:
            settings = BaseTrainerConfig(
                output_dir=folder, num_epochs=epochs, learning_rate=1e-3, per_device_train_batch_size=128, no_cuda=True,
                seed=seed, optimizer_cls="Adam",
            )  # fmt: skip
            trainer = BaseTrainer(model, train_dataset=_dataset(x), training_config=settings)
            spent, _ = timed(trainer.train)
        samples = NormalSampler(model).sample(num_samples=1000).detach().cpu().numpy().reshape(-1, 1, 8, 8)
        theirs = task.judge(
            task.train.material.restore({"image": np.rint((samples.clip(-1, 1) + 1) * 8) / 8 - 1}), seed
        )
        seconds, system = timed(lambda: fitted("vae", flat, seed, STEPS, 128, latent=16, width=128))  # noqa: B023
        pixels = system.sample(1000, seed=seed).clip(-1, 1).reshape(-1, 1, 8, 8)
        ours = task.judge(grey(pixels), seed)
        made.append(
            row("vae, digits", "pythae", "distance", ours["distance"], theirs["distance"], seconds, spent, False)
        )
    return made


def _dataset(x: np.ndarray) -> Any:
    from pythae.data.datasets import BaseDataset

    return BaseDataset(torch.from_numpy(x).float(), torch.zeros(len(x)))


def samplers(seeds: int) -> list[dict[str, Any]]:
    """One fitted DDPM, drawn from by our samplers and by diffusers' schedulers of the same name and steps."""
    try:
        from diffusers import DDIMScheduler, DDPMScheduler
    except ImportError:
        return []
    task = moons()
    made = []
    for seed in range(seeds):
        system = fitted("ddpm", task, seed, 1500)
        core: Any = system.core
        for name, scheduler, steps, own in (
            ("ddpm", DDPMScheduler, 250, {"sampler": "ancestral", "steps": 250}),
            ("ddim", DDIMScheduler, 20, {"sampler": "ddim", "steps": 20}),
        ):
            plan = scheduler(num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, clip_sample=False)

            def draw(plan: Any = plan, steps: int = steps) -> np.ndarray:
                torch.manual_seed(seed)  # noqa: B023
                plan.set_timesteps(steps)
                x = torch.randn(1000, 2)
                with torch.no_grad():
                    for t in plan.timesteps:
                        eps = core.eps(x, (t + 1).float().expand(1000) / 1000)  # noqa: B023
                        x = plan.step(eps, t, x).prev_sample
                return core.codec.decode(x)["x"].numpy()  # noqa: B023

            spent, theirs = timed(draw)
            seconds, ours = timed(lambda: system.sample(1000, seed=seed, **own))  # noqa: B023
            scores = [task.judge(each, seed)["distance"] for each in (ours, theirs)]
            made.append(row(f"{name} {steps} steps, moons", "diffusers", "distance", *scores, seconds, spent, False))
    return made


def ctgan(data: Path, python: Path, seeds: int) -> list[dict[str, Any]]:
    """CTGAN on concrete by its authors' package and ours: same networks, batches and number of steps."""
    import tempfile

    import pandas as pd

    task = concrete(data)
    epochs = 300
    made = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            table, out = Path(folder) / "table.csv", Path(folder) / "out.csv"
            restored(task.train).to_csv(table, index=False)
            arguments = [str(python), "-c", CTGAN, str(table), str(out), str(seed), str(epochs)]
            done = subprocess.run(arguments, capture_output=True, text=True, check=True)
            spent = float(json.loads(done.stdout.strip().splitlines()[-1]))
            theirs = task.judge(pd.read_csv(out), seed)["distance"]
        steps = epochs * (len(task.train) // 200)
        seconds, system = timed(lambda: fitted("ctgan", task, seed, steps, 200))  # noqa: B023
        ours = task.judge(system.sample(1000, seed=seed), seed)["distance"]
        made.append(row("ctgan, concrete", "ctgan", "distance", ours, theirs, seconds, spent, False))
    return made


def row(
    what: str, peer: str, unit: str, ours: float, theirs: float, seconds: float, spent: float, up: bool
) -> dict[str, Any]:
    """One comparison of one seed."""
    entry = dict(what=what, peer=peer, unit=unit, ours=ours, theirs=theirs, seconds=seconds, spent=spent, up=up)
    print(json.dumps(entry), flush=True)
    return entry


def import_seconds(runs: int = 5) -> float:
    """Of ``import sozai`` in a fresh Python, the quickest of some."""
    times = []
    for _ in range(runs):
        begun = time.monotonic()
        subprocess.run([sys.executable, "-c", "import sozai"], check=True)
        times.append(time.monotonic() - begun)
    return min(times)


def write(path: Path, rows: list[dict[str, Any]], seeds: int) -> None:
    """The section."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for each in rows:
        groups.setdefault((each["what"], each["peer"]), []).append(each)
    made = []
    for (what, peer), entries in groups.items():
        better = "higher is better" if entries[0]["up"] else "lower is better"
        numbers = (
            [entry["ours"] for entry in entries],
            [entry["theirs"] for entry in entries],
            [entry["seconds"] / entry["spent"] for entry in entries],
        )
        made.append([what, peer, f"{entries[0]['unit']}, {better}", *(common.spread(n, "{:.3g}") for n in numbers)])
    parts = [
        "The same model on the same data for the same number of steps, one core, in one run. *distance*: energy "
        "distance of samples to held-out rows over that of training rows. sozai's "
        "time includes averaged weights and ten rounds of held-out loss; of diffusers it is the time of sampling. "
        f"Learning rates are each library's own defaults or its tutorial's. {seeds} seeds. For the language models "
        "see their own section.",
        common.table(["work", "peer", "quality", "sozai", "peer's", "sozai's CPU time over the peer's"], made),
        f"`import sozai` takes {import_seconds():.2f} s.",
    ]
    common.write_fragment(path, "Peers", parts)


if __name__ == "__main__":
    main()
