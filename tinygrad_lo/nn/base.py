"""Module: what keeps parameters, and what finds, names, describes, saves and loads them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.machine.arguments import shape_of
from tinygrad_lo.engine.naming import name_of, rename
from tinygrad_lo.engine.tensor import Parameter
from tinygrad_lo.errors import CheckpointError, OptionError, UnsupportedError


class Itself:
    """A thing as a key: two keys are equal when they are the same thing, whatever it thinks of ==."""

    __slots__ = ("thing",)

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __hash__(self) -> int:
        return object.__hash__(self.thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Itself) and self.thing is other.thing


class Module:
    """A part of a model: it keeps parameters and other modules, and computes with them.

    Assign parameters and modules to attributes, or lists, tuples and dicts of them, and define
    `forward`; calling the module calls it. Nothing has to be registered, and `super().__init__()` may
    be forgotten. Parameters have dotted names in the order of definition, "layers.0.weight"; one that
    is reachable twice is listed once, under its first name. Any leaf tensor that requires a gradient
    counts, and so does a frozen `Parameter`.

    Attributes:
        training: whether dropout and the like are on; `train()` and `eval()` set it everywhere.
        buffers: names of attributes, arrays, that are no parameters and yet belong to the state.
    Raises:   OptionError: a parameter in a set, which has no order, or on the class, whose instances
              would share it; two parameters of one dotted name.  UnsupportedError: no forward.
    Example:
        >>> import tinygrad_lo as lo
        >>> class Line(lo.nn.Module):
        ...     def __init__(self):
        ...         self.slope = lo.Parameter(2.0)
        ...         self.offset = lo.Parameter(1.0)
        ...
        ...     def forward(self, x):
        ...         return self.slope * x + self.offset
        >>> line = Line()
        >>> line(3.0).item(), [name for name, _ in line.named_parameters()]
        (7.0, ['slope', 'offset'])
    """

    training: bool = True
    buffers: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, value in vars(cls).items():
            if isinstance(value, Module) or is_parameter(value):
                raise OptionError(
                    f"{cls.__name__}: {name} is set on the class, so all instances would share it and none "
                    f"would list it; set self.{name} in __init__"
                )
        if vars(cls).get("__slots__"):
            raise OptionError(f"{cls.__name__}: parameters in __slots__ would not be found; leave it out")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """The module applied: what `forward` computes."""
        return self.forward(*inputs, **options)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the module computes; every module defines its own."""
        raise UnsupportedError(
            f"{type(self).__name__} was called with {len(inputs) + len(options)} inputs, and does not say "
            f"what it computes; define forward(self, x) in it"
        )

    # ----------------------------------------------------------------------------- parameters

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """Every parameter once, with its dotted name, in the order of definition.

        Gives the name to the parameter, too, unless it has one of its own: errors, drawings and
        checkpoints say "layers.0.weight". The outermost module asked has the last word.
        """
        found: dict[str, Any] = {}
        for path, item in walk(self):
            if isinstance(item, Node):
                name = dotted(path)
                if name in found:
                    raise OptionError(f"{type(self).__name__}: {name!r} names two parameters; rename one")
                found[name] = item
                old = name_of(item)
                if old is None or name.endswith("." + old):  # none, or the one an inner module gave
                    rename(item, name)
        return iter(found.items())

    def parameters(self) -> Iterator[Any]:
        """Every parameter once, in the order of definition."""
        return (p for _, p in self.named_parameters())

    def train(self, mode: bool = True) -> Self:
        """Switch dropout and the like on, here and in every module inside. Returns the module."""
        if not isinstance(mode, bool):
            raise OptionError(f"{type(self).__name__}.train: mode must be True or False, got {mode!r}")
        for _, item in walk(self):
            if isinstance(item, Module):
                item.training = mode
        return self

    def eval(self) -> Self:
        """Switch dropout and the like off, to measure or to predict. Returns the module."""
        return self.train(False)

    # ---------------------------------------------------------------------------------- state

    def state_dict(self) -> dict[str, Array]:
        """Copies of all parameters, then of all buffers, by dotted name."""
        state = {name: np.array(p.value) for name, p in self.named_parameters()}
        for name, (module, key) in self._buffers(state).items():
            state[name] = np.array(getattr(module, key))
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict()` of a like model gave: all of it, or nothing.

        Raises:   CheckpointError: missing or unexpected names, another shape or dtype.
        """
        who = type(self).__name__
        if not isinstance(state, Mapping):
            raise CheckpointError(f"{who}: a state is a dict of names and arrays, got {type(state).__name__}")
        params = dict(self.named_parameters())
        buffers = self._buffers(params)
        ours = {name: p.value for name, p in params.items()}
        ours |= {name: getattr(module, key) for name, (module, key) in buffers.items()}
        problems = unlike(list(ours), list(state))
        new = {}
        for name, old in ours.items():
            if name in state:
                given = state[name]
                try:
                    new[name] = np.array(given.value if isinstance(given, Node) else given)
                except ValueError:
                    problems.append(f"{name!r} is no array")
                    continue
                problems += unfit(name, new[name], np.asarray(old))
        if problems:
            raise CheckpointError(f"{who}: {'; '.join(problems)}; nothing was changed")
        for name, p in params.items():
            p.data = new[name]
        for name, (module, key) in buffers.items():
            setattr(module, key, new[name])

    def _buffers(self, taken: Mapping[str, Any]) -> dict[str, tuple[Module, str]]:
        """Where each buffer is: the module and the attribute."""
        found: dict[str, tuple[Module, str]] = {}
        for path, item in walk(self):
            for key in item.buffers if isinstance(item, Module) else ():
                name = dotted((path, key))
                if name in taken or name in found:
                    raise OptionError(f"{type(self).__name__}: {name!r} names two values; rename one")
                if getattr(item, key) is not None:
                    found[name] = (item, key)
        return found

    # -------------------------------------------------------------------------------- as text

    def _held(self) -> Iterator[tuple[str, Any]]:
        """The attributes in which parameters and modules are looked for."""
        yield from vars(self).items()

    def _listed(self) -> list[tuple[str, Any]]:
        """What a repr lists inside this module."""
        return parts(self)

    def _about(self) -> str:
        """What a repr says besides the class: the shapes of the module's own parameters."""
        return ", ".join(
            f"{name} {'×'.join(map(str, shape_of(p))) or 'scalar'}"
            for name, p in parts(self)
            if isinstance(p, Node)
        )

    def __repr__(self) -> str:
        return described(self)


# -------------------------------------------------------------------------- looking into modules

Path = Any  # () at the root, else (the path of the outer module, the name in it)


def is_parameter(item: Any) -> bool:
    """Whether this is something to optimize: a leaf that wants a gradient, or a parameter, frozen or not."""
    return isinstance(item, Node) and item.op is None and (item.needs or isinstance(item, Parameter))


def parts(module: Module) -> list[tuple[str, Any]]:
    """The modules and parameters that a module holds itself, also in lists, tuples and dicts."""
    found = []
    seen = set()
    waiting = list(module._held())[::-1]
    while waiting:
        name, item = waiting.pop()
        if isinstance(item, Module) or is_parameter(item):
            found.append((name, item))
        elif isinstance(item, (list, tuple, dict, set, frozenset)) and Itself(item) not in seen:
            seen.add(Itself(item))
            inner = item.items() if isinstance(item, dict) else enumerate(item)
            if not isinstance(item, (set, frozenset)):
                waiting += [(f"{name}.{key}", value) for key, value in inner][::-1]
            elif any(isinstance(value, Module) or is_parameter(value) for value in item):
                raise OptionError(
                    f"{type(module).__name__}: {name} is a set, which has no order, so its parameters would "
                    f"have other names in each run; make it a list"
                )
    return found


def walk(module: Module) -> Iterator[tuple[Path, Any]]:
    """Every module and every parameter, each once, the outer before the inner, without recursion."""
    seen = set()
    waiting: list[tuple[Path, Any]] = [((), module)]
    while waiting:
        path, item = waiting.pop()
        if Itself(item) not in seen:
            seen.add(Itself(item))
            yield path, item
            if isinstance(item, Module):
                waiting += [((path, name), part) for name, part in parts(item)][::-1]


def dotted(path: Path) -> str:
    """The path as text. Kept as pairs until here, it needs no quadratic memory in deep models."""
    names = []
    while path:
        path, name = path
        names.append(name)
    return ".".join(map(str, reversed(names)))


def described(root: Module) -> str:
    """The modules as indented lines with shapes and counts; what occurs again is said, not repeated."""
    lines: list[str] = []
    seen = set()
    total = 0
    waiting: list[tuple[int, str, Any]] = [(0, "", root)]  # depth, name in brackets, what
    while waiting:
        depth, name, item = waiting.pop()
        margin = "  " * min(depth, 40) + name
        if isinstance(item, int):  # the end of a module that began when the total was this
            lines.append(f"{margin}) {counted(total - item)}")
        elif not isinstance(item, (Module, Node)):
            lines.append(margin + getattr(item, "__name__", repr(item)))
        elif Itself(item) in seen:
            lines.append(f"{margin}{type(item).__name__} (above)")
        elif isinstance(item, Node):
            seen.add(Itself(item))
            total += item.value.size
            shape = "×".join(map(str, item.value.shape)) or "scalar"
            lines.append(f"{margin}{type(item).__name__} {shape}: {counted(item.value.size)}")
        else:
            seen.add(Itself(item))
            inner = item._listed()
            if any(not isinstance(part, Node) for _, part in inner):
                lines.append(f"{margin}{type(item).__name__}(")
                waiting.append((depth, "", total))
                waiting += [(depth + 1, f"({key}) ", part) for key, part in inner][::-1]
                continue
            fresh = {Itself(p): p.value.size for _, p in inner if Itself(p) not in seen}
            seen |= set(fresh)
            count = sum(fresh.values())
            total += count
            about = f" {text}" if (text := item._about()) else ""
            shared = " (shared)" if len(fresh) < len(inner) else ""
            lines.append(
                f"{margin}{type(item).__name__}{about}" + (f": {counted(count)}{shared}" if inner else "")
            )
    return "\n".join(lines)


def counted(n: int) -> str:
    """1 parameter, 2 parameters."""
    return f"{n} parameter" if n == 1 else f"{n} parameters"


# ------------------------------------------------------------------------------- loading a state


def unlike(ours: list[str], given: list[Any]) -> list[str]:
    """What is wrong with the names of a state: missing ones, unexpected ones, and likely slips."""
    expected, there = set(ours), set(given)
    missing = [name for name in ours if name not in there]
    unexpected = [name for name in given if name not in expected]
    texts = [f"missing: {missing}"] if missing else []
    if unexpected:
        free = list(missing)
        guesses = []
        for name in unexpected:
            near = difflib.get_close_matches(str(name), free, 1, 0.5)
            if near:
                free.remove(near[0])
                guesses.append(repr(near[0]) + (f" for {name!r}" if len(unexpected) > 1 else ""))
        hint = f" (did you mean {', '.join(guesses)}?)" if guesses else ""
        texts.append(f"unexpected: {unexpected}{hint}")
    return [", ".join(texts)] if texts else []


def unfit(name: str, new: Array, old: Array) -> list[str]:
    """What is wrong with one array of a state."""
    if new.shape != old.shape:
        return [f"{name!r} is {new.shape} in the file, {old.shape} in the model"]
    if new.dtype != old.dtype:
        return [f"{name!r} is {new.dtype} in the file, {old.dtype} in the model"]
    return []  # nan may be: a snapshot of a model that has diverged goes back as it was
