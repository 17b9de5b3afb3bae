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
from tinygrad_lo.compiling.scalars import ScalarCode, runs_on_floats
from tinygrad_lo.engine.graph import Node, active, modes
from tinygrad_lo.engine.machine.anomaly import checksum
from tinygrad_lo.engine.machine.arguments import foreign, memory
from tinygrad_lo.engine.machine.caller import PACKAGE
from tinygrad_lo.engine.machine.hooks import Check
from tinygrad_lo.engine.machine.random import generator
from tinygrad_lo.engine.ops import TABLE
from tinygrad_lo.engine.ops.indexing import gather, regather
from tinygrad_lo.engine.ops.registry import record
from tinygrad_lo.engine.tensor import Parameter
from tinygrad_lo.errors import GraphError, UnsupportedError
from tinygrad_lo.program.program import Program
from tinygrad_lo.program.value import Value

# -0.0 + x is x for every float x, as a NumPy number, in three quarters of the time of float64(x).
MINUS_ZERO = float64(-0.0)
FILE = f"{PACKAGE}<program>"  # as a file of the package, so that warnings point at the line that called it
INLINED = 200  # lines of a scalar program up to which it is written into the entry
LOOKED_AT = 2**16  # so many elements of an array tell whether f writes into it
REFUSED = (IndexError, TypeError, ValueError)  # what NumPy and checks raise where data does not fit


INDEXED = (record(gather), record(regather))  # refuse indices that are out of range


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
        self.program = program
        self.leaves = [leaf for leaf, _ in program.gradients]
        self.calls = 1
        self.doubts = 0  # checks that said nothing, because another thread drew random numbers meanwhile
        self.tolerance = rounding_tolerance(program)
        self.questions: list[str] = []
        self.reads: list[str] = []  # lines that read the leaves
        self.names = guards.names
        self.names |= {
            "MISS": MISS, "active": active, "in_mode": in_mode, "pool": [], "minus_zero": MINUS_ZERO,
            "to_float": float, "bits_of": as_bits, "due": due, "readable": readable, "recorded": self,
            "REFUSED": REFUSED,
        }  # fmt: skip
        lines = program.lines = checks_first(program.lines)
        effects = [line for line in lines if line.kind == "effect" and type(line.op) is not Check]
        self.branches = any(line.op is None for line in effects)
        self.careful = stops_halfway(lines)
        self.written = [fact for line in effects for fact in line.args[1:] if type(fact) is ndarray]
        self.sources = [line.args[-1] for line in lines if draws(line)]
        self._ask_arguments(args)
        self.inputs = self._read_leaves(guards, args, wrapped)
        self.questions += guards.questions
        # Arrays that f must only read, by the expressions that read them, in the user's words.
        only_read = [reading for reading, array in guards.arrays.items() if not self._is_written(array)]
        self.watched = {reading: guards.called[reading] for reading in only_read}
        self.on_numpy: Callable[[], Any] | None = None  # of a scalar program, for what Python floats lack
        self.scalar = ScalarCode(program) if runs_on_floats(program) else None
        text = self._step_text()
        entry = self._text([f"x{i}" for i in range(len(args))], checks=due is not None)
        self.entry, self.recharge = define(entry, "make", self.names, FILE)(1)
        program.forget()
        count = sum(line.kind == "line" for line in lines)
        self.text = f"# {count} statements\n{text}\n{entry}"

    def _is_written(self, array: Any) -> bool:
        """Whether a run writes into an array."""
        return any(np.may_share_memory(array, written) for written in self.written)

    def _step_text(self) -> str:
        """Define the step, and say how it reads."""
        if self.scalar is None:
            code = array_code(self.program)
            self.names["instance"] = define(code.text, "instance", code.names, FILE)
            return "\n".join([*code.legend(), code.text])
        if len(self.scalar.rows) > INLINED:
            self.names["step"] = define(self.scalar.text, "step", self.scalar.names, FILE)
        self.names["exact"] = self._exact
        return self.scalar.text

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
            elif is_input(value):
                self._ask_like(f"x{i}", value)

    def _read_leaves(self, guards: Guards, args: tuple[Any, ...], wrapped: tuple[Any, ...]) -> list[str]:
        """The texts that the step is called with, one for each leaf."""
        arguments = texts_of_arguments(args, wrapped)
        places: dict[Any, list[str]] = {}
        for reading, array in guards.arrays.items():
            places.setdefault(memory(array), []).append(reading)
        self.steady = self.program.recording.steady
        self.afresh: set[str] = set()
        inputs: list[str] = []
        for leaf in self.program.leaves:
            node, data = leaf.ref, leaf.ref.value
            text = f"w{len(inputs)}"
            if node.needs or (node.birth not in arguments and node.birth > self.program.recording.began):
                self._read_tensor(text, node)
            elif node.birth in arguments:
                text = arguments[node.birth]
            else:
                known = places.get(memory(data), []) if type(data) is ndarray else []
                text = self._read_array(text, data, known, guards)
            inputs.append(text)
        self._ask_arrays(guards)
        return inputs

    def _ask_arrays(self, guards: Guards) -> None:
        """Ask about arrays that f reads and the step does not."""
        for reading, array in guards.arrays.items():
            if any(array is written for written in self.written):  # running statistics: which, not what
                self.questions.append(f"{reading} is {self.names.name(array)}")
            elif not self.steady or reading not in self.afresh:
                self.questions.append(f"bits_of({reading}) == {self.names.name(as_bits(array))}")

    def _read_tensor(self, text: str, node: Node) -> None:
        """Read a parameter, or a tensor from before the call, whose data the user may assign."""
        name = self.names.name(node)
        self.reads.append(f"{text} = {name}.value")
        self.questions.append(f"{name}.needs" if node.needs else f"not {name}.needs")
        if not node.needs or type(node.value) is not float64 or type(node) is not Parameter:
            self._ask_like(text, node.value)  # a parameter that is a number stays one

    def _read_array(self, text: str, data: Any, known: list[str], guards: Guards) -> str:
        """Read an array by the one expression that does; else the text that stands for it."""
        if not known:  # made by f in Python: nobody knows from what
            self.steady = False
            return self.names.name(data.copy())
        self.afresh.update(known)
        if len(known) == 1:
            self.reads.append(f"{text} = {known[0]}")
            self._ask_like(text, data)
            return text
        text = self.names.name(guards.arrays[known[0]])
        self.questions += [f"{reading} is {text}" for reading in known]  # any may get another array
        return text

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
        if self.scalar is not None and len(self.scalar.rows) <= INLINED:
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


