"""What each floor must do: programs with their hints, and what no program shows."""

import time

import numpy as np
from compare import CONSTANTS, IN_PLACE, LEAVES, Case, Wrong, at_random, same

import tinygrad_lo as lo

REUSED = "A value that is used twice gets two parts: grads[parent] = grads[parent] + part."
LONGER = "r has one axis less. Sum g over the axes that NumPy put in front, then over those of length 1."
STRETCHED = "k has length 1 along an axis: sum g over it, with keepdims=True."
AXIS = "Without keepdims the axis is gone: reshape g to the shape that the result has with it, then stretch."
WRONG_CLASSES = "Only the wrong classes count: the right one would add a margin of 1."
MARGINS = f"{WRONG_CLASSES} Sum over the classes, mean over the samples. Is s_y (N, 1)?"
TWO_RULES = (
    "Two inputs, two rules. A lambda in a loop sees the last rule of all: bind it, lambda g, rule=rule: …"
)
VELOCITY = "v ← momentum · v + lr · g,  w ← w − v. Each parameter has its own v, kept from step to step."
DECAY = "g ← gradient + weight_decay · w, before the velocity."
GROUPS = "A group's own options come before the defaults: self.groups has them together, for each group."

CASES = {
    1: (
        Case("a + b", "Both rules of a sum hand on g itself; and backward calls parent.backward(part)."),
        Case("a * b", "d(ab)/da is b, and d(ab)/db is a. Is one in the place of the other?"),
        Case("a * b * c", "A rule multiplies the arriving g by its own derivative. Is the g there?"),
        Case("(a + b) * c", "A rule of the sum hands on the arriving g, not 1."),
        Case("a * a", "Two paths lead to a. What arrives is added to .grad; it replaces nothing."),
        *at_random(20, "abc", "+*"),
    ),
    2: (
        Case("a * b + c", "Start with {self: g}. A leaf, which has no parents, adds its gradient to .grad."),
        Case("u = a * b; u + u", REUSED),
        Case("u = a * b; u * u * u", REUSED),
        Case("u = a * b; v = u + a; v * u + u + a", "From the root down: who used a value comes before it."),
        *at_random(20, "abc", "+*"),
    ),
    3: (
        Case("X + Y", "shares: pairs of a parent and its part, as super().shares(g) gives them."),
        Case("X * Y", "shares: pairs of a parent and its part, as super().shares(g) gives them."),
        Case("X + r", f"Does shares unbroadcast each part? {LONGER}"),
        Case("X * k", STRETCHED),
        Case("r * k", f"Both were stretched. {STRETCHED}"),
        Case("X * a", "a has no axis at all: all of g is summed."),
        Case("2.0 * X + T", "A number or an array beside a tensor is a tensor without a name: lift it."),
        Case("-X", "−x is x · −1."),
        Case("X - r", "a − b is a + (−b)."),
        Case("1.0 - X", "__rsub__(self, other) is other − self, not self − other."),
        Case("u = X * 3.0 + Y; X + u", f"+ hands the same g to both. {IN_PLACE} Look at floor 2."),
        *at_random(30, ("X", "Y", "r", "k", "a"), "+*-"),
    ),
    4: (
        Case("X.sum()", "Each element gets g: np.broadcast_to(g, x.shape)."),
        Case("X.sum(axis=0)", AXIS),
        Case("X.sum(axis=1)", AXIS),
        Case("X.sum(axis=-1, keepdims=True) * X", AXIS),
        Case("X.mean()", "The mean is the sum divided by the count, and so is its gradient."),
        Case("X.mean(axis=1)", "Divide by how many were added: the length of the axis, not the size of x."),
        Case("X.max()", "Only the largest element gets g."),
        Case("X.max(axis=1)", f"The largest of each row. {AXIS}"),
        Case("E.max(axis=1)", "Equal largest elements share g: divide by how many there are in that row."),
        Case("X @ W", "g bᵀ for a, and aᵀ g for b. Write the shapes down: only one order fits."),
        Case("T @ W", "An array on the left asks the tensor: __rmatmul__ is other @ self."),
        *at_random(
            30, ("X", "Y", "k"), "+*-", [f".{f}(axis=1, keepdims=True)" for f in ("sum", "mean", "max")]
        ),
    ),
    5: (
        Case("X.exp()", "exp is its own derivative, and y is exp(x) already: g · y."),
        Case("(X * X + 1.0).log()", "The derivative of log(x) is 1/x."),
        Case("X.tanh()", "The derivative of tanh(x) is 1 − tanh²(x), and y is tanh(x) already."),
        Case("X.relu()", "g passes where x is above 0."),
        Case("E.relu()", "At exactly 0 nothing passes, as in the library: x > 0, not x >= 0."),
        Case("logsumexp(X)", "The derivative is the softmax, exp(x − y). The last axis stays."),
        Case("logsumexp(1000.0 * X)", "exp(1000) is inf. Subtract the maximum, and add it after the log."),
        Case("Y / (X * X + 1.0)", f"g/b for a; −g a/b², which is −g y/b, for b. {TWO_RULES}"),
        Case("1.0 / (X * X + 1.0)", "__rtruediv__(self, other) is other / self."),
        *at_random(30, ("X", "Y", "k"), "+*-", (".tanh()", ".relu()", ".sum(axis=1, keepdims=True)")),
    ),
    6: (
        Case("mse(X, T)", "The mean of the squared gaps over all elements."),
        Case(
            "cross_entropy(X, labels)",
            "The mean over the samples of logsumexp(s) − s_y; s_y is Σ s · one_hot.",
        ),
        Case(
            "cross_entropy(1000.0 * X, labels)", "exp of a big score is inf; .logsumexp() takes care of it."
        ),
        Case("hinge(X, labels)", MARGINS),
        Case("hinge(10.0 * X, labels)", MARGINS),
    ),
}


