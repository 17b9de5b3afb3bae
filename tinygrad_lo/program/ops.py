"""The ops that programs and their texts know by name."""

from __future__ import annotations

from tinygrad_lo.engine.ops import TABLE
from tinygrad_lo.engine.ops.arithmetic import add, divide, equal, multiply, negative, power, subtract
from tinygrad_lo.engine.ops.elementwise import astype, where
from tinygrad_lo.engine.ops.indexing import gather, getitem, put, regather
from tinygrad_lo.engine.ops.linear import matmul
from tinygrad_lo.engine.ops.reductions import sum as total
from tinygrad_lo.engine.ops.registry import record
from tinygrad_lo.engine.ops.shapes import broadcast_to, reshape, transpose

ADD, SUBTRACT, MULTIPLY, DIVIDE = map(record, (add, subtract, multiply, divide))
NEGATIVE, POWER, EQUAL, WHERE = map(record, (negative, power, equal, where))
GETITEM, GATHER, REGATHER, PUT = map(record, (getitem, gather, regather, put))
ASTYPE, BROADCAST_TO, RESHAPE, TRANSPOSE = map(record, (astype, broadcast_to, reshape, transpose))
MATMUL, FULL = record(matmul), TABLE["full"]
FILL = frozenset({RESHAPE, FULL, BROADCAST_TO})  # these spread numbers,
ADD_UP = frozenset({RESHAPE, record(total)})  # and these collect them
