"""A drill in the chain rule: small graphs made afresh, and one product of the backward pass at a time.

The numbers, the formulas and the words of its hints are those of `explaining.steps`.
"""

from __future__ import annotations

import ast
import contextlib
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lo import nn
from tinygrad_lo.checking.diagnosis import close, factor, told
from tinygrad_lo.engine.tensor import Parameter
from tinygrad_lo.errors import DTypeError
from tinygrad_lo.explaining.explain import value
from tinygrad_lo.explaining.expression import term
from tinygrad_lo.explaining.steps import Product, Steps, steps
from tinygrad_lo.explaining.tree import tree
from tinygrad_lo.options import choice

ANSWER_RTOL = 5e-3  # how exact an answer must be: four digits are shown, and three of them should survive
STREAK = 5  # so many right answers in a row lead to the next level
MOST_TYPED = 200  # characters of an answer
HELP = "Type a number, or an expression: 3*-2, 1/3, a*b. Enter: a hint, then the answer. q: the end."
ARITHMETIC: dict[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: math.pow, ast.USub: operator.neg, ast.UAdd: operator.pos,
}  # fmt: skip
TYPED_SIGNS = str.maketrans({"−": "-", "·": "*", "×": "*", "^": "**"})

# ---------------------------------------------------------------------------------- the graphs of each level

Gate = Callable[..., Any]


def two_gates(rng: Any) -> Any:
    """Level 1: + and ×."""
    a, b, c = half_steps(rng, "abc")
    return one_of(
        rng,
        lambda: (a * b).named("u") * c,
        lambda: (a * b).named("u") + c,
        lambda: (a + b).named("u") * c,
    )()


def bending(rng: Any) -> Any:
    """Level 2: powers, max and relu."""
    a, b, c, d = half_steps(rng, "abcd")
    u = one_of(rng, operator.mul, operator.add)(a, b).named("u")
    if u.item() in (0.0, c.item()):
        return bending(rng)  # nothing is asked at a kink
    return (
        one_of(rng, lambda: u**2, lambda: u**3, lambda: np.maximum(u, c), lambda: nn.relu(u))().named("v") * d
    )


def curved(rng: Any) -> Any:
    """Level 3: exp, log, sigmoid and tanh."""
    a, b, c = half_steps(rng, "abc")
    u = one_of(rng, operator.mul, operator.add)(a, b).named("u")
    gate = one_of(rng, np.exp, np.log, nn.sigmoid, nn.tanh)
    if not (0 if gate is np.log else -2) < u.item() < 2 or not u.item():
        return curved(rng)
    return gate(u).named("v") * c


def meeting(rng: Any) -> Any:
    """Level 4: a value that reaches the loss on several paths."""
    a, b, c = half_steps(rng, "abc")
    return one_of(
        rng,
        lambda: (a * b).named("u") * (a + c).named("v"),
        lambda: (a * b).named("u") + (a**2).named("v"),
        lambda: (u := (a + b).named("u")) * (u * c).named("v"),
        lambda: ((a * b).named("u") + (a * c).named("v")) * a,
        lambda: (a * b).named("u") * np.maximum(a, c).named("v"),
    )()


def of_arrays(rng: Any) -> Any:
    """Level 5: arrays, with matmul, sums, means and broadcasting."""
    shapes = {"X": (2, 3), "W": (3, 2), "b": 2, "c": 2, "C": (2, 2)}
    X, W, b, c, C = (
        Parameter(rng.choice([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0], shape), name=name)
        for name, shape in shapes.items()
    )
    last = one_of(
        rng,
        lambda: ((X @ W).named("S") * C).named("T"),
        lambda: ((C + b).named("S") * C.T).named("T"),
        lambda: (X @ W).named("S").sum(axis=0).named("t") * b,
        lambda: (C * b).named("S").mean(axis=0).named("t") * c,
        lambda: nn.relu((X @ W).named("S") + b).named("H") * c,
    )()
    return last.sum()


RUNGS: tuple[Callable[[Any], Any], ...] = (two_gates, bending, curved, meeting, of_arrays)


def half_steps(rng: Any, names: str) -> list[Any]:
    """Leaves of different half steps; ±1 would hide mistakes."""
    halves = [i / 2.0 for i in range(-6, 7) if i not in (-2, 0, 2)]
    chosen = rng.choice(halves, len(names), replace=False)
    return [Parameter(x, name=name) for x, name in zip(chosen, names, strict=True)]


def one_of(rng: Any, *gates: Gate) -> Gate:
    """Any of them."""
    return gates[int(rng.integers(len(gates)))]


