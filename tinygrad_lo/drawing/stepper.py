"""The page that steps through a graph: one HTML file, forward and backward, that needs no network.

It puts the steps of `lo.explain` and the picture of `lo.draw` into `stepper.html`; names enter as data.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_lo.drawing.colors import COLORS, THEMES
from tinygrad_lo.drawing.contents import Contents, DrawnBox
from tinygrad_lo.drawing.document import json_text, page_text, part, recolored, slimmed, stylesheet
from tinygrad_lo.drawing.live import Live, earlier_parts, live_of
from tinygrad_lo.drawing.passes.flow import concrete
from tinygrad_lo.drawing.render import render
from tinygrad_lo.drawing.styles.cards import Cards, figures
from tinygrad_lo.drawing.styles.circuit import Circuit, wire_text
from tinygrad_lo.drawing.styles.style import LONGEST_NAME, Look, shown_name
from tinygrad_lo.drawing.views import View, shared_texts
from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.machine.recording import Recording
from tinygrad_lo.errors import DrawingError
from tinygrad_lo.explaining.explain import counted, finite, remark
from tinygrad_lo.explaining.formula import Names
from tinygrad_lo.explaining.steps import Product, Steps, computed, steps

MOST_VALUES = 50_000  # values; more take longer to step through than anyone waits
LONGEST_PASS = 1_000  # steps of a page; of more, the ends of each pass
AT_ENDS = 200
PACE = 1500  # milliseconds between two steps that play
ISOLATE = "\u2068{}\u2069"  # keeps a name written from right to left from turning its formula around
WRITTEN = "line sentence remark question text formula target name"  # what a reader sees of a step
# Of the script, in the order in which they run.
FILES = """elements stepper/picture stepper/steps stepper/numbers stepper/recompute stepper/edit stepper/train
stepper/controls"""
FIRST = " is the first value that is not finite."
Step = dict[str, Any]


class Page:
    """A page that steps through a graph. In a notebook it shows itself, in a frame of its own."""

    def __init__(self, html: str, name: str) -> None:
        self.html = html  # the whole file
        self._name = name

    def __repr__(self) -> str:
        return f'<Page that steps through {self._name}: picture.save("{self._name}.html") writes it>'

    def _repr_html_(self) -> str:
        # The frame runs the page's script and may do nothing else: no cookies, no access to the notebook.
        return (
            f'<iframe sandbox="allow-scripts" title="{html.escape(self._name)}, step by step"'
            f' srcdoc="{html.escape(self.html)}"'
            ' style="width:100%;height:640px;border:1px solid #afb8c1;border-radius:6px"></iframe>'
        )


def page(loss: Node, look: Look, views: list[View], style: str, recording: Recording | None = None) -> Page:
    """The page that steps through a graph: its picture, and those in which its boxes are open.

    recording: of the function whose result the loss is; then labels and masks follow what is edited.
    """
    contents = views[0].contents
    if contents.total > MOST_VALUES:
        raise DrawingError(
            f"the graph has {contents.total:,} values, a page steps through {MOST_VALUES:,} at most; "
            "draw a smaller loss, e.g. that of one sample, or read lo.explain(loss)"
        )
    theme, palette = next(key for key, colors in COLORS.items() if colors == look.colors)
    name = shown_name(contents.values[-1].name)
    looks = [replace(look, colors=COLORS[each, palette], handles=True) for each in THEMES]
    pairs: dict[tuple[str, str], int] = {}
    aria = f'<svg role="img" aria-label="The graph of {html.escape(name)}" '
    svgs = []
    for view in views:
        light, dark = (render(view.paint(each), "svg", name).decode() for each in looks)
        svgs.append(slimmed(recolored(light, dark, pairs)).replace("<svg ", aria, 1))
    story = Story(loss, look, contents, is_circuit=style == "circuit")
    story.live, why = live_of(story.names, contents, look, recording)
    script = "".join(part(f"drawing/{file}.js") for file in FILES.split())
    parts = {
        "data": json_text(page_data(story, views, why)),
        "program": bare(f"const liveProgram = {story.live.script if story.live else 'null'};"),
        "script": '"use strict";\n' + bare(re.sub("  // .*$", "", script, flags=re.MULTILINE)),
        "title": html.escape(name),
        "colors": stylesheet(palette, theme, pairs),
        "style": bare(part("drawing/stepper.css")),
        "picture": svgs[0] + "".join(f"\n<template>{svg}</template>" for svg in svgs[1:]),
    }
    return Page(page_text(part("drawing/stepper.html"), parts), name)


def bare(script: str) -> str:
    """A script, or styles, without indents and lines of comments: a page is for readers of graphs."""
    return re.sub(r"^ *(//.*)?\n?", "", script, flags=re.MULTILINE)


def page_data(story: Story, views: list[View], why: str) -> Step:
    """What the script must know of the steps in every view; why: if they cannot be told of other numbers."""
    data = story.data()
    if why:
        data["note"] = f"{data['note']} Its numbers cannot be edited: {why}.".strip()
    opened = [story.of(view.contents).data() for view in views[1:]]
    if opened:
        data["texts"] = shared_texts([data, *opened])
    about = [{"boxes": view.boxes, "title": view.title, "parent": view.parent} for view in views]
    inside = [{key: told[key] for key in ("steps", "summaries", "note")} for told in opened]
    data["views"] = [told | more for told, more in zip([{}, *inside], about, strict=True)]
    return data


class Story:
    """The steps of a page as its script reads them: what to say, what to light, what to ask."""

    def __init__(
        self, loss: Node, look: Look, contents: Contents, *, is_circuit: bool, sweep: Steps | None = None
    ) -> None:
        self.loss, self.look, self.is_circuit, self.contents = loss, look, is_circuit, contents
        self.live: Live | None = None
        self.remarks: dict[str, int] = {}  # what steps of a live page may say, by their numbers there
        self.shown, self.has_backward = contents.shown, contents.differentiated
        self.inside = {group.id: inside_words(group) for group in contents.groups}
        self.cards = {place for place, id in self.shown.items() if id == f"n{place}"}
        self.sweep = sweep or self.swept()
        self.names, every, back = self.sweep.names, self.sweep.forward, self.sweep.backward
        self.tidy = tidied(self.names)
        self.computed = [step for step in every if step.place in self.shown]
        self.products = [step for step in back if {step.gate_place, step.target_place} & self.shown.keys()]
        self.order = {(x.gate_place, x.operand): i for i, x in enumerate(back, len(self.names.nodes))}
        self.count = len(self.computed) + len(self.products)
        self.shared = {step.target_place for step in back if step.before is not None}
        self.left_out = len(every) + len(back) - self.count
        self.final = {self.id_of(step.target_place): step for step in self.products}  # the last for each node

    def swept(self) -> Steps:
        """The steps of the graph, drawn or not."""
        if self.has_backward:
            return steps(self.loss, "draw")
        names = Names([self.loss])
        with np.errstate(all="ignore"):
            return Steps(names, names.of(self.loss), computed(names))

    def of(self, contents: Contents) -> Story:
        """The same steps in another picture."""
        return Story(self.loss, self.look, contents, is_circuit=self.is_circuit, sweep=self.sweep)

    def id_of(self, place: int) -> str:
        """The node of a value, drawn or not."""
        return self.shown.get(place, f"n{place}")

    def data(self) -> Step:
        """Everything that the script must know."""
        sentence = "Go on with the → key or the buttons; the space bar plays."
        if self.products:
            sentence += " Q asks for each gradient before it is shown."
        start = step_of("start", "Inputs and parameters are known.", sentence)
        lines = [start, *self.forward(), *self.backward(), self.end()]
        for line in lines:
            for told in (line, line.get("live", {})):
                told |= {key: self.tidy(told[key]) for key in WRITTEN.split() if key in told}
        return {
            "steps": lines,
            "summaries": [f"n{place}" for place in sorted(self.cards) if self.is_summarized(place)],
            "note": " ".join(self.notes()),
            "pace": PACE,
            "live": self.live_data(),
        }

    def live_data(self) -> Step | None:
        """What the page computes with, if it can."""
        if self.live is None:
            return None
        style = Circuit if self.is_circuit else Cards
        name = self.names.of(self.loss)
        more = {"circuit": self.is_circuit, "widest": style.widest, "name": name}
        return self.live.data() | more | {"remarks": [*self.remarks], "first": FIRST}

    def notes(self) -> Iterator[str]:
        """What the page leaves out."""
        if self.left_out:
            every = len(self.names.nodes)
            yield (
                f"The picture leaves out {every - len(self.shown):,} of {every:,} values;"
                f" {counted(self.left_out, 'step')} among these are left out, too."
            )
        if self.contents.groups:
            yield "A box stands for several values and lights up for the steps of each."
        if self.count > LONGEST_PASS:
            ends = f"the first and last {AT_ENDS}"
            yield f"These are {self.count:,} steps; of each long pass, {ends} are shown."

    def forward(self) -> Iterator[Step]:
        """The forward steps."""
        odd = next((step.place for step in self.computed if not finite(step.value)), None)
        for step in shortened_line(self.computed, len(self.products)):
            if isinstance(step, list):
                yield gap_of("forward", step, computed=[self.id_of(one.place) for one in step])
            else:
                id, first = self.id_of(step.place), step.name + FIRST
                words = self.inside.get(id, ""), first if step.place == odd else ""
                live: Step = {"live": self.live.computed(step) | {"name": step.name}} if self.live else {}
                yield step_of("forward", step.text, *words, node=id, at=step.place, **live)

    def backward(self) -> Iterator[Step]:
        """The backward steps."""
        if not self.has_backward:
            return
        name, top = self.sweep.loss, self.id_of(len(self.names.nodes) - 1)
        which = "" if name == "L" else f", which is {name}"
        words = f"The backward pass starts at L{which}: its derivative by itself is 1."
        yield step_of("backward", f"∂L/∂{name} = 1", words, node=top, totals={top: None})
        odd = next((step for step in self.products if not finite(step.part)), None)
        earlier = earlier_parts(self.products, self.live) if self.live else {}
        for step in shortened_line(self.products, len(self.computed)):
            if isinstance(step, list):
                totals = {id: text for one in step for id, text in self.total(one).items()}
                yield gap_of("backward", step, totals=totals, edges=list(filter(None, map(self.edge, step))))
                continue
            gate, words = self.id_of(step.gate_place), sentence_of(step.sentence)
            yield step_of(
                "backward", step.text, self.inside.get(gate, ""), words,
                node=self.id_of(step.target_place), gate=gate,
                at=self.order[step.gate_place, step.operand], edge=self.edge(step), totals=self.total(step),
                remark=self.remark(step) + " This is the first gradient that is not finite." * (step is odd),
                **self.question(step), **self.moving(step, earlier),
            )  # fmt: skip

    def remark(self, step: Product) -> str:
        """What is worth saying about one product, as a sentence."""
        return sentence_of(remark(step, step.target_place in self.shared).strip(" ()"))

    def end(self) -> Step:
        """The last step: what is complete, or why there is no backward pass."""
        if self.has_backward:
            leaves = [self.names.of(self.names.nodes[place]) for place in self.sweep.gradients]
            some = ", ".join(leaves[:6]) + (f", {len(leaves) - 6} more" if len(leaves) > 6 else "")
            why = f"Complete: {some}. An optimizer moves a parameter against its gradient." if leaves else ""
            return step_of("end", "The backward pass is complete.", why, phase="done")
        name, count = self.names.of(self.loss), np.size(self.loss.value)
        why = "The picture was drawn with gradient=False, so there is no backward pass to step through."
        if not self.loss.needs:
            why = "Nothing here requires a gradient, so there is no backward pass."
        elif count != 1:
            why = f"A backward pass starts from one number, and {name} has {count}."
        return step_of("end", "Every value is computed.", why, phase="done")

    def edge(self, step: Product) -> str:
        """The id of the edge that a gradient goes back along; empty where none is drawn."""
        edge = self.contents.wires.get((step.gate_place, step.operand))
        return edge.id if edge else ""

    def total(self, step: Product) -> dict[str, list[str] | None]:
        """The running total as the picture would show it; None for what the picture shows: the final one."""
        id = self.id_of(step.target_place)
        if step is self.final[id]:
            return {id: None}
        if step.target_place not in self.cards:  # a box shows nothing before the final one
            return {}
        if self.is_circuit:
            return {id: [wire_text(step.total, self.look)]}
        return {id: figures(step.total, self.look)}

    def question(self, step: Product) -> Step:
        """What the quiz asks: the product, or one element of it. Nothing where a card shows no elements."""
        part, place = concrete(step.part), step.target_place
        if part is None or not part.size:
            return {}
        if part.ndim and (self.is_circuit or place not in self.cards or self.is_summarized(place)):
            return {}
        formula, at, j = step.formula, "", 0
        if part.ndim:
            j = int(np.argmax(np.abs(part)))  # the largest, or a nan
            at = f"[{', '.join(map(str, np.unravel_index(j, part.shape)))}]"
            formula = f"({formula}){at}"
        sign = "=" if step.before is None else "+="
        ask: Step = {"question": f"∂L/∂{step.target}{at} {sign} {formula} = ?", "cell": j}
        ask["answer"] = repr(float(part.flat[j]))
        if step.before is not None:
            ask["sum"] = repr(float(np.ravel(step.total)[j]))
        return ask

    def moving(self, step: Product, before: dict[tuple[int, int], list[int]]) -> Step:
        """What the page needs to tell the step of other numbers."""
        if self.live is None:
            return {}
        earlier = before[step.gate_place, step.operand]
        one, zero = np.ones(1), np.zeros(1)
        cases = [(one, one), (zero, zero), (one, zero)]  # what arrives, and what is handed on
        remarks = (self.tidy(self.remark(replace(step, arriving=g, part=part))) for g, part in cases)
        told = [self.remarks.setdefault(words, len(self.remarks)) for words in remarks]
        more = {
            "earlier": earlier,
            "remarks": told,
            "target": step.target,
            "shape": list(np.shape(step.part)),
        }
        return {"live": self.live.product(step, earlier) | more}

    def is_summarized(self, place: int) -> bool:
        """Whether a card shows mean, std, min and max in place of elements."""
        return self.look.summarizes(np.shape(self.names.nodes[place].value))


def inside_words(group: DrawnBox) -> str:
    """Where a step is that the picture does not show."""
    count = sum(number for _, number in group.gates)
    return f"Inside “{shown_name(group.title)}”, {counted(count, 'op')} drawn as one box."


def step_of(kind: str, line: str, *words: str, phase: str = "", **more: Any) -> Step:
    """One step as the script reads it, without what is empty."""
    told = {"kind": kind, "phase": phase, "line": line, "sentence": " ".join(filter(None, words)), **more}
    return {key: value for key, value in told.items() if value != ""}


def gap_of(phase: str, steps: list[Any], **after: Any) -> Step:
    """In place of many steps: what is there after them."""
    line = f"… {counted(len(steps), 'step')} are done here without being shown …"
    return step_of("gap", line, phase=phase, **after)


def shortened_line(chosen: list[Any], others: int) -> list[Any]:
    """The steps of one pass; if both passes have too many, those between its ends as a list."""
    if len(chosen) + others <= LONGEST_PASS or len(chosen) <= 2 * AT_ENDS + 1:
        return chosen
    return [*chosen[:AT_ENDS], chosen[AT_ENDS:-AT_ENDS], *chosen[-AT_ENDS:]]


def sentence_of(words: str) -> str:
    """Words as a sentence of their own; a symbol at the start stays as it is."""
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def tidied(names: Names) -> Callable[[str], str]:
    """What makes a line with very long names, or with names written from right to left, readable."""
    better = {}
    for name in [*map(names.of, names.nodes), *names.arrays]:
        if len(name) > LONGEST_NAME or any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in name):
            better[name] = ISOLATE.format(shown_name(name))
    if not better:
        return lambda text: text
    # Longest first: a name may contain another.
    any_of = re.compile("|".join(map(re.escape, sorted(better, key=lambda name: (-len(name), name)))))
    return lambda text: any_of.sub(lambda match: better[match[0]], text)