def texts_of_arguments(args: tuple[Any, ...], wrapped: tuple[Any, ...]) -> dict[int, str]:
    """Birth of each tensor that stands for an argument -> the text that reads its array."""
    tensors = [(i, x) for i, x in enumerate(wrapped) if isinstance(x, Node)]
    # Of one that comes twice, the first.
    return {x.birth: f"x{i}.value" if isinstance(args[i], Node) else f"x{i}" for i, x in reversed(tensors)}


def prints(readings: Iterable[str], names: Mapping[str, Any], args: tuple[Any, ...]) -> dict[str, Any]:
    """What tells whether arrays have changed, by the expressions that read them; of large ones a sample."""
    space = {**names, **{f"x{i}": value for i, value in enumerate(args)}}
    found = {reading: evaluated(reading, space) for reading in readings}
    return {
        reading: checksum(x.flat[:: 1 + x.size // LOOKED_AT] if type(x) is ndarray else x)
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


def rounding_tolerance(program: Program) -> float:
    """What adding many terms in another order can lose."""
    sizes = [line.dtype.itemsize for line in program.lines if line.kind == "line" and line.dtype.kind == "f"]
    return {2: 0.05, 4: 1e-4}.get(min(sizes, default=8), 1e-9)


def is_input(value: Any) -> bool:
    """Whether an argument is an input of the program: an array of numbers, or a NumPy float."""
    if type(value) is ndarray:
        return value.dtype.kind in "fiub"
    return isinstance(value, np.floating)


def draws(line: Value) -> bool:
    """Whether a line draws random numbers from a generator (and not from a seed of its own each time)."""
    return line.kind == "line" and line.op.arity == 0 and not isinstance(line.args[-1], (int, np.integer))


def checks_first(lines: list[Value]) -> list[Value]:
    """Checks of what is given, such as labels, first: when one of them fails, nothing has happened."""
    return sorted(lines, key=lambda line: not (is_check(line) and line.args[0].kind in ("data", "parameter")))


def stops_halfway(lines: list[Value]) -> bool:
    """Whether a run may end, by an error or another branch, after it has drawn or changed something."""
    changes = [line.op is not None and not is_check(line) if line.kind == "effect" else draws(line)
               for line in lines]  # fmt: skip
    first = changes.index(True) if True in changes else len(lines)
    return any(may_stop(line) for line in lines[first + 1 :])


def is_check(line: Value) -> bool:
    """Whether a line examines data."""
    return line.kind == "effect" and type(line.op) is Check


def may_stop(line: Value) -> bool:
    """Whether a run may end at a line."""
    if line.kind == "effect":
        return line.op is None or is_check(line)
    own = TABLE.get(line.op.name) is not line.op
    return not draws(line) and (own or line.op in INDEXED)


def as_bits(array: Any) -> Any:
    """What tells the contents of two arrays apart."""
    if type(array) is not ndarray:
        return None
    return array.dtype.str, array.shape, array.tobytes()


def loss_number(who: str, out: Any) -> Any:
    """The value of a loss: a NumPy number, or an array of one that shares memory with nothing."""
    if not isinstance(out, Node):
        raise GraphError(f"compile: {who} must return a tensor, the loss, got {type(out).__name__}")
    if foreign(out.value):
        raise UnsupportedError(
            f"compile: {who} computes with {type(out.value).__module__} arrays, but programs run on NumPy "
            f"arrays; call the function itself"
        )
    if out.value.dtype.kind != "f":
        raise GraphError(f"compile: {who} must return a loss in floating point, got {out.value.dtype}")
    if out.value.size != 1:
        raise GraphError(
            f"compile: {who} must return one number, got shape {out.value.shape}; use .sum() or .mean()"
        )
    return +out.value
