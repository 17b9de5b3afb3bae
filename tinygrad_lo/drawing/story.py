"""The steps of a graph as the page's script reads them: what to say, what to light, what to ask."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinygrad_lo.drawing.contents import Contents
from tinygrad_lo.drawing.passes.flow import concrete
from tinygrad_lo.drawing.styles.cards import numbers
from tinygrad_lo.drawing.styles.circuit import backward
from tinygrad_lo.drawing.styles.text import LONGEST_NAME, Look, shown
from tinygrad_lo.engine.graph import Node
from tinygrad_lo.explaining.explain import counted, finite, remark
from tinygrad_lo.explaining.formula import Names
from tinygrad_lo.explaining.steps import Computed, Product, Steps, computed, steps

LONGEST = 1_000  # steps of a page; of more, the ends of each pass
ENDS = 200
PACE = 1500  # milliseconds between two steps that play
ISOLATE = "\u2068{}\u2069"  # keeps a name written from right to left from turning its formula around
WRITTEN = ("line", "sentence", "remark", "question")  # of a step: what a reader sees
Step = dict[str, Any]


class Map:
    """Where in the picture the values and edges of the graph are.

    Attributes:
        boxes: of values that are drawn as one with others, the id of their box, by place.
        cards: the values with a node of their own, by place.
    """

    def __init__(self, contents: Contents, style: str) -> None:
        self.circuit = style == "circuit"
        self.boxes = {int(id[1:]): group.id for group in contents.groups for id in group.members}
        self.cards = {int(value.id[1:]): value for value in contents.values if value.id.startswith("n")}
        self._edges: dict[tuple[str, str, int | None], str] = {}
        for i, edge in enumerate(contents.edges):
            # Between boxes, one edge stands for all.
            alone = edge.tail.startswith("n") and edge.head.startswith("n")
            self._edges[edge.tail, edge.head, edge.operand if alone else None] = f"e{i}"

    def __contains__(self, place: int) -> bool:
        return place in self.cards or place in self.boxes

    def id(self, place: int) -> str:
        """The id of the node that shows a value."""
        return self.boxes.get(place, f"n{place}")

    def edge(self, tail: int, head: int, operand: int) -> str:
        """The id of the edge that brings an operand; empty where none is drawn."""
        start = self.id(tail) if tail in self else f"hidden_{self.id(head)}"
        alone = start.startswith("n") and self.id(head).startswith("n")
        return self._edges.get((start, self.id(head), operand if alone else None), "")


@dataclass(slots=True)
class Story:
    """The steps of a page, as its script reads them."""

    loss: Node
    names: Names
    look: Look
    map: Map
    gradient: bool

    def told(self) -> Step:
        """Everything that the script must know."""
        loss = self.loss
        found = None
        if self.gradient and loss.needs and np.size(loss.value) == 1:
            found = steps(loss, "draw")
            self.names = found.names
        everything = found.forward if found else computed_alone(self.names)
        forward = [step for step in everything if step.place in self.map]
        backward = [
            step
            for step in (found.backward if found else ())
            if step.gate_place in self.map or step.target_place in self.map
        ]
        told = [self.start(found), *self.forward(forward, len(backward))]
        if found:
            told += self.backward(found, backward, len(forward))
        told.append(self.end(found))
        tidy = tidied(self.names)
        for step in told:
            step.update({key: tidy(text) for key, text in step.items() if key in WRITTEN})
        left_out = len(everything) + (len(found.backward) if found else 0) - len(forward) - len(backward)
        return {
            "steps": told,
            "summaries": [value.id for place, value in self.map.cards.items() if self.summarized(place)],
            "note": self.note(left_out, len(forward) + len(backward)),
            "pace": PACE,
        }

    def note(self, left_out: int, count: int) -> str:
        """What the page leaves out."""
        notes = []
        if left_out:
            missing = sum(place not in self.map for place in range(len(self.names.nodes)))
            notes.append(
                f"The picture leaves out {missing:,} of {len(self.names.nodes):,} values;"
                f" {counted(left_out, 'step')} among these are left out, too."
            )
        if self.map.boxes:
            notes.append("A box stands for several values and lights up for the steps of each.")
        if count > LONGEST:
            notes.append(
                f"These are {count:,} steps; of each long pass, the first and last {ENDS} are shown."
            )
        return " ".join(notes)

    def start(self, found: Steps | None) -> Step:
        """Step 0."""
        sentence = "Go on with the → key or the buttons; the space bar plays."
        if found and found.backward:
            sentence += " Q asks for each gradient before it is shown."
        return said("start", "start", "Inputs and parameters are known.", sentence)

    def forward(self, chosen: list[Computed], others: int) -> list[Step]:
        """The forward steps."""
        odd = next((step.place for step in chosen if not finite(step.value)), None)
        told = []
        for step in shortened(chosen, others):
            if isinstance(step, list):
                told.append(gap("forward", step, computed=[self.map.id(one.place) for one in step]))
                continue
            sentence = f"{step.name} is the first value that is not finite." if step.place == odd else ""
            told.append(said("forward", "forward", step.text, sentence, node=self.map.id(step.place)))
        return told

    def backward(self, found: Steps, chosen: list[Product], others: int) -> list[Step]:
        """The backward steps."""
        top = self.map.id(len(found.names.nodes) - 1)
        words = f"The backward pass starts at L, which is {found.loss}: its derivative by itself is 1."
        told = [said("backward", "backward", f"∂L/∂{found.loss} = 1", words, node=top, totals={top: None})]
        shared = {step.target_place for step in found.backward if step.before is not None}
        odd = next((step for step in chosen if not finite(step.part)), None)
        final = {self.map.id(step.target_place): step for step in chosen}
        for step in shortened(chosen, others):
            if isinstance(step, list):
                totals: dict[str, list[str] | None] = {}
                for one in step:
                    totals |= self.total(one, final)
                edges = [self.edge(one) for one in step]
                told.append(gap("backward", step, totals=totals, edges=[edge for edge in edges if edge]))
                continue
            line = said(
                "backward", "backward", step.text, sentence_of(step.sentence),
                node=self.map.id(step.target_place), gate=self.map.id(step.gate_place), edge=self.edge(step),
                totals=self.total(step, final),
                remark=sentence_of(remark(step, step.target_place in shared).strip(" ()")),
            )  # fmt: skip
            if step is odd:
                line["remark"] += " This is the first gradient that is not finite."
            told.append(line | self.question(step))
        return told

    def edge(self, step: Product) -> str:
        """The edge that a gradient goes back along."""
        return self.map.edge(step.target_place, step.gate_place, step.operand)

    def end(self, found: Steps | None) -> Step:
        """The last step."""
        if found is None:
            value = self.loss.value
            if not self.gradient:
                why = (
                    "The picture was drawn with gradient=False, so there is no backward pass to step through."
                )
            elif not self.loss.needs:
                why = "Nothing here requires a gradient, so there is no backward pass."
            else:
                name = self.names.of(self.loss)
                why = f"A backward pass starts from one number, and {name} has {np.size(value)}."
            return said("end", "done", "Every value is computed.", why)
        leaves = [found.names.of(found.names.nodes[place]) for place in found.gradients]
        some = ", ".join([*leaves[:6], *([f"{len(leaves) - 6} more"] if len(leaves) > 6 else [])])
        why = f"Complete: {some}. An optimizer moves a parameter against its gradient." if leaves else ""
        return said("end", "done", "The backward pass is complete.", why)

    def total(self, step: Product, final: dict[str, Product]) -> dict[str, list[str] | None]:
        """The running total as the picture would show it; None for what the picture shows: the final one.

        final: the last product for each node of the picture. A box shows nothing before it.
        """
        id = self.map.id(step.target_place)
        if step is final[id]:
            return {id: None}
        if step.target_place not in self.map.cards:
            return {}
        if self.map.circuit:
            value = replace(self.map.cards[step.target_place], gradient=step.total)
            cell = f">{backward(value, self.look)[0]}<"
        else:
            cell = numbers("gradient", step.total, np.shape(step.total), self.look)
        return {id: [html.unescape(text) for text in re.findall(r">([^<>]+)<", cell)]}

    def question(self, step: Product) -> Step:
        """What the quiz asks: the product, or one element of it. Nothing where a card shows no elements."""
        part, total = concrete(step.part), concrete(step.total)
        if part is None or total is None or not part.size:
            return {}
        sign = "=" if step.before is None else "+="
        ask: Step = {"question": f"∂L/∂{step.target} {sign} {step.formula} = ?", "cell": 0}
        j = 0
        if part.ndim:
            if (
                self.map.circuit
                or self.summarized(step.target_place)
                or step.target_place not in self.map.cards
            ):
                return {}
            j = int(np.argmax(np.abs(part)))  # the largest, or a nan
            at = ", ".join(map(str, np.unravel_index(j, part.shape)))
            ask = {"question": f"∂L/∂{step.target}[{at}] {sign} ({step.formula})[{at}] = ?", "cell": j}
        ask["answer"] = repr(float(part.flat[j]))
        if step.before is not None:
            ask["sum"] = repr(float(total.flat[j]))
        return ask

    def summarized(self, place: int) -> bool:
        """Whether a card shows mean, std, min and max in place of elements."""
        shape = np.shape(self.names.nodes[place].value)
        return len(shape) > 2 or max(shape, default=0) > self.look.max_cells


def computed_alone(names: Names) -> list[Computed]:
    """The forward steps of a graph without a backward pass."""
    with np.errstate(all="ignore"):
        return computed(names)


def said(kind: str, phase: str, line: str, sentence: str, **more: Any) -> Step:
    """One step as the script reads it."""
    return {"kind": kind, "phase": phase, "line": line, "sentence": sentence, **more}


def gap(phase: str, steps: list[Any], **after: Any) -> Step:
    """In place of many steps: what is there after them."""
    return said(
        "gap", phase, f"… {counted(len(steps), 'step')} are done here without being shown …", "", **after
    )


def shortened(chosen: list[Any], others: int) -> list[Any]:
    """The steps of one pass; if both passes have too many, those between its ends as a list."""
    if len(chosen) + others <= LONGEST or len(chosen) <= 2 * ENDS + 1:
        return chosen
    return [*chosen[:ENDS], chosen[ENDS:-ENDS], *chosen[-ENDS:]]


def sentence_of(words: str) -> str:
    """Words as a sentence of their own; a symbol at the start stays as it is."""
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def tidied(names: Names) -> Callable[[str], str]:
    """What makes a line with very long names, or with names written from right to left, readable."""
    better = {}
    for name in [*map(names.of, names.nodes), *names.arrays]:
        if len(name) > LONGEST_NAME or any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in name):
            better[name] = ISOLATE.format(shown(name))
    if not better:
        return lambda text: text
    # Longest first: a name may contain another.
    any_of = re.compile("|".join(map(re.escape, sorted(better, key=lambda name: (-len(name), name)))))
    return lambda text: any_of.sub(lambda found: better[found[0]], text)