# -------------------------------------------------------------------------------- the questions about a graph

Trap = tuple[float, str]  # a usual wrong answer, and what is said of it


@dataclass(frozen=True)
class Question:
    """A product of the chain rule, or a sum of them, with the usual wrong answers."""

    text: str
    answer: float
    hint: str  # the rule in the names of the graph
    solution: str
    traps: tuple[Trap, ...]
    sizes: tuple[int, ...] = ()  # over which somebody may have averaged

    def wrong(self, answer: float) -> str:
        """What is wrong with this answer; nothing if it is right."""
        if hits(answer, self.answer):
            return ""
        said = next((text for number, text in self.traps if hits(answer, number)), None)
        return f"No: {said or self.compared(answer)}."

    def compared(self, answer: float) -> str:
        """What a wrong answer has to do with the right one."""
        if not (self.answer and answer):
            return f"{'one' if answer else 'none'} of the factors is 0"
        times = max(abs(answer / self.answer), abs(self.answer / answer))
        if any(close(times, whole) for whole in (*range(1, 11), *self.sizes)):
            return f"it {told(factor(answer / self.answer, self.sizes))}"
        return "it fits none of the usual mistakes; press Enter for a hint"


def hits(answer: float, number: float) -> bool:
    """Whether an answer is this number, within the digits that were shown."""
    return math.isclose(answer, number, rel_tol=ANSWER_RTOL, abs_tol=1e-6)


def questions(loss: Any) -> Iterator[Question]:
    """The products of the backward pass of a graph, in order; and where paths meet, their sum."""
    story = steps(loss)
    for step in story.backward:
        whole = np.shape(step.part) and (step.gate == story.loss or not np.any(step.part))
        if np.any(step.arriving) and not whole:  # else nothing is learnt of it
            yield product_at(story, step)
            if step.before is not None and step.last:
                yield sum_at(story, step)


def element(step: Product) -> tuple[str, Any, str]:
    """The element of an array that is asked for: its place as text, as an index, and how it is worked out."""
    place, worked = step.example() if np.shape(step.part) else ("", "")
    return place, ast.literal_eval(f"({place[1:-1]},)") if place else (), worked


def product_at(story: Steps, step: Product) -> Question:
    """What a gate hands to one of its inputs."""
    place, at, worked = element(step)
    gate = story.names.nodes[step.gate_place]
    formula = next(line.formula for line in story.forward if line.place == step.gate_place)
    inputs = {story.names.of(p): value(p.value) for p in gate.parents if p is not None}
    known = f"∂L/∂{step.gate} is {value(step.arriving)}; {step.gate} = {formula} = {value(gate.value)}"
    given = ", ".join(f"{name} = {shown}" for name, shown in inputs.items())
    title, answer = f"∂L/∂{step.target}{place}", float(step.part[at])
    return Question(
        f"{known} with {given}.\nWhat is {title} through {step.gate}?",
        answer,
        f"{step.sentence}: ∂L/∂{step.target} = {step.formula}",
        f"{title} = {worked}" if place else step.text,
        distinct(answer, *slips(story, step, at, worked)),
        np.shape(step.arriving),
    )


def slips(story: Steps, step: Product, at: Any, worked: str) -> Iterator[Trap]:
    """Wrong answers to a product, with their reasons."""
    part, arrives, quotient = step.part, f"∂L/∂{step.gate}", f"∂{step.gate}/∂{step.target}"
    yield -part[at], "it has the wrong sign"
    for other in story.backward:
        if other.gate_place == step.gate_place and np.shape(other.part) == np.shape(part):
            yield other.part[at], f"that is what {other.target} gets, the other input"
    if step.slope is not None:
        slope, g = step.slope, step.arriving
        yield (
            slope,
            f"that is {quotient} alone, the local derivative; times what arrives, {arrives} = {value(g)}",
        )
        passed = "is a factor, too" if slope else "is 0 here: nothing passes"
        yield g, f"that is {arrives} alone, what arrives; the local derivative {quotient} {passed}"
        yield slope + g, "along one path the local derivatives are multiplied, not added"
        here = story.names.nodes[step.gate_place].value
        yield here * g, f"that is {step.gate} itself times what arrives; its derivative belongs there"
        return
    if np.ndim(part) == 2 and part.shape == part.T.shape:
        yield part[at[::-1]], f"that is the element {[*at[::-1]]}: the row comes first, then the column"
    summands = worked.partition(" = ")[0].split(" + ")
    for text in summands if len(summands) > 1 else ():
        yield (
            typed_number(text, {}),
            f"that is one term alone, {text}; {step.target} is used in more, and all count",
        )
    for g in np.unique(step.arriving):
        yield g, f"that is an element of {arrives} alone, what arrives"
    own = story.names.nodes[step.target_place].value
    yield own[at], f"that is {step.target}{[*at]} itself, not its gradient"


