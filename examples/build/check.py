"""The checks of all floors: your engine and the library on the same expressions.

    python examples/build/check.py              all floors, from the first
    python examples/build/check.py 3            floors 1 to 3
    python examples/build/check.py solutions    the solutions

Each floor stands on those below it, so they are checked first. Every case is a short program that both
engines run; values and gradients are compared, and the first that differs is shown, with a hint.
"""

import ast
import functools
import importlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import answers, to_fill_in
from tinygrad_lo.checking.homework import Homework
from tinygrad_lo.checking.student import raised
from tinygrad_lo.engine.ops.reductions import logsumexp

FOLDER = Path(__file__).resolve().parent
FILES = tuple(path.stem for path in sorted(FOLDER.glob("floor*.py")))
TITLES = (
    "a scalar engine",
    "the order of the way back",
    "arrays and broadcasting",
    "sums and matrices",
    "a table of rules",
    "losses",
    "SGD and gradcheck",
    "digits, and a drawing",
)
RTOL = 1e-9

rng = np.random.default_rng(0)
# A leaf of each of these shapes, by name; E has equal elements, and zeros.
LEAVES = {"a": (), "b": (), "c": (), "X": (4, 3), "Y": (4, 3), "r": (3,), "k": (4, 1), "W": (3, 2)}
VALUES = {name: rng.normal(size=shape) for name, shape in LEAVES.items()}
VALUES["E"] = np.array([[1.0, 1.0, 0.0], [2.0, 0.0, 2.0], [-1.0, 0.0, -3.0]])
# What is no tensor: a target, labels, and the left side of a product.
CONSTANTS = {"T": rng.normal(size=(4, 3)), "labels": np.array([2, 0, 1, 2])}
LIBRARY = {
    "logsumexp": lambda x: logsumexp(x, -1, True),
    "mse": lo.losses.mse,
    "cross_entropy": lo.losses.cross_entropy,
    "hinge": lo.losses.multiclass_hinge,
}


class Wrong(Exception):  # noqa: N818
    """What a check found, and the hint."""

    def __init__(self, said, hint=""):
        super().__init__(said)
        self.hint = hint


@dataclass(frozen=True)
class Case:
    """A program of the leaves, its lines divided by ';', and what to think of where it goes wrong."""

    text: str
    hint: str = ""

    def run(self, names):
        """The value of the last line."""
        *lines, last = self.text.split("; ")
        space = CONSTANTS | names
        for line in lines:
            exec(line, space)
        return eval(last, space)

    def check(self, engine, functions=None):
        """Run it with tensors of this class and with those of the library, and compare."""
        names = [name for name in VALUES if name in ast_names(self.text)]
        # floats on the first floors, where no array is known
        mine = {name: engine(VALUES[name].copy() if VALUES[name].ndim else float(VALUES[name])) for name in names}
        theirs = {name: lo.Parameter(VALUES[name]) for name in names}
        expected = self.run(LIBRARY | theirs)
        seed = np.cos(np.arange(expected.size)).reshape(expected.shape)
        expected.backward(seed)
        given = seed.copy() if seed.ndim else 1.0
        try:
            got = self.run((functions or {}) | mine)
            if not isinstance(got, engine):
                raise Wrong(f"{self.text} is {type(got).__name__}, expected {engine.__name__}", self.hint)
            same(f"the value of {self.text}", got.data, expected.data, self.hint)
            got.backward(given)
        except (Wrong, NotImplementedError):
            raise
        except Exception as problem:
            if to_fill_in(problem):
                raise
            raise Wrong(f"{self.text}: your code raised {raised(problem)}", self.hint) from problem
        for name in names:
            wanted = 0.0 if theirs[name].grad is None else theirs[name].grad
            same(f"the gradient by {name} of {self.text}", mine[name].grad, wanted, self.hint)
            same(f"the data of {name} after the backward pass", mine[name].data, VALUES[name], IN_PLACE)
        same("the gradient from which backward started, afterwards,", given, seed, IN_PLACE)


IN_PLACE = "+= on an array writes into it, and others hold the same array: write a = a + b."


def ast_names(text):
    """The names that a program reads."""
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}


def same(what, got, expected, hint):
    """Raise Wrong, with the first element that differs, unless the two are equal."""
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape:
        raise Wrong(f"{what} has shape {got.shape}, expected {expected.shape}", hint)
    wrong = ~np.isclose(got, expected, rtol=RTOL, atol=1e-12)
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        at = f" at [{', '.join(map(str, place))}]" if place else ""
        raise Wrong(f"{what}{at} is {got[place]:.6g}, expected {expected[place]:.6g}", hint)


