"""One file of named arrays and JSON, in safetensors: whole or refused, and moved into place at once."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.errors import CheckpointError, OptionError

KEY = "tinygrad_lo checkpoint"  # one entry of metadata: safetensors writes several in random order
VERSION = 1

# What both safetensors and NumPy can hold.
DTYPES = {np.dtype(f"{kind}{size}") for kind in "iu" for size in (1, 2, 4, 8)}
DTYPES |= {np.dtype(name) for name in ("float16", "float32", "float64", "bool")}

Arrays = dict[str, ndarray[Any, Any]]


def as_path(who: str, path: Any) -> Path:
    """The place of the file; a link is followed, so that saving does not replace the link itself."""
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
        raise OptionError(f"{who}: path must be text or a pathlib.Path, got {type(path).__name__}")
    if path == "" or "\0" in os.fspath(path):
        raise OptionError(f"{who}: path must name a file, got {path!r}")
    return Path(os.path.realpath(path))


def digest(tensors: Arrays, body: dict[str, Any]) -> str:
    """One number for all that a file says; against accidents, not against forgers."""
    total = hashlib.sha256(json.dumps([body["version"], body["contents"]]).encode())
    for key in sorted(tensors):
        array = tensors[key]
        total.update(json.dumps([key, array.dtype.name, array.shape]).encode())
        total.update(array.reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def to_bytes(tensors: Arrays, contents: dict[str, Any]) -> bytes:
    """The whole file."""
    from safetensors import SafetensorError  # imported when used: a browser's Python does without
    from safetensors.numpy import save as serialize

    body: dict[str, Any] = {"version": VERSION, "contents": contents}
    try:
        body["sha256"] = digest(tensors, body)
        return serialize(tensors, {KEY: json.dumps(body)})
    except (SafetensorError, ValueError) as error:
        # More than 100 MB of them; half a surrogate pair; an int of 5000 digits.
        raise OptionError(f"save: safetensors cannot hold these names and this JSON: {error}") from error


def from_bytes(data: bytes) -> tuple[dict[str, Any], Arrays]:
    """What a file says, after every check that needs no model."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as deserialize

    try:
        tensors = deserialize(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        body = json.loads((header.get("__metadata__") or {})[KEY])
    except SafetensorError as error:
        what = f"not a tinygrad_lo checkpoint, or truncated or damaged: {error}"
        raise CheckpointError(f"{what} (it has {len(data)} bytes)") from error
    except KeyError as error:
        raise CheckpointError("not a tinygrad_lo checkpoint: a safetensors file of something else") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"damaged: its metadata is no JSON: {error}") from error
    whole = isinstance(body, dict) and body.keys() == {"version", "contents", "sha256"}
    if not whole or not isinstance(body["contents"], dict):
        raise CheckpointError("damaged: its metadata is not what lo.save writes")
    if body["version"] != VERSION:
        raise CheckpointError(f"of the unknown version {body['version']!r}; this tinygrad_lo reads {VERSION}")
    if digest(tensors, body) != body["sha256"]:
        raise CheckpointError("damaged: its digest differs, so some bytes are not those that were written")
    return body["contents"], tensors


def write_whole(path: Path, data: bytes) -> None:
    """Put a file into its place at once; the old one stays until the new one is safe on the disk."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"save: there is no folder {path.parent}")
    # A short name: beside a name of 255 bytes, a longer one could not be made.
    beside = path.parent / f".lo-{secrets.token_hex(8)}.tmp"
    try:
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            beside.chmod(path.stat().st_mode & 0o777)
        beside.replace(path)
    except BaseException:  # also a keyboard interrupt
        beside.unlink(missing_ok=True)
        raise
