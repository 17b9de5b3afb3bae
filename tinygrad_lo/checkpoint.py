"""Save and load a run as safetensors: model, optimizer, schedule, random numbers. Never pickle.

A file is one safetensors file that other tools can read. Arrays are its tensors, "model/W1" or
"optimizer/W1/v"; all else is JSON in its metadata, with a version and a digest of everything, so that
a damaged file is refused and not half believed. `json.loads(metadata["tinygrad_lo checkpoint"])` has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.machine.arguments import refuse_odd_arrays
from tinygrad_lo.errors import CheckpointError, DTypeError, NonFiniteError, OptionError
from tinygrad_lo.names import differences, named_values
from tinygrad_lo.options import public
from tinygrad_lo.safefile import DTYPES, Arrays, as_path, from_bytes, refuse, to_bytes, write_whole

UNCHANGED = "; nothing was changed"
PLAIN_TYPES = {type(None), bool, int, float, str}
DEEPEST = 50  # levels of nested JSON; a list that contains itself has more than any


@public
def save(
    path: Any,
    *,
    model: Any = None,
    optimizer: Any = None,
    schedule: Any = None,
    rng: np.random.Generator | None = None,
    extra: Any = None,
) -> None:
    """Write a run to one safetensors file, from which `lo.load` continues to the same bits.

    `model` is a module, or named parameters: one, a list, pairs, a dict; `rng` the generator whose
    next numbers matter, such as the one that shuffles the mini-batches; `extra` whatever JSON can say:
    the epoch, a history of losses. NumPy numbers in it become Python's, tuples become lists. An
    `rng.spawn` counts apart from the generator's state and is not kept. The file is written beside its
    place and then moved there: it is the old one or the new one, never half of one.

    Raises:   OptionError: nothing to save, something that is no module, optimizer, schedule or generator,
              parameters without a name or two of one name.  DTypeError: an extra that is not JSON, an
              array of a kind that safetensors lacks.  NonFiniteError: nan in a parameter or in a state.
              OSError: the folder is missing or cannot be written. The old file stays in every case.
    Example:
        >>> import tempfile, tinygrad_lo as lo
        >>> W = lo.Parameter([1.0, 2.0], name="W")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lo.save(f"{folder}/run.safetensors", model=[W], extra={"epoch": 3})
        ...     W.data = W.data * 100.0
        ...     extra = lo.load(f"{folder}/run.safetensors", model=[W])
        >>> print(W.data, extra["epoch"])
        [1. 2.] 3
    """
    target = as_path("save", path)
    parts = saved_parts("save", model=model, optimizer=optimizer, schedule=schedule, rng=rng)
    if not parts and extra is None:
        raise OptionError("save: nothing to save; give model=, optimizer=, schedule=, rng= or extra=")
    contents = {name: part.pack(part.state_dict()) for name, part in parts.items()}
    if extra is not None:
        contents["extra"] = plain_json(extra, "extra")
    tensors = {f"{name}/{key}": x for name, part in parts.items() for key, x in part.arrays.items()}
    write_whole(target, to_bytes(tensors, contents))


@public
def load(
    path: Any,
    *,
    model: Any = None,
    optimizer: Any = None,
    schedule: Any = None,
    rng: np.random.Generator | None = None,
) -> Any:
    """Bring model, optimizer, schedule and generator to where `lo.save` found them; returns `extra`.

    All or nothing: the file is read and compared with everything given before the first value is
    assigned. What is asked for must be in the file; what the file has beyond that is left there, so a
    model can be loaded alone. `extra` is None when none was saved.

    Raises:   FileNotFoundError: there is no such file.  CheckpointError: it is no checkpoint, damaged or
              of another version; it lacks what is asked for; names, shapes, dtypes, classes or groups
              differ; a value is nan. Nothing was changed.  OptionError: something given is no module,
              optimizer, schedule or generator.
    Example:
        >>> import tempfile, numpy as np, tinygrad_lo as lo
        >>> rng = np.random.default_rng(0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lo.save(f"{folder}/run.safetensors", rng=rng)
        ...     first = rng.random()
        ...     lo.load(f"{folder}/run.safetensors", rng=rng)
        >>> rng.random() == first
        True
    """
    source = as_path("load", path)
    parts = saved_parts("load", model=model, optimizer=optimizer, schedule=schedule, rng=rng)
    now = {name: part.state_dict() for name, part in parts.items()}
    try:
        data = source.read_bytes()
    except OSError as error:
        what = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise type(error)(f"load: {source}: {what}{UNCHANGED}") from None
    try:
        contents, tensors = from_bytes(data)
        new = {name: unpacked(part, now[name], contents, tensors) for name, part in parts.items()}
        assign(parts, now, new)
    except CheckpointError as error:
        raise CheckpointError(f"load: {source}: {error}{UNCHANGED}") from error.__cause__
    return contents.get("extra")


def saved_parts(who: str, **things: Any) -> dict[str, SavedPart]:
    """What is to be saved or loaded, by name."""
    return {name: PARTS[name](who, thing) for name, thing in things.items() if thing is not None}


def unpacked(part: SavedPart, now: Any, contents: dict[str, Any], tensors: Arrays) -> Any:
    """A part of the file, in the form in which the object takes its state."""
    name, there = part.name, ", ".join(contents) or "nothing"
    if name not in contents:
        refuse(f"{name}= was given, but the file holds no {name}; it holds {there}")
    prefix = f"{name}/"
    part.arrays = {key.removeprefix(prefix): x for key, x in tensors.items() if key.startswith(prefix)}
    for key, array in part.arrays.items():
        if count := nans(array):
            refuse(f"{key!r} of the {name} holds {count} nan")
    try:
        return part.unpack(contents[name], now)
    except CheckpointError:
        raise
    except Exception as error:  # the file's JSON is someone else's, and may be anything
        raise CheckpointError(f"its {name} is not what lo.save writes: {error!r}") from error


def assign(parts: dict[str, SavedPart], now: dict[str, Any], new: dict[str, Any]) -> None:
    """Assign all, or return everything to what it was: an object may know reasons that we do not."""
    begun: list[str] = []
    try:
        for name, state in new.items():
            begun.append(name)
            parts[name].load_state_dict(state)
    except BaseException as error:
        for name in reversed(begun):
            parts[name].load_state_dict(now[name])
        if not isinstance(error, Exception):
            raise
        text = str(error).removesuffix(".").removesuffix("nothing was changed").rstrip("; .")
        raise CheckpointError(f"the {begun[-1]} refuses: {text}") from error


# ------------------------------------------------------------------------------ the parts of a file


class SavedPart:
    """One of the things that are saved: what is put into the file, and what it must find there."""

    name: str

    def __init__(self, who: str, thing: Any) -> None:
        if isinstance(thing, type) or not hasattr(thing, "load_state_dict"):
            kind = f"the class {thing.__name__}" if isinstance(thing, type) else type(thing).__name__
            raise OptionError(f"{who}: {self.name} must have state_dict() and load_state_dict(); got {kind}")
        self.thing = thing
        self.arrays: Arrays = {}  # that go into the file, or come out of it

    def state_dict(self) -> Any:
        """Where it stands."""
        return self.thing.state_dict()

    def load_state_dict(self, state: Any) -> None:
        """Go there."""
        self.thing.load_state_dict(state)

    def pack(self, state: Any) -> Any:
        """The state as JSON, without the arrays."""
        raise NotImplementedError

    def unpack(self, packed: Any, now: Any) -> Any:
        """What was packed, if the object can take it; `now` is its present state."""
        raise NotImplementedError

    def refuse_other(self, theirs: str, mine: str) -> None:
        """Raise for the state of another class."""
        if theirs != mine:
            refuse(f"the file holds the state of {theirs}, not of {mine}")


class NamedTensors:
    """Parameters with names, with a module's way to say and to take their state."""

    def __init__(self, who: str, model: Any) -> None:
        self.tensors: dict[str, Any] = {}
        pairs = model.items() if isinstance(model, Mapping) else named_values(who, model)
        for i, (name, t) in enumerate(pairs):
            if not isinstance(t, Node) or t.op is not None:
                raise OptionError(f"{who}: entry {i} must be a parameter, got {type(t).__name__}")
            if not isinstance(name, str):
                raise OptionError(f"{who}: entry {i} has no name; write lo.Parameter(..., name='W{i}')")
            if name in self.tensors:
                raise OptionError(f"{who}: {name!r} names two parameters")
            self.tensors[name] = t

    def state_dict(self) -> dict[str, Any]:
        """The arrays themselves: nothing here writes into them, and taking one back is exact."""
        return {name: t.value for name, t in self.tensors.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Assign arrays that were compared before."""
        for name, t in self.tensors.items():
            if t.value is not state[name]:  # the same array again would mean: changed in place
                t.data = state[name]


class SavedModel(SavedPart):
    """A model is its tensors; the JSON says only that it is there."""

    name = "model"

    def __init__(self, who: str, thing: Any) -> None:
        has_state = isinstance(thing, type) or hasattr(thing, "load_state_dict")
        super().__init__(who, thing if has_state else NamedTensors(f"{who}: model", thing))

    def pack(self, state: Any) -> Any:
        """Nothing but tensors."""
        for name, value in state.items():
            self.arrays[name] = storable(repr(name), value)
        return {}

    def unpack(self, _: Any, now: Any) -> Any:
        """The arrays of the file, if they fit those of the model."""
        theirs = self.arrays
        same_names("the model", now, theirs)
        wrong = list(filter(None, (misfit(name, theirs[name], mine) for name, mine in now.items())))
        if wrong:
            refuse("; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""))
        return {name: theirs[name].astype(mine.dtype, copy=False)[()] for name, mine in now.items()}


class SavedOptimizer(SavedPart):
    """An optimizer is JSON, and the arrays of its state."""

    name = "optimizer"

    def pack(self, state: Any) -> Any:
        """The arrays are named after their parameter and their key: "optimizer/W/m"."""
        numbers: dict[str, dict[str, Any]] = {name: {} for name in state["state"]}
        for name, key, value in ((n, k, v) for n, slots in state["state"].items() for k, v in slots.items()):
            if "/" in key:  # "a/b" with "m" and "a" with "b/m" would be one tensor
                raise OptionError(
                    f"save: optimizer: the state of {name!r} has the key {key!r}; '/' cannot be"
                )
            where = f"{key!r} of {name!r} in the optimizer"
            if isinstance(value, (ndarray, np.generic)):
                self.arrays[f"{name}/{key}"] = storable(where, value)
            else:
                numbers[name][key] = plain_json(value, where)
        groups = plain_json(state["groups"], "groups of the optimizer")
        return {"class": state["class"], "groups": groups, "state": numbers}

    def unpack(self, packed: Any, now: Any) -> Any:
        """The state of the file, if it was an optimizer of this class with these groups."""
        self.refuse_other(packed["class"], now["class"])
        groups, ours = packed["groups"], now["groups"]
        if len(groups) != len(ours):
            refuse(f"the optimizer has {len(groups)} groups in the file, {len(ours)} here")
        for i, (theirs, mine) in enumerate(zip(groups, ours, strict=True)):
            same_names(f"options of the optimizer's group {i}", mine, theirs)
            self.refuse_other_parameters(i, theirs["names"], mine["names"])
        state = {name: dict(slots) for name, slots in packed["state"].items()}
        for place, array in self.arrays.items():
            name, _, key = place.rpartition("/")
            state[name][key] = array[()]
        return {"class": packed["class"], "groups": list(map(as_in, ours, groups)), "state": state}

    @staticmethod
    def refuse_other_parameters(i: int, theirs: list[str], mine: list[str]) -> None:
        """Raise unless a group of the file has the parameters of the group here."""
        if len(theirs) != len(mine):
            refuse(f"the optimizer's group {i} has {len(theirs)} parameters in the file, {len(mine)} here")
        # A parameter without a name goes by its position, which may stand for any name.
        if not any(name.isdecimal() for name in (*theirs, *mine)):
            same_names(f"parameters of the optimizer's group {i}", mine, theirs)


class SavedSchedule(SavedPart):
    """A schedule is numbers."""

    name = "schedule"

    def pack(self, state: Any) -> Any:
        """The numbers, and whose they are."""
        return {"class": type(self.thing).__name__, "state": plain_json(state, "schedule")}

    def unpack(self, packed: Any, now: Any) -> Any:
        """The state of the file, if it was a schedule of this class."""
        self.refuse_other(packed["class"], type(self.thing).__name__)
        same_names("the schedule", now, packed["state"])
        return as_in(now, packed["state"])


class SavedGenerator(SavedPart):
    """A generator has ints of 128 bits, which only JSON can hold."""

    name = "rng"

    def __init__(self, who: str, thing: Any) -> None:
        if not isinstance(thing, np.random.Generator):
            raise OptionError(f"{who}: rng must be a numpy.random.Generator, got {type(thing).__name__}")
        self.source: Any = thing.bit_generator
        self.arrays = {}

    def state_dict(self) -> Any:
        """NumPy's own dict, which is a copy."""
        return dict(self.source.state)

    def load_state_dict(self, state: Any) -> None:
        """Go on from there."""
        self.source.state = state

    def pack(self, state: Any) -> Any:
        """NumPy's dict, with lists in the place of arrays."""
        return plain_json(state, "rng", arrays=True)

    def unpack(self, packed: Any, now: Any) -> Any:
        """The state of the file, if it was a generator of this kind and NumPy accepts it."""
        theirs, mine = packed["bit_generator"], now["bit_generator"]
        if theirs != mine:
            refuse(f"the file holds the state of a {theirs}, but rng is a {mine}")
        state = as_in(now, packed)
        type(self.source)(0).state = state  # raises for what is no state
        return state


PARTS: dict[str, type[SavedPart]] = {
    kind.name: kind for kind in (SavedModel, SavedOptimizer, SavedSchedule, SavedGenerator)
}

# ------------------------------------------------------------------------------- arrays and names


def storable(who: str, value: Any) -> ndarray[Any, Any]:
    """The array as a file can keep it, or an error that says why none can."""
    if not isinstance(value, (ndarray, np.generic)):
        raise DTypeError(f"save: {who} is {type(value).__name__}; only NumPy arrays can be saved")
    refuse_odd_arrays(value, f"save: {who}: cannot keep a")
    array = np.asarray(value, order="C")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype not in DTYPES.values():
        raise DTypeError(f"save: {who} is {array.dtype}; safetensors holds floats, ints, bool of <= 64 bits")
    count = nans(array)
    if count:
        raise NonFiniteError(
            f"save: {who} holds {count} nan; nothing was written. lo.anomaly() names where nan began"
        )
    return array


def nans(array: ndarray[Any, Any]) -> int:
    """How many elements are nan."""
    return int(np.isnan(array).sum()) if array.dtype.kind == "f" else 0


def misfit(name: str, theirs: ndarray[Any, Any], mine: Any) -> str:
    """Why an array of the file cannot take the place of one here, or nothing."""
    if theirs.shape != mine.shape:
        return f"{name!r} is {theirs.shape} in the file, {mine.shape} in the model"
    if theirs.dtype != mine.dtype.newbyteorder("="):
        return f"{name!r} is {theirs.dtype} in the file, {mine.dtype} in the model"
    return ""


def same_names(what: str, mine: Iterable[str], theirs: Iterable[str]) -> None:
    """Raise unless the names are the same, in any order."""
    wrong = differences(mine, theirs)
    if wrong:
        refuse(f"{what}: {wrong}")


# ------------------------------------------------------------------------------------------- JSON


def plain_json(value: Any, where: str, arrays: bool = False, depth: int = 0) -> Any:
    """The value as what JSON gives back; NumPy numbers become Python's, all else that changes raises."""
    if depth > DEEPEST:
        raise OptionError(f"save: {where[:60]}...: nested deeper than {DEEPEST} levels, or within itself")
    if type(value) in PLAIN_TYPES:
        return value
    if isinstance(value, (np.bool_, np.integer, np.floating)) and value.dtype.itemsize <= 8:
        return value.item()
    if isinstance(value, (list, tuple)):
        return [plain_json(x, f"{where}[{i}]", arrays, depth + 1) for i, x in enumerate(value)]
    if isinstance(value, dict):
        refuse_odd_keys(value, where)
        return {k: plain_json(x, f"{where}[{k!r}]", arrays, depth + 1) for k, x in value.items()}
    if arrays and isinstance(value, ndarray):
        return value.tolist()
    hint = "; use .tolist()" if isinstance(value, ndarray) else ""
    raise DTypeError(f"save: {where} is {type(value).__name__}, which JSON cannot hold{hint}")


def refuse_odd_keys(value: dict[Any, Any], where: str) -> None:
    """Raise for keys that JSON would turn into text."""
    for key in value:
        if type(key) is not str:
            raise DTypeError(f"save: {where} has the key {key!r}; keys of JSON are text, use str(key)")


def as_in(mine: Any, back: Any) -> Any:
    """What JSON gave back, with the tuples and arrays that the object of now has in these places."""
    if isinstance(mine, dict) and isinstance(back, dict):
        return {key: as_in(mine.get(key), value) for key, value in back.items()}
    if isinstance(mine, ndarray) and isinstance(back, list):
        return np.array(back, mine.dtype)
    if isinstance(mine, (list, tuple)) and isinstance(back, list):
        return type(mine)(as_in(x, y) for x, y in zip([*mine, *[None] * len(back)], back, strict=False))
    return back