def random_cases(count, leaves, binary, unary=()):
    """Programs of eight lines that nobody wrote; a value may be used many times, or not at all."""
    rng = np.random.default_rng(count)
    for _ in range(count):
        names, lines = [*leaves], []
        for i in range(8):
            a, b = rng.choice(names[-5:]), rng.choice(names)
            line = f"{a}{rng.choice(unary)}" if len(unary) and rng.random() < 0.4 else f"{a} {rng.choice([*binary])} {b}"
            lines.append(f"t{i} = {line}")
            names.append(f"t{i}")
        yield Case("; ".join([*lines, "t7 + t6"]), "A program at random: none of the short ones above went wrong.")


# ------------------------------------------------------------------------------------------ the floors


def scalar(floors):
    """Floor 1: values and gradients of trees, and of a number that is used twice."""
    engine = floors[0].Value
    for case in (
        Case("a + b", "Both rules of a sum hand on g itself; and backward calls parent.backward(part)."),
        Case("a * b", "d(ab)/da is b, and d(ab)/db is a. Is one at the place of the other?"),
        Case("a * b * c", "A rule multiplies the arriving g by its own derivative. Is the g there?"),
        Case("(a + b) * c", "A rule of the sum hands on the arriving g, not 1."),
        Case("a * a", "Two paths lead to a. What arrives is added to .grad; it replaces nothing."),
        *random_cases(20, "abc", "+*"),
    ):
        case.check(engine)


TWICE = (
    "Only leaves keep a gradient. What waits at the values in between belongs to one pass: keep it in a dict "
    "of that pass, not in .grad, where the next pass finds it again."
)


def in_order(floors):
    """Floor 2: the order itself, reuse, one visit for each value, depth, and a second pass."""
    floor, engine = floors[1], floors[1].Value
    a, b = engine(2.0), engine(3.0)
    u = a * b
    root = u * a + u
    done = list(floor.order(root))
    if len(done) != 5 or set(done) != {a, b, u, *root.parents, root}:
        hint = "Note which values were seen already; the root belongs to them, too."
        raise Wrong(f"order(u * a + u) with u = a * b has {len(done)} values, expected 5, each once", hint)
    for node in done:
        for parent in node.parents:
            if done.index(parent) > done.index(node):
                said = f"order(u * a + u): a parent of '{node.label}' comes after it"
                raise Wrong(said, "A value comes when all its parents are done; first seen is not done.")
    reused = "A value that is used twice gets two parts: grads[parent] = grads[parent] + part."
    early = "Walk from the root down: the gradient of a value is complete when all who used it have sent."
    for case in (
        Case("a * b + c", "Start with {self: g}. A leaf, which has no parents, adds its gradient to .grad."),
        Case("u = a * b; u + u", reused),
        Case("u = a * b; u * u * u", reused),
        Case("u = a * b; v = u + a; w = v * u; w + u + a", early),
        *random_cases(40, "abc", "+*"),
    ):
        case.check(engine)
    counted(engine)
    a = engine(1.0)
    y = a
    for _ in range(5000):
        y = y + a
    try:
        y.backward()
    except RecursionError:
        hint = "Python calls only about 1000 functions inside each other. Keep a list of what waits, and loop."
        raise Wrong("a sum of 5000 terms: your code raised RecursionError", hint) from None
    same("the gradient by a of a + a + … + a, 5001 terms,", a.grad, 5001.0, reused)
    a = engine(3.0)
    y = a * a * a
    y.backward()
    y.backward()
    same("the gradient by a of a * a * a, after backward() twice,", a.grad, 54.0, TWICE)


def counted(engine):
    """Raise Wrong if the rules of one value run more than once."""
    calls = 0

    class Counting(engine):
        def __init__(self, data, parents=(), rules=(), label=""):
            super().__init__(data, parents, tuple(map(self.counting, rules)), label)

        @staticmethod
        def counting(rule):
            def run(g):
                nonlocal calls
                calls += 1
                if calls > 24:
                    raise Wrong(
                        "a doubled 12 times by u = u + u: more than 24 rules ran",
                        "12 sums have 24 rules, and 4096 paths. Walk along order(self), not along paths.",
                    )
                return rule(g)

            return run

    u = Counting(1.0)
    for _ in range(12):
        u = u + u
    u.backward()


