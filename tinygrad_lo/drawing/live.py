"""What a page needs to compute its graph anew when a number is edited: the program, and where results go.

Numbers are the only source of what the page then says: step lines are shipped with slots in place of numbers.
A slot says which outputs of the program it shows, and how.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_lo.drawing.contents import Contents
from tinygrad_lo.drawing.styles.images import is_image
from tinygrad_lo.drawing.styles.style import Look, shown_name
from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.machine.recording import Recording
from tinygrad_lo.errors import LoError
from tinygrad_lo.explaining.expression import Piece, constant_text
from tinygrad_lo.explaining.formula import Names, equation, is_shown_as_number
from tinygrad_lo.explaining.javascript import Script
from tinygrad_lo.explaining.steps import Computed, Product, Rules, put_in, slope_text
from tinygrad_lo.program.program import Program
from tinygrad_lo.program.value import Value

MOST_NUMBERS = 1_000  # of all values of a live page; more take longer than a frame of 16 ms
BEGIN, END = "\ue000", "\ue001"  # around a slot: private characters, which no name keeps
LESS = np.float64(-1.5)  # stands for a number that gets parentheses, as a negative one does
MORE = np.float64(1.5)


def not_live(contents: Contents, names: Names, *, differentiated: bool) -> str:
    """Why a page cannot compute its numbers anew; empty if it can."""
    count = sum(int(np.size(node.value)) for node in names.nodes)
    if not differentiated:
        return "there is no backward pass"
    if contents.groups or contents.stubs or contents.folded or len(contents.shown) < len(names.nodes):
        return "not every value has a place of its own in the picture"
    if any(value.numeric for value in contents.values):
        return "other numbers stand beside them, which would not follow"
    if any(is_image(np.shape(value.data)) for value in contents.values):
        return "the picture has images, which would not follow"
    if count > MOST_NUMBERS:
        return f"it has {count:,} numbers, and {MOST_NUMBERS:,} are the most"
    return ""


class Live:
    """The program of a graph, and the places of its results in the page.

    Attributes:
        script: the program as JavaScript: `live_program(...inputs)` returns all results.
    """

    def __init__(self, names: Names, contents: Contents, look: Look, recording: Recording | None) -> None:
        self.names, self.contents, self.look = names, contents, look
        with np.errstate(all="ignore"):  # a page shows nan; it need not warn of it
            self.program = Program(names.nodes[-1], recording, whole=True, exact=False)
            printer = Script(self.program)
            self.script = str(printer.results("live_program"))
        self.inputs = list(printer.inputs)
        self.outputs = {value: i for i, value in reversed([*enumerate(self.program.outputs)])}
        self.follows = recording is not None  # labels and masks do
        self.rules = Rules()
        self.paths = {value.id: value.path for value in contents.values}
        self.roles = {value.id: value.role for value in contents.values}

    def place_of(self, value: Value | None) -> int | None:
        """Which output a value is."""
        return None if value is None else self.outputs.get(value)

    def of(self, node: Node) -> int:
        """Which output a value of the graph is."""
        return self.outputs[self.program.value_of(node)]

    def part(self, step: Product) -> int:
        """Which output a product of the chain rule is."""
        gate = self.names.nodes[step.gate_place]
        return self.outputs[self.program.parts[gate.birth, step.operand]]

    def data(self) -> dict[str, Any]:
        """Where numbers come from, and where they are shown."""
        nodes = self.names.nodes
        return {
            "inputs": [self.input(value) for value in self.inputs],
            "nodes": {self.contents.shown[place]: self.node(node) for place, node in enumerate(nodes)},
            "edges": self.edges(),
            "digits": self.look.digits,
        }

    def input(self, value: Value) -> dict[str, Any]:
        """One argument of the program."""
        leaf = value.ref
        places = [place for place, node in enumerate(self.names.nodes) if node is leaf]
        shown = self.contents.shown[places[0]] if places else ""
        own = leaf.needs or self.follows or not self.is_fixed(leaf, shown)
        kind = "float" if value.dtype.kind == "f" else "int" if value.dtype.kind in "iu" else "bool"
        editable = bool(places) and bool(own) and (kind == "float" or (kind == "int" and self.follows))
        return {
            "name": shown_name(self.names.of(leaf) if places else value.name or ""),
            "node": shown,
            "shape": list(value.shape),
            "kind": kind,
            "parameter": leaf.needs is True,
            "editable": editable,
            "numbers": [plain_number(x) for x in np.ravel(leaf.value).tolist()],
            "gradient": self.place_of(self.program.slopes.get(leaf.birth)),
        }

    def is_fixed(self, leaf: Node, shown: str) -> bool:
        """Whether other numbers in a leaf of a finished graph would leave behind what a loss made of it.

        What stands inside of a loss was made of its data; and what enters there may be that data.
        """
        made = [path for id, path in self.paths.items() if path and self.roles[id] in ("data", "constant")]
        enters = [
            self.paths.get(f"n{place}", ())
            for place, node in enumerate(self.names.nodes)
            if any(parent is leaf for parent in node.parents)
        ]
        return bool(self.paths.get(shown)) or any(path[: len(one)] == one for path in enters for one in made)

    def node(self, node: Node) -> dict[str, Any]:
        """A value and its gradient."""
        kind = np.asarray(node.value).dtype.kind
        gradient = self.place_of(self.program.slopes.get(node.birth))
        return {"v": self.of(node), "g": gradient, "shape": list(np.shape(node.value)), "kind": kind}

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
        line = f"{step.name} = {step.formula}"
        if np.shape(step.value):
            return {"text": equation(line, value=step.value)}
        numbers = self.with_slots(lambda less: put_in(node, self.pieces(node, less)) if step.numbers else "")
        kind = "b" if np.asarray(node.value).dtype.kind == "b" else "s"
        return {"text": " = ".join(filter(None, (line, numbers, slot_text(kind, self.of(node)))))}

    def product(self, step: Product, earlier: list[int]) -> dict[str, Any]:
        """The line of a backward step, with slots; `earlier` are the products that came before."""
        part = self.part(step)
        sign = "=" if step.before is None else "+="
        line = f"∂L/∂{step.target} {sign} {step.formula}"
        if np.shape(step.part):
            text = equation(line, value=step.part)
        else:
            text = " = ".join(filter(None, (line, self.numbers(step), slot_text("s", part))))
            if earlier:
                before, now = slot_text("t", *earlier), slot_text("s", *earlier, part)
                text += f", in all {before} + {slot_text('t', part)} = {now}"
        arriving = self.place_of(self.program.slopes.get(self.names.nodes[step.gate_place].birth))
        return {"text": text, "part": part, "arriving": arriving}

    def numbers(self, step: Product) -> str:
        """The product of a scalar's local derivative and the gradient that arrives, as slots."""
        node = self.names.nodes[step.gate_place]
        local = self.place_of(self.program.locals.get((node.birth, step.operand)))
        arriving = self.place_of(self.program.slopes.get(node.birth))
        if local is None or arriving is None or not step.numbers:
            return ""
        rule = self.rules.of(node, step.operand, slope=True)
        factor = slot_text("t", local)
        if rule is not None:
            if rule.branched:  # another number may take another branch
                return ""
            factor = self.with_slots(lambda less: slope_text(rule, self.pieces(node, less)))
        return f"{factor} · {slot_text('t', arriving)}"

    def pieces(self, node: Node, stands_for: Any) -> dict[str, Piece]:
        """Slots for a node's output and inputs, which take the place that this number would take."""
        piece = constant_text(stands_for)._replace(value=None)
        pieces = {"y": piece._replace(text=slot_text("n", self.of(node)))}
        for i, x in enumerate(node.inputs[: len(node.parents)]):
            parent = node.parents[i]
            if parent is not None:
                pieces[str(i)] = piece._replace(text=slot_text("n", self.of(parent)))
            elif is_shown_as_number(x):
                pieces[str(i)] = constant_text(x)._replace(value=None)
        return pieces

    @staticmethod
    def with_slots(write: Any) -> str:
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
        return text


def wrapped(bare: str, full: str) -> tuple[bool, bool] | None:
    """Whether a segment between two slots closes a parenthesis at its start, and opens one at its end."""
    start = bare.find(END) + 1
    for closed in (False, True):
        for opened in (False, True):
            if full == f"{bare[:start]}{')' * closed}{bare[start:]}{'(' * opened}":
                return closed, opened
    return None


def slot_text(kind: str, *places: int) -> str:
    """What stands for the sum of these outputs: s as it is shown, t as a term, in parentheses if negative."""
    return f"{BEGIN}{kind}{','.join(map(str, places))}{END}"


def plain_number(x: Any) -> Any:
    """A number for JSON, which has no infinities."""
    return float(x) if np.isfinite(x) else str(float(x)).replace("inf", "Infinity").replace("nan", "NaN")


def live_of(
    names: Names, contents: Contents, look: Look, recording: Recording | None
) -> tuple[Live | None, str]:
    """What makes a page live, or why it is not."""
    why = not_live(contents, names, differentiated=contents.differentiated)
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
