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
from tinygrad_lo.options import choice, whole

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
RUNGS: tuple[tuple[str, tuple[Gate, ...]], ...] = (
    ("Level 1: + and ×", (
        lambda a, b, c, d: (a * b).named("u") * c,
        lambda a, b, c, d: (a * b).named("u") + c,
        lambda a, b, c, d: (a + b).named("u") * c,
    )),
    ("Level 2: powers, max and relu", (
        lambda a, b, c, d: ((a + b).named("u") ** 2).named("v") * d,
        lambda a, b, c, d: ((a * b).named("u") ** 3).named("v") * d,
        lambda a, b, c, d: np.maximum((a * b).named("u"), c).named("v") * d,
        lambda a, b, c, d: nn.relu((a + b).named("u")).named("v") * d,
    )),
    ("Level 3: exp, log, sigmoid and tanh", (
        lambda a, b, c, d: np.exp((a * b).named("u")).named("v") * c,
        lambda a, b, c, d: np.log((a + b).named("u")).named("v") * c,
        lambda a, b, c, d: nn.sigmoid((a + b).named("u")).named("v") * c,
        lambda a, b, c, d: nn.tanh((a * b).named("u")).named("v") * c,
    )),
    ("Level 4: paths that meet", (
        lambda a, b, c, d: (a * b).named("u") * (a + c).named("v"),
        lambda a, b, c, d: (a * b).named("u") + (a**2).named("v"),
        lambda a, b, c, d: (u := (a + b).named("u")) * (u * c).named("v"),
        lambda a, b, c, d: ((a * b).named("u") + (a * c).named("v")) * a,
        lambda a, b, c, d: (a * b).named("u") * np.maximum(a, c).named("v"),
    )),
    ("Level 5: arrays", (
        lambda X, W, b, c, C: ((X @ W).named("S") * C).named("T").sum(),
        lambda X, W, b, c, C: ((C + b).named("S") * C.T).named("T").sum(),
        lambda X, W, b, c, C: ((X @ W).named("S").sum(axis=0).named("t") * b).sum(),
        lambda X, W, b, c, C: ((C * b).named("S").mean(axis=0).named("t") * c).sum(),
        lambda X, W, b, c, C: (nn.relu((X @ W).named("S") + b).named("H") * c).sum(),
    )),
)  # fmt: skip
SHAPES: dict[str, Any] = {"X": (2, 3), "W": (3, 2), "b": 2, "c": 2, "C": (2, 2)}
NUMBERS = [i / 2.0 for i in range(-6, 7) if i not in (-2, 0, 2)]  # ±1 would hide mistakes


def fresh(level: int, rng: Any) -> Steps:
    """A graph of this level, drawn until its numbers are small and none of its gates is at a kink."""
    gates = RUNGS[level - 1][1]
    gate = gates[int(rng.integers(len(gates)))]
    while True:
        with np.errstate(all="ignore"):  # the log of what is not above 0
            story = steps(gate(*leaves(level, rng)).named("L"))
        if level == len(RUNGS) or is_easy(story, 2.0 if level == 3 else 50.0):
            return story


def leaves(level: int, rng: Any) -> list[Parameter]:
    """Numbers, all different; or arrays of whole ones."""
    if level == len(RUNGS):
        return [Parameter(np.ceil(rng.choice(NUMBERS, shape)), name=n) for n, shape in SHAPES.items()]
    return [Parameter(x, name=n) for n, x in zip("abcd", rng.choice(NUMBERS, 4, False), strict=True)]


def is_easy(story: Steps, most: float) -> bool:
    """Whether u, the first value, is small and at no kink, and the others are not large."""
    u, *others = (float(line.value) for line in story.forward)
    kinks = (0.0, *(float(node.value) for node in story.names.nodes if node.op is None))
    return u not in kinks and abs(u) <= most and max(map(abs, others)) <= 50.0


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


def questions(story: Steps) -> Iterator[Question]:
    """The products of the backward pass of a graph, in order; and where paths meet, their sum."""
    for step in filter(lambda step: teaches(story, step), story.backward):
        yield product_at(story, step)
        if step.before is not None and step.last:
            yield sum_at(story, step)


