"""The loss around a point, along two directions, with the paths of optimizers on it: to be imported.

    import landscape
    u, v = landscape.directions(net, "path", path=path)              # or "random": filter-normalized
    a, b, z = landscape.surface(loss, net, (u, v), span=2.0)         # loss() of the parameters as they are
    landscape.contour(axes, a, b, z, {"Adam": landscape.project(path, landscape.flat(net), (u, v))})

A network has thousands of directions, and a picture has two. What the picture shows holds in its plane only:
a path that is projected onto it leaves out what lies beside it.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from matplotlib.axes import Axes

import tinygrad_lo as lo

Parameters = lo.nn.Module | Iterable[lo.Parameter]
Plane = tuple[np.ndarray, np.ndarray]


def parameters(model: Parameters) -> list[lo.Parameter]:
    """The parameters of a module, or the given ones as a list."""
    return list(model.parameters()) if isinstance(model, lo.nn.Module) else list(model)


def flat(model: Parameters) -> np.ndarray:
    """A copy of all parameters in one row."""
    return np.concatenate([np.ravel(p.data) for p in parameters(model)])


def put(model: Parameters, row: np.ndarray) -> None:
    """Set all parameters from one row, as `flat` gives it."""
    begin = 0
    for p in parameters(model):
        p.data = row[begin : begin + p.size].reshape(p.shape).copy()
        begin += p.size


def walk(loss: Callable[[], lo.Tensor], model: Parameters, optimizer: object, steps: int) -> np.ndarray:
    """Where an optimizer goes: (steps + 1, number of parameters). The parameters end at the last place."""
    step = lo.compile(loss, optimizer=optimizer)
    places = [flat(model)]
    for _ in range(steps):
        step()
        places.append(flat(model))
    return np.array(places)


def filter_normalized(model: Parameters, rng: np.random.Generator) -> np.ndarray:
    """A random direction in which each filter is as long as the filter of the weights (Li et al. 2018).

    A filter is a column of a linear layer's W and one output of a convolution. Biases do not move,
    unless there is nothing else.
    """
    arrays = [np.asarray(p.data) for p in parameters(model)]
    only_vectors = all(w.ndim < 2 for w in arrays)
    parts = []
    for w in arrays:
        d = rng.standard_normal(w.shape)
        axis = 0 if w.ndim == 2 else tuple(range(1, w.ndim)) if w.ndim > 2 else None
        norm = np.sqrt((d**2).sum(axis=axis, keepdims=True))
        d = d / norm * np.sqrt((w**2).sum(axis=axis, keepdims=True))
        parts.append(np.ravel(d) if w.ndim > 1 or only_vectors else np.zeros(w.size))
    return np.concatenate(parts)


def directions(
    model: Parameters,
    kind: str = "random",
    path: np.ndarray | None = None,
    rng: np.random.Generator | None = None,
) -> Plane:
    """Two directions: "random" (filter-normalized), or "path": its two principal components, of length 1.

    The components are those of the path seen from its last place, which is where the picture's middle is.
    """
    if kind == "random":
        rng = np.random.default_rng(0) if rng is None else rng
        return filter_normalized(model, rng), filter_normalized(model, rng)
    if kind != "path" or path is None:
        raise ValueError(f"kind is 'random', or 'path' with a path; not {kind!r}")
    u, v = np.linalg.svd(path - path[-1], full_matrices=False)[2][:2]
    return u, v


def surface(
    loss: Callable[[], object],
    model: Parameters,
    plane: Plane,
    span: float | tuple[float, float, float, float] = 1.0,
    resolution: int = 31,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The loss at centre + a·u + b·v, the centre being where the parameters are, and stay.

    span is one number for −span..span, or (left, right, bottom, top). Gives a, b and z[b, a].
    """
    left, right, bottom, top = (-span, span, -span, span) if np.isscalar(span) else span
    a, b = np.linspace(left, right, resolution), np.linspace(bottom, top, resolution)
    centre = flat(model)
    z = np.empty((resolution, resolution))
    try:
        with lo.no_grad():
            for i, j in np.ndindex(z.shape):
                put(model, centre + a[j] * plane[0] + b[i] * plane[1])
                z[i, j] = loss().item()
    finally:
        put(model, centre)
    return a, b, z


def project(path: np.ndarray, centre: np.ndarray, plane: Plane) -> np.ndarray:
    """The places (n, 2) of a path in the plane: the nearest points, exact for places that lie in it."""
    return np.linalg.lstsq(np.stack(plane, axis=1), (path - centre).T, rcond=None)[0].T


def contour(
    axes: Axes,
    a: np.ndarray,
    b: np.ndarray,
    z: np.ndarray,
    paths: Mapping[str, np.ndarray],
    colors: object = None,
) -> None:
    """Level lines, equally many places between two of them, and on them the paths, named at their ends."""
    axes.contour(
        a, b, z, levels=np.unique(np.quantile(z, np.linspace(0.01, 0.97, 16))), colors="#bbbbbb", linewidths=1
    )
    for i, (name, places) in enumerate(paths.items()):
        color = colors[i] if colors else f"C{i}"
        axes.plot(*places.T, ".-", color=color, linewidth=1.6, markersize=4, label=name)
        axes.plot(*places[-1], "o", color=color, markersize=9)
    axes.set(xlim=(a[0], a[-1]), ylim=(b[0], b[-1]))


def relief(axes: Axes, a: np.ndarray, b: np.ndarray, z: np.ndarray, ceiling: float | None = None) -> None:
    """The same in three dimensions, on axes with projection="3d", cut off at the ceiling."""
    top = float(np.max(z)) if ceiling is None else ceiling
    axes.plot_surface(
        *np.meshgrid(a, b), np.minimum(z, top), cmap="viridis", linewidth=0, rstride=1, cstride=1
    )