def programs(number, engine, functions):
    """Run all programs of a floor."""
    with np.errstate(all="ignore"):  # the case says it
        for case in CASES[number]:
            case.check(engine, functions)


def scalar(floors):
    """Floor 1: values and gradients of trees, and of a number that is used twice."""
    programs(1, floors[0].Value, {})


def ordered(floors):
    """Floor 2: the order itself, reuse, one visit for each value, depth, and a second pass."""
    order, Value = floors[1].order, floors[1].Value
    a, b = Value(2.0), Value(3.0)
    u = a * b
    root = u * a + u
    there = list(order(root))
    if len(there) != 5 or set(there) != {a, b, u, *root.parents, root}:
        said = f"order(u * a + u), where u = a * b, has {len(there)} values, expected 5"
        raise Wrong(said, "Each once, the root too: note which were seen.")
    if any(there.index(parent) > there.index(node) for node in there for parent in node.parents):
        said = "order(u * a + u), where u = a * b: a parent comes after what was made of it"
        raise Wrong(said, "Seen first is not done first: a value comes when all its parents are there.")
    programs(2, Value, {})
    counted(Value)
    y = x = Value(1.0)
    for _ in range(5000):
        y = y + x
    try:
        y.backward()
    except RecursionError:
        hint = "Python allows about 1000 calls inside each other. Keep a list of what waits, and loop."
        raise Wrong("x + x + … + x, 5001 terms: your code raised RecursionError", hint) from None
    same("the gradient by x of x + x + … + x, 5001 terms,", x.grad, 5001.0, REUSED)
    x = Value(3.0)
    y = x * x * x
    y.backward()
    y.backward()
    hint = (
        "Only leaves keep a gradient. Else the next pass finds what the last one left in between: use a dict."
    )
    same("the gradient by x of x * x * x, after backward() twice,", x.grad, 54.0, hint)


def counted(Value):
    """Raise Wrong if a rule runs more than once."""
    runs = 0

    def count(rule):
        def run(g):
            nonlocal runs
            runs += 1
            if runs > 24:
                hint = (
                    "These 12 sums have 24 rules, and 4096 paths. Walk along the order, not along the paths."
                )
                raise Wrong("u = u + u, 12 times: more than 24 rules ran in backward", hint)
            return rule(g)

        return run

    class Counted(Value):
        def __init__(self, data, parents=(), rules=(), label=""):
            super().__init__(data, parents, tuple(map(count, rules)), label)

    u = Counted(1.0)
    for _ in range(12):
        u = u + u
    u.backward()