def teaches(story: Steps, step: Product) -> bool:
    """Whether something is to be learnt of a step: not where nothing arrives, or where Σ hands on ones."""
    if np.shape(step.part) and step.gate == story.loss:
        return False
    return bool(np.any(step.part if np.shape(step.part) else step.arriving))


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
    yield -step.part[at], "it has the wrong sign"
    for other in story.backward:
        if other.gate_place == step.gate_place and np.shape(other.part) == np.shape(step.part):
            yield other.part[at], f"that is what {other.target} gets, the other input"
    if step.slope is not None:
        yield from slips_of_numbers(step, step.slope, story.names.nodes[step.gate_place].value)
    else:
        yield from slips_of_arrays(step, at, worked, story.names.nodes[step.target_place].value)


def slips_of_numbers(step: Product, slope: Any, result: Any) -> Iterator[Trap]:
    """A factor left out, or another operation; `result` is the value of the gate."""
    g, arrives, quotient = step.arriving, f"∂L/∂{step.gate}", f"∂{step.gate}/∂{step.target}"
    yield slope, f"that is the local derivative {quotient} alone; times what arrives, {arrives} = {value(g)}"
    passed = "is a factor, too" if slope else "is 0 here: nothing passes"
    yield g, f"that is {arrives} alone, what arrives; the local derivative {quotient} {passed}"
    yield slope + g, "along one path the local derivatives are multiplied, not added"
    yield result * g, f"that is {step.gate} itself times what arrives; its derivative belongs there"


def slips_of_arrays(step: Product, at: Any, worked: str, target: Any) -> Iterator[Trap]:
    """Another element, a term of a sum alone, or another array; `target` is what the gradient is by."""
    if step.part.shape == step.part.T.shape and len(at) == 2:
        yield step.part[at[::-1]], f"that is the element {[*at[::-1]]}: the row comes first, then the column"
    summands = worked.partition(" = ")[0].split(" + ")
    for text in summands * (len(summands) > 1):
        alone = f"that is one term alone, {text}; {step.target} is used in more, and all count"
        yield typed_number(text, {}), alone
    for g in np.unique(step.arriving):
        yield g, f"that is an element of ∂L/∂{step.gate} alone, what arrives"
    yield target[at], f"that is {step.target}{[*at]} itself, not its gradient"


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


@dataclass
class Session:
    """A drill under way: who asks and tells, and the score."""

    ask: Callable[[str], str]
    tell: Callable[[str], None]
    right: int = 0
    count: int = 0
    streak: int = 0

    def __str__(self) -> str:
        share = f" ({self.right / self.count:.0%})" if self.count else ""
        return f"{self.right} of {self.count} right at the first try{share}."

    def pose(self, question: Question, values: Mapping[str, float]) -> None:
        """Ask until the answer is right or given up, and count it if it was right at the first try."""
        self.tell(question.text)
        said, tries, hints = "", 0, [question.solution, question.hint]
        while hints and (said or not tries):
            answer = self.answered(values)
            said = hints.pop() if answer is None else question.wrong(answer)
            self.tell(said or "Right.")
            tries += 1
        first = tries == 1 and not said
        self.count, self.right, self.streak = self.count + 1, self.right + first, (self.streak + 1) * first

    def answered(self, values: Mapping[str, float]) -> float | None:
        """The next number that is typed; None if a hint is wanted."""
        while typed := self.ask("> ").strip():
            if typed == "q":
                raise EOFError
            try:
                return typed_number(typed, values)
            except DTypeError as problem:
                self.tell(str(problem))
        return None

    def run(self, level: int, rng: Any) -> None:
        """All questions about a fresh graph."""
        story = fresh(level, rng)
        values = {story.names.of(x): float(x.value) for x in story.names.nodes if not np.ndim(x.value)}
        self.tell(f"\n{RUNGS[level - 1][0]}\n{tree(story.names.nodes[-1])}\n")
        for question in questions(story):
            self.pose(question, values)


def drill(
    level: int | None = None, seed: int | None = None, *,
    ask: Callable[[str], str] = input, tell: Callable[[str], None] = print,
) -> tuple[int, int]:  # fmt: skip
    """Ask until q is typed; how many answers were right at the first try, and of how many.

    Without a level it begins with the first, and five right answers in a row lead to the next.

    Raises:   OptionError: no such level, or a seed below 0.
    """
    rung = choice("drill", "level", 1 if level is None else level, range(1, len(RUNGS) + 1))
    start = None if seed is None else whole("drill", "seed", seed, 0)
    rng, session = np.random.default_rng(start), Session(ask, tell)
    tell(HELP)
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            session.run(rung, rng)
            if level is None and session.streak >= STREAK:
                rung, session.streak = min(rung + 1, len(RUNGS)), 0
    tell(f"\n{session}")
    return session.right, session.count
