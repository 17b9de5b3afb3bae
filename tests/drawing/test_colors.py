"""Every text must be readable on every background that it can stand on."""

import pytest

from tinygrad_lo.drawing.colors import COLORS, PALETTES, STRONGEST, THEMES, blend, channels


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


@pytest.mark.parametrize("palette", PALETTES)
@pytest.mark.parametrize("theme", THEMES)
def test_every_text_reaches_wcag_aa(theme, palette):
    colors = COLORS[theme, palette]
    for ink, ground in colors.inks():
        assert contrast(ink, ground) >= 4.5, (ink, ground, contrast(ink, ground))


@pytest.mark.parametrize("palette", PALETTES)
@pytest.mark.parametrize("theme", THEMES)
def test_inks_include_the_strongest_tint_of_both_kinds(theme, palette):
    colors = COLORS[theme, palette]
    for kind in ("value", "gradient"):
        strongest = blend(getattr(colors, f"{kind}_heat"), colors.card, STRONGEST)
        assert (getattr(colors, kind), strongest) in colors.inks()


def test_blend_mixes_by_opacity():
    assert blend("#ff0000", "#0000ff", 0.0) == "#0000ff"
    assert blend("#ff0000", "#0000ff", 1.0) == "#ff0000"
    assert blend("#640000", "#000000", 0.5) == "#320000"


def test_heat_grows_with_the_number():
    colors = COLORS["light", "cs231n"]
    assert colors.heat("value", 0.0) == colors.card
    assert luminance(colors.heat("value", 0.9)) < luminance(colors.heat("value", 0.1))
