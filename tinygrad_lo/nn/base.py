"""Module: what keeps parameters, and what finds, names, describes, saves and loads them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from tinygrad_lo.engine.graph import Array, Node, tick
from tinygrad_lo.engine.machine.arguments import shape_of
from tinygrad_lo.engine.naming import name_of, of_module, rename
from tinygrad_lo.engine.tensor import Parameter
from tinygrad_lo.errors import CheckpointError, LoError, OptionError, UnsupportedError
from tinygrad_lo.names import differences
from tinygrad_lo.options import flag


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
    be forgotten. Parameters get dotted names in the order of definition, "layers.0.weight", when the
    module has been made; one that is reachable twice is listed once, under its first name. Any leaf
    tensor that requires a gradient counts, and so does a frozen `Parameter`. Drawings, `lo.tree` and
    errors show each module as a scope, and a repr the shape of what it gave last.

    Attributes:
        training: whether dropout and the like are on; `train()` and `eval()` set it everywhere.
        buffers: names of attributes, arrays, that are no parameters and yet belong to the state.
    Raises:   OptionError: a parameter in a set, which has no order, or on the class, whose instances
              would share it; two parameters of one dotted name; a parameter that is replaced by what is
              none.  UnsupportedError: no forward.
    Example:
        >>> import tinygrad_lo as lo
        >>> class Scale(lo.nn.Module):
        ...     def __init__(self):
        ...         self.slope = lo.Parameter(2.0)
        ...
        ...     def forward(self, x):
        ...         return self.slope * x
        >>> Scale()(3.0).item()
        6.0
    """

    # In slots, these are no state, which compiled functions would ask about in each call.
    __slots__ = ("__dict__", "__gave__", "__title__", "__weakref__")
    __gave__: tuple[int, ...]  # the shape of the last result
    __title__: str  # "0.Linear" in a row, else the attribute that holds this
    training: bool = True
    buffers: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, value in vars(cls).items():
            if is_part(value):
                raise OptionError(
                    f"{cls.__name__}: {name} is set on the class, so all instances would share it and none "
                    f"would list it; set self.{name} in __init__"
                )
        if vars(cls).get("__slots__"):
            raise OptionError(f"{cls.__name__}: parameters in __slots__ would not be found; leave it out")
        if "__init__" in vars(cls):
            cls.__init__ = naming(cls.__init__)  # type: ignore[method-assign]

    def __setattr__(self, name: str, value: Any) -> None:
        held = self.__dict__.get(name)
        if isinstance(held, Parameter) and value is not None and not is_part(value):
            raise OptionError(
                f"{type(self).__name__}.{name} is a parameter, and would be one no more: it was given "
                f"{type(value).__name__}. Write .{name}.data = … for other values, or give a lo.Parameter"
            )
        super().__setattr__(name, value)

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """The module applied: what `forward` computes."""
        began = tick()
        try:
            out = self.forward(*inputs, **options)
        except LoError as error:
            if hasattr(self, "__title__"):
                error.add_note(f"in {self.__title__}")
            raise
        if isinstance(out, Node):
            set_gave(self, out.value.shape)
            if out.birth < began - 1:  # more than one op; an op alone is its own picture
                of_module(getattr(self, "__title__", type(self).__name__), began, out)
        elif isinstance(out, np.ndarray):
            set_gave(self, out.shape)
        return out

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the module computes; every module defines its own."""
        raise UnsupportedError(
            f"{type(self).__name__} was called with {len(inputs) + len(options)} inputs, and does not say "
            f"what it computes; define forward(self, x) in it"
        )

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """Every parameter once, with its dotted name, in the order of definition.

        Those without a name of their own take it on; the outermost module asked has the last word.
        """
        return iter(name_inside(self).items())

    def parameters(self) -> Iterator[Any]:
        """Every parameter once, in the order of definition."""
        return (p for _, p in self.named_parameters())

    def train(self, mode: bool = True) -> Self:
        """Switch dropout and the like on, here and in every module inside. Returns the module."""
        mode = flag(f"{type(self).__name__}.train", "mode", mode)
        for _, item in each_inside(self):
            if isinstance(item, Module):
                item.training = mode
        return self

    def eval(self) -> Self:
        """Switch dropout and the like off, to measure or to predict. Returns the module."""
        return self.train(False)

    def freeze(self, frozen: bool = True) -> Self:
        """Let no parameter inside want a gradient: optimizers leave it as it is. Returns the module.

        Buffers still follow the data in training; `eval()` stops that.

        Raises:   OptionError: a tensor that is no `lo.Parameter`: frozen, it would not be listed any more.
        Example:
            >>> import tinygrad_lo as lo
            >>> net = lo.nn.Sequential(lo.nn.Linear(2, 3).freeze(), lo.nn.Linear(3, 1))
            >>> [name for name, p in net.named_parameters() if p.requires_grad]
            ['1.weight', '1.bias']
        """
        frozen = flag(f"{type(self).__name__}.freeze", "frozen", frozen)
        named = name_inside(self)
        other = next((name for name, p in named.items() if not isinstance(p, Parameter)), None)
        if frozen and other is not None:
            raise OptionError(f"{type(self).__name__}: {other!r} is a Tensor; to freeze it, use a Parameter")
        for p in named.values():
            p.requires_grad = not frozen
        return self

    def unfreeze(self) -> Self:
        """Let every parameter inside want a gradient again. Returns the module."""
        return self.freeze(False)

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
        problems = list(filter(None, [differences(ours, state)]))
        new = {name: state_array(state[name]) for name in ours if name in state}
        problems += filter(None, (unfit(name, array, np.asarray(ours[name])) for name, array in new.items()))
        if problems:
            raise CheckpointError(f"{who}: {'; '.join(problems)}; nothing was changed")
        for name, p in params.items():
            p.data = new[name]
        for name, (module, key) in buffers.items():
            setattr(module, key, new[name])

    def _buffers(self, taken: Mapping[str, Any]) -> dict[str, tuple[Module, str]]:
        """Where each buffer is: the module and the attribute."""
        places: dict[str, tuple[Module, str]] = {}
        for path, item in each_inside(self):
            for key in item.buffers if isinstance(item, Module) else ():
                name = dotted((path, key))
                if name in taken or name in places:
                    raise OptionError(f"{type(self).__name__}: {name!r} names two values; rename one")
                if getattr(item, key) is not None:
                    places[name] = (item, key)
        return places

    def __held__(self) -> Iterator[tuple[str, Any]]:
        """The attributes in which parameters and modules are looked for."""
        yield from vars(self).items()

    def __listed__(self) -> list[tuple[str, Any]]:
        """What a repr lists inside this module."""
        return parts_of(self)

    def __about__(self) -> str:
        """What a repr says besides the class: the shapes of the module's own parameters."""
        return ", ".join(f"{name} {sizes(p)}" for name, p in parts_of(self) if isinstance(p, Node))

    def __repr__(self) -> str:
        return outline(self)