def sum_at(story: Steps, last: Product) -> Question:
    """The sum where several paths have come together."""
    place, at, _ = element(last)
    arrived = [step for step in story.backward if step.target_place == last.target_place]
    parts = [float(step.part[at]) for step in arrived]
    title, answer = f"∂L/∂{last.target}{place}", float(last.total[at])
    known = [f"{term(part)} through {step.gate}" for part, step in zip(parts, arrived, strict=True)]
    alone = [
        (part, f"that is one path alone, {path}; add the others")
        for part, path in zip(parts, known, strict=True)
    ]
    return Question(
        f"What comes to {last.target}{place}: {', '.join(known)}.\nWhat is {title}?",
        answer,
        "Where paths meet, what they bring is added.",
        f"{title} = {' + '.join(map(term, parts))} = {value(last.total[at])}",
        distinct(
            answer, *alone, (-answer, "it has the wrong sign"),
            (math.prod(parts), "paths are added; only along one path local derivatives are multiplied"),
            (2.0 * parts[0] - math.fsum(parts), "paths are added, not subtracted"),
            (answer / len(parts), "paths are added, not averaged"),
        ),
    )  # fmt: skip


def distinct(answer: float, *traps: Trap) -> tuple[Trap, ...]:
    """The traps that are not the right answer by accident."""
    return tuple((float(number), text) for number, text in traps if not hits(float(number), answer))


# ------------------------------------------------------------------------------------------------ the session


def typed_number(text: str, values: Mapping[str, float]) -> float:
    """The number that an expression of numbers, names, + − * / ** and brackets comes to.

    Raises:   DTypeError: it comes to none.
    """

    def worked(node: Any) -> float:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id=name) if name in values:
                return values[name]
            case ast.UnaryOp(op=op, operand=part) if type(op) in ARITHMETIC:
                return ARITHMETIC[type(op)](worked(part))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
                return ARITHMETIC[type(op)](worked(left), worked(right))
        raise ValueError

    try:
        number = worked(ast.parse(text[:MOST_TYPED].translate(TYPED_SIGNS).strip(), mode="eval").body)
        if math.isfinite(number):
            return number
    except (SyntaxError, ValueError, ArithmeticError):
        pass
    names = f", or with the names {', '.join(values)}" if values else ""
    raise DTypeError(f"{text[:MOST_TYPED]!r} is no number; write one, such as -1.5, 1/3 or 3*-2{names}")


def posed(
    question: Question, values: Mapping[str, float], ask: Callable[[str], str], tell: Callable[[str], None]
) -> bool:
    """Ask until the answer is right or given up; whether it was right at the first try."""
    tell(question.text)
    left, first = [question.solution, question.hint], True
    while left:
        typed = ask("> ").strip()
        if typed == "q":
            raise EOFError
        try:
            said = question.wrong(typed_number(typed, values)) if typed else left.pop()
        except DTypeError as problem:
            tell(str(problem))
            continue
        tell(said or "Right.")
        if not said:
            return first
        first = False
    return False


def drill(
    level: int | None = None, seed: int | None = None, *,
    ask: Callable[[str], str] = input, tell: Callable[[str], None] = print,
) -> tuple[int, int]:  # fmt: skip
    """Ask until q is typed; how many answers were right at the first try, and of how many.

    Without a level it begins with the first, and five right answers in a row lead to the next.

    Raises:   OptionError: no such level.
    """
    rung = choice("drill", "level", 1 if level is None else level, range(1, len(RUNGS) + 1))
    rng = np.random.default_rng(seed)
    right = count = streak = 0
    tell(HELP)
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            loss = RUNGS[rung - 1](rng).named("L")
            tell(f"\n{RUNGS[rung - 1].__doc__}\n{tree(loss)}\n")
            names = steps(loss).names
            numbers = {names.of(x): float(x.value) for x in names.nodes if not np.ndim(x.value)}
            for question in questions(loss):
                first = posed(question, numbers, ask, tell)
                count, right, streak = count + 1, right + first, (streak + 1) * first
            if level is None and streak >= STREAK:
                rung, streak = min(rung + 1, len(RUNGS)), 0
    share = f" ({right / count:.0%})" if count else ""
    tell(f"\n{right} of {count} right at the first try{share}.")
    return right, count
