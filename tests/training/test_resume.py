"""A run that is stopped, saved, loaded in fresh objects and resumed has the bits of one that was not."""

import numpy as np
import pytest

import tinygrad_lo as lo

X, y = lo.data.two_moons(50, noise=0.1, rng=0)

OPTIMIZERS = {
    "SGD": lambda model: lo.optim.SGD(model, lr=0.1),
    "momentum": lambda model: lo.optim.SGD(model, lr=0.1, momentum=0.9, nesterov=True),
    "Adagrad": lo.optim.Adagrad, "Adadelta": lo.optim.Adadelta, "RMSprop": lo.optim.RMSprop,
    "Adam": lo.optim.Adam, "AdamW": lo.optim.AdamW, "NAdam": lo.optim.NAdam,
    "amsgrad": lambda model: lo.optim.Adam(model, amsgrad=True),
}  # fmt: skip
SCHEDULES = {
    "StepLR": lambda opt: lo.optim.StepLR(opt, 3),
    "MultiStepLR": lambda opt: lo.optim.MultiStepLR(opt, [4, 9]),
    "ExponentialLR": lambda opt: lo.optim.ExponentialLR(opt, 0.9),
    "InverseLR": lambda opt: lo.optim.InverseLR(opt, 0.3),
    "CosineLR": lambda opt: lo.optim.CosineLR(opt, 14),
    "LambdaLR": lambda opt: lo.optim.LambdaLR(opt, lambda t: 1 / (1 + t)),
    "WarmupLR": lambda opt: lo.optim.WarmupLR(opt, 5),
    "OneCycleLR": lambda opt: lo.optim.OneCycleLR(opt, 0.2, 13),
    "ReduceOnPlateau": lambda opt: lo.optim.ReduceOnPlateau(opt, patience=0),
    "SequentialLR": lambda opt: lo.optim.SequentialLR(
        opt, [(lo.optim.WarmupLR(opt, 3), 3), (lo.optim.CosineLR(opt, 9), 9)]
    ),
}
CASES = [(name, "StepLR") for name in OPTIMIZERS] + [("Adam", name) for name in SCHEDULES]


class Run:
    """A model with all that belongs to its training."""

    def __init__(self, optimizer, schedule):
        rng = np.random.default_rng(7)
        self.model = lo.nn.Sequential(lo.nn.Linear(2, 6, rng=rng), lo.nn.Tanh(), lo.nn.Linear(6, 2, rng=rng))
        self.optimizer = OPTIMIZERS[optimizer](self.model)
        self.schedule = SCHEDULES[schedule](self.optimizer)
        self.rng = np.random.default_rng(11)

    def fit(self, epochs, *, compiled):
        return lo.fit(
            self.model, lo.losses.cross_entropy, (X, y), optimizer=self.optimizer, epochs=epochs,
            batch_size=16, schedule=self.schedule, clip_norm=1.0, compiled=compiled, progress=False,
            rng=self.rng,
        )  # fmt: skip

    def parts(self):
        return {
            "model": self.model, "optimizer": self.optimizer, "schedule": self.schedule, "rng": self.rng,
        }  # fmt: skip


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("optimizer", "schedule"), CASES)
def test_eight_epochs_and_four_are_twelve(optimizer, schedule, compiled, tmp_path):
    whole = Run(optimizer, schedule)
    uninterrupted = whole.fit(12, compiled=compiled)
    first = Run(optimizer, schedule)
    start = first.fit(8, compiled=compiled)
    lo.save(tmp_path / "run.safetensors", **first.parts())
    second = Run(optimizer, schedule)
    second.rng = np.random.default_rng(99)
    lo.load(tmp_path / "run.safetensors", **second.parts())
    rest = second.fit(4, compiled=compiled)
    for figure in ("loss", "learning rate", "gradient norm", "update ratio"):
        assert start[figure] + rest[figure] == uninterrupted[figure]
    state, other = whole.model.state_dict(), second.model.state_dict()
    assert all(np.array_equal(state[name], other[name]) for name in state)
