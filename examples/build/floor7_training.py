"""Floor 7: steps downhill, and a proof that the way is right.

        ┌──▶ zero_grad ──▶ loss ──▶ backward ──▶ step ──┐        g ← gradient + weight_decay · w
        └───────────────────────────────────────────────┘        v ← momentum · v + lr · g
                                                                 w ← w − v

Parameters come as a list, or as groups, dicts of "params" and of options that differ from the others:

    SGD([{"params": [W], "weight_decay": 0.1}, {"params": [b]}], lr=0.1)

A step gives p.data a new array. It writes into none: the old one may be the user's.

gradcheck trusts nothing but the loss itself: it moves one element of one input by h, up and down,

        (f(x + h) − f(x − h)) / 2h

and compares with what backward says; its answer is the largest |difference| of all elements.

    python examples/build/floor7_training.py

Then read: optim/gradient.py (SGD), optim/groups.py, checking/differences.py.
"""


class SGD:
    """Gradient descent with momentum and weight decay, by groups of parameters."""

    def __init__(self, params, lr, momentum=0.0, weight_decay=0.0):
        groups = params if isinstance(params[0], dict) else [{"params": params}]
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        self.groups = [defaults | group for group in groups]
        self.velocity = {p: 0.0 for group in self.groups for p in group["params"]}

    def zero_grad(self):
        """Forget the gradients of the step before: backward adds to what is there."""
        raise NotImplementedError("SGD.zero_grad: .grad of every parameter is 0.0 again")

    def step(self):
        """One step of every parameter, with the options of its group."""
        raise NotImplementedError("SGD.step: for group in self.groups: for p in group['params']: …")


def gradcheck(f, *inputs, h=1e-5):
    """The largest gap between the gradient of f(*inputs) and central differences.

    f takes tensors and returns one of one number. The inputs are afterwards as they were.
    """
    raise NotImplementedError(
        "gradcheck: np.ndindex(p.data.shape) has every place of p; change a copy of p.data"
    )


if __name__ == "__main__":
    import sys

    import check

    sys.exit(check.main(7))
