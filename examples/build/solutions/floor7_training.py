"""Floor 7, solved: steps downhill, and a proof that the way is right."""

import numpy as np


class SGD:
    """Gradient descent with momentum and weight decay, by groups of parameters."""

    def __init__(self, params, lr, momentum=0.0, weight_decay=0.0):
        groups = params if isinstance(params[0], dict) else [{"params": params}]
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        self.groups = [defaults | group for group in groups]
        self.velocity = {p: 0.0 for group in self.groups for p in group["params"]}

    def zero_grad(self):
        """Forget the gradients of the step before."""
        for p in self.velocity:
            p.grad = 0.0

    def step(self):
        """One step of every parameter, with the options of its group."""
        for group in self.groups:
            for p in group["params"]:
                g = p.grad + group["weight_decay"] * p.data
                self.velocity[p] = group["momentum"] * self.velocity[p] + group["lr"] * g
                p.data = p.data - self.velocity[p]


def gradcheck(f, *inputs, h=1e-5):
    """The largest gap between the gradient of f(*inputs) and central differences."""
    for p in inputs:
        p.grad = 0.0
    f(*inputs).backward()
    return max(gap(f, inputs, p, index, h) for p in inputs for index in np.ndindex(p.data.shape))


def gap(f, inputs, p, index, h):
    """The same for one element of p; p is afterwards as it was."""
    x, values = p.data, []
    for step in (h, -h):
        p.data = x.copy()
        p.data[index] += step
        values.append(float(f(*inputs).data))
    p.data = x
    return abs((values[0] - values[1]) / (2.0 * h) - np.broadcast_to(p.grad, x.shape)[index])