def arrays(floors):
    """Floor 3: broadcasting, minus, plain arrays, and gradients that nobody writes into."""
    engine = floors[2].Tensor
    longer = "r has one axis less. Sum g over the axes that NumPy had put in front, then over those of length 1."
    stretched = "k has length 1 along an axis: sum g over it, with keepdims=True."
    for case in (
        Case("X + Y"),
        Case("X * Y"),
        Case("X + r", f"Is unbroadcast called in shares? {longer}"),
        Case("X * r", longer),
        Case("X * k", stretched),
        Case("r * k", f"Both were stretched. {stretched}"),
        Case("X * a", "a has no axis at all: all of g is summed."),
        Case("2.0 * X + 1.0", "lift makes a tensor of a number."),
        Case("T * X", "An array on the left asks the tensor: __rmul__."),
        Case("-X", "-x is x * -1."),
        Case("X - r", "a − b is a + (−b)."),
        Case("1.0 - X", "__rsub__(self, other) is other − self, not self − other."),
        Case("u = X * 3.0 + Y; X + u", f"+ hands the same g to both. {IN_PLACE} See floor 2."),
        *random_cases(40, ("X", "Y", "r", "k", "a"), "+*-"),
    ):
        case.check(engine)


def sums(floors):
    """Floor 4: sum, mean and max along any axis, and the product of matrices."""
    engine = floors[3].Tensor
    axis = "Without keepdims the axis is gone: give g its axis back (reshape to the kept shape), then stretch."
    for case in (
        Case("X.sum()", "Each element gets g: np.broadcast_to(g, x.shape)."),
        Case("X.sum(axis=0)", axis),
        Case("X.sum(axis=1)", axis),
        Case("X.sum(axis=-1, keepdims=True) * X", axis),
        Case("X.mean()", "The mean is the sum divided by the count, and so is its gradient."),
        Case("X.mean(axis=1)", "Divide by how many were added: the length of the axis, not the size of x."),
        Case("X.max()", "Only the largest element gets g."),
        Case("X.max(axis=1)", f"The largest of each row. {axis}"),
        Case("E.max(axis=1)", "Equal largest elements share: divide by how many there are in that row."),
        Case("X @ W", "With y = a b: g bᵀ for a, and aᵀ g for b. Write down the shapes: only one order fits."),
        Case("T @ W", "An array on the left asks the tensor: __rmatmul__ is other @ self."),
        *random_cases(
            30, ("X", "Y", "k"), "+*-", (".sum(axis=1, keepdims=True)", ".mean(axis=0, keepdims=True)", ".max(axis=1, keepdims=True)")
        ),
    ):
        case.check(engine)


def rules(floors):
    """Floor 5: each row of the table, and the numbers at which formulas break."""
    functions = {"logsumexp": lambda x: x.logsumexp()}
    closure = (
        "Two inputs, two rules. A lambda in a loop sees the last value of the loop's variable: bind it, "
        "lambda g, rule=rule: …"
    )
    for case in (
        Case("X.exp()", "exp is its own derivative, and y is exp(x) already: g * y."),
        Case("(X * X + 1.0).log()", "d log(x)/dx = 1/x."),
        Case("X.tanh()", "d tanh(x)/dx = 1 − tanh²(x), and y is tanh(x) already."),
        Case("X.relu()", "g passes where x is above 0."),
        Case("E.relu()", "At exactly 0 relu has a kink; here, as in the library, nothing passes: x > 0, not x >= 0."),
        Case("logsumexp(X)", "The derivative is the softmax, exp(x − y)."),
        Case("logsumexp(1000.0 * X)", "exp(1000) is inf. Subtract the maximum, and add it again outside the log."),
        Case("Y / (X * X + 1.0)", f"a/b: g/b for a, and −g a/b² = −g y/b for b. {closure}"),
        Case("1.0 / (X * X + 1.0)", "__rtruediv__ is other / self."),
        *random_cases(40, ("X", "Y", "k"), "+*-", (".tanh()", ".relu()", ".sum(axis=1, keepdims=True)")),
    ):
        with np.errstate(all="ignore"):
            case.check(floors[4].Tensor, functions)


def losses(floors):
    """Floor 6: three losses; the big scores are there for exp."""
    functions = {name: getattr(floors[5], name) for name in ("mse", "cross_entropy", "hinge")}
    wrong_classes = "Over the wrong classes only: take the right one out, it adds a margin of 1."
    for case in (
        Case("mse(X, T)", "The mean of the squared gaps over all elements."),
        Case("cross_entropy(X, labels)", "mean over the samples of logsumexp(s) − s_y. Is s_y (N, 1), as logsumexp?"),
        Case("cross_entropy(1000.0 * X, labels)", "exp of a big score is inf: use .logsumexp(), which takes care."),
        Case("hinge(X, labels)", f"{wrong_classes} Sum over the classes, mean over the samples."),
        Case("hinge(10.0 * X, labels)", wrong_classes),
    ):
        with np.errstate(all="ignore"):
            case.check(floors[4].Tensor, functions)


