"""The page in Chromium: what it may not do, how it looks, and what it says of what it leaves out."""

import re

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.drawing import stepper
from tinygrad_lo.drawing.colors import COLORS, channels
from tinygrad_lo.drawing.picture import draw
from tinygrad_lo.explaining.formula import number
from tinygrad_lo.explaining.steps import steps

NASTY = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "</svg></style><iframe src=javascript:alert(3)>",
    'it\'s "quoted" & &lt;escaped&gt;',
    "two\nlines\tand tab",
    "{data} {picture} ${alert(4)} \\u003c \\N",
    "משקל",
    "<!-- -->",
    "]]>",
)


def rgb(color):
    return "rgb({}, {}, {})".format(*channels(color))


def contrast(one, other):
    """The ratio of WCAG 2 between two colors as the browser writes them."""

    def light(color):
        parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    bright, dark = sorted((light(one), light(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


# -------------------------------------------------------------------------------------- safety


def test_no_request_leaves_the_page(browser, page, loss):
    path = page(loss)
    browser.open(path)
    for key in ("ArrowRight", "End", "q", "Home", "f", " ", "ArrowLeft"):
        browser.press(key)
    console, asked = browser.logged()
    assert console == []
    assert {address.split("#")[0] for address in asked} == {path.as_uri()}
    assert browser.run("return violations") == []


def test_the_policy_holds(browser, page, neuron):
    """The counters above count: what a page may not do is refused, and seen."""
    browser.open(page(neuron))
    tries = {
        "img-src": 'new Image().src = "https://example.invalid/x.png"',
        "connect-src": 'fetch("https://example.invalid/").catch(() => 0)',
        "script-src-elem": 'body.append(Object.assign(document.createElement("script"), {text: "alert(5)"}))',
        "style-src-attr": 'document.body.setAttribute("style", "color: red")',
        "script-src-attr": 'document.body.setAttribute("onclick", "alert(6)"); document.body.click()',
    }
    for directive, attempt in tries.items():
        browser.run(f"violations.length = 0; {attempt}")
        browser.until(f"violations.includes({directive!r})")
    assert browser.run("return alerts") == []
    assert len(browser.logged()[0]) >= len(tries)


def nasty_loss():
    values = [lo.Parameter(float(i + 1), name=name) for i, name in enumerate(NASTY)]
    table = lo.Parameter([[1.0, 2.0], [3.0, 4.0]], name=NASTY[0] * 2)
    with lo.scope(NASTY[1]):
        total = (table * table).sum()
    for value in values:
        total = total + value * value
    return total.named("loss</title><b>")


@pytest.mark.parametrize("style", ["cards", "circuit", "overview"])
def test_adversarial_names_stay_text(browser, page, style):
    path = page(nasty_loss(), style=style)
    browser.open(path)
    said = []
    for _ in range(browser.run("return steps.length")):
        said += [browser.text("line"), browser.text("sentence")]
        browser.press("ArrowRight")
    assert browser.logged()[0] == []
    assert browser.run("return [alerts, violations]") == [[], []]
    assert browser.run('return document.querySelectorAll("img, iframe, b, body script").length') == 3
    assert browser.run("return document.title") == "loss</title><b>, step by step"
    everything = "\n".join(said)
    for name in NASTY:
        assert " ".join(name.split())[:39] in everything.replace("\u2068", "").replace("\u2069", "")
    if style == "cards":
        drawn = "\n".join(browser.run('return [...picture.querySelectorAll("text")].map(x => x.textContent)'))
        for name in NASTY:
            assert " ".join(name.split())[:39] in " ".join(drawn.split())


def test_names_from_right_to_left_do_not_turn_the_formula(browser, page):
    w = lo.Parameter(2.0, name="משקל")
    browser.open(page((w * 3.0).named("loss")), step=1)
    across = """
        const line = by("line").firstChild, range = document.createRange();
        const at = line.data.indexOf(arguments[0]);
        range.setStart(line, at); range.setEnd(line, at + 1);
        return range.getBoundingClientRect().left;"""
    places = [browser.run(across, part) for part in ("loss", "מ", "×", "3")]
    assert places == sorted(places)


# --------------------------------------------------------------------------------------- looks


@pytest.mark.parametrize(
    ("theme", "scheme", "expected"),
    [
        ("light", "light", "light"),
        ("light", "dark", "dark"),
        ("dark", "light", "dark"),
        ("dark", "dark", "dark"),
    ],
)
@pytest.mark.parametrize("palette", ["cs231n", "colorblind"])
def test_colors_are_those_of_the_picture_or_the_system(browser, page, svm, theme, scheme, expected, palette):
    browser.open(page(svm, theme=theme, palette=palette), scheme=scheme)
    browser.press("End")
    colors = COLORS[expected, palette]
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == rgb(colors.paper)
    fills = browser.run("""return [...picture.querySelectorAll("text, polygon")]
        .map(part => [part.tagName, getComputedStyle(part).fill])""")
    inks = {fill for tag, fill in fills if tag == "text"}
    assert {rgb(colors.value), rgb(colors.gradient), rgb(colors.ink)} <= inks
    other = COLORS["dark" if expected == "light" else "light", palette]
    assert not inks & {rgb(other.value), rgb(other.gradient), rgb(other.ink)}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_text_of_the_panel_has_contrast(browser, page, neuron, scheme):
    browser.open(page(neuron), scheme=scheme)
    browser.press("q", "ArrowRight")
    pairs = browser.run("""
        const grounds = part => { for (; part; part = part.parentElement) {
          const color = getComputedStyle(part).backgroundColor;
          if (!color.endsWith(", 0)")) return color; } };
        return ["phase", "line", "sentence", "count", "verdict", "answer", "check", "ask", "fit"]
            .map(id => [id, getComputedStyle(by(id)).color, grounds(by(id))]);""")
    for id, ink, ground in pairs:
        assert contrast(ink, ground) >= 4.5, (id, ink, ground)


@pytest.mark.parametrize(
    ("width", "height"), [(1000, 800), (420, 860), (360, 640), (320, 480), (250, 400), (1000, 300)]
)
@pytest.mark.parametrize("quiz", [False, True])
def test_nothing_is_cut_and_nothing_overlaps(browser, page, svm, width, height, quiz):
    browser.open(page(svm), step=25, width=width, height=height)
    if quiz:
        browser.press("q")
    assert browser.run("return document.documentElement.scrollWidth") <= width
    boxes = browser.run("""
        const parts = [...document.querySelectorAll("button, #slider, #count, #line, #sentence, #answer")];
        return parts.filter(part => part.getClientRects().length)
          .filter(part => getComputedStyle(part).visibility === "visible")
          .map(part => [part, part.getBoundingClientRect()])
          .map(([part, box]) =>
            [part.id, part.tagName, box.left, box.top + scrollY, box.right, box.bottom + scrollY]);""")
    full = browser.run("return document.documentElement.scrollHeight")
    for id, tag, left, top, right, bottom in boxes:
        assert left >= 0, id
        assert right <= width, id
        assert bottom <= full, id
        if tag == "BUTTON":
            assert right - left >= 44, id
            assert bottom - top >= 44, id
    for i, (one, _, left, top, right, bottom) in enumerate(boxes):
        for other, _, left2, top2, right2, bottom2 in boxes[i + 1 :]:
            apart = right <= left2 + 1 or right2 <= left + 1 or bottom <= top2 + 1 or bottom2 <= top + 1
            assert apart, (one, other)


def test_fit_makes_the_picture_as_wide_as_the_window(browser, page, svm):
    browser.open(page(svm), width=420)
    wide = """return [picture.getBoundingClientRect().width > stage.clientWidth,
        by("fit").getAttribute("aria-pressed")]"""
    assert browser.run(wide) == [True, "false"]
    browser.press("f")
    assert browser.run(wide) == [False, "true"]
    browser.click("fit")
    assert browser.run(wide) == [True, "false"]


def test_on_paper_it_is_light_and_without_controls(browser, page, neuron):
    browser.open(page(neuron, theme="dark"), scheme="dark", media="print")
    look = browser.run("""return [getComputedStyle(document.body).backgroundColor,
        by("bar").getClientRects().length, by("line").getClientRects().length > 0,
        getComputedStyle(stage).overflow]""")
    assert look == [rgb(COLORS["light", "cs231n"].paper), 0, True, "visible"]


# ----------------------------------------------------------------------------------- for everybody


def test_every_control_has_a_name_and_is_reached_by_tab_with_a_visible_focus(browser, page, neuron):
    browser.open(page(neuron))
    browser.press("q", "End", "ArrowLeft", "Escape")
    reached = []
    for _ in range(30):
        browser.press("Tab")
        reached.append(
            browser.run("""
            const at = document.activeElement, style = getComputedStyle(at);
            return [at.id, at.getAttribute("aria-label") || at.labels?.[0]?.textContent || at.textContent,
                style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2];""")
        )
    controls = {
        "answer",
        "check",
        "reveal",
        "first",
        "previous",
        "play",
        "next",
        "last",
        "slider",
        "ask",
        "fit",
    }
    assert controls <= {id for id, _, _ in reached}
    for id, name, visible in reached:
        if id in controls:
            assert name.strip(), id
            assert visible, id


def test_the_line_is_read_out(browser, page, neuron):
    browser.open(page(neuron))
    live = browser.run(
        'return [by("line").closest("[aria-live]").ariaLive, by("verdict").getAttribute("role")]'
    )
    assert live == ["polite", "status"]
    browser.press("ArrowRight")
    assert browser.run('return by("slider").getAttribute("aria-valuetext")') == "step 1 of 14, forward"


def test_the_keys_of_the_browser_stay_the_browsers(browser, page, neuron):
    browser.open(page(neuron))
    browser.press("End", "f", control=True)
    assert browser.step == 0
    browser.run('by("next").focus()')
    browser.press(" ")
    assert (browser.step, browser.run("return timer")) == (1, 0), "space on a button presses the button"
    browser.run('by("slider").focus()')
    browser.press("ArrowRight")
    assert browser.step == 2, "the slider moves by itself, once"
    browser.press("End")
    browser.run('by("next").focus()')
    browser.press("Enter")
    assert browser.run("return document.activeElement.id") == "next", "the focus stays at the end"


# ---------------------------------------------------------------------------------- odd graphs


def test_without_a_backward_pass_it_steps_forward_only(browser, page, neuron):
    a = lo.Parameter([1.0, 2.0], name="a")
    for loss, options, why in (
        ((a * 2.0).named("b"), {}, "A backward pass starts from one number, and b has 2."),
        (neuron, {"gradient": False}, "gradient=False"),
        (lo.Tensor(1.0, name="c"), {}, "Nothing here requires a gradient"),
    ):
        browser.open(page(loss, **options))
        browser.press("End")
        assert why in browser.text("sentence")
        assert browser.run('return [by("ask").hidden, steps.some(step => step.kind === "backward")]') == [
            True,
            False,
        ]
        assert browser.logged()[0] == []


def test_a_number_by_itself(browser, page):
    browser.open(page(lo.Parameter(3.0, name="w")))
    assert browser.gradient("n0") == []
    browser.press("ArrowRight")
    assert (browser.text("line"), browser.gradient("n0")) == ("∂L/∂w = 1", ["1"])
    browser.press("End", " ")
    assert browser.logged()[0] == []


def test_a_leaf_that_is_nan_is_no_number_of_the_address(browser, page):
    browser.open(page((lo.Parameter([np.nan, 1.0], name="w") * 2.0).sum()))
    assert browser.text("heard").startswith("Click a number")
    browser.run("show(2)")
    browser.until("location.hash === '#step=2'")


def test_nan_is_loud_when_it_comes(browser, page):
    w, z = lo.Parameter(0.0, name="w"), lo.Parameter([1.0, -1.0], name="z")
    with np.errstate(all="ignore"):
        loss = ((z / w).sum() + w * w).named("loss")
    browser.open(page(loss))
    said = []
    for _ in range(browser.run("return steps.length")):
        said.append(browser.text("line") + browser.text("sentence"))
        browser.press("ArrowRight")
    assert any("is the first value that is not finite" in line for line in said)
    assert any("the first gradient that is not finite" in line for line in said)
    alarm = rgb(COLORS["light", "cs231n"].alarm)
    assert alarm in browser.run(
        'return [...picture.querySelectorAll("polygon")].map(x => getComputedStyle(x).fill)'
    )


def test_a_long_graph_says_what_it_leaves_out(browser, page, monkeypatch):
    monkeypatch.setattr(stepper, "LONGEST_PASS", 30)
    monkeypatch.setattr(stepper, "AT_ENDS", 4)
    w = lo.Parameter(1.0, name="w")
    value = w
    for _ in range(8):
        value = value * 1.5 + w * 0.25
    browser.open(page(value.named("loss"), style="cards"))
    assert "of each long pass, the first and last 4 are shown" in browser.text("note")
    found = steps(value)
    kinds = browser.run("return steps.map(step => step.kind)")
    assert kinds.count("gap") == 2
    browser.run("show(arguments[0])", kinds.index("gap"))
    assert browser.text("line") == f"… {len(found.forward) - 8} steps are done here without being shown …"
    made = [f"n{step.place}" for step in found.forward[:-4]]
    faint = 'return arguments[0].filter(id => nodes.get(id).classList.contains("todo"))'
    assert browser.run(faint, made) == []
    for step, back in zip(reversed(found.backward[-4:]), range(4), strict=True):
        browser.run("show(end - 1 - arguments[0])", back)
        assert browser.gradient(f"n{step.target_place}") == [number(step.total, 4)]
    browser.run("show(arguments[0])", len(kinds) - 6)
    assert kinds[len(kinds) - 6] == "gap"
    before = found.backward[:-4]
    for place in {step.target_place for step in before}:
        total = [step.total for step in before if step.target_place == place][-1]
        assert browser.gradient(f"n{place}") == [number(total, 4)]
    assert browser.logged()[0] == []


def test_a_collapsed_picture_lights_its_boxes(browser, page):
    rng = np.random.default_rng(0)
    out = [lo.Tensor(v, name=f"x{i}") for i, v in enumerate((0.5, -1.0))]
    for layer in range(2):
        with lo.scope(f"layer {layer}"):
            out = [
                np.tanh(sum(lo.Parameter(v) * x for v, x in zip(rng.normal(size=len(out)), out, strict=True)))
                for _ in range(5)
            ]
    browser.open(page(sum(out).named("loss"), style="overview"))
    assert "A box stands for several values" in browser.text("note")
    boxes = set()
    for _ in range(browser.run("return steps.length")):
        boxes.add(browser.run("return steps[now].node ?? null"))
        browser.press("ArrowRight")
    assert {"b0", "b1"} <= boxes
    assert browser.logged()[0] == []


def test_a_frame_in_a_notebook_runs_and_may_do_nothing_else(browser, neuron, tmp_path):
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><p>above</p>{draw(neuron).steps()._repr_html_()}", encoding="utf-8")
    browser.open(path)
    browser.driver.switch_to.frame(0)
    assert browser.text("line") == "Inputs and parameters are known."
    browser.run('by("next").click()')
    assert browser.text("line") == "v1 = w0 × x0 = 2 × (−1) = −2"
    assert browser.run("try { return parent.document.title } catch { return 'refused' }") == "refused"
    browser.driver.switch_to.default_content()
    assert browser.logged()[0] == []


def test_zoom_goes_beyond_fit_and_keeps_the_step_in_sight(browser, page, svm):
    browser.open(page(svm))
    width = "return picture.getBoundingClientRect().width"
    before = browser.run(width)
    browser.run("show(4)")
    browser.press("+", "+", "+", "+")
    assert browser.run(width) > 2 * before
    inside = browser.run("""
        const a = nodes.get(steps[now].node).getBoundingClientRect(), b = stage.getBoundingClientRect();
        return a.left < b.right && a.right > b.left && a.top < b.bottom && a.bottom > b.top;""")
    assert inside
    browser.press("f")
    assert browser.run(width) <= browser.run("return stage.clientWidth")


def test_steps_inside_a_box_say_so(browser, page):
    with lo.scope("layer"):
        x = lo.Parameter([1.0, 2.0], name="x")
        for _ in range(4):
            x = np.tanh(x)
    browser.open(page((x * 1.0).sum(), style="overview"))
    said = browser.run("return steps.map(step => step.sentence)")
    assert any(words.startswith("Inside “layer”, 4 ops drawn as one box.") for words in said)
