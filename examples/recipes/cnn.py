"""A small convolutional network on the handwritten digits."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tinygrad_lo as lo

lo.seed(0)
images, labels = load_digits(return_X_y=True)
images = (images / 16).reshape(-1, 1, 8, 8).astype(np.float32)
X, X_test, y, y_test = train_test_split(images, labels, test_size=0.25, stratify=labels, random_state=0)

# The recipe.
net = lo.nn.Sequential(
    lo.nn.Conv2d(1, 16, 3, padding="same", dtype="float32"), lo.nn.ReLU(), lo.nn.MaxPool2d(2),
    lo.nn.Conv2d(16, 32, 3, padding="same", dtype="float32"), lo.nn.ReLU(), lo.nn.MaxPool2d(2),
    lo.nn.Flatten(), lo.nn.Linear(128, 10, dtype="float32"),
)  # fmt: skip
history = lo.fit(
    net, lo.losses.cross_entropy, (X, y), optimizer=lo.optim.Adam(net, lr=0.003), epochs=20,
    metrics={"accuracy": lo.training.accuracy}, validation=(X_test, y_test), progress=False,
)  # fmt: skip
print(f"accuracy {history['validation accuracy'][-1]:.3f}")
print(net)
