"""Titles of scopes that no edge crosses.

Graphviz keeps edges clear of nodes, not of the titles of frames, and where edges run is known only after
the layout. So a first SVG is read, and the titles that are crossed move to a free place of their frame.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy import ndarray

# Where a title can stand: labelloc, labeljust. The first is where it stands from the start.
PLACES = [(loc, just) for loc in "tb" for just in "lrc"]
INSET = 8  # points from the frame's corner to a title
HIGH = 13  # of a line of a title
LARGEST = 5000  # titles times edges; looking through more takes longer than Graphviz itself
SPACING = 4  # points between two points of an edge, at most
Box = tuple[float, float, float, float]  # left, top, right, bottom
Curve = tuple[ndarray[Any, Any], ndarray[Any, Any], Box]  # x and y of points along an edge, and around them


def moved(source: str, svg: str) -> str:
    """The DOT text with crossed titles elsewhere; as it was when none is crossed, or no place is better."""
    edges = curves(svg)
    for name, frame, title in frames(svg):
        counts = [crossings(edges, placed(frame, title, *place)) for place in PLACES]
        loc, just = PLACES[counts.index(min(counts))]
        # In this line, the user's text comes after the place.
        start = re.escape(f'graph [id="{name}" ')
        found = re.compile(f"^({start}.*?)labelloc=t labeljust=l", re.MULTILINE)
        source = found.sub(rf"\g<1>labelloc={loc} labeljust={just}", source, count=1)
    return source


def crossed(svg: str) -> int:
    """How many edges run through titles; of a very large picture 0, so that its titles stay."""
    titles = [title for _, _, title in frames(svg)]
    if not titles or len(titles) * svg.count('class="edge') > LARGEST:
        return 0
    edges = curves(svg)
    return sum(crossings(edges, title) for title in titles)


def curves(svg: str) -> list[Curve]:
    """Every edge as points."""
    paths = re.findall(r'class="edge[^"]*">.*?<path [^>]*?d="([^"]*)"', svg, re.DOTALL)
    return [curve for curve in map(points, paths) if curve is not None]


def frames(svg: str) -> list[tuple[str, Box, Box]]:
    """Id, outline and title of each frame."""
    found = []
    for name, path, text in re.findall(
        r'<g id="(s\d+)" class="cluster">.*?<path [^>]*?d="([^"]*)".*?<text ([^>]*>[^<]*)</text>',
        svg,
        re.DOTALL,
    ):
        outline = [tuple(map(float, pair.split(","))) for pair in re.findall(r"-?[\d.]+,-?[\d.]+", path)]
        xs, ys = zip(*outline, strict=True)
        where = re.search(r' x="([^"]*)" y="([^"]*)"', f" {text}")
        if where is None:
            continue
        wide = 7.0 * len(re.sub(r"&[^;]*;", "x", text[text.index(">") + 1 :]))
        x, y = float(where[1]), float(where[2])
        found.append((name, (min(xs), min(ys), max(xs), max(ys)), (x, y - HIGH + 3, x + wide, y + 3)))
    return found


def placed(frame: Box, title: Box, loc: str, just: str) -> Box:
    """Where a title would stand."""
    left, top, right, bottom = frame
    wide = title[2] - title[0]
    x = {"l": left + INSET, "r": right - INSET - wide, "c": (left + right - wide) / 2}[just]
    y = top + 4 if loc == "t" else bottom - 4 - HIGH
    return x, y, x + wide, y + HIGH


def crossings(edges: list[Curve], box: Box) -> int:
    """How many edges run through a box."""
    left, top, right, bottom = box
    count = 0
    for x, y, (first, high, last, low) in edges:
        if first <= right and last >= left and high <= bottom and low >= top:
            inside = (left <= x) & (x <= right) & (top <= y) & (y <= bottom)
            count += bool(inside.any())
    return count


def points(path: str) -> Curve | None:
    """Points along the Bézier curves of a path, close to each other."""
    corners = np.array([pair.split(",") for pair in re.findall(r"-?[\d.]+,-?[\d.]+", path)], float)
    parts = (len(corners) - 1) // 3
    if parts < 1:
        return None
    pieces = np.stack(
        [corners[k : 3 * parts + k - 2 : 3] for k in (0, 1, 2)] + [corners[3 : 3 * parts + 1 : 3]]
    )
    longest = np.abs(np.diff(pieces, axis=0)).sum(axis=(0, 2)).max()
    t = np.linspace(0, 1, 4 + int(longest / SPACING))[:, None, None]
    u = 1 - t
    found = u**3 * pieces[0] + 3 * u * u * t * pieces[1] + 3 * u * t * t * pieces[2] + t**3 * pieces[3]
    x, y = found[:, :, 0].T.ravel(), found[:, :, 1].T.ravel()
    return x, y, (float(x.min()), float(y.min()), float(x.max()), float(y.max()))
