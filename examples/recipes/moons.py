"""Two moons: a network with validation, its history and the border that it learns."""

import matplotlib as mpl
import numpy as np

import tinygrad_lo as lo

mpl.use("Agg")
import matplotlib.pyplot as plt

lo.seed(0)
X, y = lo.data.two_moons(400, noise=0.15)
fresh = lo.data.two_moons(1000, noise=0.15)

# The recipe.
net = lo.nn.Sequential(
    lo.nn.Linear(2, 16), lo.nn.ReLU(), lo.nn.Linear(16, 16), lo.nn.ReLU(), lo.nn.Linear(16, 2)
)
history = lo.fit(
    net, lo.losses.cross_entropy, (X, y), optimizer=lo.optim.Adam(net, lr=0.01), epochs=60, validation=fresh,
    metrics={"accuracy": lo.training.accuracy}, progress=False,
)  # fmt: skip
print(f"accuracy {history['validation accuracy'][-1]:.3f}")
history.plot("moons_history.png")
across, up = np.meshgrid(np.linspace(-2, 3, 200), np.linspace(-1.5, 2, 150))
scores = net(np.stack([across.ravel(), up.ravel()], axis=1)).numpy()
plt.contourf(across, up, (scores[:, 1] - scores[:, 0]).reshape(across.shape), levels=[-99, 0, 99], alpha=0.3)
plt.scatter(*X.T, c=y)
plt.savefig("moons_border.png")
