"""Save and load a run as safetensors: model, optimizer, schedule, random numbers. Never pickle.

Arrays are the file's tensors, "model/W1" or "optimizer/W1/v"; all else is JSON in its metadata, with a
version and a digest of everything: `json.loads(metadata["tinygrad_lo checkpoint"])`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.machine.arguments import refuse_odd_arrays
from tinygrad_lo.errors import CheckpointError, DTypeError, NonFiniteError, OptionError
from tinygrad_lo.names import misfits, named_values
from tinygrad_lo.options import public
from tinygrad_lo.safefile import DTYPES, Arrays, as_path, from_bytes, to_bytes, write_whole

UNCHANGED = "; nothing was changed"
PLAIN_TYPES = {type(None), bool, int, float, str}
State = Any  # what a `state_dict()` answers, and a `load_state_dict()` takes
DEEPEST = 50  # levels of nested JSON; a list that contains itself has more than any


@public
def save(
    path: Any, *, model: Any = None, optimizer: Any = None, schedule: Any = None,
    rng: np.random.Generator | None = None, extra: Any = None,
) -> None:  # fmt: skip
    """Write a run to one safetensors file, from which `lo.load` continues to the same bits.

    `model` is a module, or named parameters: one, a list, pairs, a dict; `rng` the generator whose next
    numbers matter, such as the one that shuffles the mini-batches (an `rng.spawn` counts apart, and is
    not kept); `extra` whatever JSON can say: the epoch, a history of losses. NumPy numbers in it become
    Python's, tuples lists. The file is written beside its place and then moved there, never half of it.

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
    tensors: Arrays = {}
    contents = {name: packed(name, part, tensors) for name, part in parts.items()}
    if extra is not None:
        contents["extra"] = plain_json(extra, "extra")
    write_whole(target, to_bytes(tensors, contents))


@public
def load(
    path: Any, *, model: Any = None, optimizer: Any = None, schedule: Any = None,
    rng: np.random.Generator | None = None,
) -> Any:  # fmt: skip
    """Bring model, optimizer, schedule and generator to where `lo.save` found them; returns `extra`.

    All or nothing: if anything in the file is damaged or does not fit, all stays as it was. What is asked
    for must be in the file; what the file has beyond that is left there, so a model can be loaded alone.
    `extra` is None when none was saved.

    Raises:   FileNotFoundError: there is no such file.  CheckpointError: it is no checkpoint, damaged or
              of another version; it lacks what is asked for; names, shapes, dtypes, classes or groups
              differ; a value is nan. Nothing was changed.  OptionError: as `lo.save`.
    Example:
        >>> import tempfile, tinygrad_lo as lo
        >>> W = lo.Parameter([1.0], name="W")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lo.save(f"{folder}/run.safetensors", model=W, extra="the first")
        ...     lo.load(f"{folder}/run.safetensors", model=W)
        'the first'
    """
    source = as_path("load", path)
    # The model comes last: the others compare a state with themselves when they take it.
    parts = saved_parts("load", optimizer=optimizer, schedule=schedule, rng=rng, model=model)
    now = {name: part.state_dict() for name, part in parts.items()}
    try:
        data = source.read_bytes()
    except OSError as error:
        what = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise type(error)(f"load: {source}: {what}{UNCHANGED}") from None
    try:
        contents, tensors = from_bytes(data)
        for key, array in tensors.items():
            if count := nans(array):
                raise CheckpointError(f"{key!r} holds {count} nan")
        new = {name: unpacked(name, part, now[name], contents, tensors) for name, part in parts.items()}
        assign(parts, now, new)
    except CheckpointError as error:
        raise CheckpointError(f"load: {source}: {error}{UNCHANGED}") from error.__cause__
    return contents.get("extra")


def saved_parts(who: str, **things: Any) -> dict[str, Any]:
    """What is to be saved or loaded by name, each with `state_dict` and `load_state_dict`."""
    parts: dict[str, Any] = {}
    for name, thing in things.items():
        if thing is None:
            continue
        if name == "rng":
            parts[name] = GeneratorState(who, thing)
        elif not isinstance(thing, type) and hasattr(thing, "load_state_dict"):
            parts[name] = thing
        elif not isinstance(thing, type) and name == "model":
            parts[name] = NamedTensors(f"{who}: model", thing)
        else:
            kind = f"the class {thing.__name__}" if isinstance(thing, type) else type(thing).__name__
            raise OptionError(f"{who}: {name} must have state_dict() and load_state_dict(); got {kind}")
    return parts


def packed(name: str, part: Any, tensors: Arrays) -> Any:
    """The state of a part as JSON. Its arrays are put with the tensors: "model/W", "optimizer/W/m"."""
    state = part.state_dict()
    if name == "model":  # which is all tensors: the JSON says only that it is there
        tensors.update((f"model/{key}", storable(repr(key), value)) for key, value in state.items())
        return {}
    if name == "schedule":
        return {"class": type(part).__name__, "state": plain_json(state, "schedule")}
    if name == "rng":
        return state
    numbers: dict[str, dict[str, Any]] = {}
    for parameter, slots in state["state"].items():
        numbers[parameter] = {}
        for key, value in slots.items():
            where = f"{key!r} of {parameter!r} in the optimizer"
            if "/" in key:  # "a/b" with "m" and "a" with "b/m" would be one tensor
                raise OptionError(f"save: {where}: '/' cannot be in a key")
            if isinstance(value, (ndarray, np.generic)):
                tensors[f"optimizer/{parameter}/{key}"] = storable(where, value)
            else:
                numbers[parameter][key] = plain_json(value, where)
    groups = plain_json(state["groups"], "groups of the optimizer")
    return {"class": state["class"], "groups": groups, "state": numbers}


