"""lo.compile: record a function once, then run its program instead of building its graph."""

from __future__ import annotations

import functools
import gc
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.compiling.agreement import difference
from tinygrad_lo.compiling.arrays import MISS
from tinygrad_lo.compiling.guards import Guards, contents_of
from tinygrad_lo.compiling.names import define
from tinygrad_lo.compiling.recorded import FILE, REFUSED, Recorded, evaluated, is_input, loss_number, prints
from tinygrad_lo.engine.backward import deposit, start
from tinygrad_lo.engine.graph import Node, modes
from tinygrad_lo.engine.machine.arguments import foreign
from tinygrad_lo.engine.machine.caller import warn_once
from tinygrad_lo.engine.machine.fast import sweep
from tinygrad_lo.engine.machine.recording import Data, Recording
from tinygrad_lo.errors import GraphError, OptionError, StaleError, UnsupportedError
from tinygrad_lo.nn.base import Module
from tinygrad_lo.options import flag, public
from tinygrad_lo.program.program import Program
from tinygrad_lo.program.text import Taken

MOST_KEPT = 16  # recordings of one function that are kept; the one not used for longest goes
MOST_MADE = 64  # recordings of one function that are made; then it runs on the engine
IN_A_ROW = 3  # recordings during which f has changed what it reads: then it will go on doing so
Answer = tuple[Any, dict[int, Any], dict[int, Any]]  # (value, leaves, gradients), both by birth


@public
def compile(f: Callable[..., Any], *, check: bool = True) -> Any:
    """A function that returns f's loss and adds its gradients, by a program recorded from f.

    `compiled(*args)` does what `loss = f(*args); loss.backward()` does, several times as fast: the first
    call records the forward and the backward pass as one NumPy program (numbers only: as one Python
    program), later calls run that. Buffers are reused between calls.

        step = lo.compile(loss_of)
        for X, y in batches:
            optimizer.zero_grad()
            loss = step(X, y)
            optimizer.step()

    Array arguments and labels are inputs; parameters are read afresh, random masks drawn again, labels
    checked again. Another shape, dtype or Python number, another number in a closure, a global, a list
    or a function that f calls, a layer's training flag, another branch taken on a tensor's value, or
    another set of parameters that require gradients leads to another recording. Attributes of other
    objects are not seen: therefore calls 2, 4, 8, 16, ... of a recording run f as well and compare
    (`check=False` does not). What Python does in f besides computing, like printing, happens only when f
    runs.

    `compiled.source` is the program that runs, as text; `compiled.verify(*args)` compares now.

    Args:     f takes positional arguments and returns one number as a tensor.
    Returns:  a function of the same arguments, given by position; its value is a NumPy number, or an array
              of one where f's result has axes.
    Raises:   OptionError: f takes *args or keywords.  Called, it raises what f raises, and
              GraphError: f's result is no single number, or needs no gradient (under no_grad nothing does);
              or a value leaves the graph inside f (float(t), t.item(), .data): what Python computes from
              it could not be run again.
              StaleError: program and engine disagree, because f reads something that is not seen.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> w = lo.Parameter([1.0, 2.0])
        >>> step = lo.compile(lambda x: ((w * x) ** 2).sum())
        >>> float(step(np.array([1.0, 0.5]))), w.grad
        (2.0, array([2., 1.]))
    """
    if not callable(f):
        raise OptionError(f"compile: expected a function, got {type(f).__name__}")
    return Compiler(f, positional(f), flag("compile", "check", check)).function()


def positional(f: Callable[..., Any]) -> list[inspect.Parameter]:
    """What a function takes by position; anything else must have a default."""
    try:
        takes = f.forward if isinstance(f, Module) else f
        parameters = list(inspect.signature(takes).parameters.values())
    except ValueError as error:
        raise OptionError(f"compile: {called(f)} is built in and does not say what it takes") from error
    for p in parameters:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) or (p.kind is p.KEYWORD_ONLY and p.default is p.empty):
            raise OptionError(
                f"compile: {called(f)} takes {p}, but a program has a fixed number of positional arguments; "
                f"write them out"
            )
    return [p for p in parameters if p.kind is not p.KEYWORD_ONLY]