Route = Any  # () at the root, else (the path of the outer module, the name in it)


set_gave: Callable[[Module, tuple[int, ...]], None] = vars(Module)["__gave__"].__set__  # unchecked: it is hot


def is_part(item: Any) -> bool:
    """Whether a module lists this: a module, a leaf that wants a gradient, or a parameter, frozen or not."""
    leaf = isinstance(item, Node) and item.op is None and (item.needs or isinstance(item, Parameter))
    return leaf or isinstance(item, Module)


def parts_of(module: Module) -> list[tuple[str, Any]]:
    """The modules and parameters that a module holds itself, also in lists, tuples and dicts."""
    held = []
    seen = set()
    waiting = list(module.__held__())[::-1]
    while waiting:
        name, item = waiting.pop()
        if is_part(item):
            held.append((name, item))
        elif isinstance(item, (list, tuple, dict)) and Itself(item) not in seen:
            seen.add(Itself(item))
            inner = item.items() if isinstance(item, dict) else enumerate(item)
            waiting += [(f"{name}.{key}", value) for key, value in inner][::-1]
        elif isinstance(item, (set, frozenset)) and any(map(is_part, item)):
            raise OptionError(
                f"{type(module).__name__}: {name} is a set, which has no order, so its parameters would "
                f"have other names in each run; make it a list"
            )
    return held


def each_inside(module: Module, levels: float = math.inf) -> Iterator[tuple[Route, Any]]:
    """Every module and every parameter, each once, the outer before the inner, without recursion."""
    seen = set()
    waiting: list[tuple[Route, Any, float]] = [((), module, levels)]
    while waiting:
        path, item, left = waiting.pop()
        if Itself(item) not in seen:
            seen.add(Itself(item))
            yield path, item
            if isinstance(item, Module) and left:
                waiting += [((path, name), part, left - 1) for name, part in parts_of(item)][::-1]


