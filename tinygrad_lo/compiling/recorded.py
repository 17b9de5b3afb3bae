"""One recording of a function, ready to run: questions first, then the program, then the gradients.

The text of the entry is written for the recording: it asks whether everything is as it was recorded,
reads parameters and data afresh, runs the step, and adds the gradients as `backward()` would.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy import float64, ndarray

from tinygrad_lo.compiling.arrays import MISS
from tinygrad_lo.compiling.guards import Guards
from tinygrad_lo.compiling.kernels import array_code
from tinygrad_lo.compiling.names import define
from tinygrad_lo.compiling.scalars import ScalarCode, is_scalar
from tinygrad_lo.engine.graph import Node, active, modes
from tinygrad_lo.engine.machine.anomaly import checksum
from tinygrad_lo.engine.machine.arguments import memory
from tinygrad_lo.engine.machine.caller import PACKAGE
from tinygrad_lo.engine.machine.hooks import Check
from tinygrad_lo.engine.machine.random import generator
from tinygrad_lo.engine.ops import TABLE
from tinygrad_lo.engine.tensor import Parameter
from tinygrad_lo.explaining.program import Program
from tinygrad_lo.explaining.value import Value

# -0.0 + x is x for every float x, as a NumPy number, in three quarters of the time of float64(x).
MINUS_ZERO = float64(-0.0)
FILE = f"{PACKAGE}<program>"  # as a file of the package, so that warnings point at the line that called it
INLINE = 200  # lines of a scalar program up to which it is written into the entry
SAMPLE = 2**16  # so many elements of an array tell whether f writes into it
REFUSED = (IndexError, TypeError, ValueError)  # what NumPy and checks raise where data does not fit


class Recorded:
    """A recording that can be run.

    Attributes:
        entry: takes f's arguments; answers with the value, or with MISS where the recording does not hold.
        recharge: sets the number of calls until the next one that checks itself.
        text: the program that runs.
        leaves: the tensors that get gradients.
        tolerance: how far results may differ from the engine's, relative to their largest element.
    """

    entry: Callable[..., Any]
    recharge: Callable[[int], None]

    def __init__(
        self, program: Program, guards: Guards, args: tuple[Any, ...], wrapped: tuple[Any, ...],
        due: Callable[..., Any] | None, readable: Callable[..., Any],
    ) -> None:  # fmt: skip
        self.leaves = [leaf for leaf, _ in program.gradients]
        self.calls = 1
        self.doubts = 0  # checks that said nothing, because another thread drew random numbers meanwhile
        sizes = [
            line.dtype.itemsize for line in program.lines if line.kind == "line" and line.dtype.kind == "f"
        ]
        # What adding many terms in another order can lose.
        self.tolerance = {2: 0.05, 4: 1e-4}.get(min(sizes, default=8), 1e-9)
        self.questions: list[str] = []
        self.reads: list[str] = []  # lines that read the leaves
        self.names = guards.names
        self.names |= {
            "MISS": MISS, "active": active, "in_mode": in_mode, "pool": [], "minus_zero": MINUS_ZERO,
            "to_float": float, "bits_of": as_bits, "due": due, "readable": readable, "recorded": self,
            "REFUSED": REFUSED,
        }  # fmt: skip
        lines = program.lines = checks_first(program.lines)
        effects = [line for line in lines if line.kind == "effect" and type(line.op.action) is not Check]
        self.branches = any(line.op.action is None for line in effects)
        self.careful = stops_halfway(lines)
        self.written = [fact for line in effects for fact in line.args[1:] if type(fact) is ndarray]
        self.sources = [line.args[-1] for line in lines if draws(line)]
        self._ask_arguments(args)
        inputs = self._read_leaves(program, guards, args, wrapped)
        self.questions += guards.questions
        # Arrays that f must only read, by the expressions that read them, in the user's words.
        self.watched = {
            reading: guards.called[reading]
            for reading, array in guards.arrays.items()
            if not any(np.may_share_memory(array, written) for written in self.written)
        }
        self.program = program
        self.on_numpy: Callable[[], Any] | None = None  # of a scalar program, for what Python floats lack
        if is_scalar(program):
            code: Any = ScalarCode(program)
            if len(code.rows) > INLINE:
                self.names["step"] = define(code.text, "step", code.names, FILE)
            self.names["exact"] = self._exact
            self.scalar: ScalarCode | None = code
        else:
            code = array_code(program)
            self.names["instance"] = define(code.text, "instance", code.names, FILE)
            self.scalar = None
        self.inputs = inputs
        text = self._text([f"x{i}" for i in range(len(args))], checks=due is not None)
        self.entry, self.recharge = define(text, "make", self.names, FILE)(1)
        program.forget()
        count = sum(line.kind == "line" for line in lines)
        legend = "".join(f"{line}\n" for line in (code.legend() if self.scalar is None else []))
        self.text = f"# {count} statements\n{legend}{code.text}\n{text}"

    # --------------------------------------------------------------- what must be as it was

    def _ask_like(self, reading: str, data: Any) -> None:
        """Ask whether an array is of the recorded kind, shape and dtype."""
        if type(data) is ndarray:
            dtype = self.names.name(data.dtype, "dtype")
            self.questions.append(f"type({reading}) is nd and {reading}.shape == {data.shape}")
            self.questions.append(f"({reading}.dtype is {dtype} or {reading}.dtype == {dtype})")
        else:
            self.questions.append(f"type({reading}) is {self.names.name(type(data), 'kind')}")

    def _ask_arguments(self, args: tuple[Any, ...]) -> None:
        for i, value in enumerate(args):
            first = next(k for k, other in enumerate(args) if other is value)
            if first < i and isinstance(value, Node):
                self.questions.append(f"x{i} is x{first}")
            elif isinstance(value, Node) and value.needs:
                self.questions.append(f"x{i} is {self.names.name(value, 'p')}")
            elif isinstance(value, Node):
                kind = self.names.name(type(value), "kind")
                self.questions.append(f"type(x{i}) is {kind} and x{i}.op is None and not x{i}.needs")
                self._ask_like(f"x{i}.value", value.value)
            elif is_data(value):
                self._ask_like(f"x{i}", value)

    def _read_leaves(
        self, program: Program, guards: Guards, args: tuple[Any, ...], wrapped: tuple[Any, ...]
    ) -> list[str]:
        """The texts that the step is called with, one for each leaf."""
        readings = {
            given.birth: f"x{i}.value" if isinstance(args[i], Node) else f"x{i}"
            for i, given in reversed(list(enumerate(wrapped)))  # of one given twice, the first
            if isinstance(given, Node)
        }
        places: dict[Any, list[str]] = {}
        for reading, array in guards.arrays.items():
            places.setdefault(memory(array), []).append(reading)
        steady = program.recording.steady
        inputs: list[str] = []
        afresh: dict[str, None] = {}
        for leaf in program.leaves:
            node, data = leaf.ref, leaf.ref.value
            text = f"w{len(inputs)}"
            if node.needs:
                p = self.names.name(node)
                self.reads.append(f"{text} = {p}.value")
                self.questions.append(f"{p}.needs")
                if type(data) is not float64 or type(node) is not Parameter:  # such a one stays such a one
                    self._ask_like(text, data)
            elif node.birth in readings:
                text = readings[node.birth]
            elif node.birth > program.recording.began:
                # A tensor from before the call, whose data the user may assign.
                t = self.names.name(node)
                self.reads.append(f"{text} = {t}.value")
                self.questions.append(f"not {t}.needs")
                self._ask_like(text, data)
            elif type(data) is ndarray and len(found := places.get(memory(data), [])) == 1:
                self.reads.append(f"{text} = {found[0]}")
                self._ask_like(text, data)
                afresh[found[0]] = None
            elif type(data) is ndarray and found:  # under several names, of which any may get another array
                text = self.names.name(guards.arrays[found[0]])
                self.questions += [f"{reading} is {text}" for reading in found]
                afresh |= dict.fromkeys(found)
            else:  # made by f in Python: nobody knows from what
                text = self.names.name(data.copy())
                steady = False
            inputs.append(text)
        for reading, array in guards.arrays.items():
            if any(array is written for written in self.written):  # running statistics: which, not what
                self.questions.append(f"{reading} is {self.names.name(array)}")
            elif not steady or reading not in afresh:
                self.questions.append(f"bits_of({reading}) == {self.names.name(as_bits(array))}")
        return inputs

    # ------------------------------------------------------------------------------- the entry

    def _text(self, arguments: list[str], *, checks: bool) -> str:
        """Python source of `make(left)`, which returns the entry, fits, outputs and recharge."""
        self.given = given = ", ".join(arguments)
        asked = "\n            and ".join(self.questions) or "True"
        asked = f"(\n            {asked}\n        )"
        results = ["loss", *(f"g{i}" for i in range(len(self.leaves)))]
        wrapped = [f"minus_zero + {name}" if self.scalar else name for name in results]
        unpack = f"{', '.join(results)}, = out"
        run = self._run()
        entry = [
            *["nonlocal left"] * checks, *self.reads,
            f"if (active and in_mode()) or not {asked}:", "    return MISS",
            *["left -= 1", "if left <= 0:", f"    return due(recorded, {given})"] * checks,
        ]  # fmt: skip
        if self.scalar is not None and len(self.scalar.rows) <= INLINE:
            entry += self._inline(results)
        else:
            entry += [*run, unpack]
        for leaf, name, data in zip(self.leaves, results[1:], wrapped[1:], strict=True):
            p = self.names.name(leaf)
            entry += [f"{name} = {data}"] * (name != data)
            entry += [f"if {p}.arrived is None:", f"    {p}.arrived = {name}", "else:"]
            entry += [
                f"    {p}.arrived = {p}.arrived + {name}",
                f"    if {p}.spent:",
                f"        {p}.spent = 2",
            ]
        entry.append(f"return {wrapped[0]}")
        # What only checks need is not written before the first check.
        self.later = {
            "fits": [*self.reads, f"return bool{asked}"],
            "inputs_of": [*self.reads, f"return [{', '.join(self.inputs)}]"],
            "outputs": [
                *self.reads, *self._run(readable=False), unpack, f"return {', '.join(wrapped)},",
            ],
        }  # fmt: skip
        rows = ["def make(left):", f"    def entry({given}):", *(f"        {row}" for row in entry)]
        rows += ["", "    def recharge(count):", "        nonlocal left", "        left = count"]
        return "\n".join([*rows, "", "    return entry, recharge", ""])

    def _define(self, name: str) -> Any:
        """One of the functions that only checks need."""
        if self.scalar is not None and "step" not in self.names:
            self.names["step"] = define(self.scalar.text, "step", self.scalar.names, FILE)
        rows = [f"def {name}({self.given}):", *(f"    {row}" for row in self.later[name]), ""]
        return define("\n".join(rows), name, self.names, FILE)

    @functools.cached_property
    def fits(self) -> Callable[..., bool]:
        """Takes f's arguments: whether the recording is for such. (Which way it branches is not asked.)"""
        return self._define("fits")  # type: ignore[no-any-return]

    @functools.cached_property
    def inputs_of(self) -> Callable[..., list[Any]]:
        """Takes f's arguments: what the step is called with."""
        return self._define("inputs_of")  # type: ignore[no-any-return]

    @functools.cached_property
    def outputs(self) -> Callable[..., Any]:
        """Takes f's arguments: (value, *gradients), without asking or adding anything."""
        return self._define("outputs")  # type: ignore[no-any-return]

    def _run(self, *, readable: bool = True) -> list[str]:
        """Lines that call the step and leave its results in `out`."""
        inputs = ", ".join(self.inputs)
        if self.scalar is not None:
            floats = ", ".join(f"to_float({text})" for text in self.inputs)
            return [
                "try:",
                f"    out = step({floats})",
                "except (ArithmeticError, ValueError):",
                f"    out = exact({inputs})",
            ]
        run = ["try:", "    step = pool.pop()", "except IndexError:", "    step = instance()"]
        call = f"out = step({inputs})"
        back = ["    recorded.restore(state)"] * self.careful
        if readable:
            run += ["try:", f"    {call}", "except REFUSED:", *back]
            run += [f"    return readable({self.given})", "pool.append(step)"]
        else:
            run += [call, "pool.append(step)"]
        if self.branches:
            run += ["if out is MISS:", *back, "    return MISS"]
        return ["state = recorded.save()"] * self.careful + run

    def _inline(self, results: list[str]) -> list[str]:
        """The step written into the entry: for a short one a call is a tenth of the time."""
        code = self.scalar
        assert code is not None
        self.names |= code.names
        begin = [f"{name} = to_float({text})" for name, text in zip(code.arguments, self.inputs, strict=True)]
        end = [f"{name} = {text}" for name, text in zip(results, code.results, strict=True) if name != text]
        exact = f"    {', '.join(results)}, = exact({', '.join(self.inputs)})"
        # Registers and results have names of their own, so the order of the last lines does not matter.
        return [
            "try:",
            *(f"    {row}" for row in [*begin, *code.rows, *end]),
            "except (ArithmeticError, ValueError):",
            exact,
        ]

    def _exact(self, *inputs: Any) -> Any:
        """Run the program on NumPy's numbers."""
        if self.on_numpy is None:
            code = array_code(self.program)
            self.on_numpy = define(code.text, "instance", code.names, FILE)
        return self.on_numpy()(*map(float64, inputs))

    def prints(self, args: tuple[Any, ...]) -> dict[str, Any]:
        """What tells whether f writes into the arrays that it reads."""
        return prints(self.watched, self.names, args)

    def interpret(self, args: tuple[Any, ...]) -> tuple[list[Any], float]:
        """The results line by line, by the ops' own forwards, and what rounding can do on the way."""
        return self.program.run(self.inputs_of(*args))

    # --------------------------------------------------------------------- what a run changes

    def save(self) -> list[Any]:
        """The state of what the program changes beside gradients: running statistics, random numbers."""
        states = [generator(source).bit_generator.state for source in self.sources]
        return [states, [array.copy() for array in self.written]]

    def restore(self, state: list[Any]) -> None:
        """Set back what a run has changed."""
        states, arrays = state
        for source, before in zip(self.sources, states, strict=True):
            generator(source).bit_generator.state = before
        for array, before in zip(self.written, arrays, strict=True):
            array[...] = before


