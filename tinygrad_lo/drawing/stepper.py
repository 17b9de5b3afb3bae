"""The page that steps through a graph: one HTML file, forward and backward, that needs no network.

The steps are those of `lo.explain`, the picture is that of `lo.draw`; this module puts both into
`stepper.html`. Names enter the page as data, and leave it as text.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib import resources

from tinygrad_lo.drawing.colors import COLORS, Colors
from tinygrad_lo.drawing.contents import Contents
from tinygrad_lo.drawing.render import render
from tinygrad_lo.drawing.story import Map, Story
from tinygrad_lo.drawing.styles.text import Look, shown
from tinygrad_lo.engine.graph import Node
from tinygrad_lo.errors import DrawingError
from tinygrad_lo.explaining.formula import Names

MOST = 50_000  # values; more take longer to step through than anyone waits
ACCENTS = {"light": "#8250df", "dark": "#d2a8ff"}


class Page:
    """A page that steps through a graph. In a notebook it shows itself, in a frame of its own.

    Attributes:
        html: the whole file.
    """

    def __init__(self, html: str, name: str) -> None:
        self.html = html
        self._name = name

    def __repr__(self) -> str:
        return f'<Page that steps through {self._name}: picture.save("{self._name}.html") writes it>'

    def _repr_html_(self) -> str:
        # The frame runs the page's script and may do nothing else: no cookies, no access to the notebook.
        return (
            f'<iframe sandbox="allow-scripts" title="{html.escape(self._name)}, step by step"'
            f' srcdoc="{html.escape(self.html)}"'
            ' style="width:100%;height:640px;border:1px solid #afb8c1;border-radius:6px"></iframe>'
        )


def page(
    loss: Node,
    look: Look,
    paint: Callable[[Look], str],
    contents: Contents,
    style: str,
    *,
    gradient: bool = True,
) -> Page:
    """The page that steps through a graph.

    look, paint, contents, style: how the picture is drawn, what draws it as DOT text, and what it shows.
    gradient: False steps forward only.

    At the edges: of more than 1000 steps, the first and last 200 of each pass; the page says so.
    Raises:   DrawingError: no Graphviz works, or the graph has more than 50 000 values.
              MutationError: a parameter was changed in place after the forward pass.
    """
    names = Names([loss])
    if len(names.nodes) > MOST:
        raise DrawingError(
            f"the graph has {len(names.nodes):,} values, a page steps through {MOST:,} at most; "
            "draw a smaller loss, e.g. that of one sample, or read lo.explain(loss)"
        )
    theme, palette = next(key for key, colors in COLORS.items() if colors == look.colors)
    themes = [COLORS[each, palette] for each in ("light", "dark")]
    name = shown(names.of(loss))
    light, dark = (
        render(paint(replace(look, colors=colors, handles=True)), "svg", name).decode() for colors in themes
    )
    svg, pairs = recolored(light, dark)
    story = Story(loss, names, replace(look, colors=themes[0]), Map(contents, style), gradient)
    parts = {
        "title": html.escape(name),
        "colors": stylesheet(themes, pairs, theme),
        "picture": svg.replace("<svg ", f'<svg role="img" aria-label="The graph of {html.escape(name)}" ', 1),
        "data": json.dumps(story.told(), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
    }
    return Page(filled(parts), name)


def filled(parts: dict[str, str]) -> str:
    """The template with its parts. Its script and its styles run by their hashes, and nothing else does."""
    template = resources.files("tinygrad_lo.drawing").joinpath("stepper.html").read_text(encoding="utf-8")
    inline = {tag: re.findall(rf"<{tag}>(.*?)</{tag}>", template, re.DOTALL) for tag in ("style", "script")}
    hashes = {
        tag: " ".join(sha(text.replace("{colors}", parts["colors"])) for text in texts)
        for tag, texts in inline.items()
    }
    policy = f"default-src 'none'; style-src {hashes['style']}; script-src {hashes['script']}"
    parts = parts | {"policy": f"{policy}; base-uri 'none'; form-action 'none'"}
    # In one pass, so that a brace in somebody's name stays one.
    return re.sub(r"\{(policy|title|colors|picture|data)\}", lambda found: parts[found[1]], template)


def sha(text: str) -> str:
    """How a Content-Security-Policy names an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


# ------------------------------------------------------------------------------------ the picture


def recolored(light: str, dark: str) -> tuple[str, list[tuple[str, str]]]:
    """One SVG of two that differ in their colours only, and the pairs of colours that stand for `--c0` on."""
    # Graphviz writes the quotes in a user's names as &quot;, so these are attributes.
    attribute = re.compile(r' (fill|stroke)="(?!none|transparent|url)([^"]*)"')
    others = iter([found[2] for found in attribute.finditer(dark)])
    pairs: dict[tuple[str, str], int] = {}

    def variable(found: re.Match[str]) -> str:
        index = pairs.setdefault((found[2], next(others)), len(pairs))
        return f' {found[1]}="var(--c{index})"'

    svg = attribute.sub(variable, light[light.index("<svg") :])
    svg = re.sub(r"<!--.*?-->\n?", "", svg, flags=re.DOTALL).replace(' xlink:href="#"', "")
    return svg.strip(), list(pairs)


def stylesheet(themes: list[Colors], pairs: list[tuple[str, str]], theme: str) -> str:
    """The colours as variables: light on paper; on a screen as the picture or the system has it."""
    blocks = []
    for place, colors in enumerate(themes):
        scheme = ("light", "dark")[place]
        named = {key: color for key, color in asdict(colors).items() if isinstance(color, str)}
        named |= {"line": colors.frame, "accent": ACCENTS[scheme]}
        named |= {f"c{index}": pair[place] for index, pair in enumerate(pairs)}
        variables = ";".join(f"--{key}:{color}" for key, color in named.items())
        blocks.append(f":root{{color-scheme:{scheme};{variables}}}")
    when = "screen" if theme == "dark" else "screen and (prefers-color-scheme:dark)"
    return f"{blocks[0]}@media {when}{{{blocks[1]}}}"