def arrays(floors):
    """Floor 3: broadcasting, minus, plain arrays, and gradients that nobody writes into."""
    programs(3, floors[2].Tensor, {})


def sums(floors):
    """Floor 4: sum, mean and max along any axis, and the product of matrices."""
    programs(4, floors[3].Tensor, {})


def rules(floors):
    """Floor 5: each row of the table, and the numbers at which formulas break."""
    programs(5, floors[4].Tensor, {"logsumexp": floors[4].Tensor.logsumexp})


def losses(floors):
    """Floor 6: three losses, also of scores that are too big for exp."""
    programs(6, floors[4].Tensor, vars(floors[5]))


def training(floors):
    """Floor 7: steps like the library's, nobody's array changed, and a gradcheck that finds an error."""
    SGD, Tensor = floors[6].SGD, floors[4].Tensor
    array = np.ones(3)
    p = Tensor(array)
    p.grad = np.full(3, 2.0)
    SGD([p], lr=0.1).zero_grad()
    same("p.grad after zero_grad()", p.grad + np.zeros(3), np.zeros(3), "p.grad = 0.0 for every parameter.")
    p.grad = np.full(3, 2.0)
    SGD([p], lr=0.1).step()
    hint = "p.data -= … writes into the array that the user gave: write p.data = p.data − …"
    same("the user's array, of which p was made, after a step", array, np.ones(3), hint)
    for options, hint in (
        ({}, "w ← w − lr · g."),
        ({"momentum": 0.9}, VELOCITY),
        ({"weight_decay": 0.1}, DECAY),
        ({"momentum": 0.5, "weight_decay": 0.1}, f"{DECAY} {VELOCITY}"),
    ):
        same_steps(SGD, Tensor, {}, options, hint)
    same_steps(SGD, Tensor, {"lr": 0.01, "weight_decay": 0.5}, {"momentum": 0.9}, GROUPS)
    gradchecked(floors[6].gradcheck, Tensor)


def same_steps(SGD, Tensor, group, options, hint):
    """Four steps of both optimizers on one loss; `group` has the options of r alone."""
    ends = []
    for leaf, optimizer in ((Tensor, SGD), (lo.Parameter, lo.optim.SGD)):
        W, r = leaf(LEAVES["W"].copy()), leaf(LEAVES["r"][:2].copy())
        params = [{"params": [W]}, {"params": [r], **group}] if group else [W, r]
        descent = optimizer(params, lr=0.1, **options)
        for _ in range(4):
            descent.zero_grad()
            gap = CONSTANTS["T"] @ W + r - 1.0
            (gap * gap).mean().backward()
            descent.step()
        ends.append((W.data, r.data))
    how = ", ".join(f"{name}={value}" for name, value in ({"lr": 0.1} | options).items())
    params = f"[{{'params': [W]}}, {{'params': [r], {str(group)[1:]}]" if group else "[W, r]"
    for name, got, expected in zip(("W", "r"), *ends, strict=True):
        same(f"{name} after four steps of SGD({params}, {how})", got, expected, hint)


def gradchecked(gradcheck, Tensor):
    """Its gap is small for a right engine, and not for a rule that is wrong in the last element."""
    x, y = Tensor(LEAVES["X"].copy()), Tensor(LEAVES["Y"].copy())
    for again in ("", ", the second time"):
        gap = gradcheck(lambda x, y: (x * y * y).sum(), x, y)
        same("x.data after gradcheck", x.data, LEAVES["X"], "Change a copy, and put the old array back.")
        if not gap < 1e-6:
            hint = "(f(x + h) − f(x − h)) / 2h, one element at a time; and .grad is 0.0 before backward."
            raise Wrong(f"gradcheck of (x * y * y).sum() is {gap:.3g}{again}, expected below 1e-6", hint)
    hint = "The largest |difference|, whatever its sign, over all elements of all inputs."
    for name, other, errors in (("x", y, (0.5, 0.0)), ("x", y, (-0.5, 0.0)), ("y", x, (0.0, 0.5))):
        gap = gradcheck(product(*errors), x, y)
        said = f"gradcheck of x * y, whose gradient by the last element of {name} is wrong by half,"
        same(said, np.round(gap, 6), np.round(0.5 * abs(other.data[-1, -1]), 6), hint)


