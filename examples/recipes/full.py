"""The full recipe: groups, schedule, clipping, early stop, then stopping and going on from a file."""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import tinygrad_lo as lo

X, y = load_breast_cancer(return_X_y=True)
X, X_test, y, y_test = train_test_split(StandardScaler().fit_transform(X), y, random_state=0, stratify=y)


# The recipe.
def train(epochs, start=None, stop=None):
    """Train for some epochs, from the beginning or from a file, and save."""
    net = lo.nn.Sequential(lo.nn.Linear(30, 16, rng=0), lo.nn.ReLU(), lo.nn.Linear(16, 2, rng=1))
    groups = lo.optim.parameter_groups(net, {"*.weight": {"weight_decay": 1e-2}, "0.*": {"lr": 2e-3}})
    opt, rng = lo.optim.AdamW(groups, lr=1e-3, weight_decay=0.0), np.random.default_rng(0)
    run = {"optimizer": opt, "schedule": lo.optim.CosineLR(opt, 30), "rng": rng}
    if start is not None:
        lo.load(start, model=net, **run)
    history = lo.fit(net, lo.losses.cross_entropy, (X, y), epochs=epochs, stop=stop, clip_norm=1.0, **run,
                     validation=(X_test, y_test), metrics={"accuracy": lo.training.accuracy})  # fmt: skip
    lo.save("run.safetensors", model=net, **run)
    return history["validation accuracy"]


train(8)
print(f"accuracy {max(train(22, 'run.safetensors', lo.training.EarlyStop('validation loss'))):.3f}")