def walked(leaf, make, zero=True):
    """Where four steps of an optimizer lead W and r on a mean squared error."""
    W, r = leaf(VALUES["W"].copy()), leaf(VALUES["r"][:2].copy())
    optimizer = make(W, r)
    for _ in range(4):
        if zero:
            optimizer.zero_grad()
        gap = CONSTANTS["T"] @ W + r - 1.0
        (gap * gap).mean().backward()
        optimizer.step()
    return W.data, r.data


def training(floors):
    """Floor 7: steps like the library's, nobody else's array moved, and a gradcheck that finds an error."""
    SGD, Tensor = floors[6].SGD, floors[4].Tensor
    p = Tensor(np.ones(3))
    p.grad = np.ones(3)
    SGD([p], lr=0.1).zero_grad()
    same("p.grad after zero_grad()", p.grad + np.zeros(3), np.zeros(3), "zero_grad sets .grad of every parameter to 0.0.")
    shared = np.ones(3)
    p, q = Tensor(shared), Tensor(shared)
    p.grad = np.ones(3)
    SGD([p], lr=0.1).step()
    hint = "p.data -= … writes into the array that the user gave: write p.data = p.data − …"
    same("an array of the user, after a step of a tensor made of it,", q.data, np.ones(3), hint)
    velocity = "v ← momentum · v + lr · g,  w ← w − v. One v for each parameter, kept from step to step."
    decay = "g ← gradient + weight_decay · w, before the velocity."
    for options, hint in (
        ({}, "w ← w − lr · g."),
        ({"momentum": 0.9}, velocity),
        ({"weight_decay": 0.1}, decay),
        ({"momentum": 0.5, "weight_decay": 0.1}, f"{decay} {velocity}"),
    ):
        compare_steps(SGD, Tensor, lambda W, r: [W, r], options, hint)
    hint = "What a group says counts for its parameters, before the defaults: defaults | group."
    groups = lambda W, r: [{"params": [W], "weight_decay": 0.5}, {"params": [r], "lr": 0.01}]  # noqa: E731
    compare_steps(SGD, Tensor, groups, {"momentum": 0.9}, hint)
    gradchecked(floors[6].gradcheck, Tensor)


def compare_steps(SGD, Tensor, params, options, hint):
    """Four steps with both optimizers."""
    mine = walked(Tensor, lambda W, r: SGD(params(W, r), lr=0.1, **options))
    theirs = walked(lo.Parameter, lambda W, r: lo.optim.SGD(params(W, r), lr=0.1, **options))
    what = f"SGD({'groups' if isinstance(params(0, 0)[0], dict) else 'params'}, lr=0.1, {options}): "
    for name, got, expected in zip(("W", "r"), mine, theirs, strict=True):
        same(f"{what}{name} after four steps", got, expected, hint)


def gradchecked(gradcheck, Tensor):
    """It is small for a right engine, and not for a rule that is wrong in the last element."""
    x, y = Tensor(VALUES["X"].copy()), Tensor(VALUES["Y"].copy())
    product = lambda x, y: (x * y * y).sum()  # noqa: E731
    before = x.data.copy()
    for again in ("", " when called again"):
        gap = gradcheck(product, x, y)
        if not gap < 1e-6:
            hint = "(f(x + h) − f(x − h)) / 2h, one element at a time. And .grad must be 0.0 before backward."
            raise Wrong(f"gradcheck of (x * y * y).sum() is {gap:.3g}{again}, expected below 1e-6", hint)
    same("x.data after gradcheck", x.data, before, "Change a copy of p.data, and put the old array back.")
    factors = np.ones((4, 3))
    factors[-1, -1] = 1.5
    for name, f in (
        ("x", lambda x, y: (scaled(x, factors) * y).sum()),
        ("y", lambda x, y: (x * scaled(y, factors)).sum()),
    ):
        wanted = 0.5 * abs((y if name == "x" else x).data[-1, -1])
        hint = "Every element of every input counts, and the largest |difference|, whatever its sign."
        same(f"gradcheck of an op that is wrong in the last element of {name}", round(gradcheck(f, x, y), 6),
             round(float(wanted), 6), hint)