def fill(state: State, arrays: Arrays) -> None:
    """Put an optimizer's arrays into its state, each beside its parameter's other entries."""
    for place, array in arrays.items():
        parameter, _, key = place.rpartition("/")
        state["state"][parameter][key] = array[()]


def unpacked(name: str, part: Any, now: State, contents: dict[str, Any], tensors: Arrays) -> State:
    """A part of the file, in the form in which the object takes its state; `now` is its present one."""
    if name not in contents:
        there = ", ".join(contents) or "nothing"
        raise CheckpointError(f"{name}= was given, but the file holds no {name}; it holds {there}")
    prefix = f"{name}/"
    arrays = {key.removeprefix(prefix): x for key, x in tensors.items() if key.startswith(prefix)}
    if name == "model":
        if wrong := misfits(now, arrays, "file"):
            raise CheckpointError(f"the model: {wrong}")
        return {key: arrays[key].astype(mine.dtype, copy=False)[()] for key, mine in now.items()}
    try:
        theirs, mine = contents[name].get("class"), now.get("class", type(part).__name__)
        state = as_in(now, contents[name]["state"] if name == "schedule" else contents[name])
        fill(state, arrays)
    except Exception as error:  # the file's JSON is someone else's, and may be anything
        raise CheckpointError(f"its {name} is not what lo.save writes: {error!r}") from error
    if theirs not in (mine, None):
        raise CheckpointError(f"the file holds the state of {theirs}, not of {mine}")
    return state


def assign(parts: dict[str, Any], now: dict[str, Any], new: dict[str, Any]) -> None:
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


class GeneratorState:
    """The state of a generator, as NumPy's own dict."""

    def __init__(self, who: str, rng: Any) -> None:
        if not isinstance(rng, np.random.Generator):
            raise OptionError(f"{who}: rng must be a numpy.random.Generator, got {type(rng).__name__}")
        self.source: Any = rng.bit_generator

    def state_dict(self) -> State:
        """The same in JSON, which alone can hold ints of 128 bits: with lists in the place of arrays."""
        return json.loads(json.dumps(self.source.state, default=lambda x: x.tolist()))

    def load_state_dict(self, state: State) -> None:
        """Go on from there."""
        theirs, mine = state["bit_generator"], self.source.state["bit_generator"]
        if theirs != mine:
            raise OptionError(f"the file holds the state of a {theirs}, but rng is a {mine}")
        self.source.state = as_in(self.source.state, state)


def storable(who: str, value: Any) -> ndarray[Any, Any]:
    """The array as a file can keep it, or an error that says why none can."""
    if not isinstance(value, (ndarray, np.generic)):
        raise DTypeError(f"save: {who} is {type(value).__name__}; only NumPy arrays can be saved")
    refuse_odd_arrays(value, f"save: {who}: cannot keep a")
    array = np.asarray(value, order="C")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype not in DTYPES:
        raise DTypeError(f"save: {who} is {array.dtype}; safetensors holds floats, ints, bool of <= 64 bits")
    if count := nans(array):
        cure = "lo.anomaly() names where nan began"
        raise NonFiniteError(f"save: {who} holds {count} nan; nothing was written. {cure}")
    return array


def nans(array: ndarray[Any, Any]) -> int:
    """How many elements are nan."""
    return int(np.isnan(array).sum()) if array.dtype.kind == "f" else 0


def must_be_text(where: str, keys: Iterable[Any]) -> None:
    """Refuse keys that JSON would turn into text."""
    if odd := [key for key in keys if type(key) is not str]:
        raise DTypeError(f"save: {where} has the key {odd[0]!r}; keys of JSON are text, use str(key)")


def plain_json(value: Any, where: str, depth: int = 0) -> Any:
    """The value as what JSON gives back; NumPy numbers become Python's, all else that changes raises."""
    if depth > DEEPEST:
        raise OptionError(f"save: {where[:60]}...: nested deeper than {DEEPEST} levels, or within itself")
    if type(value) in PLAIN_TYPES:
        return value
    if isinstance(value, (np.bool_, np.integer, np.floating)) and value.dtype.itemsize <= 8:
        return value.item()
    if isinstance(value, (list, tuple)):
        return [plain_json(x, f"{where}[{i}]", depth + 1) for i, x in enumerate(value)]
    if isinstance(value, dict):
        must_be_text(where, value)
        return {k: plain_json(x, f"{where}[{k!r}]", depth + 1) for k, x in value.items()}
    hint = "; use .tolist()" if isinstance(value, ndarray) else ""
    raise DTypeError(f"save: {where} is {type(value).__name__}, which JSON cannot hold{hint}")


def as_in(mine: Any, back: Any) -> Any:
    """What JSON gave back, with the tuples and arrays that the object of now has in these places."""
    if isinstance(mine, dict) and isinstance(back, dict):
        return {key: as_in(mine.get(key), value) for key, value in back.items()}
    if isinstance(mine, ndarray) and isinstance(back, list):
        return np.array(back, mine.dtype)
    if isinstance(mine, (list, tuple)) and isinstance(back, list):
        return type(mine)(as_in(x, y) for x, y in zip([*mine, *[None] * len(back)], back, strict=False))
    return back
