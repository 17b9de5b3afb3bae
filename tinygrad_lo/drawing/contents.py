"""What a picture shows, before any look: values, gradients, edges, boxes, and how much was left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy import ndarray

from tinygrad_lo.engine.graph import Array
from tinygrad_lo.program.value import ScopePath


@dataclass(slots=True)
class Numeric:
    """The numeric gradient by one leaf, from a gradient check.

    Attributes:
        values: shaped like the leaf; nan where it was not checked by itself.
        checked: how many derivatives were compared. failed, doubtful: how many of them disagree, and how
            many could not be verified.
        failures: the elements that disagree.
    """

    values: ndarray[Any, Any]
    checked: int
    failed: int
    doubtful: int
    failures: ndarray[Any, Any]

    @property
    def mark(self) -> str:
        """A tick, a cross or a question mark, with how many it stands for where that is not clear."""
        if self.failed:
            return f"✗ {self.failed} of {self.checked} wrong" if self.checked > 1 else "✗"
        if self.doubtful:
            return f"? {self.doubtful} of {self.checked} unverified" if self.checked > 1 else "?"
        return "✓" if self.checked == self.values.size else f"✓ {self.checked} checked"


@dataclass(slots=True)
class DrawnValue:
    """One value of the picture.

    Attributes:
        id: its name in the DOT text and in the SVG, from its place in the graph: the same in every run.
        given: whether the user or a loss named it.
        role: "value", "parameter", "data", "constant", "loss" or "result" (the root, when no
            gradient starts there).
        expects: whether a gradient belongs here; when it is None all the same, none arrived.
        unseen: how many of its uses are not drawn.
        also: a second view of the value, under a caption: probabilities beside their logarithms.
        gate: the op as it stands in a circuit: `×`, `+ 1`.
        numeric, wrong: what a gradient check found of it, and whether of the rule of its op.
        focus: whether the picture is about it.
    """

    id: str
    name: str
    given: bool
    formula: str
    role: str
    data: Array
    path: ScopePath
    expects: bool = False
    gradient: Array | None = None
    unseen: int = 0
    also: tuple[str, Array] | None = None
    gate: str = ""
    numeric: Numeric | None = None
    wrong: bool = False
    focus: bool = False


@dataclass(slots=True)
class DrawnBox:
    """Values that are drawn as one box.

    Attributes:
        title: of their scope; of leaves, their names.
        role: "value", or of leaves "parameter" or "data".
        members: the ids that its values would have by themselves.
        gates: the ops inside, the most frequent first, each with its number.
        parameters: how many numbers in it are parameters.
        outputs: the values that are used outside of the box.
        gradients: by its parameters; without parameters, by its outputs.
        numeric, wrong: what a gradient check found of its parameters, and of the rules of its ops.
    """

    id: str
    title: str
    role: str
    path: ScopePath
    members: list[str] = field(default_factory=list)
    gates: list[tuple[str, int]] = field(default_factory=list)
    parameters: int = 0
    outputs: list[Array] = field(default_factory=list)
    gradients: list[Array] = field(default_factory=list)
    numeric: list[Numeric] = field(default_factory=list)
    wrong: bool = False


@dataclass(slots=True)
class Stub:
    """In place of the inputs of a drawn value that are not drawn: how many values stand behind."""

    id: str
    path: ScopePath
    behind: int = 0


@dataclass(slots=True)
class Edge:
    """From an input to the value made from it. In the SVG, edge number i has the id `e<i>`.

    Attributes:
        strength: the largest |gradient| that is sent back along it; None where none is sent.
        slope: the local derivative, between scalars.
        formula: what the head's gate sends back along it: `Xᵀ @ ∂L/∂S`.
        count: how many edges of the graph it stands for.
    """

    id: str
    tail: str
    head: str
    strength: float | None = None
    slope: Array | None = None
    formula: str = ""
    count: int = 1


@dataclass(slots=True)
class Contents:
    """Everything that a picture shows. The last value is the root.

    Attributes:
        total: how many values the graph has, drawn or not.
        drawn: how many of them are among `values`, which also holds plain arrays.
        constants: named numbers that stand inside gates and formulas.
        focus: the names of what the picture is about. cut: whether values were left out to stay small.
        gradients: by every leaf, drawn or not, and by what is drawn; by birth.
        shown: the id of the node that shows a value of the graph, by the value's place in it.
        wires: the edge that an edge of the graph is drawn as, by its head's place and which input it is.
    """

    total: int
    drawn: int
    differentiated: bool
    values: list[DrawnValue]
    stubs: list[Stub]
    edges: list[Edge]
    groups: list[DrawnBox] = field(default_factory=list)
    constants: list[tuple[str, Array]] = field(default_factory=list)
    focus: tuple[str, ...] = ()
    cut: bool = False
    gradients: dict[int, Array] = field(default_factory=dict)
    shown: dict[int, str] = field(default_factory=dict)
    wires: dict[tuple[int, int], Edge] = field(default_factory=dict)

    @property
    def boxed(self) -> int:
        """How many values are inside boxes."""
        return sum(len(group.members) for group in self.groups)
