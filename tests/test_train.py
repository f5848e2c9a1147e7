"""The training loop: resume to the bit, early stop, time limit, and what can go wrong."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from sozai.errors import UserError
from sozai.generators.train import device_of, evaluate, train
from sozai.generators.wyckoff_gpt.dataset import WyckoffDataset
from sozai.generators.wyckoff_gpt.model import WyckoffGPT
from sozai.generators.wyckoff_gpt.network import WyckoffNetwork
from sozai.materials.known import known_materials


class Line(nn.Module):
    """A line through points, with dropout, so that a resumed run must also repeat the randomness."""

    def __init__(self, poison=None):
        super().__init__()
        torch.manual_seed(1)
        self.layers = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, 1))
        self.poison, self.calls = poison, 0

    def loss(self, batch):
        self.calls += 1
        error = ((self.layers(batch["x"]) - batch["y"]) ** 2).mean()
        if self.calls == self.poison:
            error = error * math.nan
        return error, {"square": float(error.detach())}


X = torch.linspace(-1, 1, 64)[:, None]
POINTS = {"x": X, "y": 3 * X - 1}


def batches(source):
    order = torch.randperm(64, generator=source)
    for rows in order.split(16):
        yield {name: values[rows] for name, values in POINTS.items()}


def validation():
    return [{name: values[::3] for name, values in POINTS.items()}]


def fit(folder, module=None, stream=batches, **settings):
    module = module or Line()
    options = {"epochs": 6, "learning_rate": 0.05, "device": "cpu", **settings}
    return module, train(module, stream, settings.pop("validation", validation), folder, **options)


def interrupted_after(count):
    """Batches that raise KeyboardInterrupt, as Ctrl-C does, after so many steps in all."""
    left = count

    def stream(source):
        nonlocal left
        for batch in batches(source):
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            yield batch

    return stream


def same(one, two):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_training_learns(tmp_path):
    notes = []
    module, log = fit(tmp_path, epochs=30, on_progress=lambda done, total, note: notes.append((done, total, note)))
    assert log["best_held_out"] < 0.1 * log["epochs"][0]["held_out"]
    assert log["best_held_out"] == min(epoch["held_out"] for epoch in log["epochs"])
    assert log["epochs"][log["best_epoch"] - 1]["held_out"] == log["best_held_out"]
    assert not log["interrupted"]
    assert [done for done, _, _ in notes] == list(range(1, len(log["epochs"]) + 1))
    assert not module.training
    # The module holds the best averaged weights.
    assert evaluate(module, validation(), torch.device("cpu"))[0] == pytest.approx(log["best_held_out"], rel=1e-6)
    assert json.loads((tmp_path / "training.json").read_text())["best_epoch"] == log["best_epoch"]


@pytest.mark.parametrize("stop", [0, 3, 4, 10, 23])
def test_resume_gives_the_same_weights_to_the_bit(tmp_path, stop):
    whole, log = fit(tmp_path / "whole")
    broken, first = fit(tmp_path / "broken", stream=interrupted_after(stop))
    assert first["interrupted"]
    assert len(first["epochs"]) == stop // 4
    assert not same(whole, broken)
    resumed, second = fit(tmp_path / "broken")
    assert not second["interrupted"]
    assert same(whole, resumed)
    assert [epoch["held_out"] for epoch in second["epochs"]] == [epoch["held_out"] for epoch in log["epochs"]]
    assert second["seconds"] > first["seconds"]


def test_many_interrupts(tmp_path):
    whole, _ = fit(tmp_path / "whole")
    for _ in range(20):
        again, log = fit(tmp_path / "broken", stream=interrupted_after(5))
        if not log["interrupted"]:
            break
    assert len(log["epochs"]) == 6
    assert same(whole, again)


def test_interrupt_while_saving_loses_only_that_epoch(tmp_path, monkeypatch):
    whole, _ = fit(tmp_path / "whole")
    saved = 0
    real = torch.save

    def save(*arguments):
        nonlocal saved
        saved += 1
        if saved == 3:
            (tmp_path / "broken" / "checkpoint.tmp").write_bytes(b"half")
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(torch, "save", save)
    _, log = fit(tmp_path / "broken")
    assert log["interrupted"]
    monkeypatch.undo()
    resumed, log = fit(tmp_path / "broken")
    assert len(log["epochs"]) == 6
    assert same(whole, resumed)


def test_network_resumes_to_the_bit(tmp_path):
    known = known_materials()
    rows = [(known.crystal(int(row)), {}) for row in np.random.default_rng(0).choice(len(known), 96, replace=False)]
    data = WyckoffDataset.from_crystals(rows)

    def run(folder, stop=None):
        torch.manual_seed(0)
        network = WyckoffNetwork(width=32, layers=1, heads=2, dropout=0.2, mixtures=2)
        left = stop

        def stream(source):
            nonlocal left
            for batch in data.epoch(source, 32):
                if left == 0:
                    raise KeyboardInterrupt
                left = None if left is None else left - 1
                yield batch

        return network, train(network, stream, data.in_order, tmp_path / folder, epochs=3, device="cpu")

    whole, _ = run("whole")
    _, log = run("broken", stop=5)
    assert log["interrupted"]
    again, _ = run("broken")
    assert same(whole, again)


def test_seeds(tmp_path):
    one, _ = fit(tmp_path / "1", seed=1)
    two, _ = fit(tmp_path / "2", seed=1)
    other, _ = fit(tmp_path / "3", seed=2)
    assert same(one, two)
    assert not same(one, other)
    with pytest.raises(UserError, match="begun with seed 1, not 2"):
        fit(tmp_path / "1", seed=2)


def test_early_stop(tmp_path):
    """With a rate of nothing the held-out loss cannot fall."""
    module, log = fit(tmp_path, epochs=50, learning_rate=0.0, patience=3)
    assert len(log["epochs"]) == 4
    assert log["best_epoch"] == 1
    again, log = fit(tmp_path, epochs=50, learning_rate=0.0, patience=3)
    assert len(log["epochs"]) == 4  # a training that has ended stays as it is
    assert same(module, again)


def test_time_limit(tmp_path):
    _, log = fit(tmp_path, epochs=50, max_seconds=0.0)
    assert len(log["epochs"]) == 1
    assert not log["interrupted"]
    _, log = fit(tmp_path, epochs=4)  # more time: it goes on
    assert len(log["epochs"]) == 4


@pytest.mark.parametrize("how", ["cut", "text", "empty", "foreign", "another network", "a table"])
def test_damaged_checkpoints_are_refused(tmp_path, how):
    fit(tmp_path, epochs=1)
    path = tmp_path / "checkpoint.pt"
    module = None
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-300])
    elif how == "text":
        path.write_text("no checkpoint")
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "foreign":
        torch.save({"state_dict": {}}, path)
    elif how == "a table":
        torch.save(torch.zeros(3), path)
    else:
        module = Line()
        module.layers[3] = nn.Linear(16, 2)
    with pytest.raises(UserError, match="cannot be continued") as caught:
        fit(tmp_path, module, epochs=2)
    assert str(path) in str(caught.value)
    assert "delete it" in caught.value.mend


def test_loss_that_is_not_finite_is_told(tmp_path):
    with pytest.raises(UserError, match="the loss became nan in epoch 2") as caught:
        fit(tmp_path, Line(poison=6 + 1))  # 4 steps and 1 check an epoch
    assert "learning rate" in caught.value.mend
    with pytest.raises(UserError, match="the loss became nan on held-out data in epoch 1"):
        train(Line(), batches, lambda: [{"x": X, "y": X * math.nan}], tmp_path / "other", epochs=2, device="cpu")


def test_unknown_devices_are_told():
    for name in ("cuda:99", "gpu", "tpu7"):
        with pytest.raises(UserError, match=f"no device '{name}'"):
            device_of(name)
    assert device_of("cpu") == torch.device("cpu")
    assert device_of().type in ("cpu", "cuda", "mps")


@pytest.fixture(scope="module")
def rows():
    known = known_materials()
    chosen = np.random.default_rng(4).choice(np.flatnonzero(known.table["n_atoms"] <= 20), 80, replace=False)
    return [(known.crystal(int(row)), {"band_gap": float(row % 5)}) for row in chosen]


TINY = {"epochs": 2, "width": 32, "layers": 1, "batch_size": 40, "device": "cpu"}


def test_fit_writes_a_generator_that_samples(tmp_path, rows):
    fitted = WyckoffGPT().fit(iter(rows), folder=tmp_path, card={"licence": "CC BY 4.0"}, **TINY)
    again = WyckoffGPT.load(tmp_path, device="cpu")
    assert again.settings["crystals"] == 80
    assert again.settings["epochs"] == 2
    assert again.card()["licence"] == "CC BY 4.0"
    assert set(again.settings["elements"]) == {site.element for crystal, _ in rows for site in crystal.sites}
    assert sum(again.settings["units"].values()) == pytest.approx(1, abs=1e-3)
    crystals = again.sample_genes(10, seed=0)
    assert len(crystals) == 10
    assert all(each.gene.n_atoms <= 20 for each in crystals)
    assert fitted.settings["held_out_nats"] == pytest.approx(again.settings["held_out_nats"])


def test_fit_resumes(tmp_path, rows):
    whole = WyckoffGPT().fit(rows, folder=tmp_path / "whole", **TINY)

    def stop(done, total, note):
        raise KeyboardInterrupt

    broken = WyckoffGPT().fit(rows, stop, folder=tmp_path / "broken", **TINY)
    assert broken.settings["interrupted"]
    assert broken.settings["epochs"] == 1
    resumed = WyckoffGPT().fit(rows, folder=tmp_path / "broken", **TINY)
    assert not resumed.settings["interrupted"]
    assert same(whole.network, resumed.network)


def test_fit_interrupted_at_once_leaves_no_weights(tmp_path, rows, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(WyckoffDataset, "epoch", stop)
    with pytest.raises(KeyboardInterrupt):
        WyckoffGPT().fit(rows, folder=tmp_path, **TINY)
    assert not (tmp_path / "weights.safetensors").exists()


def test_fit_refuses_what_it_cannot_learn_from(tmp_path, rows):
    with pytest.raises(UserError, match="only 40 crystals"):
        WyckoffGPT().fit(rows[:40], folder=tmp_path, **TINY)
    with pytest.raises(UserError, match=r"only \d+ crystals of up to 2 atoms"):
        WyckoffGPT().fit(rows, folder=tmp_path, max_atoms=2, **TINY)
    with pytest.raises(UserError, match="not a multiple"):
        WyckoffGPT().fit(rows, folder=tmp_path, **{**TINY, "width": 30})
