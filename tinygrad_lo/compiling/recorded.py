"""One recording of a function, ready to run: questions first, then the program, then the gradients.

The text of the entry is written for the recording: it asks whether everything is as it was recorded,
reads parameters and data afresh, runs the step, and adds the gradients as `backward()` would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy import float64, ndarray

from tinygrad_lo.compiling.arrays import MISS, ArrayCode
from tinygrad_lo.compiling.guards import Guards, bits
from tinygrad_lo.compiling.kernels import write_quickest
from tinygrad_lo.compiling.names import define
from tinygrad_lo.compiling.scalars import ScalarCode, runs_on_floats
from tinygrad_lo.compiling.update import Landing, Update
from tinygrad_lo.engine.graph import Node, active, modes
from tinygrad_lo.engine.machine.anomaly import checksum
from tinygrad_lo.engine.machine.arguments import foreign, memory
from tinygrad_lo.engine.machine.hooks import Check
from tinygrad_lo.engine.machine.random import generator
from tinygrad_lo.engine.machine.recording import Begun
from tinygrad_lo.engine.naming import quoted
from tinygrad_lo.engine.ops import TABLE
from tinygrad_lo.engine.tensor import Parameter
from tinygrad_lo.errors import GraphError, UnsupportedError
from tinygrad_lo.program.ops import GATHER, REGATHER
from tinygrad_lo.program.program import Program
from tinygrad_lo.program.value import Value

# -0.0 + x is x for every float x, as a NumPy number, in three quarters of the time of float64(x).
MINUS_ZERO = float64(-0.0)
DEPOSIT = """\
if {p}.arrived is None:
    {p}.arrived = {g}
else:
    {p}.arrived = {p}.arrived + {g}
    if {p}.spent:
        {p}.spent = 2
