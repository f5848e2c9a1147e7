"""The training loop: resume to the bit, early stop, time limit, and what can go wrong."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from sozai.errors import UserError
from sozai.generators.core import Learner, Player
from sozai.generators.rows import TensorRows
from sozai.generators.train import device_of, evaluate, seconds_of, train
from sozai.generators.wyckoff_gpt.dataset import WyckoffDataset
from sozai.generators.wyckoff_gpt.model import WyckoffGPT
from sozai.generators.wyckoff_gpt.network import WyckoffNetwork
from sozai.materials.known import known_materials


class Line(Learner):
    """A line through points, with dropout, so that a resumed run must also repeat the randomness."""

    def __init__(self, poison=None, rate=0.05):
        super().__init__()
        torch.manual_seed(1)
        self.layers = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, 1))
        self.players = (Player(rate=rate),)
        self.poison, self.calls = poison, 0

    def loss(self, batch, player="model"):
        self.calls += 1
        error = ((self.layers(batch["x"]) - batch["y"]) ** 2).mean()
        if self.calls == self.poison:
            error = error * math.nan
        return {"loss": error, "square": error}


X = torch.linspace(-1, 1, 64)[:, None]
POINTS = {"x": X, "y": 3 * X - 1}
HELD_OUT = {name: values[::3] for name, values in POINTS.items()}


class InterruptedRows(TensorRows):
    """Rows that raise KeyboardInterrupt, as Ctrl-C does, after so many batches in all."""

    def __init__(self, batch, after):
        super().__init__(batch)
        self.left = after

    def epoch(self, source, batch_size):
        for batch in super().epoch(source, batch_size):
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            yield batch


def fit(folder, module=None, data=POINTS, rounds=6, **settings):
    module = module or Line()
    options = {"steps": 4 * rounds, "every": 4, "batch_size": 16, "ema": 0.9, "device": "cpu", **settings}
    return module, train(module, data, HELD_OUT, folder, **options)


def same(one, two):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_training_learns(tmp_path):
    notes = []
    module, log = fit(tmp_path, rounds=30, on_progress=lambda done, total, note: notes.append((done, total, note)))
    assert log["best_held_out"] < 0.1 * log["rounds"][0]["held_out"]["loss"]
    assert log["best_held_out"] == min(entry["held_out"]["loss"] for entry in log["rounds"])
    assert log["rounds"][log["best_step"] // 4 - 1]["held_out"]["loss"] == log["best_held_out"]
    assert not log["interrupted"]
    assert [done for done, _, _ in notes] == list(range(4, 121, 4))
    assert not module.training
    # The module holds the best averaged weights.
    assert evaluate(module, HELD_OUT)["loss"] == pytest.approx(log["best_held_out"], rel=1e-6)
    assert json.loads((tmp_path / "training.json").read_text())["best_step"] == log["best_step"]
    assert len((tmp_path / "training.log").read_text().splitlines()) == len(log["rounds"])


@pytest.mark.parametrize("stop", [0, 3, 4, 10, 23])
def test_resume_gives_the_same_weights_to_the_bit(tmp_path, stop):
    whole, log = fit(tmp_path / "whole")
    broken, first = fit(tmp_path / "broken", data=InterruptedRows(POINTS, stop))
    assert first["interrupted"]
    assert len(first["rounds"]) == stop // 4
    assert stop == 23 or not same(whole, broken)  # by then both may have seen their best
    resumed, second = fit(tmp_path / "broken")
    assert not second["interrupted"]
    assert same(whole, resumed)
    assert second["rounds"] == log["rounds"]
    assert second["seconds"] > first["seconds"]


def test_many_interrupts(tmp_path):
    whole, _ = fit(tmp_path / "whole")
    for _ in range(20):
        again, log = fit(tmp_path / "broken", data=InterruptedRows(POINTS, 9))
        if not log["interrupted"]:
            break
    assert len(log["rounds"]) == 6
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
    assert len(log["rounds"]) == 6
    assert same(whole, resumed)


class Interrupted:
    """Crystals that end in Ctrl-C."""

    def __init__(self, data, after):
        self.data, self.left = data, after

    def epoch(self, source, batch_size):
        for batch in self.data.epoch(source, batch_size):
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            yield batch

    def whole(self):
        return self.data.whole()


def test_network_resumes_to_the_bit(tmp_path):
    known = known_materials()
    rows = [(known.crystal(int(row)), {}) for row in np.random.default_rng(0).choice(len(known), 96, replace=False)]
    data = WyckoffDataset.from_crystals(rows)

    def run(folder, stop=None):
        torch.manual_seed(0)
        network = WyckoffNetwork(width=32, layers=1, heads=2, dropout=0.2, mixtures=2)
        rows = data if stop is None else Interrupted(data, stop)
        return network, train(network, rows, data, tmp_path / folder, steps=9, every=3, batch_size=32, device="cpu")

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
    module, log = fit(tmp_path, Line(rate=0.0), rounds=50, patience=3)
    assert len(log["rounds"]) == 4
    assert log["best_step"] == 4
    again, log = fit(tmp_path, Line(rate=0.0), rounds=50, patience=3)
    assert len(log["rounds"]) == 4  # a training that has ended stays as it is
    assert same(module, again)


def test_time_limit(tmp_path):
    _, log = fit(tmp_path, rounds=50, max_time=1e-9)
    assert len(log["rounds"]) == 0
    assert not log["interrupted"]
    _, log = fit(tmp_path, rounds=4)  # more time: it goes on
    assert len(log["rounds"]) == 4


def test_times():
    assert [seconds_of(text) for text in ("90", "90s", "10m", "2h", 5)] == [90, 90, 600, 7200, 5]
    for text in ("", "m", "ten", "-3s", "0", "nan"):
        with pytest.raises(UserError, match="no time to train in"):
            seconds_of(text)


@pytest.mark.parametrize("how", ["cut", "text", "empty", "foreign", "another network", "a table"])
def test_damaged_checkpoints_are_refused(tmp_path, how):
    fit(tmp_path, rounds=1)
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
        fit(tmp_path, module, rounds=2)
    assert str(path) in str(caught.value)
    assert "delete it" in caught.value.mend


def test_loss_that_is_not_finite_is_told(tmp_path):
    with pytest.raises(UserError, match="the loss of player 'model' at step 7 is nan") as caught:
        fit(tmp_path, Line(poison=7))
    assert "learning rate" in caught.value.mend
    with pytest.raises(UserError, match="the loss on held-out rows at step 2 is nan"):
        train(Line(), POINTS, {"x": X, "y": X * math.nan}, tmp_path / "other", steps=4, every=2, device="cpu")


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
