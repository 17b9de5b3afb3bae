"""What a page needs to compute its graph anew when a number is edited: the program, and where results go.

Numbers are the only source of what the page then says: step lines are shipped with slots in place of numbers.
A slot says which outputs of the program it shows, and how.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_lo.drawing.contents import Contents
from tinygrad_lo.drawing.sliders import ANY, is_inside, library_spans, slider, slider_numbers
from tinygrad_lo.drawing.styles.circuit import ROUND, gate_id
from tinygrad_lo.drawing.styles.images import is_image
from tinygrad_lo.drawing.styles.style import Look, shown_name
from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.machine.recording import Recording
from tinygrad_lo.errors import LoError
from tinygrad_lo.explaining.derivative import local_expression, pieces_of
from tinygrad_lo.explaining.expression import Expression, Piece, constant_text, write
from tinygrad_lo.explaining.formula import Names, equation, is_shown_as_number, number
from tinygrad_lo.explaining.javascript import Script
from tinygrad_lo.explaining.steps import Computed, Product, Rules, put_in, slope_text
from tinygrad_lo.options import Option
from tinygrad_lo.program.ops import DIVIDE
from tinygrad_lo.program.program import Program
from tinygrad_lo.program.value import Value

MOST_NUMBERS = 1_000  # of all values of a live page; more take longer than a frame of 16 ms
BEGIN, END = "\ue000", "\ue001"  # around a slot: private characters, which no name keeps
LESS = np.float64(-1.5)  # stands for a number that gets parentheses, as a negative one does
WORDS_OF_KINDS = {"f": "float", "i": "int", "u": "int", "b": "bool"}
MORE = np.float64(1.5)


def not_live(contents: Contents, names: Names) -> str:
    """Why a page cannot compute its numbers anew; empty if it can."""
    count = sum(int(np.size(node.value)) for node in names.nodes)
    together = len(contents.shown) + len(contents.constants) < len(names.nodes)
    obstacles = {
        "there is no backward pass": not contents.differentiated,
        "not every value has a place of its own in the picture": contents.groups
        or contents.stubs
        or together,
        "other numbers stand beside them, which would not follow": any(v.numeric for v in contents.values),
        "the picture has images, which would not follow": any(
            is_image(np.shape(v.data)) for v in contents.values
        ),
        f"it has {count:,} numbers, and {MOST_NUMBERS:,} are the most": count > MOST_NUMBERS,
    }
    return next(filter(obstacles.get, obstacles), "")


class Live:
    """The program of a graph, and the places of its results in the page."""

    def __init__(self, names: Names, contents: Contents, look: Look, recording: Recording | None) -> None:
        self.names, self.contents, self.look = names, contents, look
        with np.errstate(all="ignore"):  # a page shows nan; it need not warn of it
            numbers = slider_numbers(names, recorded=recording is not None)
            self.program = Program(names.nodes[-1], recording, whole=True, exact=False, numbers=numbers)
            printer = Script(self.program)
            program = printer.results("live_program")  # a function of the inputs, which returns all results
            # In a scope, where none of its names is the page's.
            self.script = f"(() => {{\n{program}\nreturn live_program;\n}})()"
        self.inputs = list(printer.inputs)
        self.outputs = {value: i for i, value in reversed([*enumerate(self.program.outputs)])}
        self.options = {leaf: option for option, leaf in self.program.options.items()}
        # The outputs for numbers that stand inside gates.
        self.numbers = {place: self.outputs[value] for place, value in self.program.numbers.items()}
        self.slotted = Slotted(names, self.numbers, "g", names.digits)
        self.follows = recording is not None  # labels and masks do
        self.rules = Rules()
        self.places = {node.birth: place for place, node in enumerate(names.nodes)}
        self.drawn = {value.id: value for value in contents.values}
        # The scopes of what losses have made of their data.
        self.made = [x.path for x in contents.values if x.path and x.role in ("data", "constant")]

    def place_of(self, value: Value | None) -> int | None:
        """Which output a value is."""
        return None if value is None else self.outputs.get(value)

    def of(self, node: Node) -> int:
        """Which output a value of the graph is."""
        return self.outputs[self.program.value_of(node)]

    def gradient(self, node: Node) -> int | None:
        """Which output the gradient by a value of the graph is."""
        return self.place_of(self.program.slopes.get(node.birth))

    def part(self, step: Product) -> int:
        """Which output a product of the chain rule is."""
        gate = self.names.nodes[step.gate_place]
        return self.outputs[self.program.parts[gate.birth, step.operand]]

    def data(self) -> dict[str, Any]:
        """Where numbers come from, and where they are shown."""
        nodes = self.names.nodes
        return {
            "inputs": [self.input(value) for value in self.inputs],
            "nodes": {id: self.node(nodes[place]) for place, id in self.contents.shown.items()},
            "edges": self.edges(),
            "texts": list(self.texts()),
            "digits": self.look.digits,
        }

    def texts(self) -> Iterator[tuple[str, str, str]]:
        """The texts of the picture that have numbers which can be changed: where, as it is, with slots."""
        slotted = Slotted(self.names, self.numbers, "p", self.look.digits)
        for place, node in enumerate(self.names.nodes):
            if place not in self.contents.shown:  # in the legend
                name, word = self.names.of(node), number(node.value, self.look.digits + 1)
                yield "", f"{name} = {word}", f"{name} = {slot_text('q', self.of(node))}"
                continue
            value = self.drawn[self.contents.shown[place]]
            if self.numbers_in(node):
                yield value.id, value.formula, slotted.formula(node)
                texts = zip(Names.operands(slotted, node), slotted.operands(node), strict=True)
                gate = functools.reduce(lambda text, pair: text.replace(*pair), texts, value.gate)
                bare = " " if len(value.gate) <= ROUND else ""  # what a round gate leaves out
                yield gate_id(value), value.gate.replace(bare, ""), gate.replace(bare, "")
                yield gate_id(value), value.formula, slotted.formula(node)

    def numbers_in(self, node: Node) -> dict[int, int]:
        """Of which inputs of a gate are numbers that can be changed, and which outputs show them."""
        return {i: place for (birth, i), place in self.numbers.items() if birth == node.birth}

    def input(self, value: Value) -> dict[str, Any]:
        """One argument of the program."""
        leaf = value.ref
        if leaf in self.options:
            return self.option(self.options[leaf])
        place = self.places.get(leaf.birth)
        shown = self.contents.shown.get(place, "") if place is not None else ""
        kind = WORDS_OF_KINDS[value.dtype.kind]
        editable = place is not None and self.can_change(leaf, kind, shown)
        data = {
            "name": shown_name(value.name or "" if place is None else self.names.of(leaf)),
            "node": shown,
            "shape": list(value.shape),
            "kind": kind,
            "parameter": leaf.needs is True,
            "editable": editable,
            "numbers": [plain_number(x) for x in np.ravel(leaf.value).tolist()],
            "gradient": self.gradient(leaf),
        }
        if editable and self.has_slider(value, shown):
            data["slider"] = slider(float(leaf.value))
        return data

    def has_slider(self, value: Value, shown: str) -> bool:
        """Whether an input is a number that has no place, or that a function was given."""
        is_argument = self.follows and value.kind != "parameter"
        return value.dtype.kind == "f" and not value.shape and (not shown or is_argument)

    def can_change(self, leaf: Node, kind: str, shown: str) -> bool:
        """Whether a page computes with other numbers in a leaf as the library does."""
        if kind != "float":
            return kind == "int" and self.follows
        return bool(leaf.needs) or self.follows or not self.is_fixed(leaf, shown)

    @staticmethod
    def option(option: Option) -> dict[str, Any]:
        """A number that stands inside gates, and what it may be."""
        bounds = option.bounds or ANY
        return {
            "name": option.title, "node": "", "shape": [], "kind": "float", "parameter": False,
            "editable": True, "numbers": [option.value], "gradient": None,
            "slider": slider(option.value, bounds), "bounds": list(map(plain_number, bounds)),
            "words": option.words,
        }  # fmt: skip

    def is_fixed(self, leaf: Node, shown: str) -> bool:
        """Whether other numbers in a leaf of a finished graph would leave behind what a loss made of it.

        What stands inside of a loss was made of its data; and what enters there may be that data.
        """
        nodes = enumerate(self.names.nodes)
        users = (f"n{place}" for place, node in nodes if any(parent is leaf for parent in node.parents))
        enters = [self.drawn[id].path for id in users if id in self.drawn]
        inside = bool(self.drawn[shown].path) if shown else is_inside(leaf, library_spans(self.names.nodes))
        return inside or any(path[: len(one)] == one for path in enters for one in self.made)

    def node(self, node: Node) -> dict[str, Any]:
        """A value and its gradient."""
        kind, shape = np.asarray(node.value).dtype.kind, list(np.shape(node.value))
        return {"v": self.of(node), "g": self.gradient(node), "shape": shape, "kind": kind}

    def edges(self) -> dict[str, Any]:
        """The products that go back along each edge, and its local derivative if it is labelled."""
        found: dict[str, Any] = {}
        for (place, operand), edge in self.contents.wires.items():
            key = self.names.nodes[place].birth, operand
            part = self.place_of(self.program.parts.get(key))
            if part is not None:
                entry = found.setdefault(edge.id, {"p": [], "local": None})
                entry["p"].append(part)
                if edge.slope is not None:
                    entry["local"] = self.place_of(self.program.locals.get(key))
        return found

    def computed(self, step: Computed) -> dict[str, Any]:
        """The line of a forward step, with slots."""
        node = self.names.nodes[step.place]
        line = f"{step.name} = {self.slotted.formula(node)}"
        if np.shape(step.value):
            return {"text": equation(line, value=step.value), "value": self.of(node)}
        numbers = ""
        if step.numbers:
            numbers = self.with_slots(node, lambda less: put_in(node, self.pieces(node, less)))
        kind = "b" if np.asarray(node.value).dtype.kind == "b" else "s"
        text = " = ".join(filter(None, (line, numbers, slot_text(kind, self.of(node)))))
        return {"text": text, "value": self.of(node)}

    def product(self, step: Product, earlier: list[int]) -> dict[str, Any]:
        """The line of a backward step, with slots; `earlier` are the products that came before."""
        part = self.part(step)
        sign = "=" if step.before is None else "+="
        formula = self.formula(step)
        line = f"∂L/∂{step.target} {sign} {formula}"
        if np.shape(step.part):
            text = equation(line, value=step.part)
        else:
            text = " = ".join(filter(None, (line, self.shown_numbers(step), slot_text("s", part))))
            if earlier:
                before, now = slot_text("t", *earlier), slot_text("s", *earlier, part)
                text += f", in all {before} + {slot_text('t', part)} = {now}"
        arriving = self.gradient(self.names.nodes[step.gate_place])
        return {"text": text, "part": part, "arriving": arriving, "formula": formula}

    def formula(self, step: Product) -> str:
        """The product as text, with slots for numbers that can be changed."""
        node = self.names.nodes[step.gate_place]
        if not self.numbers_in(node):
            return step.formula
        arriving = f"∂L/∂{step.gate}"
        rule = self.rule(node, step.operand, slope=step.slope is not None)
        if rule is None:  # a divisor of a scalar
            local = self.program.locals[node.birth, step.operand]
            return f"{slot_text('t', self.outputs[local])} · {arriving}"
        pieces = pieces_of(node, self.names, arriving)

        def write_rule(less: Any) -> str:
            mine = self.pieces(node, less)
            texts = pieces | {str(i): mine[str(i)] for i in self.numbers_in(node) if i < len(node.parents)}
            return write(rule, texts).text if step.slope is None else slope_text(rule, texts)

        text = self.with_slots(node, write_rule)
        if step.slope is None:
            return text or f"(∂{step.gate}/∂{step.target})ᵀ {arriving}"
        return f"{text or f'∂{step.gate}/∂{step.target}'} · {arriving}"

    def rule(self, node: Node, operand: int, *, slope: bool) -> Expression | None:
        """A rule as an expression, in which numbers that can be changed have keys.

        None of a number as divisor: its slope is written as one number.
        """
        given = self.numbers_in(node)
        if not given:
            return self.rules.of(node, operand, slope=slope)
        is_divisor = slope and node.op is DIVIDE and 1 in given
        return None if is_divisor else local_expression(node, operand, slope, given=given)

    def with_options(self, node: Node, text: str) -> str:
        """A text with slots for the options of an op, which are written as Python writes them."""
        for i, place in self.numbers_in(node).items():
            if i >= len(node.parents):
                number = re.escape(str(node.inputs[i]))
                text = re.sub(rf"(?<![\w.]){number}(?![\w.])", slot_text("r", place), text)
        return text

    def shown_numbers(self, step: Product) -> str:
        """The product of a scalar's local derivative and the gradient that arrives, as slots."""
        node = self.names.nodes[step.gate_place]
        local = self.place_of(self.program.locals.get((node.birth, step.operand)))
        arriving = self.gradient(node)
        if local is None or arriving is None or not step.numbers:
            return ""
        rule = self.rule(node, step.operand, slope=True)
        factor = slot_text("t", local)
        if rule is not None:
            if rule.branched:  # another number may take another branch
                return ""
            factor = self.with_slots(node, lambda less: slope_text(rule, self.pieces(node, less)))
        return f"{factor} · {slot_text('t', arriving)}"

    def pieces(self, node: Node, stands_for: Any) -> dict[str, Piece]:
        """Slots for a node's output and inputs, which take the place that this number would take."""
        piece = constant_text(stands_for)._replace(value=None)
        pieces = {"y": piece._replace(text=slot_text("n", self.of(node)))}
        for i, x in enumerate(node.inputs[: len(node.parents)]):
            parent = node.parents[i]
            if parent is not None:
                pieces[str(i)] = piece._replace(text=slot_text("n", self.of(parent)))
            elif (node.birth, i) in self.numbers:
                pieces[str(i)] = piece._replace(text=slot_text("n", self.numbers[node.birth, i]))
            elif is_shown_as_number(x):
                pieces[str(i)] = constant_text(x)._replace(value=None)
        return pieces

    def with_slots(self, node: Node, write: Any) -> str:
        """The text that `write` makes of slots, where those that a negative number gives parentheses say so.

        It is written twice, for a positive and for a negative number; the two differ in parentheses only.
        """
        bare, full = (write(number).split(BEGIN) for number in (MORE, LESS))
        wraps = [wrapped(*both) for both in zip(bare, full, strict=False)]
        if len(bare) != len(full) or None in wraps:  # they differ in more: no text can be said to be right
            return ""
        text: str = bare[0]
        for (_, opened), (closed, _), segment in zip(wraps, wraps[1:], bare[1:], strict=False):
            text += f"{BEGIN}{'t' if opened and closed else 's'}{segment[1:]}"
        return self.with_options(node, text)


