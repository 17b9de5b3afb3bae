"""The names and scopes of values: what is known of them besides numbers."""

from __future__ import annotations

import keyword
import math
from collections.abc import Iterable
from typing import Any

from tinygrad_lo.engine import graph
from tinygrad_lo.engine.graph import Node, T, constant, mode, modes, tick
from tinygrad_lo.errors import UnsupportedError

# Titles, outermost first, each with the birth at its begin, which tells two with one title apart.
ScopePath = tuple[tuple[str, int], ...]


class Label:
    """What is known of a node besides numbers: names, scopes, and under anomaly() its origin.

    What is not known stays on the class: a label of one fact is made in a quarter of the time.
    """

    name: str | None = None
    scope: ScopePath = ()  # of blocks
    spans: tuple[tuple[str, int], ...] = ()  # (loss, birth at which it began), inner first
    modules: tuple[tuple[str, int], ...] = ()  # the same of modules, whose insides are the user's own
    where: str | None = None
    recorded: tuple[int, ...] = ()  # checksums of the inputs, see anomaly.py
    call: tuple[Any, ...] = ()  # of a loss with numeric options: the birth at which it began, and how
    derived: Node | None = None  # of a derivative that is a graph: what it is the derivative of
    source: Node | None = None  # of a constant that was made of the user's data: the data, for pictures


def label(node: Node) -> Label:
    """The node's label as an object, made when it was only a name or nothing."""
    if isinstance(node.label, Label):
        return node.label
    out = Label()
    if node.label is not None:
        out.name = node.label
    node.label = out
    return out


def mark(node: Node) -> None:
    """Note on a new value the scope that it is made in, and under anomaly() the line."""
    if modes.scope is not None:
        label(node).scope = modes.scope
    if modes.watch is not None:
        modes.watch.made(node)


def name_of(node: Node) -> str | None:
    """The name that the user or a loss gave to this value."""
    found = node.label
    return found.name if isinstance(found, Label) else found


def quoted(node: Node, otherwise: str = "a tensor") -> str:
    """The name in quotes, or `otherwise`: for messages."""
    name = name_of(node)
    return repr(name) if name is not None else otherwise


def spelled(node: Node, otherwise: str) -> str:
    """The tensor as a message can write it in Python: its name, "0.weight" as model[0].weight."""
    path = (name_of(node) or "").split(".")
    if len(path) > 1:
        path.insert(0, "model")
    written = path[0] + "".join(f"[{key}]" if key.isdecimal() else f".{key}" for key in path[1:])
    words = [path[0], *(key for key in path[1:] if not key.isdecimal())]
    good = all(word.isidentifier() and not keyword.iskeyword(word) for word in words)
    return written if good else otherwise


def named(x: T, name: str) -> T:
    """Give a tensor the name under which drawings, explanations and errors show it.

    Plain arrays pass through, so a loss written with it runs on both.

    Raises:   UnsupportedError: the name is not text.
    Example:
        >>> import tinygrad_lo as lo
        >>> S = lo.named(lo.Parameter([1.0, 2.0]) * 3.0, "S")
        >>> S.name
        'S'
    """
    if isinstance(x, Node):
        if x.label is None and type(name) is str:
            x.label = name
        else:
            rename(x, name)
    return x


def rename(node: Node, name: Any) -> None:
    """Set or clear the node's name, keeping scopes and origin."""
    if name is not None and not isinstance(name, str):
        raise UnsupportedError(f"a name is text or None, got {type(name).__name__}: {name!r}")
    if isinstance(node.label, Label):
        node.label.name = name
    else:
        node.label = name


def made_of(source: Any, x: Any) -> Any:
    """Note on a constant that the library has made of the user's data what these are: pictures show them."""
    if modes.recording is not None:  # a compiled program finds arrays by themselves
        return x
    if not isinstance(x, Node):
        x, source = named(constant(x, source), "columns"), graph.TENSOR(source)
    if x.op is None:
        label(x).source = source
    return x


class scope(mode):
    """Group the values made inside `with lo.scope("data loss"):` under that title.

    Drawings show a scope as a frame, `lo.tree` as a heading, errors name it. Scopes nest. Every loss
    of the library opens one with its own name.

    Raises:   UnsupportedError: the name is not text.
    Example:
        >>> import tinygrad_lo as lo
        >>> w = lo.Parameter(2.0, name="w")
        >>> with lo.scope("regularization"):
        ...     loss = w * w
        >>> print(lo.tree(loss))
        L = w × w = 4  ‹regularization›
        ├─ w = 2  parameter
        └─ w (above)
    """

    def __init__(self, name: str) -> None:
        super().__init__("scope", None)
        if not isinstance(name, str):
            raise UnsupportedError(f"a scope's name is text, got {type(name).__name__}: {name!r}")
        self.name = name

    def __enter__(self) -> Any:
        return self.begin((*(modes.scope or ()), (self.name, tick())))


def scoped(name: str, began: int, out: T, call: tuple[Any, ...] = ()) -> T:
    """Mark everything from birth `began` to `out` as one scope; `began = tick()` at a loss's entry.

    Entering a context manager would send every op of the loss through the slow path; an interval of
    births costs nothing. `call`: how to compute it again, kept where the graph is kept as well.
    """
    if isinstance(out, Node):
        known = label(out)
        known.spans += ((name, began),)
        if call and out.needs:
            known.call = call
    return out


def of_module(title: str, began: int, out: Node) -> None:
    """Mark everything from birth `began` to `out` as what one module has computed."""
    known = label(out)
    if known.spans and known.spans[-1][1] == began - 1:  # all of it is one function: that gets the title
        known.spans = (*known.spans[:-1], (title, began - 1))
    else:
        known.modules += ((title, began),)


def scopes(nodes: Iterable[Node]) -> dict[int, ScopePath]:
    """Birth of each node -> the path of scopes around it."""
    nodes = sorted(nodes, key=lambda node: -node.birth)  # oldest first
    labels = {node.birth: node.label for node in nodes if isinstance(node.label, Label)}
    # (began, ended, title) of losses and modules; an outer one begins before those inside: -5 before -9
    spans = [(began, birth, title) for birth, x in labels.items() for title, began in x.spans + x.modules]
    coming = iter([*sorted(spans, reverse=True), (-math.inf, 0, "")])
    following = next(coming)
    around: list[tuple[float, int, str]] = []  # those that have begun and not ended
    paths = {}
    for node in nodes:
        while following[0] >= node.birth:
            around.append(following)
            following = next(coming)
        around = [span for span in around if span[1] <= node.birth]
        path = labels[node.birth].scope if node.birth in labels else ()
        if node.op is not None:
            path += tuple((title, int(began)) for began, _, title in around)
        paths[node.birth] = path
    return paths
