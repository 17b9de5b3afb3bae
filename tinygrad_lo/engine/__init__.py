"""The engine: ops, graphs, and the derivatives of any order that come from one table of rules."""

from tinygrad_lo.engine import ops

__all__ = ["ops"]
