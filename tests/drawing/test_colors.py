"""Every text must be readable on every background that it can stand on."""

import re

import numpy as np
import pytest
from drawing_networks import svm_of_one_image

import tinygrad_lo as lo
from tinygrad_lo.drawing.colors import COLORS, PALETTES, STRONGEST, THEMES, channels, mix
from tinygrad_lo.drawing.render import render


def luminance(color):
    """Relative luminance as WCAG 2.2 defines it."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (x / 255 for x in channels(color))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(ink, ground):
    low, high = sorted((luminance(ink), luminance(ground)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_measured_as_wcag_does():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # the well-known near miss


def inks(colors):
    """Every (text, background) that a picture may contain."""
    headers = [colors.header, colors.parameter_header, colors.data_header, colors.loss_header]
    pairs = [(i, g) for i in (colors.ink, colors.muted) for g in (colors.paper, colors.card, *headers)]
    open_air = [
        colors.ink,
        colors.muted,
        colors.value,
        colors.gradient,
        colors.parameter_ink,
        colors.loss_ink,
    ]
    pairs += [(ink, ground) for ink in open_air for ground in (colors.paper, *colors.scopes)]
    pairs += [(colors.ink, colors.gate), (colors.alarm_ink, colors.alarm)]
    for kind in ("value", "gradient"):
        grounds = (colors.paper, colors.card, colors.heat(kind, 1.0))
        pairs += [(getattr(colors, kind), ground) for ground in grounds]
    return pairs


@pytest.mark.parametrize("palette", PALETTES)
@pytest.mark.parametrize("theme", THEMES)
def test_every_text_reaches_wcag_aa(theme, palette):
    colors = COLORS[theme, palette]
    for ink, ground in inks(colors):
        assert contrast(ink, ground) >= 4.5, (ink, ground, contrast(ink, ground))


def test_the_strongest_tint_is_as_strong_as_it_says():
    colors = COLORS["light", "cs231n"]
    assert colors.heat("value", 1.0) == mix(colors.value_heat, colors.card, STRONGEST)


def test_blend_mixes_by_opacity():
    assert mix("#ff0000", "#0000ff", 0.0) == "#0000ff"
    assert mix("#ff0000", "#0000ff", 1.0) == "#ff0000"
    assert mix("#640000", "#000000", 0.5) == "#320000"


def test_heat_grows_with_the_number():
    colors = COLORS["light", "cs231n"]
    assert colors.heat("value", 0.0) == colors.card
    assert luminance(colors.heat("value", 0.9)) < luminance(colors.heat("value", 0.1))


# ------------------------------------------------------------- every text of every finished picture


def texts_and_grounds(svg):
    """Each text of an SVG with its colour and that of the last shape painted under its middle."""
    shapes, found = [], []
    numbers = re.compile(r"-?[\d.]+")
    for tag, attributes in re.findall(r"<(polygon|path|ellipse|text)\b([^>]*)>", svg):
        fill = re.search(r' fill="([^"]*)"', attributes)
        if tag == "text":
            x, y = (float(re.search(rf' {name}="([^"]*)"', attributes)[1]) for name in "xy")
            anchor = re.search(r'text-anchor="(\w+)"', attributes)[1]
            x, y = x + (1 if anchor == "start" else 0), y - 3
            under = [
                color for left, top, right, low, color in shapes if left <= x <= right and top <= y <= low
            ]
            found.append((fill[1] if fill else "#000000", under[-1]))
            continue
        if fill is None or fill[1] in ("none", "transparent"):
            continue
        if tag == "ellipse":
            cx, cy, rx, ry = (
                float(re.search(rf' {n}="([^"]*)"', attributes)[1]) for n in ("cx", "cy", "rx", "ry")
            )
            box = (cx - rx, cy - ry, cx + rx, cy + ry)
        else:
            corners = [
                float(n) for n in numbers.findall(re.search(r' (?:points|d)="([^"]*)"', attributes)[1])
            ]
            box = (min(corners[::2]), min(corners[1::2]), max(corners[::2]), max(corners[1::2]))
        shapes.append((*box, "#ffffff" if fill[1] == "white" else fill[1]))
    return found


def everything(define):
    """A graph with all that has a colour: nan, zeros, every role, scopes in scopes, a failed check."""
    wrong = define("wrong_in_colors", lambda x: x + 0.0, [lambda g, y, x: -g])
    w, x = lo.Parameter([[1.0, -2.0], [0.0, 3.0]], name="w"), lo.Tensor([[1.0, 2.0]], name="x")

    def f(w):
        v = w
        for i in range(5):
            with lo.scope(f"scope {i}"), lo.scope("inner"):
                v = lo.nn.relu(wrong(v) if i == 2 else v * 2.0 + np.ones(2))
        return ((x @ v) / 3.0).sum().named("loss")

    return f(w), lo.gradcheck(f, w)


@pytest.mark.parametrize("palette", PALETTES)
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("style", ["cards", "circuit", "overview"])
def test_every_text_of_a_picture_reaches_wcag_aa(style, theme, palette, define):
    loss, report = everything(define)
    options = {"style": style, "theme": theme, "palette": palette}
    with np.errstate(all="ignore"):
        bad = (np.log(lo.Parameter([0.0, 1.0], name="z")) * 0.0).sum().named("loss")
    pictures = [
        lo.draw(loss, check=report, **options), lo.draw(loss, max_nodes=4, **options),
        lo.draw(bad, **options),
        lo.draw(svm_of_one_image(), focus="s1", **options),
    ]  # fmt: skip
    for picture in pictures:
        found = texts_and_grounds(render(picture.source, "svg", "loss").decode())
        assert len(found) > 15
        for ink, ground in set(found):
            assert contrast(ink, ground) >= 4.5, (ink, ground, contrast(ink, ground))
