"""One HTML file of its parts, which needs no network: a template, scripts, styles, pictures, data."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict
from importlib import resources
from typing import Any

from tinygrad_lo.drawing.colors import COLORS, THEMES
from tinygrad_lo.drawing.dot import FONTS

ACCENTS = {"light": "#8250df", "dark": "#d2a8ff"}
# What the stylesheet says of every text, and what says nothing: 11 points is what most texts have.
SAID_ONCE = re.compile(
    rf' (?:font-family="{FONTS}"|font-size="11.00"|text-anchor="start"|stroke="(?:none|transparent)"'
    r'|xlink:href="#")|(?<=font-size="\d\d)\.00|(?<=>)\n(?=<)|<title>(?:cluster_\d+|%3)</title>|<!--.*?-->\n?',
    re.DOTALL,
)
PIXEL = '<polygon fill="([^"]*)" points="([^ ,]+),([^ ,]+) [^ ]+ ([^ ,]+),([^ ,]+) [^ ]+"/>'
IMAGE = re.compile(f"(?:{PIXEL}){{4,}}")  # of polygons of values, so many do not stand in a row


def part(name: str) -> str:
    """A file of the package, such as drawing/stepper.css."""
    return resources.files("tinygrad_lo").joinpath(name).read_text(encoding="utf-8")


def json_text(data: Any) -> str:
    """Data as it may stand inside a script element."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def integrity_of(content: bytes) -> str:
    """The digest of a content as browsers compare it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content).digest()).decode()


def page_text(template: str, parts: dict[str, str]) -> str:
    """A template with its parts. Its scripts and styles run by their hashes, and nothing else does."""
    policy = "default-src 'none'; base-uri 'none'; form-action 'none'"
    for tag in ("style", "script"):
        names = re.findall(rf"<{tag}>{{(\w+)}}</{tag}>", template)
        policy += "".join([f"; {tag}-src", *(f" '{integrity_of(parts[name].encode())}'" for name in names)])
    parts = {"policy": policy} | parts
    # In one pass, so that a brace in somebody's name stays one.
    return re.sub(rf"\{{({'|'.join(parts)})\}}", lambda match: parts[match[1]], template)


def stylesheet(palette: str = "cs231n", theme: str = "light", pairs: Iterable[tuple[str, str]] = ()) -> str:
    """The colours as variables: light on paper; on a screen as the picture or the system has it.

    pairs: of a light and a dark colour, which get the names --c0, --c1 and so on.
    """
    blocks = []
    for place, scheme in enumerate(THEMES):
        colors = COLORS[scheme, palette]
        named = {key: color for key, color in asdict(colors).items() if isinstance(color, str)}
        named |= {"line": colors.frame, "accent": ACCENTS[scheme]}
        named |= {f"c{index}": pair[place] for index, pair in enumerate(pairs)}
        variables = ";".join(f"--{key}:{color}" for key, color in named.items())
        blocks.append(f":root{{color-scheme:{scheme};{variables}}}")
    when = "screen" if theme == "dark" else "screen and (prefers-color-scheme:dark)"
    return f"{blocks[0]}@media {when}{{{blocks[1]}}}"


def recolored(light: str, dark: str, pairs: dict[tuple[str, str], int]) -> str:
    """One SVG of two that differ in their colours only; `pairs` of colours get the numbers of `--c0` on."""
    # Graphviz writes the quotes in a user's names as &quot;, so these are attributes.
    attribute = re.compile(r' (fill|stroke)="(?!none|transparent|url)([^"]*)"')
    others = iter([match[2] for match in attribute.finditer(dark)])

    def variable(match: re.Match[str]) -> str:
        index = pairs.setdefault((match[2], next(others)), len(pairs))
        return f' {match[1]}="var(--c{index})"'

    return attribute.sub(variable, light[light.index("<svg") :]).strip()


def slimmed(svg: str) -> str:
    """The same picture in fewer bytes."""
    svg = SAID_ONCE.sub("", svg.replace("&#45;", "-"))
    svg = re.sub(r' points="(\S+) ([^"]*) \1"', r' points="\1 \2"', svg)  # a polygon closes by itself
    # A cell has the tip of its node.
    svg = re.sub(r'(<g id="a_[a-z]+-\w+">)<a xlink:title="[^"]*">(.*?)</a></g>', r"\1\2</g>", svg)
    svg = IMAGE.sub(in_paths, svg)
    usual = max(re.findall(r' fill="var[^"]*"', svg), key=svg.count, default="")
    return svg.replace(usual, "").replace("<svg", f"<svg{usual}", 1)  # which all inside it inherit


def in_paths(run: re.Match[str]) -> str:
    """Polygons in a row, the pixels of images, as one path for each colour."""
    paths: dict[str, str] = {}
    for fill, left, bottom, right, top in re.findall(PIXEL, run[0]):
        wide, high = float(right) - float(left), float(top) - float(bottom)
        paths[fill] = paths.get(fill, "") + f"M{left},{bottom}v{high:.4g}h{wide:.4g}v{-high:.4g}z"
    return "".join(f'<path fill="{fill}" d="{corners}"/>' for fill, corners in paths.items())