def scaled(x, factors):
    """An op with a planted error: x itself, with these factors on its gradient."""
    return type(x)(x.data * 1.0, (x,), (lambda g: g * factors,), "wrong")


def digits(floors):
    """Floor 8: the student's engine reads handwriting, and draws the graph of its loss."""
    from sklearn.datasets import load_digits

    floor = floors[7]
    images, labels = load_digits(return_X_y=True)
    shuffled = np.random.default_rng(0).permutation(len(images))
    X, labels = images[shuffled] / 16.0, labels[shuffled]
    params = floor.start((64, 32, 10), np.random.default_rng(0))
    shapes = [p.data.shape for p in params]
    if shapes != [(64, 32), (32,), (32, 10), (10,)]:
        raise Wrong(f"start((64, 32, 10)) has shapes {shapes}", "W (inputs, outputs) and b (outputs,), for each layer.")
    begin = time.perf_counter()
    history = floor.train(params, X[:1300], labels[:1300], 150)
    seconds = time.perf_counter() - begin
    right = floor.scores(params, X[1300:]).data.argmax(axis=1) == labels[1300:]
    learned = f"accuracy {right.mean():.3f} on {len(right)} digits that it had not seen, after {seconds:.1f} s"
    if len(history) != 150 or not right.mean() >= 0.9:
        hint = "zero_grad, backward, step, in each of the steps. W with variance 2 / inputs; relu between layers."
        raise Wrong(f"{learned}; expected at least 0.9, and the losses of 150 steps, got {len(history)}", hint)
    loss = floors[5].cross_entropy(floor.scores(params, X[:8]), labels[:8])
    drawn(floor.draw, floors[1].order(loss), floors[4].Tensor)
    return f"{learned}; {saved(floor.draw(loss))}"


def drawn(draw, nodes, Tensor):
    """Raise Wrong unless the picture has every value and every edge once, and names stay text."""
    picture = draw(nodes[-1])
    arrows = sum("->" in line for line in picture.body)
    edges = sum(len(node.parents) for node in nodes)
    if len(picture.body) - arrows != len(nodes) or arrows != edges:
        said = f"draw(loss) has {len(picture.body) - arrows} nodes and {arrows} arrows"
        hint = "Floor 2's order meets each value once; x + x has two arrows, one for each of its parents."
        raise Wrong(f"{said}, expected {len(nodes)} and {edges}", hint)
    if "label=<b>" in draw(Tensor(1.0, label="<b>")).source.replace(" ()", ""):
        raise Wrong("draw: the name '<b>' became markup", "graphviz.escape(text) keeps any text as it is.")


def saved(picture):
    """Save the picture in this folder, as SVG where Graphviz is installed; say where."""
    from graphviz import ExecutableNotFound

    try:
        return f"see {picture.render('build_graph', format='svg', cleanup=True)}"
    except ExecutableNotFound:
        return f"see {picture.save('build_graph.gv')}; Graphviz would make a picture of it"


# ------------------------------------------------------------------------------------- what is printed


CHECKS = (scalar, in_order, arrays, sums, rules, losses, training, digits)


def judged(number):
    """The report on one floor. Its file is imported here: what goes wrong there is said as well."""
    report = Homework(f"floor {number}, {TITLES[number - 1]}:")
    try:
        said = CHECKS[number - 1]([importlib.import_module(name) for name in FILES[:number]])
        report.said += [said] if said else []
    except Wrong as wrong:
        report.fail(None, str(wrong))
        report.said += [f"Hint: {wrong.hint}"] if wrong.hint else []
    return report


def task_of(path):
    """The docstring of a file, if Python can read it."""
    try:
        return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    except SyntaxError:
        return ""


def main(last=len(FILES), folder=FOLDER):
    """Check the floors of a folder from the first to this one; 0 if all stand, else 1."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(folder))
    for name in FILES:
        sys.modules.pop(name, None)
    for number in range(1, last + 1):
        task = task_of(folder / f"{FILES[number - 1]}.py")
        for answer in answers(task, [functools.partial(judged, number)], {}):
            print(answer.text)
            if not answer:
                return 1
    print("Well done." if last == len(FILES) else f"Well done. Next: {FILES[last]}.py")
    return 0


if __name__ == "__main__":
    asked = sys.argv[1:]
    floors = [int(word) for word in asked if word.isdecimal()]
    sys.exit(main(*floors[:1], folder=FOLDER / "solutions" if "solutions" in asked else FOLDER))
