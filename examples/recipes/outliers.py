"""A line through points, five of which are far off: three losses, three slopes."""

import numpy as np

import tinygrad_lo as lo

rng = np.random.default_rng(0)
X = rng.uniform(-2, 2, (60, 1))
y = 2 * X + 1 + 0.2 * rng.standard_normal((60, 1))
y[:5] += 30

# The recipe.
for loss in (lo.losses.mse, lo.losses.mae, lo.losses.huber):
    line = lo.nn.Linear(1, 1, rng=0)
    optimizer = lo.optim.Adam(line, lr=0.05)
    schedule = lo.optim.CosineLR(optimizer, 300)
    lo.fit(
        line, loss, (X, y), optimizer=optimizer, schedule=schedule, epochs=300, batch_size=20, progress=False
    )
    print(f"{loss.__name__} slope {line.weight.item():.3f} offset {line.bias.item():.3f}")
