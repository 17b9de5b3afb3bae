"""Digits in eight dimensions, the same ones near each other: triplets, and the nearest neighbour."""

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

import tinygrad_lo as lo

lo.seed(0)
X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X / 16, y, test_size=0.5, stratify=y, random_state=0)

# The recipe.
net = lo.nn.Sequential(lo.nn.Linear(64, 64), lo.nn.ReLU(), lo.nn.Linear(64, 8))
optimizer = lo.optim.Adam(net, lr=0.003)
step = lo.compile(lambda a, p, n: lo.losses.triplet(net(a), net(p), net(n), margin=1.0), optimizer=optimizer)
for _ in range(40):
    anchors, positives, negatives = lo.data.triplets(y)
    for a, p, n in lo.data.minibatches(anchors, positives, negatives, batch_size=32):
        step(X[a], X[p], X[n])
neighbours = KNeighborsClassifier(1).fit(net(X).numpy(), y)
print(f"accuracy {neighbours.score(net(X_test).numpy(), y_test):.3f}")
