"""Where texts, nodes and edges of an SVG are, in points, and what is wrong about it."""

import re
import xml.etree.ElementTree as ET
from itertools import combinations, pairwise

import numpy as np

SVG = "{http://www.w3.org/2000/svg}"
PAGE = 1240  # pixels, to which a picture is fitted
NARROW = set("‖ijlft.,:;'|()[]I²³⁴ᵢᵀ\xa0 ")
WIDE = set("mwMW@→←∂Σ")


def width_of(text, points, bold):
    """About how wide a text in Helvetica is (Adobe's metrics, rounded)."""
    share = [0.278 if c in NARROW else 0.83 if c in WIDE else 0.62 if c.isupper() else 0.54 for c in text]
    return sum(share) * points * (1.06 if bold else 1.0)


class Drawing:
    """An SVG of Graphviz, read."""

    def __init__(self, svg):
        root = ET.fromstring(svg)
        self.width = float(root.get("width").removesuffix("pt"))
        self.nodes, self.edges, self.titles, self.texts, self.points = {}, {}, [], [], set()
        for group in root.iter(f"{SVG}g"):
            kind, title = group.get("class"), group.findtext(f"{SVG}title")
            if kind == "node":
                self.nodes[title] = hull(group)
                self.texts += [(title, *box) for box in texts_of(group)]
            elif kind == "edge":
                paths = [path for path in group.iter(f"{SVG}path") if path.get("fill") == "none"]
                self.edges[group.get("id") or title] = re.split("->", title), [*map(curve, paths)]
            elif kind == "cluster":
                self.titles += texts_of(group)
        self.points = {float(text.get("font-size")) for text in root.iter(f"{SVG}text") if text.text.strip()}

    def smallest_text(self):
        """In pixels, of the picture fitted to a page; no picture is made larger than it is."""
        return min(self.points) * min(96 / 72, PAGE / self.width)

    def cut(self):
        """Texts that are not inside their node."""
        for node, text, left, top, right, bottom in self.texts:
            x0, y0, x1, y1 = self.nodes[node]
            if left < x0 - 1 or right > x1 + 2 or top < y0 - 2 or bottom > y1 + 2:
                yield node, text

    def covered(self):
        """Pairs of texts of one node that overlap."""
        by_node = {}
        for node, *box in self.texts:
            by_node.setdefault(node, []).append(box)
        for node, boxes in by_node.items():
            for (one, *a), (other, *b) in combinations(boxes, 2):
                across = min(a[2], b[2]) - max(a[0], b[0])
                if across > 3 and min(a[3], b[3]) - max(a[1], b[1]) > 3:
                    yield node, one, other

    def through_nodes(self):
        """Edges that run through a node that is not their own."""
        for edge, ((tail, head), curves) in self.edges.items():
            own = {name.split(":")[0] for name in (tail, head)}
            for node, (x0, y0, x1, y1) in self.nodes.items():
                for points in curves if node not in own else ():
                    x, y = points.T
                    if ((x > x0 + 2) & (x < x1 - 2) & (y > y0 + 2) & (y < y1 - 2)).any():
                        yield edge, node

    def through_titles(self):
        """Edges that run through the title of a frame."""
        for edge, (_, curves) in self.edges.items():
            for title, x0, y0, x1, y1 in self.titles:
                for points in curves:
                    x, y = points.T
                    if ((x > x0 + 1) & (x < x1 - 1) & (y > y0 + 2) & (y < y1 - 1)).any():
                        yield edge, title


def hull(group):
    """The box around the polygons of a node."""
    pairs = [
        [*map(float, pair.split(","))]
        for polygon in group.iter(f"{SVG}polygon")
        for pair in polygon.get("points").split()
    ]
    for ellipse in group.iter(f"{SVG}ellipse"):
        cx, cy, rx, ry = (float(ellipse.get(key)) for key in ("cx", "cy", "rx", "ry"))
        pairs += [[cx - rx, cy - ry], [cx + rx, cy + ry]]
    pairs += [point for path in group.iter(f"{SVG}path") for point in numbers(path.get("d"))]
    if not pairs:  # a circuit's pair of numbers has no frame
        pairs = [corner for _, *box in texts_of(group) for corner in (box[:2], box[2:])]
    low, high = np.min(pairs, axis=0), np.max(pairs, axis=0)
    return (*low.tolist(), *high.tolist())


def texts_of(group):
    """Every text of a group with the box around it."""
    boxes = []
    for text in group.iter(f"{SVG}text"):
        x, y, points = (float(text.get(key)) for key in ("x", "y", "font-size"))
        wide = width_of(text.text, points, text.get("font-weight") == "bold")
        left = {"start": x, "middle": x - wide / 2, "end": x - wide}[text.get("text-anchor")]
        written = text.text.strip("\xa0 ")
        before = text.text.index(written) if written else 0  # spaces cover nothing
        left += width_of(text.text[:before], points, False)
        wide = width_of(written, points, text.get("font-weight") == "bold")
        boxes.append((written, left, y - 0.72 * points, left + wide, y + 0.2 * points))
    return boxes


def numbers(path):
    """The points of a path."""
    return np.array(re.findall(r"-?[\d.]+", path), float).reshape(-1, 2).tolist()


def curve(path):
    """Points along a path of cubic Béziers."""
    points = np.array(numbers(path.get("d")))
    t = np.linspace(0, 1, 40)[:, None]
    parts = [points[i : i + 4] for i in range(0, len(points) - 1, 3)]
    weights = np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    curves = [weights @ part for part in parts]
    assert all(np.allclose(one[-1], two[0]) for one, two in pairwise(curves))
    return np.concatenate(curves)
