"""The colours of pictures: two themes times two palettes, and the tints of heat cells.

A colour says which role a value plays: green is a value, red a gradient, blue a parameter, gold the
loss. Position and caption say the same again, because red and green look alike to many readers.
"""

from __future__ import annotations

from dataclasses import dataclass

# The strongest tint of a heat cell. More would take the numbers in it below a contrast of 4.5.
STRONGEST = 0.30


@dataclass(frozen=True, slots=True, kw_only=True)
class Colors:
    """Every colour of a picture, as #rrggbb.

    Attributes:
        ink: names. muted: formulas, shapes, captions of scopes, exact zeros.
        value, gradient: the ink of numbers; `_heat` is what tints their cells.
        edge: along which a gradient flows. faint: along which none does.
        scopes: backgrounds of scopes, taken in turn.
        parameter_ink, loss_ink: names in circuits. gate: the ground of its circles.
        alarm: behind nan and infinities, under alarm_ink.
    """

    paper: str
    card: str
    header: str
    ink: str
    muted: str
    frame: str
    edge: str
    faint: str
    value: str
    value_heat: str
    gradient: str
    gradient_heat: str
    parameter: str
    parameter_header: str
    parameter_ink: str
    data_header: str
    loss: str
    loss_header: str
    loss_ink: str
    gate: str
    scope_frame: str
    scopes: tuple[str, ...]
    alarm: str = "#ffd33d"
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


# Each colour in the light theme and in the dark one.
CS231N = """
paper            #ffffff  #0d1117
card             #ffffff  #161b22
header           #f6f8fa  #21262d
ink              #1f2328  #f0f6fc
muted            #57606a  #a2abb6
frame            #afb8c1  #484f58
edge             #57606a  #9198a1
faint            #afb8c1  #6e7681
value            #116329  #56d364
value_heat       #1a7f37  #2ea043
gradient         #a40e26  #ff8d85
gradient_heat    #cf222e  #f85149
parameter        #0969da  #4493f8
parameter_header #ddf4ff  #0c2d6b
parameter_ink    #0757b5  #6cb0ff
data_header      #eaeef2  #21262d
loss             #9a6700  #d4a72c
loss_header      #fff8c5  #3d2c00
loss_ink         #7d5300  #e3b341
gate             #f1eefb  #1f2333
scope_frame      #d0d7de  #30363d
scopes  #f1effb,#eef6f1,#fdf3ea,#edf4fc  #161424,#101b16,#1d1710,#0f1a26
"""
# Blue, vermilion and purple of Okabe and Ito (2008), "Color universal design", darkened or lightened
# where they carry text.
COLORBLIND = """
value            #004c7d  #6fc3f2
value_heat       #0072b2  #0072b2
gradient         #8a3700  #ffb27a
gradient_heat    #d55e00  #d55e00
parameter        #8f3d6d  #cc79a7
parameter_header #f7e8f1  #3f1f34
parameter_ink    #8f3d6d  #e39cc4
"""


def read_colors(table: str, theme: int) -> Colors:
    """One column of a table of colours, in which later rows replace earlier ones."""
    rows = map(str.split, filter(None, table.splitlines()))
    colors = {name: themes[theme] for name, *themes in rows}
    return Colors(scopes=tuple(colors.pop("scopes").split(",")), **colors)


THEMES = ("light", "dark")
PALETTES = {"cs231n": CS231N, "colorblind": CS231N + COLORBLIND}
COLORS = {
    (name, palette): read_colors(table, theme)
    for palette, table in PALETTES.items()
    for theme, name in enumerate(THEMES)
}
LIGHT = COLORS["light", "cs231n"]


def channels(color: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def mix(color: str, ground: str, alpha: float) -> str:
    """What is seen where a colour covers the ground with this opacity.

    Mixed here, because a transparent cell in a PDF is printed differently by every program.
    """
    mixed = zip(channels(color), channels(ground), strict=True)
    return "#" + "".join(f"{round(alpha * above + (1 - alpha) * below):02x}" for above, below in mixed)