"""
INLINED = 200  # lines of a scalar program up to which it is written into the entry
LOOKED_AT = 2**16  # so many elements of an array tell whether f writes into it
REFUSED = (IndexError, TypeError, ValueError)  # what NumPy and checks raise where data does not fit
INDEXED = (GATHER, REGATHER)  # refuse indices that are out of range


class Recorded:
    """A recording that can be run.

    Attributes:
        entry: takes f's arguments; answers with the value, or with MISS where the recording does not hold.
        recharge: sets the number of calls until the next one that checks itself.
        text: the program that runs.
        leaves: the tensors that get gradients.
        tolerance: how far results may differ from the engine's, relative to their largest element.
        watched: arrays that f must only read, by the expressions that read them, in the user's words.
    """

    def __init__(
        self, program: Program, guards: Guards, args: tuple[Any, ...], wrapped: tuple[Any, ...],
        due: Callable[..., Any] | None, readable: Callable[..., Any], update: Update | None,
    ) -> None:  # fmt: skip
        self.program = program
        self.guards = guards
        self.leaves = [leaf for leaf, _ in program.gradients]
        self.landing = None if update is None else Landing(update, self.leaves)
        self.calls = 1
        self.doubts = 0  # checks that said nothing, because another thread drew random numbers meanwhile
        self.parameters = [f"x{i}" for i in range(len(args))]
        self.questions: list[str] = []
        self.reads: list[str] = []  # lines that read the leaves
        self.names = guards.names
        self.names |= {
            "MISS": MISS, "active": active, "in_mode": in_mode, "pool": [], "minus_zero": MINUS_ZERO,
            "to_float": float, "bits_of": bits, "due": due, "readable": readable, "recorded": self,
            "REFUSED": REFUSED,
        }  # fmt: skip
        self._look_at_lines()
        self._ask_arguments(args)
        self.inputs = self._read_leaves(args, wrapped)
        self.questions += guards.questions
        self.scalar = ScalarCode(program) if runs_on_floats(program) else None
        arrays = any(leaf.value.ndim for leaf in self.leaves)  # many numbers are quicker read one by one
        self.flats = len(self.landing.packs) if self.landing is not None and arrays else 0
        text = self._step_text()
        entry = self._entry_text(checks=due is not None)
        self.entry, self.recharge = define(entry, "make", self.names)(1)
        program.forget()
        count = sum(line.kind == "line" for line in program.lines)
        words = [] if update is None else [update.in_words(), ""]
        self.text = "\n".join([f"# {count} statements", text, entry, *words])

    def _look_at_lines(self) -> None:
        """Put checks of data, such as labels, first; see what a run changes, and where it may end."""
        lines = self.program.lines = sorted(
            self.program.lines,
            key=lambda line: not (role(line) == "check" and line.args[0].kind in ("data", "parameter")),
        )
        self.branches = "branch" in map(role, lines)
        updates = [line for line in lines if role(line) == "update"]
        self.written = [fact for line in updates for fact in line.args[1:] if type(fact) is ndarray]
        self.sources = [line.args[-1] for line in lines if role(line) == "draw"]
        rest = iter(lines)
        changed = any(role(line) in ("update", "draw") for line in rest)
        self.careful = changed and any(map(may_stop, rest))  # behind the first that changes something
        self.tolerance = rounding_tolerance(lines)
        self.watched = {
            reading: self.guards.called[reading]
            for reading, array in self.guards.arrays.items()
            if not any(np.may_share_memory(array, written) for written in self.written)
        }

    def _step_text(self) -> str:
        """Define the step, and say how it reads."""
        if self.scalar is None:
            code = self._define_instance()
            return "\n".join([*code.legend(), code.text])
        if len(self.scalar.rows) > INLINED:
            self.names["step"] = define(self.scalar.text, "step", self.scalar.names)
        self.names["exact"] = self._exact
        return self.scalar.text

    def _ask_like(self, reading: str, data: Any, *, shape: bool = True) -> None:
        """Ask whether an array is of the recorded kind, shape and dtype."""
        if type(data) is ndarray:
            dtype = self.names.name(data.dtype, "dtype")
            self.questions.append(f"type({reading}) is nd" + f" and {reading}.shape == {data.shape}" * shape)
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

    def _read_leaves(self, args: tuple[Any, ...], wrapped: tuple[Any, ...]) -> list[str]:
        """The texts that the step is called with, one for each leaf."""
        tensors = [(i, x) for i, x in enumerate(wrapped) if isinstance(x, Node)]
        # Of a tensor that comes twice, the first.
        arguments = {x.birth: f"x{i}.value" if args[i] is x else f"x{i}" for i, x in reversed(tensors)}
        places: dict[Any, list[str]] = {}
        for reading, array in self.guards.arrays.items():
            places.setdefault(memory(array), []).append(reading)
        steady = self.program.recording.steady
        inputs: list[str] = []
        afresh: set[str] = set()
        for leaf in self.program.leaves:
            node, data = leaf.ref, leaf.ref.value
            text = f"w{len(inputs)}"
            if node.needs or (node.birth not in arguments and node.birth > self.program.recording.began):
                self._read_tensor(text, node)
            elif node.birth in arguments:
                text = arguments[node.birth]
            else:
                known = places.get(memory(data), []) if type(data) is ndarray else []
                afresh.update(known)
                steady = steady and bool(known)
                text = self._read_array(text, data, known)
            inputs.append(text)
        self._ask_arrays(afresh if steady else set())
        return inputs

    def _ask_arrays(self, afresh: set[str]) -> None:
        """Ask about arrays that are not read afresh: which one it is where f writes, else all its bits."""
        for reading, array in self.guards.arrays.items():  # also those that the step does not read
            if any(array is written for written in self.written):  # running statistics: which, not what
                self.questions.append(f"{reading} is {self.names.name(array)}")
            elif reading not in afresh:
                self.questions.append(f"bits_of({reading}) == {self.names.name(bits(array))}")

    def _read_tensor(self, text: str, node: Node) -> None:
        """Read a parameter, or a tensor from before the call, whose data the user may assign."""
        name = self.names.name(node)
        self.reads.append(f"{text} = {name}.value")
        self.questions.append(f"{name}.needs" if node.needs else f"not {name}.needs")
        if not node.needs or type(node.value) is not float64 or type(node) is not Parameter:
            # A parameter that is a number stays one, and others keep their shape.
            self._ask_like(text, node.value, shape=not isinstance(node, Parameter))

    def _read_array(self, text: str, data: Any, known: list[str]) -> str:
        """Read an array by the one expression that does; else the text that stands for it."""
        if not known:  # made by f in Python: nobody knows from what
            return self.names.name(data.copy())
        if len(known) == 1:
            self.reads.append(f"{text} = {known[0]}")
            self._ask_like(text, data)
            return text
        text = self.names.name(self.guards.arrays[known[0]])
        self.questions += [f"{reading} is {text}" for reading in known]  # any may get another array
        return text

    def _entry_text(self, *, checks: bool) -> str:
        """Python source of `make(left)`, which returns the entry and recharge."""
        given = ", ".join(self.parameters)
        asked = "\n            and ".join(self.questions) or "True"
        self.asked = f"(\n            {asked}\n        )"
        results = ["loss", *(f"g{i}" for i in range(len(self.leaves)))]
        wrapped = [f"minus_zero + {name}" if self.scalar else name for name in results]
        entry = [
            *["nonlocal left"] * checks, *self.reads,
            f"if (active and in_mode()) or not {self.asked}:", "    return MISS",
            *["left -= 1", "if left <= 0:", f"    return due(recorded, {given})"] * checks,
            *self._run(results, given),
        ]  # fmt: skip
        if self.landing is not None:
            self.names["update"] = self.landing.run
            flats = [f"flat{i}" for i in range(self.flats)]
            entry.append(f"return update({wrapped[0]}, [{', '.join(wrapped[1:])}], [{', '.join(flats)}])")
        else:
            for leaf, name, data in zip(self.leaves, results[1:], wrapped[1:], strict=True):
                p = self.names.name(leaf)
                entry += [f"{name} = {data}"] * (name != data)
                entry += DEPOSIT.format(p=p, g=name).splitlines()
            entry.append(f"return {wrapped[0]}")
        rows = ["def make(left):", f"    def entry({given}):", *(f"        {row}" for row in entry)]
        rows += ["", "    def recharge(count):", "        nonlocal left", "        left = count"]
        return "\n".join([*rows, "", "    return entry, recharge", ""])

    def _run(self, results: list[str], given: str) -> list[str]:
        """Lines that run the step and leave its results under their names."""
        inputs = ", ".join(self.inputs)
        results = [*results, *(f"flat{i}" for i in range(self.flats))]
        unpack = f"{', '.join(results)}, = out"
        code = self.scalar
        if code is None:
            back = ["    recorded.restore(state)"] * self.careful
            return [
                *["state = recorded.save()"] * self.careful,
                "try:", "    step = pool.pop()", "except IndexError:", "    step = instance()",
                "try:", f"    out = step({inputs})",
                "except REFUSED:", *back, f"    return readable({given})",
                "pool.append(step)",
                *["if out is MISS:", *back, "    return MISS"] * self.branches,
                unpack,
            ]  # fmt: skip
        if "step" in self.names:
            floats = ", ".join(f"to_float({text})" for text in self.inputs)
            run, exact = [f"out = step({floats})"], [f"    out = exact({inputs})", unpack]
        else:  # the step written into the entry: for a short one a call is a tenth of the time
            self.names |= code.names
            begin = map("{} = to_float({})".format, code.arguments, self.inputs)
            named = zip(results, code.results, strict=True)
            end = [f"{name} = {text}" for name, text in named if name != text]
            # Registers and results have names of their own, so the order of the last lines does not matter.
            run, exact = [*begin, *code.rows, *end], [f"    {', '.join(results)}, = exact({inputs})"]
        return ["try:", *(f"    {row}" for row in run), "except (ArithmeticError, ValueError):", *exact]

    def _define_instance(self) -> ArrayCode:
        packs = self.landing.packs if self.landing is not None and self.flats else []
        code = ArrayCode(self.program, write_quickest, packs)
        self.names["instance"] = define(code.text, "instance", code.names)
        return code

    def _exact(self, *inputs: Any) -> Any:
        """Run a program of numbers on NumPy's, for what Python floats lack."""
        if "instance" not in self.names:
            self._define_instance()
        return self.names["instance"]()(*map(float64, inputs))

    def evaluate(self, expression: str, args: tuple[Any, ...]) -> Any:
        """The value of an expression of the entry, for these arguments of f."""
        space = {**self.names, **dict(zip(self.parameters, args, strict=True))}
        exec("\n".join(self.reads), space)
        return eval(expression, space)

    def inputs_of(self, args: tuple[Any, ...]) -> list[Any]:
        """What the step is called with, for these arguments of f."""
        return self.evaluate(f"[{', '.join(self.inputs)}]", args)  # type: ignore[no-any-return]

    def outputs(self, args: tuple[Any, ...]) -> Any:
        """(value, *gradients), without asking or adding anything, or MISS."""
        inputs = self.inputs_of(args)
        if self.scalar is None:
            out = self.names["instance"]()(*inputs)
            return out if out is MISS else out[: 1 + len(self.leaves)]
        if "step" not in self.names:
            self.names["step"] = define(self.scalar.text, "step", self.scalar.names)
        try:
            out = self.names["step"](*map(float, inputs))
        except (ArithmeticError, ValueError):
            out = self._exact(*inputs)
        return [MINUS_ZERO + number for number in out]

    def answer(self, results: Any) -> tuple[Any, dict[int, Any], dict[int, Any]]:
        """Results as the engine has them: (value, leaves, gradients), both by birth."""
        leaves = {leaf.birth: leaf for leaf in self.leaves}
        return results[0], leaves, dict(zip(leaves, results[1:], strict=True))

    def first_again(self, begun: Begun, args: tuple[Any, ...]) -> Any:
        """(value, *gradients) of the call that was recorded, by the program, drawing what f drew; or MISS."""
        states = [begun.states.get(generator(source)) for source in self.sources]
        if None in states:  # f has seeded anew: what it drew from is gone
            return MISS
        after = self.save()
        self.restore([states, list(map(begun.of, self.written))])
        try:
            out = self.outputs(args)
        except REFUSED:
            out = MISS
        if out is MISS:
            self.restore(after)
        return out

    def save(self) -> list[Any]:
        """The state of what the program changes beside gradients: random numbers, running statistics."""
        states = [generator(source).bit_generator.state for source in self.sources]
        return [states, [array.copy() for array in self.written]]

    def restore(self, state: list[Any]) -> None:
        """Set back what a run has changed."""
        for source, before in zip(self.sources, state[0], strict=True):
            generator(source).bit_generator.state = before
        for array, before in zip(self.written, state[1], strict=True):
            array[...] = before


