"""Optimizer: the step that applies an update rule to groups of parameters."""

from __future__ import annotations

import itertools
import operator
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from inspect import cleandoc
from math import isfinite
from textwrap import indent
from typing import Any, ClassVar, NamedTuple
from weakref import ReferenceType, WeakKeyDictionary

import numpy as np
from numpy import multiply, ndarray, subtract, vdot

from tinygrad_lo.engine.graph import SPENT_AGAIN, Array, Node, active
from tinygrad_lo.engine.leaves import forget, place, replace_gradient, stepped
from tinygrad_lo.engine.machine.arguments import fitting
from tinygrad_lo.engine.machine.hooks import leave
from tinygrad_lo.engine.naming import name_of, quoted
from tinygrad_lo.errors import DTypeError, NonFiniteError, OptionError
from tinygrad_lo.optim.groups import ParamGroup, as_groups, options_of, params_of, reader
from tinygrad_lo.optim.packed import Jobs
from tinygrad_lo.optim.saved import matched, nothing_changed, state_of
from tinygrad_lo.options import OptionReader, completed, unknown

EAGER = {ndarray, np.float64, np.float32, np.float16, np.longdouble}  # gradients that are numbers already
ARRAYS = {ndarray}
SIZE, SPENT = operator.attrgetter("size"), operator.attrgetter("spent")
FEW_ELEMENTS = 2**14  # elements that are quicker asked together, and cost no memory that counts
Span = tuple[ParamGroup, int, int]  # a group, where its parameters begin among all, and where they end


class LastSet(NamedTuple):
    """What set an optimizer's learning rates last."""

    schedule: ReferenceType[Any]  # it has a word to say on new groups
    begun: list[tuple[float, float]]  # before its first step, of each group: (lr it set, lr it found)


last_set: WeakKeyDictionary[Optimizer, LastSet] = WeakKeyDictionary()