def name_inside(module: Module, levels: float = math.inf) -> dict[str, Any]:
    """Every parameter by its dotted name, which it takes on; the modules take on the last word of theirs."""
    named: dict[str, Any] = {}
    for path, item in each_inside(module, levels):
        if isinstance(item, Node):
            name = dotted(path)
            if name in named:
                raise OptionError(f"{type(module).__name__}: {name!r} names two parameters; rename one")
            named[name] = item
            old = name_of(item)
            if old is None or name.endswith("." + old):  # none, or the one an inner module gave
                rename(item, name)
        elif path:
            word = path[1]
            item.__title__ = f"{word}.{type(item).__name__}" if word[-1:].isdecimal() else word
    return named


def naming(begin: Callable[..., None]) -> Callable[..., None]:
    """The `__init__` of a module, at whose end the parameters have their names."""

    @functools.wraps(begin)
    def init(self: Module, *args: Any, **options: Any) -> None:
        begin(self, *args, **options)
        if getattr(type(self).__init__, "__wrapped__", None) is begin:  # not that of an outer class
            name_inside(self, NAMED_LEVELS)

    return init


NAMED_LEVELS = 8  # named at once; what lies deeper when it is asked: all at once would be quadratic


def dotted(path: Route) -> str:
    """The path as text. Kept as pairs until here, it needs no quadratic memory in deep models."""
    names = []
    while path:
        path, name = path
        names.append(name)
    return ".".join(map(str, reversed(names)))


def outline(root: Module) -> str:
    """The modules as indented lines with shapes and counts; what occurs again is said, not repeated."""
    lines: list[str] = []
    seen: set[Itself] = set()
    total = 0
    waiting: list[tuple[int, str, Any]] = [(0, "", root)]  # depth, name in brackets, what
    while waiting:
        depth, name, item = waiting.pop()
        margin = "  " * min(depth, 40) + name
        if isinstance(item, tuple):  # the end of a module, which began when the total was this
            count, item = total - item[0], item[1]
            text = f") {count} parameter{'s' * (count != 1)}{gave(item)}"
        elif not isinstance(item, (Module, Node)):
            text = getattr(item, "__name__", repr(item))
        elif Itself(item) in seen:
            text = f"{type(item).__name__} (above)"
        elif isinstance(item, Module) and any(not isinstance(part, Node) for _, part in item.__listed__()):
            seen.add(Itself(item))
            text = f"{type(item).__name__}("
            waiting.append((depth, "", (total, item)))
            waiting += [(depth + 1, f"({key}) ", part) for key, part in item.__listed__()][::-1]
        else:
            text, count = outline_of(item, seen)
            total += count
        lines.append(margin + text)
    return "\n".join(lines)


def outline_of(item: Any, seen: set[Itself]) -> tuple[str, int]:
    """The line of a parameter, or of a module that holds only parameters; and how many numbers are new."""
    inner = [("", item)] if isinstance(item, Node) else item.__listed__()
    fresh = {Itself(p): p.value.size for _, p in inner if Itself(p) not in seen}
    seen.update(fresh, [Itself(item)])
    count = sum(fresh.values())
    about = sizes(item) if isinstance(item, Node) else item.__about__()
    text = f"{type(item).__name__} {about}".rstrip()
    shared = " (shared)" if len(fresh) < len(inner) else ""
    return (f"{text}: {count} parameter{'s' * (count != 1)}{shared}" if inner else text) + gave(item), count


def gave(item: Any) -> str:
    """The shape of a module's last result, as a repr says it: N is the batch."""
    shape = getattr(item, "__gave__", ())
    if len(shape) < 2:
        return f" → {shape}" if shape else ""
    return f" → (N, {', '.join(map(str, shape[1:]))})"


def sizes(p: Node) -> str:
    """The shape of a parameter as a repr says it."""
    return "×".join(map(str, shape_of(p))) or "scalar"


def state_array(value: Any) -> Array | None:
    """A copy of what a state holds under a name; None if it is no array."""
    try:
        return np.array(value.value if isinstance(value, Node) else value)
    except ValueError:
        return None


def unfit(name: str, new: Array | None, old: Array) -> str:
    """What is wrong with one array of a state; nothing if it fits."""
    if new is None:
        return f"{name!r} is no array"
    for ours, theirs in ((old.shape, new.shape), (old.dtype, new.dtype)):
        if ours != theirs:
            return f"{name!r} is {theirs} in the file, {ours} in the model"
    return ""  # nan may be: a snapshot of a model that has diverged goes back as it was