class Slotted(Names):
    """The names of a graph, whose formulas have slots for the numbers that can be changed."""

    def __init__(self, names: Names, numbers: Mapping[tuple[int, int], int], kind: str, digits: int) -> None:
        self.__dict__.update(vars(names) | {"digits": digits})
        self.numbers, self.kind = numbers, kind

    def operands(self, node: Node) -> list[str]:
        """The node's inputs as text."""
        texts = super().operands(node)
        for i in range(len(texts)):
            if (node.birth, i) in self.numbers:
                kind = self.kind if i < len(node.parents) else "r"
                texts[i] = slot_text(kind, self.numbers[node.birth, i])
        return texts


def wrapped(bare: str, full: str) -> tuple[bool, bool] | None:
    """Whether a segment between two slots closes a parenthesis at its start, and opens one at its end."""
    start = bare.find(END) + 1
    for closed in (False, True):
        for opened in (False, True):
            if full == f"{bare[:start]}{')' * closed}{bare[start:]}{'(' * opened}":
                return closed, opened
    return None


def slot_text(kind: str, *places: int) -> str:
    """What stands for the sum of these outputs: s as it is shown, t as a term, in parentheses if negative.

    Of a number inside a gate: g as a formula has it, p as the picture does, r as Python writes it; q as the
    picture's legend has it.
    """
    return f"{BEGIN}{kind}{','.join(map(str, places))}{END}"


def plain_number(x: Any) -> Any:
    """A number for JSON, which has no infinities."""
    return float(x) if np.isfinite(x) else str(float(x)).replace("inf", "Infinity").replace("nan", "NaN")


def live_of(
    names: Names, contents: Contents, look: Look, recording: Recording | None
) -> tuple[Live | None, str]:
    """What makes a page live, or why it is not."""
    why = not_live(contents, names)
    if why:
        return None, why
    try:
        return Live(names, contents, look, recording), ""
    except LoError as error:
        return None, str(error).removeprefix("javascript: ")


def earlier_parts(steps: Iterable[Product], live: Live) -> dict[tuple[int, int], list[int]]:
    """For each backward step, by its gate and operand, which products have arrived at its target before."""
    arrived: dict[int, list[int]] = {}
    found = {}
    for step in steps:
        known = arrived.setdefault(step.target_place, [])
        found[step.gate_place, step.operand] = list(known)
        known.append(live.part(step))
    return found
