"""Filters and feature maps as small images: an array (N, C, H, W) as tiles, their pixels cells of a table."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.drawing.colors import Colors, mix
from tinygrad_lo.drawing.passes.flow import concrete
from tinygrad_lo.drawing.styles.labels import cell, font, framed, row, table
from tinygrad_lo.engine.graph import Array

ACROSS, DOWN = 8, 2  # tiles
SIDE = 12  # pixels of a tile; of more, neighbours are averaged
SHADES = 12  # neighbouring pixels of one shade are one cell
POINTS = 32  # a tile is about as wide


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether an array of this shape is shown as images."""
    return len(shape) == 4 and min(shape) > 0 and min(shape[2:]) > 1


def image_of(kind: str, data: Array | None, palette: Colors) -> str:
    """The tiles: of values light is the smallest and dark the largest, of gradients light is 0."""
    x = None if data is None else concrete(data)
    if x is None or not np.isfinite(x).all():
        return ""
    shades = shades_of(kind, tiles := grid(x.astype(float)))
    ink = palette.ink if kind == "value" else palette.gradient
    colors = [mix(ink, palette.card, shade / SHADES) for shade in range(SHADES + 1)]
    side = max(2, min(8, POINTS // max(shades.shape[2:])))
    rows = [row(*(cell(one_tile(one, colors, side, palette.frame)) for one in line)) for line in shades]
    shown, every = tiles.shape[0] * tiles.shape[1], x.shape[0] * x.shape[1]
    if shown < every:
        rows.append(row(cell(font(f"{shown} of {every}", palette.muted, 10), colspan=tiles.shape[1])))
    return table(*rows, cellspacing=2, cellpadding=0)


def shades_of(kind: str, tiles: ndarray[Any, Any]) -> ndarray[Any, Any]:
    """0 for what is light, SHADES for what is dark."""
    x = tiles if kind == "value" else np.abs(tiles)
    low, high = x.min() if kind == "value" else 0.0, x.max()
    return np.rint((x - low) * (SHADES / (high - low) if high > low else 0.0)).astype(int)


def grid(x: ndarray[Any, Any]) -> ndarray[Any, Any]:
    """The tiles that are shown (down, across, height, width): channels beside each other, samples below."""
    if x.shape[1] == 1:
        x = x.swapaxes(0, 1)
    x = x[:DOWN, :ACROSS]
    for axis in (2, 3):
        if x.shape[axis] > SIDE:
            edges = np.linspace(0, x.shape[axis], SIDE, endpoint=False).astype(int)
            counts = np.diff([*edges, x.shape[axis]])
            x = np.add.reduceat(x, edges, axis) / np.expand_dims(counts, (*range(axis), *range(axis + 1, 4)))
    return x


def one_tile(shades: ndarray[Any, Any], colors: list[str], side: int, frame: str) -> str:
    """One image. Its size is fixed: Graphviz would spread its pixels over a wider cell.

    The first row, one point high, says how wide each column is: cells over several columns do not.
    """
    down, across = shades.shape
    rows = [row(cell("", width=side, height=1, fixedsize="TRUE") * across)]
    for line in shades.tolist():
        runs = [(shade, len(list(run))) for shade, run in groupby(line)]
        rows.append(row(*(pixels(colors[shade], side, count) for shade, count in runs)))
    size = {"width": side * across + 2, "height": side * down + 3, "fixedsize": "TRUE"}
    return framed(*rows, border=1, color=frame, cellpadding=0, **size)


def pixels(color: str, side: int, count: int) -> str:
    """Neighbours of one shade."""
    size = {"width": side * count, "height": side, "fixedsize": "TRUE"}
    return cell("", bgcolor=color, colspan=count if count > 1 else "", **size)
