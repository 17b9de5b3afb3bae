"""One program, run by your engine and by the library: values and gradients compared, element by element."""

import ast
from dataclasses import dataclass

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import to_fill_in
from tinygrad_lo.checking.student import raised
from tinygrad_lo.engine.ops.reductions import logsumexp

rng = np.random.default_rng(0)
# The leaves of all programs, by name. E has equal elements in a row, and zeros.
SHAPES = {"X": (4, 3), "Y": (4, 3), "r": (3,), "k": (4, 1), "W": (3, 2)}
LEAVES = {name: rng.normal(size=shape) for name, shape in SHAPES.items()}
LEAVES |= {"a": np.float64(3.0), "b": np.float64(-2.0), "c": np.float64(0.7)}
LEAVES["E"] = np.array([[1.0, 1.0, 0.0], [2.0, 0.0, 2.0], [-1.0, 0.0, -3.0]])
# What is no tensor: a target, which also stands left of an operator, and labels.
CONSTANTS = {"T": rng.normal(size=(4, 3)), "labels": np.array([2, 0, 1, 2])}
LIBRARY = {
    "logsumexp": lambda x: logsumexp(x, -1, True),
    "mse": lo.losses.mse,
    "cross_entropy": lo.losses.cross_entropy,
    "hinge": lo.losses.multiclass_hinge,
}
IN_PLACE = "+= and out= write into an array, and others hold the same array: write a = a + b."


class Wrong(Exception):  # noqa: N818
    """What a check found, and a hint."""

    def __init__(self, said, hint):
        super().__init__(said)
        self.hint = hint


def same(what, got, expected, hint):
    """Raise Wrong, with the first element that differs, unless the two are equal."""
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape:
        raise Wrong(f"{what} has shape {got.shape}, expected {expected.shape}", hint)
    wrong = ~np.isclose(got, expected, rtol=1e-9, atol=1e-12)
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        at = f" at {list(place)}" if place else ""
        raise Wrong(f"{what}{at} is {got[place]:.6g}, expected {expected[place]:.6g}", hint)


@dataclass(frozen=True)
class Case:
    """A program of the leaves, its lines divided by ';', and what to think of where it goes wrong."""

    text: str
    hint: str

    def run(self, names):
        """The value of the last line."""
        *lines, last = self.text.split("; ")
        space = CONSTANTS | names
        for line in lines:
            exec(line, space)
        return eval(last, space)

    def check(self, engine, functions):
        """Run it with tensors of this class and with those of the library, and compare."""
        words = {node.id for node in ast.walk(ast.parse(self.text)) if isinstance(node, ast.Name)}
        leaves = {name: value for name, value in LEAVES.items() if name in words}
        theirs = {name: lo.Parameter(value) for name, value in leaves.items()}
        expected = self.run(LIBRARY | theirs)
        seed = np.cos(np.arange(expected.size)).reshape(expected.shape)  # 1 where it is one number
        expected.backward(seed)
        numbers = ", ".join(f"{name} = {value:g}" for name, value in leaves.items() if not value.ndim)
        what = f"{self.text}, where {numbers}," if numbers else self.text
        own = type(engine.__name__, (engine,), {})
        # Floors 1 and 2 know no arrays.
        mine = {name: own(value.copy() if value.ndim else float(value)) for name, value in leaves.items()}
        given = seed.copy() if seed.ndim else 1.0
        try:
            got = self.run(functions | mine)
            if not isinstance(got, own):
                hint = "Make new values by type(self)(…), so that each floor's are of its own class."
                raise Wrong(f"{self.text} is of another class than its leaves, {type(got).__name__}", hint)
            same(f"the value of {what}", got.data, expected.data, self.hint)
            got.backward(given)
        except Exception as problem:
            if isinstance(problem, Wrong) or to_fill_in(problem):
                raise
            raise Wrong(f"{self.text}: your code raised {raised(problem)}", self.hint) from problem
        for name, value in leaves.items():
            gradient = 0.0 if theirs[name].grad is None else theirs[name].grad
            same(f"the gradient by {name} of {what}", mine[name].grad, gradient, self.hint)
            same(f"the data of {name} after the backward pass", mine[name].data, value, IN_PLACE)
        same("the gradient given to backward, afterwards,", given, seed, IN_PLACE)


def at_random(count, leaves, binary, unary=()):
    """Programs of eight lines that nobody wrote; a value may be used many times, or not at all."""
    rng = np.random.default_rng(count)
    for _ in range(count):
        names, lines = [*leaves], []
        for i in range(8):
            a, b, op = rng.choice(names[-5:]), rng.choice(names), rng.choice([*binary])
            line = f"{a}{rng.choice(unary)}" if unary and rng.random() < 0.4 else f"{a} {op} {b}"
            lines.append(f"t{i} = {line}")
            names.append(f"t{i}")
        yield Case("; ".join([*lines, "t7 + t6"]), "A program at random. The short ones before it are right.")
