"""What a picture shows, before any look: values, gradients, edges, boxes, and how much was left out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from numpy import ndarray

from tinygrad_lo.engine.graph import Array
from tinygrad_lo.engine.naming import ScopePath


@dataclass(slots=True)
class Numeric:
    """The numeric gradient by one leaf, from a gradient check."""

    values: ndarray[Any, Any]  # shaped like the leaf; nan where it was not checked by itself
    checked: int  # how many derivatives were compared
    failed: int  # how many of these disagree
    doubtful: int  # how many could not be verified
    failures: ndarray[Any, Any]  # the elements that disagree
    kind: str = "gradient"  # or value: what they stand beside
    word: str = "numeric"  # the caption

    @property
    def mark(self) -> str:
        """A tick, a cross or a question mark, with how many it stands for where that is not clear."""
        if self.failed:
            return f"✗ {self.failed} of {self.checked} wrong" if self.checked > 1 else "✗"
        if self.doubtful:
            return f"? {self.doubtful} of {self.checked} unverified" if self.checked > 1 else "?"
        return "✓" if self.checked == self.values.size else f"✓ {self.checked} checked"


@dataclass(slots=True)
class Different(Numeric):
    """Another graph's value or gradient in the same place, where some of its elements are others."""

    by: float = 0.0  # the largest difference
    share: float = 0.0  # the same as a share of the largest element

    @property
    def mark(self) -> str:
        """How many elements differ."""
        return f"≠ {self.failed} of {self.checked}" if self.checked > 1 else "≠"


@dataclass(slots=True)
class DrawnValue:
    """One value of the picture."""

    id: str  # in the DOT text and in the SVG, from its place in the graph: the same in every run
    name: str
    given: bool  # whether the user or a loss named it
    formula: str
    role: str  # value parameter data constant loss; result: a root where no gradient starts
    data: Array
    path: ScopePath
    expects: bool = False  # a gradient; when there is none all the same, none arrived
    gradient: Array | None = None
    unseen: int = 0  # how many of its uses are not drawn
    also: tuple[str, Array] | None = None  # a second view of it: probabilities beside their logarithms
    gate: str = ""  # the op as it stands in a circuit: `×`, `+ 1`
    numeric: list[Numeric] = field(default_factory=list)  # of a gradient check, or of another graph
    wrong: bool = False  # a gradient check found the rule of its op wrong
    focus: bool = False  # the picture is about it


@dataclass(slots=True)
class DrawnBox:
    """Values that are drawn as one box."""

    id: str
    title: str  # of their scope; of leaves, their names
    role: str  # value; of leaves parameter or data
    path: ScopePath
    members: list[str] = field(default_factory=list)  # the ids that its values would have by themselves
    gates: list[tuple[str, int]] = field(default_factory=list)  # the ops inside, the most frequent first
    parameters: int = 0  # how many numbers in it are parameters
    outputs: list[Array] = field(default_factory=list)  # the values that are used outside of the box
    gradients: list[Array] = field(default_factory=list)  # by its parameters; without these, by its outputs
    numeric: list[Numeric] = field(default_factory=list)
    wrong: bool = False  # a gradient check found the rule of one of its ops wrong
    named: list[str] = field(default_factory=list)  # names of outputs, if they are few or stand in formulas
    formula: str = ""  # of a stack, as it stands in a circuit
    given: bool = False  # whether the user or a loss named the values of a stack
    lanes: int = 0  # of equal values drawn once, how many these are; 0: it is no stack
    counts: tuple[int, ...] = ()  # as a product: turns of the loops around it, and how many in each turn
    scope: ScopePath = ()  # that it stands for, if it does


@dataclass(slots=True)
class Stub:
    """In place of the inputs of a drawn value that are not drawn."""

    id: str
    path: ScopePath
    behind: int = 0  # how many values stand behind it
    names: dict[str, None] = field(default_factory=dict)  # of those that the drawn value's formula has


@dataclass(slots=True)
class Edge:
    """From an input to the value made from it. In the SVG, edge number i has the id `e<i>`."""

    id: str
    tail: str
    head: str
    strength: float | None = None  # the largest |gradient| that is sent back along it
    slope: Array | None = None  # the local derivative, between scalars
    formula: str = ""  # what the head's gate sends back along it: `Xᵀ @ ∂L/∂S`
    count: int = 1  # how many edges of the graph it stands for
    carried: bool = False  # to the next turn of a loop


@dataclass(slots=True)
class Contents:
    """Everything that a picture shows. The last value is the root."""

    total: int  # how many values the graph has, drawn or not
    drawn: int  # how many of them are among `values`, which also holds plain arrays
    differentiated: bool
    values: list[DrawnValue]
    stubs: list[Stub]
    edges: list[Edge]
    groups: list[DrawnBox] = field(default_factory=list)
    constants: list[tuple[str, Array]] = field(default_factory=list)  # named numbers that stand inside gates
    focus: tuple[str, ...] = ()  # the names of what the picture is about
    cut: bool = False  # values were left out to stay small
    narrow: bool = False  # some tables are left out, because a page has no room for them
    gradients: dict[int, Array] = field(default_factory=dict)  # at leaves and at what is drawn, by birth
    # By its place in the graph, the id of the node that shows a value.
    shown: dict[int, str] = field(default_factory=dict)
    # By the place of its head and which input it is, the edge that an edge of the graph is drawn as.
    wires: dict[tuple[int, int], Edge] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, DrawnValue | DrawnBox]:
        """The values and the boxes by their ids."""
        drawn: list[DrawnValue | DrawnBox] = [*self.values, *self.groups]
        return {part.id: part for part in drawn}

    @property
    def folded(self) -> bool:
        """Whether equal values are drawn once."""
        return any(group.lanes for group in self.groups)

    @property
    def strengths(self) -> list[float]:
        """Of the edges along which a finite gradient flows, the largest |gradient|."""
        strengths = [edge.strength or 0.0 for edge in self.edges]
        return [strength for strength in strengths if 0 < strength < math.inf]

    @property
    def boxed(self) -> int:
        """How many values are inside boxes."""
        return sum(len(group.members) for group in self.groups)
