"""Which of dropout, L2, L1 and batch normalization keep a network from learning mistakes by heart?

There are 300 digits to learn from, and a fifth of their labels is wrong. Train (gray) and test accuracy,
epoch by epoch: the median of three draws. Without help the network learns the wrong labels, too, and the
test falls. Dropout, L2 and L1 stop that. Batch normalization does not: it learns faster, wrong labels as
well. With all labels right no kind helps by more than half a point, and L1 costs one (printed). The
strengths were chosen from a few, looking at these curves.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from style import BLACK, BLUE, GRAY, GREEN, ORANGE, PINK, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": ["dropout, batch normalization", "regularization: test against training data"],
    "002": ["regularization: dropout, batch normalization"],
    "004": [
        "train and test curves with dropout, L2, L1, batch normalization",
        "regularization against overfitting",
    ],
}
PAGE = "training.md"
SAMPLES, WRONG, EPOCHS, SEEDS = 300, 0.2, 40, 3
STRENGTHS = {"L2": (5e-3, lo.losses.l2), "L1": (2e-3, lo.losses.l1)}
KINDS = {"none": BLACK, "dropout 0.5": BLUE, "L2": GREEN, "L1": ORANGE, "batch norm": PINK}


def network(kind: str, rng: np.random.Generator) -> lo.nn.Sequential:
    """Two hidden layers, with what the kind adds to them."""
    layers = []
    for inputs in (64, 128):
        layers.append(lo.nn.Linear(inputs, 128, dtype="float32", rng=rng))
        layers += [lo.nn.BatchNorm1d(128, dtype="float32")] * (kind == "batch norm")
        layers.append(lo.nn.ReLU())
        layers += [lo.nn.Dropout(0.5, rng=rng)] * (kind == "dropout 0.5")
    return lo.nn.Sequential(*layers, lo.nn.Linear(128, 10, dtype="float32", rng=rng))


def curves(kind: str, seed: int, epochs: int = EPOCHS, share: float = WRONG) -> np.ndarray:
    """(3, epochs): accuracy on the training digits and on the others, and the loss on the others."""
    images, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    train, test = order[:SAMPLES], order[SAMPLES:]
    X, y = (images / 16).astype(np.float32), labels.copy()
    wrong = train[: round(share * SAMPLES)]
    y[wrong] = (y[wrong] + rng.integers(1, 10, len(wrong))) % 10
    net = network(kind, rng)
    weights = [layer.weight for layer in net if isinstance(layer, lo.nn.Linear)]
    strength, norm = STRENGTHS.get(kind, (0.0, None))
    history = lo.fit(
        net, lo.losses.cross_entropy, (X[train], y[train]), optimizer=lo.optim.Adam(net, lr=0.003),
        penalty=(lambda: strength * sum(norm(w) for w in weights)) if norm else None,
        validation=(X[test], y[test]), metrics={"accuracy": lo.training.accuracy},
        epochs=epochs, progress=False, rng=seed,
    )  # fmt: skip
    return np.array([history[name] for name in ("accuracy", "validation accuracy", "validation loss")])


def medians(share: float, seeds: int = SEEDS) -> dict[str, np.ndarray]:
    """The median curves of each kind, with such a share of wrong labels."""
    return {
        kind: np.median([curves(kind, seed, share=share) for seed in range(seeds)], axis=0) for kind in KINDS
    }


def main(folder: Path) -> list[str]:
    """A panel for each kind, with the test curve of no regularization in all of them."""
    found, clean = medians(WRONG), medians(0.0)
    figure, axes = panels(3, 2, sharex=True, sharey=True)
    lines = []
    for axis, (kind, (train, test, loss)) in zip(axes, found.items(), strict=False):
        color = KINDS[kind]
        axis.plot(train, color=GRAY)
        axis.plot(found["none"][1], color=BLACK, linewidth=1, linestyle="--")
        axis.plot(test, color=color)
        axis.set_title(f"{kind}: {test[-1]:.1%}", color=color)
        axis.set(ylim=(0.6, 1.02), yticks=[0.6, 0.8, 1.0])
        lines.append(
            f"{kind}: test accuracy {test[-1]:.3f}, train {train[-1]:.3f}, test loss {loss[-1]:.3f}; "
            f"with right labels test accuracy {clean[kind][1, -1]:.3f}"
        )
    axes[5].axis("off")
    words = "gray: training digits\nwith the wrong labels\n\ncolor: the other 1 497,\nall labels right"
    label(axes[5], words + "\n\ndashed: test of “none”", (0.05, 0.8))
    figure.supxlabel("epoch")
    figure.supylabel("accuracy")
    title = "A fifth of 300 labels is wrong; dropout, L2 and L1 keep them from being learned"
    figure.suptitle(title, fontsize=16)
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