def prints(readings: Iterable[str], names: Mapping[str, Any], args: tuple[Any, ...]) -> dict[str, Any]:
    """What tells whether arrays have changed, by the expressions that read them; of large ones a sample."""

    def sample(x: Any) -> Any:
        return x.flat[:: 1 + x.size // LOOKED_AT] if type(x) is ndarray else x

    return {reading: checksum(sample(says(reading, names, args))) for reading in readings}


def says(expression: str, names: Mapping[str, Any], args: tuple[Any, ...]) -> Any:
    """The value of an expression over names and arguments; None where what it reads is gone."""
    try:
        return eval(expression, {**names, **{f"x{i}": value for i, value in enumerate(args)}})
    except (LookupError, AttributeError, ValueError, TypeError):
        return None


def in_mode() -> bool:
    """Whether a mode is on in this thread: no_grad, a scope, anomaly() or a recording."""
    return modes.recording is not None or modes.grad_off or modes.watch is not None or modes.scope is not None


def is_input(value: Any) -> bool:
    """Whether an argument is an input of the program: an array of numbers, or a NumPy float."""
    if type(value) is ndarray:
        return value.dtype.kind in "fiub"
    return isinstance(value, np.floating)


def role(line: Value) -> str:
    """What a line does beside computing: "branch", "check" data, "update" arrays, "draw"; or nothing."""
    if line.kind == "effect":
        return "branch" if line.op is None else "check" if type(line.op) is Check else "update"
    # With a seed of its own, an op draws the same each time: that changes nothing.
    return "draw" if line.op.arity == 0 and not isinstance(line.args[-1], (int, np.integer)) else ""


def rounding_tolerance(lines: list[Value]) -> float:
    """What adding many terms in another order can lose."""
    sizes = [line.dtype.itemsize for line in lines if line.kind == "line" and line.dtype.kind == "f"]
    return {2: 0.05, 4: 1e-4}.get(min(sizes, default=8), 1e-9)


def may_stop(line: Value) -> bool:
    """Whether a run may end at a line."""
    what = role(line)
    own = not what and (line.op in INDEXED or TABLE.get(line.op.name) is not line.op)
    return own or what in ("branch", "check")


def number_in(who: str, out: Any) -> Any:
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
        got = f"got shape {out.value.shape}"
        raise GraphError(f"compile: {who} must return one number, {got}; use .sum() or .mean()")
    return +out.value


def difference(
    ours: dict[int, Any], theirs: dict[int, Any], leaves: dict[int, Any], relative: float, noise: float = 0.0
) -> str | None:
    """What differs by more than rounding, of value (0) and gradients (by birth of their leaves)."""
    if ours.keys() != theirs.keys():
        return "the parameters that get a gradient are others"
    for birth, result in ours.items():
        a, b = np.asarray(result), np.asarray(theirs[birth])
        room = relative * float(np.abs(b[np.isfinite(b)]).max(initial=0.0)) + noise
        alike = (a.shape, a.dtype) == (b.shape, b.dtype)
        if not (alike and np.allclose(a, b, rtol=0.0, atol=room, equal_nan=True)):
            if not birth:
                return f"its value is {a} by the program and {b} by the engine"
            return f"the gradient by {quoted(leaves[birth], 'a parameter')} is another one"
    return None
