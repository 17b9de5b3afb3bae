"""The colours of pictures: two themes times two palettes, and the tints of heat cells.

A colour says which role a value plays: green is a value, red a gradient, blue a parameter, gold the
loss. Position and caption say the same again, because red and green look alike to many readers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

# The strongest tint of a heat cell. More would take the numbers in it below a contrast of 4.5.
STRONGEST = 0.30


@dataclass(frozen=True, slots=True, kw_only=True)
class Colors:
    """Every colour of a picture, as #rrggbb; those of the light theme if nothing else is said."""

    paper: str = "#ffffff"
    card: str = "#ffffff"
    header: str = "#f6f8fa"
    ink: str = "#1f2328"  # of names
    muted: str = "#57606a"  # formulas, shapes, titles of scopes, exact zeros
    frame: str = "#afb8c1"
    edge: str = "#57606a"  # along which a gradient flows
    faint: str = "#afb8c1"  # and along which none does
    value: str = "#116329"
    value_heat: str = "#1a7f37"  # tints the cells of values
    gradient: str = "#a40e26"
    gradient_heat: str = "#cf222e"
    parameter: str = "#0969da"
    parameter_header: str = "#ddf4ff"
    parameter_ink: str = "#0757b5"  # of names in circuits
    data_header: str = "#eaeef2"
    loss: str = "#9a6700"
    loss_header: str = "#fff8c5"
    loss_ink: str = "#7d5300"
    gate: str = "#f1eefb"  # the ground of a circuit's circles
    scope_frame: str = "#d0d7de"
    scopes: tuple[str, ...] = ("#f1effb", "#eef6f1", "#fdf3ea", "#edf4fc")  # grounds, taken in turn
    alarm: str = "#ffd33d"  # behind nan and infinities
    alarm_ink: str = "#1f2328"

    def heat(self, kind: str, strength: float) -> str:
        """The background of a cell whose number is `strength` (0 to 1) of the largest one."""
        return mix(getattr(self, f"{kind}_heat"), self.card, STRONGEST * strength)

    def role(self, role: str) -> tuple[str, str, str]:
        """Frame, ground of the header, and ink of a name, of a value with this role."""
        if role == "parameter":
            return self.parameter, self.parameter_header, self.parameter_ink
        if role == "loss":
            return self.loss, self.loss_header, self.loss_ink
        ground = self.data_header if role in ("data", "constant") else self.header
        return self.frame, ground, self.muted


def repainted(colors: Colors, table: str) -> Colors:
    """The colours with those of a table of names and values in their place."""
    words = table.split()
    changes: dict[str, Any] = dict(zip(words[::2], words[1::2], strict=True))
    return replace(colors, **changes)


LIGHT = Colors()
DARK = repainted(
    Colors(scopes=("#161424", "#101b16", "#1d1710", "#0f1a26")),
    """
    paper #0d1117 card #161b22 header #21262d ink #f0f6fc muted #a2abb6 frame #484f58
    edge #9198a1 faint #6e7681 value #56d364 value_heat #2ea043 gradient #ff8d85 gradient_heat #f85149
    parameter #4493f8 parameter_header #0c2d6b parameter_ink #6cb0ff data_header #21262d
    loss #d4a72c loss_header #3d2c00 loss_ink #e3b341 gate #1f2333 scope_frame #30363d
    """,
)
# Blue, vermilion and purple of Okabe and Ito (2008), "Color universal design", darkened or lightened
# where they carry text.
LIGHT_OKABE_ITO = """
    value #004c7d value_heat #0072b2 gradient #8a3700 gradient_heat #d55e00
    parameter #8f3d6d parameter_header #f7e8f1 parameter_ink #8f3d6d
    """
DARK_OKABE_ITO = """
    value #6fc3f2 value_heat #0072b2 gradient #ffb27a gradient_heat #d55e00
    parameter #cc79a7 parameter_header #3f1f34 parameter_ink #e39cc4
    """
THEMES = ("light", "dark")
PALETTES = ("cs231n", "colorblind")
COLORS = {
    ("light", "cs231n"): LIGHT,
    ("dark", "cs231n"): DARK,
    ("light", "colorblind"): repainted(LIGHT, LIGHT_OKABE_ITO),
    ("dark", "colorblind"): repainted(DARK, DARK_OKABE_ITO),
}


def channels(color: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def mix(color: str, ground: str, alpha: float) -> str:
    """What is seen where a colour covers the ground with this opacity.

    Mixed here, because a transparent cell in a PDF is printed differently by every program.
    """
    mixed = zip(channels(color), channels(ground), strict=True)
    return "#" + "".join(f"{round(alpha * above + (1 - alpha) * below):02x}" for above, below in mixed)
