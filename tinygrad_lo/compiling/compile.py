"""lo.compile: record a function once, then run its program instead of building its graph."""

from __future__ import annotations

import functools
import gc
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import is_
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.compiling.arrays import MISS
from tinygrad_lo.compiling.guards import Guards, contents_of
from tinygrad_lo.compiling.lanes import on_arrays
from tinygrad_lo.compiling.names import define
from tinygrad_lo.compiling.recorded import REFUSED, Recorded, difference, is_input, number_in, prints, says
from tinygrad_lo.compiling.update import Landing, Update
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
def compile(
    f: Callable[..., Any], *, optimizer: Any = None, clip_norm: float | None = None, check: bool = True
) -> Any:
    """A function that returns f's loss and adds its gradients, by a program recorded from f.

    `compiled(*args)` does what `loss = f(*args); loss.backward()` does, several times as fast: the first
    call records both passes as one NumPy program (a few numbers: as one Python program, many: as the
    arrays that they make up), later calls run that, and reuse its buffers.

        step = lo.compile(loss_of)
        for X, y in batches:
            optimizer.zero_grad()
            loss = step(X, y)
            optimizer.step()

    With `optimizer=`, one call is one whole training step, quicker still: what `optimizer.zero_grad()`, the
    call, `clip_grad_norm(…, clip_norm)` and `optimizer.step()` do, with the same bits. `.grad` is what the
    step has used; rates and other options are read at each call, so schedules work as ever.

        step = lo.compile(loss_of, optimizer=lo.optim.Adam(model))
        for X, y in batches:
            loss = step(X, y)

    Array arguments and labels are inputs; parameters are read afresh, random masks drawn again, labels
    checked again. Another shape, dtype or Python number, another number in a closure, a global, a list
    or a function that f calls, a layer's training flag, another branch taken on a tensor's value, or
    another set of parameters that require gradients leads to another recording. Attributes of other
    objects are not seen: therefore calls 2, 4, 8, 16, ... of a recording run f as well and compare
    (`check=False` does not). What else Python does in f, like printing, happens only when f runs.

    `compiled.source` is the program that runs, as text; `compiled.verify(*args)` compares now.

    Args:     f takes positional arguments and returns one number as a tensor.
    Returns:  a function of the same arguments; its value is a NumPy number, or an array of one
              where f's result has axes.
    Raises:   OptionError: f takes *args or keywords; optimizer is none of lo.optim; clip_norm <= 0, or
              without an optimizer.  Called, it raises what f and `optimizer.step()` raise, and
              GraphError: f's result is no single number, or needs no gradient (under no_grad nothing does);
              or a value leaves the graph inside f (float(t), t.item(), .data), which could not be run again.
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
    if optimizer is None and clip_norm is not None:
        raise OptionError("compile: clip_norm= needs optimizer=, which takes the clipped gradients")
    update = None if optimizer is None else Update(optimizer, clip_norm)
    return Compiler(f, flag("compile", "check", check), update).compiled


def positional(f: Callable[..., Any], who: str) -> inspect.Signature:
    """What a function takes by position; anything else must have a default."""
    try:
        parameters = inspect.signature(f.forward if isinstance(f, Module) else f).parameters.values()
    except ValueError as error:
        raise OptionError(f"compile: {who} is built in and does not say what it takes") from error
    for p in parameters:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) or (p.kind is p.KEYWORD_ONLY and p.default is p.empty):
            fixed = "a program has a fixed number of positional arguments; write them out"
            raise OptionError(f"compile: {who} takes {p}, but {fixed}")
    return inspect.Signature([p for p in parameters if p.kind is not p.KEYWORD_ONLY])


class Compiler:
    """The recordings of one function, the last used first."""

    def __init__(self, f: Callable[..., Any], check: bool, update: Update | None) -> None:
        self.f = f
        self.update = update
        self.who = getattr(f, "__name__", type(f).__name__)
        self.checks = self.due if check else None
        self.signature = positional(f, self.who)
        self.names = list(self.signature.parameters)
        self.recordings: list[Recorded] = []
        self.made = 0
        self.changes = 0  # recordings in a row during which f has changed what it reads
        self.lock = threading.RLock()
        self.defaults = getattr(f, "__defaults__", None)
        taken = Taken(*self.names)
        self.run, miss, out, missed = map(taken.fresh, ("run", "miss", "out", "MISS"))
        args = ", ".join(self.names)
        text = (
            f"def compiled({args}):\n"
            f"    {out} = {self.run}({args})\n"
            f"    return {miss}({args}) if {out} is {missed} else {out}\n"
        )
        self.compiled = define(text, "compiled", {miss: self.miss, missed: MISS})
        takes = self.signature.parameters.values()
        self.compiled.__defaults__ = tuple(p.default for p in takes if p.default is not p.empty)
        functools.update_wrapper(self.compiled, f)
        self.compiled.source = "not recorded yet: the program is written at the first call"
        self.compiled.verify = self.verify
        self.use(no_recording)

    def use(self, entry: Callable[..., Any]) -> None:
        """Set what is tried first."""
        self.compiled.__globals__[self.run] = entry

    def miss(self, *args: Any) -> Any:
        """The last used recording does not hold: find another one, or make one."""
        if modes.recording is not None:
            raise GraphError(
                f"compile: {self.who} is compiled, and is called inside another function that is: it "
                f"would add its gradients and return a plain number. Call what it was made of, or "
                f"{self.who}.__wrapped__, which is the same"
            )
        if getattr(self.f, "__defaults__", None) is not self.defaults:
            raise StaleError(f"compile: {self.who} has got other defaults since; compile it again")
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
            others = [other for other in self.recordings if other is not recorded]
            self.recordings = [recorded, *others[: MOST_KEPT - 1]]
        self.use(recorded.entry)
        self.compiled.source = recorded.text

    def drop(self, recorded: Recorded) -> None:
        """Forget a recording."""
        with self.lock:
            self.recordings = [other for other in self.recordings if other is not recorded]
        self.use(no_recording)

    def record(self, args: tuple[Any, ...]) -> Any:
        """Run f on the engine, and keep what it did as a program."""
        if self.made >= MOST_MADE:
            warn_once(
                "compile",
                f"compile: {self.who} was recorded {MOST_MADE} times, because something that it reads is new "
                f"each time (a Python number as an argument, a counter, a shape); from now on such calls run "
                f"on the engine. Pass what changes as an array",
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
            first, begun = program.first, program.recording.begun
            recorded = Recorded(program, guards, args, wrapped, self.checks, self.run_engine, self.update)
        answer = number, {leaf.birth: leaf for leaf, _ in first}, {leaf.birth: g.copy() for leaf, g in first}
        if self.only_reads(recorded, before, args) and not program.failed:
            self.changes = 0
            self.take(recorded)
            again = recorded.first_again(begun, args)
            answer = answer if again is MISS else recorded.answer(again)
        return self.finish(answer)

    def finish(self, answer: Answer, landing: Landing | None = None) -> Any:
        """Add the gradients; or with an optimizer, step, as the recording does if it reaches these leaves."""
        number, leaves, grads = answer
        if self.update is None:
            deposit(leaves, grads)
            return number
        order, arrays = [leaves[birth] for birth in grads], [*grads.values()]
        if landing is not None and len(order) == len(landing.leaves) and all(map(is_, order, landing.leaves)):
            return landing.checked(number, arrays)
        return Landing(self.update, order).run(number, arrays)

    def program(self, wrapped: tuple[Any, ...]) -> tuple[Any, Program]:
        """f's value on these arguments, and what it did."""
        with Recording("inside a compiled function", copies=True) as recording:
            out = self.f(*wrapped)
        if recording.refused is not None:
            raise recording.refused  # f has caught it, and went on without the number
        if isinstance(out, Data):
            raise GraphError(f"compile: {self.who} computes with its array arguments alone, without a tensor")
        number = number_in(self.who, out)
        start(out, None, "compile")  # refuses what needs no gradient
        recording.copies = False
        with recording:
            lanes = on_arrays(out, recording)
        return number, Program(out if lanes is None else lanes, recording)

    def only_reads(self, recorded: Recorded, before: Any, args: tuple[Any, ...], first: bool = True) -> bool:
        """Whether f has left alone what it reads. If not, again and again, it stays on the engine.

        What f fills at its first call only, such as a table of results, does not matter; an array is written
        into for a purpose.
        """
        after = prints(recorded.watched, recorded.names, args)
        changed = [words for reading, words in recorded.watched.items() if after[reading] != before[reading]]
        questions = recorded.guards.questions if first else {}
        if changed:
            self.changes = IN_A_ROW
        elif not says(" and ".join(["True", *questions]), recorded.names, args):  # quicker than one by one
            changed = [words for asked, words in questions.items() if not says(asked, recorded.names, args)]
            self.changes += 1
        if changed and self.changes >= IN_A_ROW:
            what = changed[0]
            warn_once(
                f"changes {self.who}",
                f"compile: {self.who} changes {what}, which it reads. A program would read it and change "
                f"nothing, so {self.who} runs on the engine. Change {what} outside of it, between the calls",
            )
            self.recordings.clear()
            self.use(no_recording)
        return not changed

    def wrap(self, value: Any, name: str) -> Any:
        """An argument as f sees it while it is recorded: data as tensors, whose way can be followed."""
        if isinstance(value, Node):
            if value.op is not None:
                raise GraphError(
                    f"compile: the argument {name} was computed outside of {self.who}, where its "
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
        nested = isinstance(value, (list, tuple, dict))
        if nested and any(isinstance(part, (ndarray, Node)) for part in contents_of(value)):
            what = f"the argument {name} is a {type(value).__name__} of arrays"
            raise OptionError(f"compile: {what}; pass each array as an argument of its own")
        return value

    def engine(self, args: tuple[Any, ...]) -> Answer:
        """What a program stands for: f, and the backward pass from its result."""
        out = self.f(*args)
        number = number_in(self.who, out)
        leaves, grads, _ = sweep(out, start(out, None, "compile"))
        return number, leaves, grads

    def run_engine(self, *args: Any) -> Any:
        """A call on the engine, also where the program was refused: the engine's message is readable."""
        return self.finish(self.engine(args))

    def due(self, recorded: Recorded, *args: Any) -> Any:
        """A call that checks itself: the program's answer, if the engine gives the same."""
        recorded.recharge(1)
        answer = self.compare(recorded, args)
        if answer is MISS:
            return MISS
        recorded.calls *= 2
        recorded.recharge(recorded.calls)
        return self.finish(answer, recorded.landing)

    def compare(self, recorded: Recorded, args: tuple[Any, ...]) -> Any:
        """The program's answer, where the engine's is the same; else StaleError, and nothing has happened."""
        # The program first: if it turns out that Python branches elsewhere, nothing must have happened yet.
        state = recorded.save()
        try:
            results = recorded.outputs(args)
        except REFUSED:
            recorded.restore(state)
            return self.engine(args)
        drawn = recorded.save()[0]
        recorded.restore(state)
        if results is MISS:
            return MISS
        before = prints(recorded.watched, recorded.names, args)
        engine = number, leaves, grads = self.engine(args)
        if prints(recorded.watched, recorded.names, args) != before:
            self.only_reads(recorded, before, args, first=False)
            return engine
        theirs = {0: number}
        theirs |= {birth: np.asarray(g, leaves[birth].value.dtype)[()] for birth, g in grads.items()}
        answer = recorded.answer(results)
        ours = {0: answer[0], **answer[2]}
        if difference(ours, theirs, leaves, recorded.tolerance) is not None:
            after = recorded.save()
            if after[0] != drawn and theirs.keys() == ours.keys() and recorded.doubts < 3:
                # Another thread has drawn random numbers in between: this time nothing can be said.
                recorded.doubts += 1
                return engine
            recorded.restore(state)
            if not self.is_rounding(recorded, args, ours, theirs, leaves):
                recorded.restore(after)
                return engine
            recorded.restore(after)
        return answer

    def is_rounding(
        self, recorded: Recorded, args: tuple[Any, ...], ours: dict[int, Any], theirs: dict[int, Any],
        leaves: dict[int, Any],
    ) -> bool:  # fmt: skip
        """Whether program and engine differ by rounding alone; StaleError where the program is another one.

        Where values cancel, rounding can differ by much: then the program line by line, without the
        shortcuts of the quick one, must agree with the engine.
        """
        state = recorded.save()
        exact, noise = recorded.program.run(recorded.inputs_of(args))
        problem = difference(dict(zip(ours, exact, strict=True)), theirs, leaves, recorded.tolerance, noise)
        if problem is None and difference(ours, theirs, leaves, recorded.tolerance, noise) is None:
            return True
        recorded.restore(state)
        self.drop(recorded)
        if problem is not None:
            raise StaleError(
                f"compile: {self.who} was recorded, but now {problem}: it reads something that no "
                f"guard sees, such as an attribute of an object, random numbers of its own, the clock, "
                f"or the class of its arguments. Pass that as an argument, or keep it in a variable of "
                f"its own. (The recording was dropped; the next call records anew.)"
            )
        warn_once(
            f"quick {self.who}",
            f"compile: the quick form of the program of {self.who} disagrees with the program itself: "
            f"values lie exactly on a tie, or lo.compile makes a mistake, which please report. The engine's "
            f"result is returned, and the recording dropped",
        )
        return False

    def verify(self, *args: Any) -> None:
        """Compare program and engine on these arguments, changing no gradient; StaleError if they differ."""
        bound = self.signature.bind(*args)
        bound.apply_defaults()
        for recorded in list(self.recordings):
            if recorded.evaluate(recorded.asked, bound.args):  # whichever way it branches
                state = recorded.save()
                try:
                    answer = self.compare(recorded, bound.args)
                finally:
                    recorded.restore(state)
                if answer is not MISS:
                    return
        raise GraphError(f"verify: no recording of {self.who} fits these arguments; call it with them first")


def no_recording(*_: Any) -> Any:
    """The entry of no recording."""
    return MISS


@contextmanager
def collector_off() -> Iterator[None]:
    """Without garbage collection, which would sweep the many new objects of a recording again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