def prints(readings: Iterable[str], names: Mapping[str, Any], args: tuple[Any, ...]) -> dict[str, Any]:
    """What tells whether arrays have changed, by the expressions that read them; of large ones a sample."""
    space = {**names, **{f"x{i}": value for i, value in enumerate(args)}}
    found = {reading: evaluated(reading, space) for reading in readings}
    return {
        reading: checksum(x.flat[:: 1 + x.size // SAMPLE] if type(x) is ndarray else x)
        for reading, x in found.items()
    }


def evaluated(expression: str, space: dict[str, Any]) -> Any:
    """The value of an expression; None where what it reads is gone."""
    try:
        return eval(expression, space)
    except (LookupError, AttributeError, ValueError, TypeError):
        return None


def in_mode() -> bool:
    """Whether a mode is on in this thread: no_grad, a scope, anomaly() or a recording."""
    return modes.recording is not None or modes.grad_off or modes.watch is not None or modes.scope is not None


def is_data(value: Any) -> bool:
    """Whether an argument is an input of the program: an array of numbers, or a NumPy float."""
    if type(value) is ndarray:
        return value.dtype.kind in "fiub"
    return isinstance(value, np.floating)


def draws(line: Value) -> bool:
    """Whether a line draws random numbers from a generator (and not from a seed of its own each time)."""
    return line.kind == "line" and line.op.arity == 0 and not isinstance(line.args[-1], (int, np.integer))


def checks_first(lines: list[Value]) -> list[Value]:
    """Checks of what is given, such as labels, first: when one of them fails, nothing has happened."""

    def is_late(line: Value) -> bool:
        check = line.kind == "effect" and type(line.op.action) is Check
        return not check or line.args[0].kind not in ("data", "parameter")

    return sorted(lines, key=is_late)


def stops_halfway(lines: list[Value]) -> bool:
    """Whether a run may end, by an error or another branch, after it has drawn or changed something."""
    changed = False
    for line in lines:
        if line.kind == "effect":
            stops = line.op.action is None or type(line.op.action) is Check
            changes = not stops
        else:
            stops = line.op.name in ("gather", "regather") or TABLE.get(line.op.name) is not line.op
            changes = draws(line)
            stops = stops and not changes
        if stops and changed:
            return True
        changed = changed or changes
    return False


def as_bits(array: Any) -> Any:
    """What tells the contents of two arrays apart."""
    if type(array) is not ndarray:
        return None
    return array.dtype.str, array.shape, array.tobytes()
