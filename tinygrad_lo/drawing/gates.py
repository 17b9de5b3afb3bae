"""What stands inside a gate: `×`, `+ 1`, `× λ`, `max(0, ·)`. The formula, without its drawn inputs."""

from __future__ import annotations

import re
from collections.abc import Container

from numpy import ndarray

from tinygrad_lo.engine.graph import Node
from tinygrad_lo.explaining.formula import Names, is_drawn


class Gates(Names):
    """The names of a graph, with a dot for each input that an edge brings.

    inline: the births of the leaves that stand inside their gate. everything: whether numbers are
    dots as well, so that `a + 1` and `a + b` are the same gate.
    """

    def __init__(self, names: Names, inline: Container[int] = (), *, everything: bool = False) -> None:
        self.__dict__.update(vars(names))
        self.inline = inline
        self.everything = everything

    def operands(self, node: Node) -> list[str]:
        """The node's inputs as text, dots in place of edges."""
        texts = super().operands(node)
        for i, (parent, data) in enumerate(zip(node.parents, node.inputs, strict=False)):
            array = isinstance(data, ndarray) and data.ndim and is_drawn(node, data)
            if (parent is not None and parent.birth not in self.inline) or array or self.everything:
                texts[i] = "·"
        return texts

    def of_gate(self, node: Node) -> str:
        """The text of the gate that makes this value."""
        text = self.formula(node)
        call = re.fullmatch(r"(\w+)\(·(?:, ·)*\)", text)
        if call:
            return call[1]
        bare = text.removeprefix("· ").removesuffix(" ·")
        if bare != text:
            return bare.removesuffix(" · ·").strip() or "·"
        # A dot that touches a sign is easily missed: (·)², −(·).
        return re.sub(r"(?<![(|‖√\w ,])·|·(?=[²³⁰¹⁴-⁹⁻ᵀ\[])", "(·)", text)
