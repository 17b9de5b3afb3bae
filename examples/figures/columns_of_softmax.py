"""How do scores become a loss? exp, normalize, −log: the three columns of both slides, computed anew.

The minus makes a price of the logarithm of a probability, which is never positive. Lecture 002 prints 0.89
for a cat of probability 0.13: that is the logarithm to base 10; in nats, as in lecture 000, it is 2.04.
"""

from pathlib import Path

import numpy as np
from style import BLACK, BLUE, GREEN, ORANGE, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": ["softmax: exp, normalize, −log", "why the minus before the log?"],
    "002": ["softmax classifier: exp, normalize, −log (the slide's 0.89 is in base 10)"],
    "003": ["multi-class and sparse multi-class cross-entropy"],
}
IMAGES = {  # lecture: (its table, which image of it)
    "000": (lo.data.lectures.car_boat_tree_first, [4.1, 2.1, -0.5]),
    "002": (lo.data.lectures.cat_car_frog, [3.2, 5.1, -1.7]),
}


def columns(lecture: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, float]:
    """Scores, their exp, the probabilities; the loss of class 0 in nats and in base 10."""
    scores = np.array(IMAGES[lecture][1])
    one = scores[None, :]
    nats, tens = (float(lo.losses.cross_entropy(one, [0], base=base)) for base in (np.e, 10.0))
    return scores, np.exp(scores), np.asarray(lo.nn.softmax(scores)), nats, tens


def main(folder: Path) -> list[str]:
    """Both tables, one above the other."""
    figure, axes = panels(1, 2)
    lines = []
    for axis, lecture in zip(axes, IMAGES, strict=True):
        scores, powers, probabilities, nats, tens = columns(lecture)
        axis.set(xlim=(-0.2, 10), ylim=(-0.6, 4.3))
        axis.axis("off")
        for x, head in ((0.0, f"lecture {lecture}"), (2.2, "scores"), (4.0, "exp"), (5.8, "normalize"),
                        (8.2, "−log of the right one")):  # fmt: skip
            axis.text(x, 3.7, head, color="0.4", ha="left" if x == 0 else "center")
        for row, name in enumerate(IMAGES[lecture][0].classes):
            y = 2.5 - 1.2 * row
            weight = "bold" if row == 0 else "normal"
            axis.text(0, y, name, weight=weight)
            for x, value, form, color in (
                (2.2, scores[row], ".1f", BLACK), (4.0, powers[row], ".2f", BLUE),
                (5.8, probabilities[row], ".2f", GREEN),
            ):  # fmt: skip
                text = f"{value:{form}}".replace("-", "−")
                axis.text(x, y, text, ha="center", color=color, weight=weight, fontsize=17)
        axis.text(8.2, 2.5, f"{nats:.2f} nats", ha="center", color=ORANGE, weight="bold", fontsize=17)
        printed = ",\nas the slide prints" if lecture == "002" else ""
        axis.text(8.2, 1.4, f"{tens:.2f} in base 10{printed}", ha="center", va="center", color=ORANGE)
        axis.text(8.2, 0.1, "bold: the right class", ha="center", color="0.4")
        lines += [
            f"{lecture}: exp " + " ".join(f"{x:.2f}" for x in powers),
            f"{lecture}: probabilities " + " ".join(f"{x:.2f}" for x in probabilities),
            f"{lecture}: loss in nats {nats:.2f}",
            f"{lecture}: loss in base 10 {tens:.2f}",
        ]
    figure.suptitle(
        "exp makes scores positive, normalizing makes them sum to 1, −log makes a price", fontsize=16
    )
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