def called(f: Any) -> str:
    """The function's name, for messages."""
    return getattr(f, "__name__", type(f).__name__)


class Compiler:
    """The recordings of one function, the last used first."""

    def __init__(self, f: Callable[..., Any], parameters: list[inspect.Parameter], check: bool) -> None:
        self.f = f
        self.parameters = parameters
        self.names = [p.name for p in parameters]
        self.check = check
        self.recordings: list[Recorded] = []
        self.made = 0
        self.changes = 0  # recordings in a row during which f has changed what it reads
        self.lock = threading.RLock()
        self.defaults = getattr(f, "__defaults__", None)
        self.compiled: Any = None
        self.use: Any = None

    def function(self) -> Any:
        """What users call: a function with f's own parameters, by position."""
        defaults = {f"default_{p.name}": p.default for p in self.parameters if p.default is not p.empty}
        given = ", ".join(
            f"{name}=default_{name}" if f"default_{name}" in defaults else name for name in self.names
        )
        args = ", ".join(self.names)
        slash = ", /" if self.names else ""
        taken = Taken(*self.names)
        run, miss, out, MISSED, use, entry = map(taken.fresh, ("run", "miss", "out", "MISS", "use", "entry"))
        text = (
            f"def make({run}, {miss}, {MISSED}):\n"
            f"    def compiled({given}{slash}):\n"
            f"        {out} = {run}({args})\n"
            f"        return {miss}({args}) if {out} is {MISSED} else {out}\n"
            f"    def {use}({entry}):\n"
            f"        nonlocal {run}\n"
            f"        {run} = {entry}\n"
            f"    return compiled, {use}\n"
        )
        compiled, self.use = define(text, "make", defaults, FILE)(lambda *_: MISS, self.miss, MISS)
        functools.update_wrapper(compiled, self.f)
        compiled.source = "not recorded yet: the program is written at the first call"
        compiled.verify = self.verify
        self.compiled = compiled
        return compiled

    def miss(self, *args: Any) -> Any:
        """The last used recording does not hold: find another one, or make one."""
        if modes.recording is not None:
            raise GraphError(
                f"compile: {called(self.f)} is compiled, and is called inside another function that is: it "
                f"would add its gradients and return a plain number. Call what it was made of, or "
                f"{called(self.f)}.__wrapped__, which is the same"
            )
        if getattr(self.f, "__defaults__", None) is not self.defaults:
            raise StaleError(f"compile: {called(self.f)} has got other defaults since; compile it again")
        if self.changes >= IN_A_ROW or modes.grad_off or modes.watch is not None or modes.scope is not None:
            return self.run_engine(*args)
        out = self.find(args)
        if out is not MISS:
            return out
        with self.lock:
            out = self.find(args)  # another thread may have made it meanwhile
            return self.record(args) if out is MISS else out

    def find(self, args: tuple[Any, ...]) -> Any:
        """Run the first recording that holds."""
        for recorded in list(self.recordings):
            out = recorded.entry(*args)
            if out is not MISS:
                self.take(recorded)
                return out
        return MISS

    def take(self, recorded: Recorded) -> None:
        """Make a recording the one that is tried first."""
        with self.lock:
            self.recordings = [recorded, *(other for other in self.recordings if other is not recorded)][
                :MOST_KEPT
            ]
        self.use(recorded.entry)
        self.compiled.source = recorded.text

    def drop(self, recorded: Recorded) -> None:
        """Forget a recording."""
        with self.lock:
            self.recordings = [other for other in self.recordings if other is not recorded]
        self.use(lambda *_: MISS)

    def record(self, args: tuple[Any, ...]) -> Any:
        """Run f on the engine, and keep what it did as a program."""
        who = called(self.f)
        if self.made >= MOST_MADE:
            warn_once(
                "compile",
                f"compile: {who} was recorded {MOST_MADE} times, because something that it reads is new each "
                f"time (a Python number as an argument, a counter, a shape); from now on such calls run on "
                f"the engine. Pass what changes as an array",
            )
            return self.run_engine(*args)
        self.made += 1
        guards = Guards(self.f)
        for i, (value, name) in enumerate(zip(args, self.names, strict=True)):
            if not (isinstance(value, Node) or is_input(value)):
                guards.visit(value, f"x{i}", name)
        wrapped = tuple(map(self.wrap, args, self.names))
        before = prints(guards.arrays, guards.names, args)
        with collector_off():
            number, program = self.program(wrapped)
            first = program.first
            due = self.due if self.check else None
            recorded = Recorded(program, guards, args, wrapped, due, self.run_engine)
        if self.only_reads(recorded, before, args, guards.questions) and not program.failed:
            self.changes = 0
            self.take(recorded)
        grads = {leaf.birth: g.copy() if type(g) is ndarray else g for leaf, g in first}
        deposit({leaf.birth: leaf for leaf, _ in first}, grads)
        return number

    def program(self, wrapped: tuple[Any, ...]) -> tuple[Any, Program]:
        """f's value on these arguments, and what it did."""
        with Recording("inside a compiled function", copies=True) as recording:
            out = self.f(*wrapped)
        if recording.refused is not None:
            raise recording.refused  # f has caught it, and went on without the number
        if isinstance(out, Data):
            raise GraphError(
                f"compile: {called(self.f)} computes with its array arguments alone, without any tensor"
            )
        number = loss_number(called(self.f), out)
        start(out, None, "compile")  # refuses what needs no gradient
        return number, Program(out, recording)

    def only_reads(
        self, recorded: Recorded, before: dict[str, Any], args: tuple[Any, ...], questions: dict[str, str]
    ) -> bool:
        """Whether f has left alone what it reads. If it does that again and again, it stays on the engine.

        A program would change nothing. Something that f fills at its first call only, such as a table of
        results, does not matter; an array is written into for a purpose.
        """
        after = recorded.prints(args)
        changed = [words for reading, words in recorded.watched.items() if after[reading] != before[reading]]
        if changed:
            self.changes = IN_A_ROW
        elif questions:
            space = {**recorded.names, **{f"x{i}": value for i, value in enumerate(args)}}
            if not evaluated(" and ".join(questions), space):
                changed = [words for question, words in questions.items() if not evaluated(question, space)]
                self.changes += 1
        if not changed:
            return True
        if self.changes >= IN_A_ROW:
            who, what = called(self.f), changed[0]
            warn_once(
                f"changes {who}",
                f"compile: {who} changes {what}, which it reads. A program would read it and change nothing, "
                f"so {who} runs on the engine. Change {what} outside of {who}, between the calls",
            )
            self.recordings.clear()
            self.use(lambda *_: MISS)
        return False

    def wrap(self, value: Any, name: str) -> Any:
        """An argument as f sees it while it is recorded: data as tensors, whose way can be followed."""
        if isinstance(value, Node):
            if value.op is not None:
                raise GraphError(
                    f"compile: the argument {name} was computed outside of {called(self.f)}, where its "
                    f"gradient would be lost; compute it inside, or pass {name}.detach()"
                )
            return value
        if is_input(value):
            return Data(value, name=name)
        if foreign(value):
            raise UnsupportedError(
                f"compile: the argument {name} is a {type(value).__module__} array, but programs run on "
                f"NumPy arrays; call the function itself"
            )
        if isinstance(value, (list, tuple, dict)) and any(
            isinstance(part, (ndarray, Node)) for part in contents_of(value)
        ):
            raise OptionError(
                f"compile: the argument {name} is a {type(value).__name__} of arrays; pass each array as an "
                f"argument of its own"
            )
        return value

    def engine(self, args: tuple[Any, ...]) -> Answer:
        """What a program stands for: f, and the backward pass from its result."""
        out = self.f(*args)
        number = loss_number(called(self.f), out)
        leaves, grads, _ = sweep(out, start(out, None, "compile"))
        return number, leaves, grads

    def run_engine(self, *args: Any) -> Any:
        """A call on the engine.

        Also where NumPy or a check has refused what the program gave it, and nothing has happened yet: the
        engine says in readable words what is wrong, or f catches it and goes another way.
        """
        number, leaves, grads = self.engine(args)
        deposit(leaves, grads)
        return number

    # ------------------------------------------------------------------------------- checking

    def due(self, recorded: Recorded, *args: Any) -> Any:
        """A call that checks itself: the program's answer, if the engine gives the same."""
        recorded.recharge(1)
        answer = self.compare(recorded, args)
        if answer is MISS:
            return MISS
        recorded.calls *= 2
        recorded.recharge(recorded.calls)
        number, leaves, grads = answer
        deposit(leaves, grads)
        return number

    def compare(self, recorded: Recorded, args: tuple[Any, ...]) -> Any:
        """The program's answer, where the engine's is the same; else StaleError, and nothing has happened."""
        # The program first: if it turns out that Python branches elsewhere, nothing must have happened yet.
        state = recorded.save()
        try:
            found = recorded.outputs(*args)
        except REFUSED:
            recorded.restore(state)
            return self.engine(args)
        if found is MISS:
            return MISS
        after_program = recorded.save()
        recorded.restore(state)
        before = recorded.prints(args)
        engine = number, leaves, grads = self.engine(args)
        if recorded.prints(args) != before:
            self.only_reads(recorded, before, args, {})
            return engine
        theirs = {0: number}
        theirs |= {birth: np.asarray(g, leaves[birth].value.dtype)[()] for birth, g in grads.items()}
        ours = dict(zip([0, *(leaf.birth for leaf in recorded.leaves)], found, strict=True))
        if difference(ours, theirs, leaves, recorded.tolerance) is not None:
            drawn = after_program[0]
            if not self.is_rounding(recorded, args, state, drawn, ours, theirs, leaves):
                return engine
        return found[0], {leaf.birth: leaf for leaf in recorded.leaves}, dict(list(ours.items())[1:])

    def is_rounding(
        self, recorded: Recorded, args: tuple[Any, ...], state: list[Any], drawn: Any,
        ours: dict[int, Any], theirs: dict[int, Any], leaves: dict[int, Any],
    ) -> bool:  # fmt: skip
        """Whether program and engine differ by rounding alone; StaleError where the program is another one.

        Where values cancel, rounding can differ by much: then the program line by line, without the
        shortcuts of the quick one, must agree with the engine.
        """
        after = recorded.save()
        if after[0] != drawn and theirs.keys() == ours.keys() and recorded.doubts < 3:
            # Another thread has drawn random numbers in between: this time nothing can be said.
            recorded.doubts += 1
            return False
        recorded.restore(state)
        exact, noise = recorded.interpret(args)
        problem = difference(dict(zip(ours, exact, strict=True)), theirs, leaves, recorded.tolerance, noise)
        if problem is not None:
            recorded.restore(state)
            self.drop(recorded)
            raise StaleError(
                f"compile: {called(self.f)} was recorded, but now {problem}: it reads something that no "
                f"guard sees, such as an attribute of an object, random numbers of its own, the clock, "
                f"or the class of its arguments. Pass that as an argument, or keep it in a variable of "
                f"its own. (The recording was dropped; the next call records anew.)"
            )
        recorded.restore(after)
        if difference(ours, theirs, leaves, recorded.tolerance, noise) is None:
            return True
        self.drop(recorded)
        warn_once(
            f"quick {called(self.f)}",
            f"compile: the quick form of the program of {called(self.f)} disagrees with the program itself: "
            f"values lie exactly on a tie, or lo.compile makes a mistake, which please report. The engine's "
            f"result is returned, and the recording dropped",
        )
        return False

    def verify(self, *args: Any) -> None:
        """Compare program and engine on these arguments, changing no gradient; StaleError if they differ."""
        for recorded in list(self.recordings):
            if recorded.fits(*args):
                state = recorded.save()
                try:
                    answer = self.compare(recorded, args)
                finally:
                    recorded.restore(state)
                if answer is not MISS:
                    return
        raise GraphError(
            f"verify: no recording of {called(self.f)} fits these arguments; call it with them first"
        )


@contextmanager
def collector_off() -> Iterator[None]:
    """Without garbage collection: a recording makes many objects at once, all of them alive.

    The collector would sweep them again and again, for two thirds of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