def product(error_x, error_y):
    """The sum of x * y, with an error planted in the gradient by the last element of x, and of y."""

    def planted(x, error):
        factors = np.ones(x.data.shape)
        factors[-1, -1] += error
        return type(x)(x.data, (x,), (lambda g: g * factors,), "planted")

    return lambda x, y: (planted(x, error_x) * planted(y, error_y)).sum()


def digits(floors):
    """Floor 8: the student's engine reads handwriting, and draws the graph of its loss."""
    try:
        from sklearn.datasets import load_digits
        from threadpoolctl import threadpool_limits
    except ImportError:
        raise Wrong("the digits are scikit-learn's, which is missing", "pip install scikit-learn") from None
    floor = floors[7]
    images, labels = load_digits(return_X_y=True)
    shuffled = np.random.default_rng(0).permutation(len(images))
    X, labels = images[shuffled] / 16.0, labels[shuffled]
    params = floor.start((64, 32, 10), np.random.default_rng(0))
    shapes = [p.data.shape for p in params]
    if shapes != [(64, 32), (32,), (32, 10), (10,)]:
        raise Wrong(f"start((64, 32, 10)) has the shapes {shapes}", "W (inputs, outputs), b (outputs,).")
    begin = time.perf_counter()
    with threadpool_limits(1):  # matrices this small are multiplied sooner than threads are woken
        history = floor.train(params, X[:1300], labels[:1300], 150)
    seconds = time.perf_counter() - begin
    right = np.mean(floor.scores(params, X[1300:]).data.argmax(axis=1) == labels[1300:])
    learned = f"accuracy {right:.3f} on {len(X) - 1300} digits that it had not seen, after {seconds:.1f} s"
    if len(history) != 150 or not right >= 0.9:
        hint = "zero_grad, backward and step in each step; W from variance 2 / inputs; relu between layers."
        raise Wrong(f"{learned}, and {len(history)} losses; expected at least 0.9, and 150", hint)
    loss = floors[5].cross_entropy(floor.scores(params, X[:8]), labels[:8])
    drawn(floor.draw, floors[1].order(loss), floors[4].Tensor)
    return f"{learned}; {saved(floor.draw(loss))}"


def drawn(draw, values, Tensor):
    """Raise Wrong unless the picture has each value and each edge once, and names stay text."""
    lines = [line.partition(" [")[0].strip() for line in draw(values[-1]).body]
    arrows = [line.split(" -> ") for line in lines if "->" in line]
    expected = len(values), sum(len(value.parents) for value in values)
    got = len({line for line in lines if "->" not in line}), len(arrows)
    if got != expected:
        hint = "Floor 2's order has each value once, and each of its parents gets one arrow."
        raise Wrong(f"draw(loss) has (nodes, arrows) {got}, expected {expected}", hint)
    starts = {tail for tail, _ in arrows} - {head for _, head in arrows}
    if len(starts) != sum(not value.parents for value in values):
        raise Wrong(
            "draw(loss): not every arrow starts at a leaf, or at what is made of some", "parent → value."
        )
    x = Tensor(1.0, label="\\lx")
    if sum("->" in line for line in draw(x + x).body) != 2:
        raise Wrong("draw(x + x) has not two arrows", "x is both parents of x + x: one arrow for each.")
    if "\\\\lx" not in draw(x).source:
        raise Wrong(
            r"draw: of the name '\lx' the \l became a new line", "graphviz.escape(text) keeps any text."
        )


def saved(picture):
    """Save the picture in the working directory, as SVG where Graphviz is installed; say where."""
    from graphviz import ExecutableNotFound

    try:
        return f"see {picture.render('build_graph', format='svg', cleanup=True)}"
    except ExecutableNotFound:
        return f"see {picture.save('build_graph.gv')}, of which Graphviz makes a picture"


CHECKS = {
    "a scalar engine": scalar,
    "the order of the way back": ordered,
    "arrays and broadcasting": arrays,
    "sums and matrices": sums,
    "a table of rules": rules,
    "losses": losses,
    "SGD and gradcheck": training,
    "digits, and a drawing": digits,
}
