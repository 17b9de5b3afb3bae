"""The graph of a loss of one point, as the classifier page draws it: rows of cells, and wires between them.

Every number in it is an output of the recorded program: values, gradients, and what each gate hands back.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Node, reachable
from tinygrad_lo.engine.naming import name_of
from tinygrad_lo.engine.tensor import Parameter
from tinygrad_lo.explaining.formula import Names
from tinygrad_lo.explaining.javascript import Script
from tinygrad_lo.explaining.source import Source
from tinygrad_lo.explaining.traced import program_of

Wire = tuple[Node, int, int]  # a gate, which of its inputs, the birth of the drawn value that enters there


@dataclass
class Graph:
    """A loss of one point, recorded from its scores on."""

    program: Source  # a function of y and s: the values of all rows, their gradients, and the products
    rows: list[dict[str, Any]]  # cells side by side: a name, a formula, how many, the wires from earlier rows


def graph(loss_of: Callable[[Any, Any], Any], scores: np.ndarray[Any, Any]) -> Graph:
    """The graph of a loss of scores and a label."""
    made: list[Any] = []
    s = Parameter(scores, name="s")

    def loss(y: Any) -> Any:
        made.append(loss_of(s, y))
        return made[-1]

    program = program_of(loss, (np.array(0),), whole=True)
    drawn = drawn_values(made[-1])
    titles = {node.birth: str(name_of(node) or "m").replace("L_i", "Lᵢⱼ") for node in drawn}
    titles[drawn[-1].birth] = "Lᵢ"
    formulas, wires = in_terms_of(titles, Names(made))
    place = {birth: k for k, birth in enumerate(titles)}
    outputs = [program.value_of(node) for node in drawn] + [program.slopes[node.birth] for node in drawn]
    rows: list[dict[str, Any]] = []
    for node in drawn:
        row = {"name": titles[node.birth], "formula": formulas[node.birth], "cells": np.size(node.value)}
        rows.append(row | {"wires": []})
        for gate, i, parent in wires[node.birth]:
            mixes = gate.op is not None and gate.op.kind == "mixes"
            rows[-1]["wires"].append({"from": place[parent], "product": len(outputs), "mixes": mixes})
            outputs.append(program.parts[gate.birth, i])
    program.outputs = outputs
    return Graph(Script(program).results("loss_and_gradients"), rows)


def drawn_values(loss: Node) -> list[Any]:
    """The values that the page draws, oldest first: those with a name, and what enters a kink."""
    nodes = [node for node in reachable([loss]) if node.needs]
    bends = entering_kinks(nodes)
    kept = [node for node in nodes if name_of(node) is not None or node.birth in bends or node is loss]
    return kept[:-1] if np.size(kept[-2].value) == 1 else kept  # the sum of one number is that number


def entering_kinks(nodes: list[Node]) -> set[int]:
    """The births of values from which something is made whose slope jumps."""
    kinked = [node for node in nodes if node.op is not None and node.op.kink is not None]
    return {parent.birth for node in kinked for parent in node.parents if parent is not None}


def in_terms_of(titles: dict[int, str], names: Names) -> tuple[dict[int, str], dict[int, list[Wire]]]:
    """Of each value, its formula of drawn and named ones alone, and the wires by which drawn ones enter."""
    formulas: dict[int, str] = {}
    wires: dict[int, list[Wire]] = {}
    for node in names.nodes:
        text, entering = names.formula(node), []
        for i, parent in enumerate(node.parents):
            if parent is None:
                continue
            inner = titles.get(parent.birth) or name_of(parent) or formulas[parent.birth]
            entering += [(node, i, parent.birth)] if parent.birth in titles else wires[parent.birth]
            text = substituted(text, names.of(parent), inner)
        formulas[node.birth], wires[node.birth] = text, entering
    return formulas, wires


def substituted(text: str, name: str, inner: str) -> str:
    """A formula with another in the place of a name, in parentheses where it needs them."""
    if re.fullmatch(r".+ [×−+] .+", inner) and re.search("[²×]", text):
        inner = f"({inner})"
    return re.sub(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", lambda _: inner, text)
