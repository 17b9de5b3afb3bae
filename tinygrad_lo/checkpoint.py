"""Save and load a run as safetensors: model, optimizer, schedule, random numbers. Never pickle.

A file is one safetensors file that other tools can read. Arrays are its tensors, "model/W1" or
"optimizer/W1/v"; all else is JSON in its metadata, with a version and a digest of everything, so that
a damaged file is refused and not half believed. `json.loads(metadata["tinygrad_lo checkpoint"])` has it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.machine.arguments import refuse_odd_arrays
from tinygrad_lo.engine.naming import name_of
from tinygrad_lo.errors import CheckpointError, DTypeError, NonFiniteError, OptionError
from tinygrad_lo.safefile import DTYPES, Arrays, as_path, from_bytes, refuse, to_bytes, write

UNCHANGED = "; nothing was changed"
DEEPEST = 50  # levels of nested JSON; a list that contains itself has more than any


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

    `model` is a module, or a list or dict of named parameters; `rng` the generator whose next numbers
    matter, such as the one that shuffles the mini-batches; `extra` whatever JSON can say: the epoch,
    a history of losses. NumPy numbers in it become Python's, tuples become lists. An `rng.spawn` counts
    apart from the generator's state and is not kept. The file is written beside its place and then
    moved there: it is the old one or the new one, never half of one.

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
    given = wrapped("save", model=model, optimizer=optimizer, schedule=schedule, rng=rng)
    if not given and extra is None:
        raise OptionError("save: nothing to save; give model=, optimizer=, schedule=, rng= or extra=")
    contents: dict[str, Any] = {}
    tensors: Arrays = {}
    for part, thing in given.items():
        contents[part] = PACK[part](thing.state_dict(), thing, tensors)
    if extra is not None:
        contents["extra"] = plain_json(extra, "extra")
    write(target, to_bytes(tensors, contents))


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
    given = wrapped("load", model=model, optimizer=optimizer, schedule=schedule, rng=rng)
    now = {part: thing.state_dict() for part, thing in given.items()}
    try:
        data = source.read_bytes()
    except OSError as error:
        what = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise type(error)(f"load: {source}: {what}{UNCHANGED}") from None
    try:
        contents, tensors = from_bytes(data)
        for part in given:
            if part not in contents:
                has = ", ".join(contents) or "nothing"
                refuse(f"{part}= was given, but the file holds no {part}; it holds {has}")
        new = {part: unpack(part, contents[part], thing, now[part], tensors) for part, thing in given.items()}
        assign(given, now, new)
    except CheckpointError as error:
        raise CheckpointError(f"load: {source}: {error}{UNCHANGED}") from error.__cause__
    return contents.get("extra")


# -------------------------------------------------------------------------- what is saved and asked


class Named:
    """A list or dict of parameters, with a module's way to say and to take its state."""

    def __init__(self, who: str, model: Any) -> None:
        pairs = model.items() if isinstance(model, Mapping) else ((name_or_none(t), t) for t in model)
        self.tensors: dict[str, Any] = {}
        for i, (name, t) in enumerate(pairs):
            if not isinstance(t, Node) or t.op is not None:
                raise OptionError(f"{who}: model: entry {i} must be a parameter, got {type(t).__name__}")
            if not isinstance(name, str):
                raise OptionError(
                    f"{who}: model: entry {i} has no name; write lo.Parameter(..., name='W{i}')"
                )
            if name in self.tensors:
                raise OptionError(f"{who}: {name!r} names two parameters of the model")
            self.tensors[name] = t

    def state_dict(self) -> dict[str, Any]:
        """The arrays themselves: nothing here writes into them, and taking one back is exact."""
        return {name: t.value for name, t in self.tensors.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Assign arrays that were compared before."""
        for name, t in self.tensors.items():
            if t.value is not state[name]:  # the same array again would mean: changed in place
                t.data = state[name]


class Numbers:
    """A generator, with an optimizer's way to say and to take its state."""

    def __init__(self, who: str, rng: Any) -> None:
        if not isinstance(rng, np.random.Generator):
            raise OptionError(f"{who}: rng must be a numpy.random.Generator, got {type(rng).__name__}")
        self.source: Any = rng.bit_generator

    def state_dict(self) -> dict[str, Any]:
        """NumPy's own dict, which is a copy."""
        return dict(self.source.state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.source.state = state


def name_or_none(t: Any) -> str | None:
    """The name of a parameter, if it is one and has one."""
    return name_of(t) if isinstance(t, Node) else None


def wrapped(who: str, **parts: Any) -> dict[str, Any]:
    """What was given, each with state_dict() and load_state_dict()."""
    found = {}
    for part, thing in parts.items():
        if thing is None:
            continue
        if part == "rng":
            thing = Numbers(who, thing)
        elif part == "model" and isinstance(thing, (Mapping, list, tuple)):
            thing = Named(who, thing)
        elif isinstance(thing, type) or not hasattr(thing, "load_state_dict"):
            kind = f"the class {thing.__name__}" if isinstance(thing, type) else type(thing).__name__
            more = ", or be a list or dict of parameters" if part == "model" else ""
            raise OptionError(f"{who}: {part} must have state_dict() and load_state_dict(){more}; got {kind}")
        found[part] = thing
    return found


def put(tensors: Arrays, key: str, who: str, value: Any) -> None:
    """Add an array to the tensors of the file, or say why it cannot be kept."""
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
    tensors[key] = array


def nans(array: ndarray[Any, Any]) -> int:
    """How many elements are nan."""
    return int(np.isnan(array).sum()) if array.dtype.kind == "f" else 0


def plain_json(value: Any, where: str, arrays: bool = False, depth: int = 0) -> Any:
    """The value as what JSON gives back; NumPy numbers become Python's, all else that changes raises."""
    if depth > DEEPEST:
        raise OptionError(f"save: {where[:60]}...: nested deeper than {DEEPEST} levels, or within itself")
    if arrays and isinstance(value, ndarray):
        return value.tolist()
    if isinstance(value, (np.bool_, np.integer, np.floating)) and value.dtype.itemsize <= 8:
        return value.item()
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, (list, tuple)):
        return [plain_json(x, f"{where}[{i}]", arrays, depth + 1) for i, x in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if type(key) is not str:
                raise DTypeError(f"save: {where} has the key {key!r}; keys of JSON are text, use str(key)")
        return {k: plain_json(x, f"{where}[{k!r}]", arrays, depth + 1) for k, x in value.items()}
    hint = "; use .tolist()" if isinstance(value, ndarray) else ""
    raise DTypeError(f"save: {where} is {type(value).__name__}, which JSON cannot hold{hint}")


def as_in(mine: Any, found: Any) -> Any:
    """What JSON gave back, with the tuples and arrays that the object of now has in these places."""
    if isinstance(mine, dict) and isinstance(found, dict):
        return {key: as_in(mine.get(key), value) for key, value in found.items()}
    if isinstance(mine, ndarray) and isinstance(found, list):
        return np.array(found, mine.dtype)
    if isinstance(mine, (list, tuple)) and isinstance(found, list):
        return type(mine)(as_in(x, y) for x, y in zip([*mine, *[None] * len(found)], found, strict=False))
    return found


def pack_model(state: dict[str, Any], model: Any, tensors: Arrays) -> Any:
    """A model is its tensors; the JSON says only that it is there."""
    for name, value in state.items():
        put(tensors, f"model/{name}", repr(name), value)
    return {}


def pack_optimizer(state: dict[str, Any], optimizer: Any, tensors: Arrays) -> Any:
    """An optimizer as JSON; its arrays go to the tensors."""
    numbers: dict[str, dict[str, Any]] = {}
    for name, slots in state["state"].items():
        numbers[name] = {}
        for key, value in slots.items():
            if "/" in key:  # "a/b" with "m" and "a" with "b/m" would be one tensor
                raise OptionError(
                    f"save: optimizer: the state of {name!r} has the key {key!r}; '/' cannot be"
                )
            where = f"{key!r} of {name!r} in the optimizer"
            if isinstance(value, (ndarray, np.generic)):
                put(tensors, f"optimizer/{name}/{key}", where, value)
            else:
                numbers[name][key] = plain_json(value, where)
    groups = plain_json(state["groups"], "groups of the optimizer")
    return {"class": state["class"], "groups": groups, "state": numbers}


def pack_schedule(state: dict[str, Any], schedule: Any, tensors: Arrays) -> Any:
    """A schedule is numbers."""
    return {"class": type(schedule).__name__, "state": plain_json(state, "schedule")}


def pack_rng(state: dict[str, Any], rng: Numbers, tensors: Arrays) -> Any:
    """The state of a generator has ints of 128 bits, which only JSON can hold."""
    return plain_json(state, "rng", arrays=True)


PACK = {"model": pack_model, "optimizer": pack_optimizer, "schedule": pack_schedule, "rng": pack_rng}


# --------------------------------------------------------------------- from the file to the objects


def compare_names(what: str, wanted: Iterable[str], found: Iterable[str]) -> None:
    """Raise unless the names are the same, in any order."""
    wanted, found = dict.fromkeys(wanted), dict.fromkeys(found)
    missing = [name for name in wanted if name not in found]
    unexpected = [name for name in found if name not in wanted]
    if not missing and not unexpected:
        return
    likely = {
        hit: None for name in unexpected[:9] for hit in difflib.get_close_matches(name, missing[:99], 1)
    }
    hint = f" (did you mean {', '.join(map(repr, likely))}?)" if likely else ""
    refuse(f"{what}: missing: {listed(missing)}, unexpected: {listed(unexpected)}{hint}")


def listed(names: list[str]) -> str:
    """Names for a message: the first ones of many."""
    return str(names) if len(names) <= 9 else f"{str(names[:9])[:-1]}, and {len(names) - 9} more]"


def pick(tensors: Arrays, prefix: str, where: str) -> Arrays:
    """The tensors of a part, without nan."""
    found = {key.removeprefix(prefix): array for key, array in tensors.items() if key.startswith(prefix)}
    for name, array in found.items():
        if count := nans(array):
            refuse(f"{name!r} of the {where} holds {count} nan")
    return found


def unpack_model(part: Any, model: Any, now: Arrays, tensors: Arrays) -> Any:
    """The arrays of the file, if they fit those of the model."""
    found = pick(tensors, "model/", "model")
    compare_names("the model", now, found)
    wrong = []
    for name, mine in now.items():
        theirs = found[name]
        if theirs.shape != mine.shape:
            wrong.append(f"{name!r} is {theirs.shape} in the file, {mine.shape} in the model")
        elif theirs.dtype != mine.dtype.newbyteorder("="):
            wrong.append(f"{name!r} is {theirs.dtype} in the file, {mine.dtype} in the model")
    if wrong:
        refuse("; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""))
    return {name: found[name].astype(mine.dtype, copy=False)[()] for name, mine in now.items()}


def unpack_optimizer(part: Any, optimizer: Any, now: dict[str, Any], tensors: Arrays) -> Any:
    """The state of the file, if it was an optimizer of this class with these groups."""
    if part["class"] != now["class"]:
        refuse(f"the file holds the state of {part['class']}, not of {now['class']}")
    groups = part["groups"]
    if len(groups) != len(now["groups"]):
        refuse(f"the optimizer has {len(groups)} groups in the file, {len(now['groups'])} here")
    for i, (theirs, mine) in enumerate(zip(groups, now["groups"], strict=True)):
        compare_names(f"options of the optimizer's group {i}", mine, theirs)
        names, ours = theirs["names"], mine["names"]
        if len(names) != len(ours):
            refuse(f"the optimizer's group {i} has {len(names)} parameters in the file, {len(ours)} here")
        # A parameter without a name goes by its position, which may stand for any name.
        if not any(name.isdecimal() for name in (*names, *ours)):
            compare_names(f"parameters of the optimizer's group {i}", ours, names)
    state = {name: dict(slots) for name, slots in part["state"].items()}
    for place, array in pick(tensors, "optimizer/", "optimizer").items():
        name, _, key = place.rpartition("/")
        state[name][key] = array[()]
    return {"class": part["class"], "groups": list(map(as_in, now["groups"], groups)), "state": state}


def unpack_schedule(part: Any, schedule: Any, now: dict[str, Any], tensors: Arrays) -> Any:
    """The state of the file, if it was a schedule of this class."""
    if part["class"] != type(schedule).__name__:
        refuse(f"the file holds the state of {part['class']}, not of {type(schedule).__name__}")
    compare_names("the schedule", now, part["state"])
    return as_in(now, part["state"])


def unpack_rng(part: Any, rng: Numbers, now: dict[str, Any], tensors: Arrays) -> Any:
    """The state of the file, if it was a generator of this kind and NumPy accepts it."""
    if part["bit_generator"] != now["bit_generator"]:
        refuse(f"the file holds the state of a {part['bit_generator']}, but rng is a {now['bit_generator']}")
    state = as_in(now, part)
    type(rng.source)(0).state = state  # raises for what is no state
    return state


UNPACK = {
    "model": unpack_model,
    "optimizer": unpack_optimizer,
    "schedule": unpack_schedule,
    "rng": unpack_rng,
}


def unpack(part: str, *given: Any) -> Any:
    """A part of the file, in the form in which the object takes its state."""
    try:
        return UNPACK[part](*given)
    except CheckpointError:
        raise
    except Exception as error:  # the file's JSON is someone else's, and may be anything
        raise CheckpointError(f"its {part} is not what lo.save writes: {error!r}") from error


def assign(given: dict[str, Any], now: dict[str, Any], new: dict[str, Any]) -> None:
    """Assign all, or return everything to what it was: an object may know reasons that we do not."""
    begun: list[str] = []
    try:
        for part, state in new.items():
            begun.append(part)
            given[part].load_state_dict(state)
    except BaseException as error:
        for part in reversed(begun):
            given[part].load_state_dict(now[part])
        if not isinstance(error, Exception):
            raise
        text = str(error).removesuffix(".").removesuffix("nothing was changed").rstrip("; .")
        raise CheckpointError(f"the {begun[-1]} refuses: {text}") from error