# An optimizer is its options, which the signature of `__init__` says, its `rule` and the rule's `equations`.
# `__init__` hands its `locals()` to `_begin`. The docstring of a class holds "{rule}", where the rule for
# every setting is filled in, and what stands below the first line here.
class Optimizer:
    """What all optimizers share.

    `params` is a parameter, a list of parameters or of (name, parameter) pairs, a dict by name, a model,
    or a list of groups: dicts with "params" and options of their own, the rest being the optimizer's.
    `opt.param_groups[0]["lr"] = 0.01` changes a learning rate, and is checked. State is saved by name.

    Raises:   OptionError: there are no parameters, or one is not a leaf or comes twice; an option is unknown.
    """

    options: ClassVar[dict[str, OptionReader]] = {}
    # What the rule keeps in a parameter's state: "array" of its shape, "array?" (an option may do
    # without), "count" or "number".
    state_kinds: ClassVar[dict[str, str]] = {}
    elementwise: ClassVar[bool] = False  # whether the rule takes each element for itself: then many at once
    squares: ClassVar[bool] = True  # whether the rule squares gradients, which must not overflow

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "elementwise" not in vars(cls) and not vars(cls).keys().isdisjoint(("rule", "move", "update")):
            cls.elementwise = False  # a subclass that changes the rule must say so anew
        options = options_of(cls)
        if options.keys() >= cls.options.keys():  # else a subclass that decides some of its parent's
            cls.options = {name: reader(option) for name, option in options.items()}
        if "{rule}" in (cls.__doc__ or ""):
            defaults = {name: option.default for name, option in options.items()}
            _, shared, raises = cleandoc(Optimizer.__doc__ or "").split("\n\n")
            rule = f"{rule_in_words(cls, defaults)}\n\n{shared}\n"
            text = cleandoc(cls.__doc__ or "").replace("    {rule}\n", rule)
            cls.__doc__ = completed(text, raises, cls.options)

    def _begin(self, arguments: dict[str, Any]) -> None:
        """Take over the arguments of `__init__`."""
        self.defaults = {name: arguments[name] for name in self.options}
        self.param_groups: list[ParamGroup] = []
        self.names: dict[Node, str] = {}  # under which state is saved; positions where there is none
        self._state: dict[Node, dict[str, Any]] = defaultdict(dict)
        self._jobs: Jobs | None = None
        self._seen = False  # whether somebody may have changed the state since the last step
        self._warned = False
        for group in as_groups(arguments["params"]):
            self.add_param_group(group)

    def rule(self, w: Array, g: Array, state: dict[str, Any], group: ParamGroup) -> Array:
        """The new value of one parameter, in a new array; keeps what it remembers in `state`.

        Mostly it ends with `minus`, so that a scalar stays a NumPy number. Writes neither into `w` nor
        into `g`. What it allocates is the new value and at most one array besides; arrays of the state
        are its own and change in place.
        """
        raise NotImplementedError

    def equations(self, group: Mapping[str, Any]) -> list[str]:
        """The rule as text, a line each, with the group's numbers in it."""
        raise NotImplementedError

    @staticmethod
    def conflict(options: Mapping[str, Any], /) -> str | None:  # noqa: ARG004
        """Why these options do not go together, or None."""
        return None

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add parameters with options of their own: `{"params": [b], "weight_decay": 0.0}`.

        Raises:   OptionError: as for a new optimizer; a parameter is optimized already.
        Warns:    a schedule is on its way up, and will take this group along to a higher lr.
        """
        number = len(self.param_groups)
        pairs = params_of(f"{self}: group {number}", group)
        new = ParamGroup(type(self), number, {**self.defaults, **group, "params": [p for _, p in pairs]})
        self._refuse_doubles(pairs, new)
        self.param_groups.append(new)
        schedule = last_set[self].schedule() if self in last_set else None
        if schedule is not None:
            schedule.warn_if_rising(new)
        self.names.update((p, name) for name, p in pairs if name is not None)

    def _refuse_doubles(self, pairs: list[tuple[str | None, Any]], new: ParamGroup) -> None:
        """Raise for a parameter of another group, and for a name of another parameter."""
        owners = {p: group.number for group in self.param_groups for p in group["params"]}
        names = {self.names.get(p): owner for p, owner in owners.items()}
        for name, p in pairs:
            if p in owners:
                who = quoted(p, "a parameter")
                raise OptionError(f"{self}: {who} appears in groups {owners[p]} and {new.number}")
            if name is not None and name in names:
                first = names[name]
                where = f"groups {first} and {new.number}" if first != new.number else "the same group"
                raise OptionError(
                    f"{self}: {name!r} names two parameters, in {where}, and state is saved by name; pass a "
                    f"Module that holds both layers, or pairs such as ('a.{name}', p)"
                )
            names[name] = new.number

    def zero_grad(self, **foreign: Any) -> None:
        """Forget the gradients of all parameters: `.grad` becomes None."""
        if foreign:
            raise unknown(f"{self}.zero_grad", next(iter(foreign)), ())
        if active:
            leave("zero_grad()", *(p for group in self.param_groups for p in group["params"]))
        for group in self.param_groups:
            forget(group["params"])

    def step(self, closure: Callable[[], Any] | None = None, *, evaluate: Iterable[Any] = ()) -> Any:
        """Change every parameter that has a gradient by the update rule.

        A closure is called first, and its result returned: it computes the loss and the gradients.
        Parameters get new arrays; the old ones, which a live graph may hold, stay as they are.

        `evaluate=[loss]` is for lazy (Dask) data: all gradients and these losses are computed in one
        pass over it, and the list of their values is returned instead. The losses then hold their
        values, the parameters their gradients. With plain tensors it only returns the values.

        Raises:   OptionError: no parameter has a gradient.  NonFiniteError: a gradient has nan or inf, or
                  its square, if the rule takes it, is not finite; nothing was changed.  DTypeError: the
                  argument is not a function, or evaluate is not a list of losses.
        """
        if closure is not None and not callable(closure):
            raise DTypeError(f"{self}: step takes a closure or nothing, got {type(closure).__name__}")
        result = closure() if closure is not None else None
        live: list[Any] = []
        grads: list[Array] = []
        spans = []  # each group with how many parameters come before its own, and before the next one's
        for group in self.param_groups:
            start = len(live)
            for p in group["params"]:
                g = p.arrived
                if g is not None and p.needs:  # a frozen parameter stays
                    live.append(p)
                    grads.append(g)
            if len(live) > start:
                spans.append((group, start, len(live)))
        if active:
            leave("step()", *live)
        if not live:
            raise OptionError(
                f"{self}: no parameter has a gradient; call loss.backward() first, on a loss of these"
            )
        kinds = {*map(type, grads)}
        if type(evaluate) is not tuple or evaluate or not kinds <= EAGER:
            result = computed_now(str(self), evaluate, live) or result
            grads = [p.arrived for p in live]
        self._apply(live, grads, spans, apart=kinds == ARRAYS)
        return result

    def _apply(self, live: list[Any], grads: list[Array], spans: list[Span], *, apart: bool) -> None:
        """Step these parameters, in packs where that is quicker: not `apart`, or if something is kept."""
        jobs, arrays = None, grads
        if not apart or True in [self.keeps(group) for group, _, _ in spans]:
            jobs = self.jobs(live, spans)
            arrays = jobs.gathered(grads)
        self.screen(live, arrays)
        self._warn_of_old(live)
        if jobs is not None:
            jobs.run(self, arrays)
            return
        for group, start, end in spans:
            self.update(live[start:end], grads[start:end], group)

    def jobs(self, live: list[Any], spans: list[Span], *, flat: bool = False) -> Jobs:
        """What a step does with these parameters; the same as last time, if nothing has changed.

        `flat` says that gradients come as one array: then packing costs nothing.
        """
        jobs = self._jobs
        if jobs is None or not jobs.fits(live, self, flat) or (self._seen and not jobs.hold()):
            if jobs is not None:
                jobs.settle()
            jobs = self._jobs = Jobs(live, spans, self._state, self, flat)
        self._seen = False
        return jobs

    def keeps(self, group: Mapping[str, Any]) -> bool:  # noqa: ARG002 (not so in SGD)
        """Whether the rule keeps something of a parameter: then calling it once for many arrays pays."""
        return bool(self.state_kinds)

    def take_states(self, states: Mapping[Node, dict[str, Any]]) -> None:
        """Go on from what a rule has kept, by parameter."""
        self._state, self._jobs = defaultdict(dict, states), None

    @property
    def state(self) -> dict[Node, dict[str, Any]]:
        """What the rule has kept, by parameter."""
        if self._jobs is not None:
            self._jobs.settle()
        self._seen = True
        return self._state

    def update(self, params: list[Any], grads: list[Array], group: ParamGroup) -> None:
        """Apply the rule to these parameters of a group."""
        stepped(params, grads, map(self._state.__getitem__, params), self.rule, group)

    def screen(self, params: list[Any], grads: list[Array]) -> None:
        """Raise for gradients that the rule cannot take."""
        # A sum of squares is not finite if any of g is not: the quickest to ask. Many small arrays as one.
        together = len(grads) > 8 and sum(map(SIZE, grads)) < FEW_ELEMENTS
        screened = [np.concatenate(grads, None)] if together else grads
        if not all(map(isfinite, map(vdot, screened, screened))):
            self._refuse_not_finite(params)

    def _warn_of_old(self, params: list[Any]) -> None:
        """Warn, once, of a gradient that was stepped with before and then added to."""
        if not self._warned and SPENT_AGAIN in map(SPENT, params):
            self._warned = True
            p = next(p for p in params if p.spent == SPENT_AGAIN)
            warnings.warn(
                f"{self}: the gradient of {quoted(p, 'a parameter')} was used by an earlier step and then "
                f"added to; call zero_grad() after step()",
                stacklevel=4,
            )

    def _refuse_not_finite(self, params: list[Any]) -> None:
        """Raise, naming the first parameter whose gradient is not finite, or too large to be squared."""
        for p in params:
            g, who = p.arrived, f"{self}: grad of {quoted(p, 'a parameter')}"
            nans, infs = int(np.isnan(g).sum()), int(np.isinf(g).sum())
            if nans or infs:
                text = " and ".join(f"{n} {what}" for n, what in ((nans, "nan"), (infs, "inf")) if n)
                raise NonFiniteError(
                    f"{who} has {text}, step skipped, state untouched; "
                    f"lo.anomaly() around the forward and backward pass names the op"
                )
            largest = float(abs(g).max()) if g.size else 0.0
            if self.squares and largest >= float(np.finfo(g.dtype).max) ** 0.5:
                raise NonFiniteError(
                    f"{who} reaches {largest:g}, whose square overflows {g.dtype}, step skipped, state "
                    f"untouched; clip the gradients or scale the loss"
                )

    def state_dict(self) -> dict[str, Any]:
        """Everything a later run needs to go on: class, options of each group, state by parameter name.

        Arrays are copies. A parameter without a name goes by its position: "0", "1", ...

        Raises:   OptionError: two parameters have one name.
        """
        return state_of(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict()` gave: options of the groups, and the state of each parameter.

        Parameters are matched by name, so their order may have changed; one that goes by its position,
        here or there, is matched by position. Either everything is taken over, or nothing.

        Raises:   CheckpointError: of another class, for other parameters, groups or shapes; an unknown
                  option or an impossible value.
        """
        with nothing_changed(f"{self}: this is no state_dict of an optimizer"):
            options, states = matched(self, state)
        for group, new in zip(self.param_groups, options, strict=True):
            dict.update(group, new)
        self.take_states(states)

    def formula(self) -> str:
        """The update rule with the numbers of this optimizer, once for all groups that share them."""
        blocks: dict[str, list[ParamGroup]] = {}
        for group in self.param_groups:
            blocks.setdefault(indent("\n".join(self.equations(group)), "    "), []).append(group)
        lines = [str(self)]
        for text, groups in blocks.items():
            numbers = ", ".join(str(group.number) for group in groups)
            names = ", ".join(map(titles, groups))
            lines += [f"  group{'s' if len(groups) > 1 else ''} {numbers}  [{names}]", text]
        return "\n".join(lines)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_state": self.state, "_jobs": None}  # copies of windows would be none

    def __str__(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        lines = [f"{self}("]
        for group in self.param_groups:
            options = ", ".join(f"{k}={v}" for k, v in group.items() if k != "params")
            lines.append(f"  group {group.number}: {options}  [{titles(group)}]")
        return "\n".join([*lines, ")"])


def computed_now(who: str, evaluate: Any, params: list[Any]) -> list[Any]:
    """Compute the gradients and the losses that are lazy, all at once, in place; the losses' values."""
    losses = losses_of(who, evaluate)
    arrays = [*(p.arrived for p in params), *(loss.value for loss in losses)]
    if any(hasattr(type(x), "__dask_graph__") for x in arrays):
        import dask.base

        compute: Any = dask.base.compute
        results = compute(*arrays)  # what is no graph comes back as it is
        gradients = [fitting(p, g, "grad") for p, g in zip(params, results, strict=False)]
        for p, g in zip(params, gradients, strict=True):
            replace_gradient(p, g)
        for loss, value in zip(losses, results[len(params) :], strict=True):
            place(loss, value)
    return [loss.value for loss in losses]


def losses_of(who: str, evaluate: Any) -> list[Any]:
    """What `evaluate` lists, if it is a list of tensors."""
    if isinstance(evaluate, (Node, str)) or not isinstance(evaluate, Iterable):
        raise DTypeError(f"{who}: evaluate takes a list of losses: evaluate=[loss]")
    losses = list(evaluate)
    for i, loss in enumerate(losses):
        if not isinstance(loss, Node):
            raise DTypeError(f"{who}: evaluate takes tensors, and entry {i} is {type(loss).__name__}")
    return losses


def titles(group: ParamGroup) -> str:
    """The names of a group's parameters, or their shapes."""
    return ", ".join(name_of(p) or "×".join(map(str, p.value.shape)) or "scalar" for p in group["params"])


def settings(defaults: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names for the numbers, in every setting of what switches terms on or off; first what was switched."""
    symbols = {name: name for name in defaults} | {"betas": ("β1", "β2")}
    switches = {k: x for k, x in defaults.items() if isinstance(x, bool) or k == "momentum"}
    for turned in itertools.product((False, True), repeat=len(switches)):
        changed = {k: k if k == "momentum" else not switches[k] for k in itertools.compress(switches, turned)}
        words = (k if k == "momentum" else f"{k}={x}" for k, x in changed.items())
        yield ", ".join(words), {**symbols, **switches, **changed}


def rule_in_words(kind: Any, defaults: dict[str, Any]) -> str:
    """The equations in every setting, each shown by the lines that no setting before it had."""
    known: list[str] = []
    text = note = ""
    for changed, symbols in settings(defaults):
        new = [line for line in kind.equations(object.__new__(kind), symbols) if line not in known]
        known += new
        if new and changed:
            text += f"    with {changed}:\n"
            note = "Below an option stand only the lines that it changes.\n\n"
        text += "".join(f"{'        ' if changed else '    '}{line}\n" for line in new)
    return note + text.rstrip()


def decayed(w: Array, g: Array, group: Mapping[str, Any]) -> Array:
    """The gradient of the loss and of ½ weight_decay · w², in an array of its own if they differ."""
    if not group["weight_decay"]:
        return g
    total = multiply(w, group["weight_decay"])
    total += g
    return total


def gradient_line(group: Mapping[str, Any]) -> str:
    """The line of `decayed` in `equations`."""
    return f"g ← ∇f(w) + {group['weight_decay']} · w" if group["weight_decay"] else "g ← ∇f(w)"


def mix_in(average: Array, x: Array, old: float, scratch: Array) -> None:
    """average ← old · average + (1 − old) · x, in place. `scratch` may be `x`."""
    average *= old
    average += multiply(x, 1.0 - old, scratch)


def mix_line(average: str, x: str, old: float) -> str:
    """The line of `mix_in` in `equations`."""
    return f"{average} ← {old} · {average} + (1 − {old}) · {x}"


def minus(w: Array, move: Array, out: Array) -> Array:
    """w − move in the array `out`, which may be `move`; of a scalar a number, as a tensor holds it."""
    new = subtract(w, move, out)
    return new if new.ndim else new[()]
