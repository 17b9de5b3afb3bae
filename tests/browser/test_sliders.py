"""Numbers inside of gates that a page lets one change: options of losses, factors, arguments of functions."""

import math

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo import losses
from tinygrad_lo.losses.loss import inputs_of
from tinygrad_lo.losses.loss import loss as make_loss
from tinygrad_lo.options import number

RNG = np.random.default_rng(8)
P = RNG.normal(size=(3, 2))
T = RNG.normal(size=(3, 2))
LABELS = np.array([0, 1, 1])
SIGNS = np.array([[1.0, -1], [-1, 1], [1, 1]])
ANY = np.array([-2.5, -1.0, -0.125, 0.0, 0.3, 0.75, 1.0, 1.5, 4.0, 1e3])
NOT_NEGATIVE, POSITIVE = np.abs(ANY), np.abs(ANY) + 0.05
SHARES = np.linspace(0.04, 0.97, 10)
# A loss of a parameter and its option; the option, numbers that it takes, and numbers that it refuses.
OPTIONS = {
    "huber": (lambda p, x: losses.huber(p, T, delta=x), "delta", POSITIVE, [0.0, -1.5]),
    "quantile": (lambda p, x: losses.quantile(p, T, q=x), "q", SHARES, [0.0, 1.0, 1e-17 - 1, 2.5e20]),
    "gaussian_nll": (lambda p, x: losses.gaussian_nll(p, T, variance=x), "variance", POSITIVE, [0.0, -1e-5]),
    "short gaussian_nll": (
        lambda p, x: losses.gaussian_nll(p, T, variance=x, full=False), "variance", POSITIVE, [],
    ),
    "hinge": (lambda p, x: losses.hinge(p, SIGNS, margin=x), "margin", ANY, []),
    "squared_hinge": (lambda p, x: losses.squared_hinge(p, SIGNS, margin=x), "margin", ANY, []),
    "multiclass_hinge": (lambda p, x: losses.multiclass_hinge(p, LABELS, margin=x), "margin", ANY, []),
    "squares over all": (
        lambda p, x: losses.multiclass_hinge(p, LABELS, margin=x, power=2, over="all", combine="mean"),
        "margin", ANY, [],
    ),
    "the worst": (
        lambda p, x: losses.multiclass_hinge(p, LABELS, margin=x, combine="max", reduction="sum"),
        "margin", ANY, [],
    ),
    "focal": (lambda p, x: losses.focal(p, LABELS, gamma=x), "gamma", NOT_NEGATIVE, [-0.5]),
    "weighted focal": (
        lambda p, x: losses.focal(p, LABELS, gamma=x, weights=[1.0, 0.5, 2.0]), "gamma", NOT_NEGATIVE, [],
    ),
    "triplet": (lambda p, x: losses.triplet(p, T, T[::-1], margin=x), "margin", NOT_NEGATIVE, [-123456.75]),
    "euclidean": (
        lambda p, x: losses.triplet(p, T, T[::-1], margin=x, distance="euclidean"),
        "margin", NOT_NEGATIVE, [],
    ),
    "contrastive": (
        lambda p, x: losses.contrastive(p, T, LABELS, margin=x), "margin", NOT_NEGATIVE, [-1e-7],
    ),
    "elastic_net, l1": (lambda p, x: losses.elastic_net([p], l1=x, l2=0.5), "l1", NOT_NEGATIVE, [-1.0]),
    "elastic_net, l2": (lambda p, x: losses.elastic_net([p], l1=0.5, l2=x), "l2", NOT_NEGATIVE, [-1.0]),
    "in a sum": (
        lambda p, x: 0.5 * losses.mse(p, T) + losses.huber(p * 2.0, T, delta=x).named("h"),
        "delta", POSITIVE, [],
    ),
}  # fmt: skip


def index_of(browser, title):
    return browser.run("return inputs.findIndex(one => one.name.startsWith(arguments[0]))", title)


def now(browser):
    """The loss in the page, and its gradient by the parameter."""
    loss, gradient = browser.run("""
        const k = inputs.findIndex(one => one.name === "p");
        return [String(worth), output(inputs[k].gradient).map(String)]""")
    return float(loss), np.array(list(map(float, gradient))).reshape(P.shape)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("recorded", [False, True], ids=["a graph", "a function"])
def test_an_edited_option_gives_what_the_library_gives(chromium, page, name, recorded, tmp_path):
    loss, option, values, _ = OPTIONS[name]
    p = lo.Parameter(P, name="p")
    picture = lo.draw((lambda scale: loss(p * scale, 0.7)), np.ones((3, 2))) if recorded else None
    chromium.open(picture.save(tmp_path / "page.html") if recorded else page(loss(p, 0.7)))
    k = index_of(chromium, option)
    assert k >= 0
    for x in values:
        chromium.run("set(arguments[0], 0, arguments[1])", k, float(x))
        assert chromium.run("return values[arguments[0]][0]", k) == x, chromium.text("heard")
        p.grad = None
        expected = loss(p, float(x))
        expected.backward()
        value, gradient = now(chromium)
        top = max(abs(expected.item()), np.abs(p.grad).max())
        np.testing.assert_allclose(value, expected.item(), rtol=0, atol=1e-14 * top)
        np.testing.assert_allclose(gradient, p.grad, rtol=0, atol=1e-14 * top)


@pytest.mark.parametrize("name", [name for name, (*_, refused) in OPTIONS.items() if refused])
def test_an_option_that_a_loss_refuses_is_refused_in_its_words(chromium, page, name):
    loss, option, _, refused = OPTIONS[name]
    p = lo.Parameter(P, name="p")
    chromium.open(page(loss(p, 0.7)))
    k = index_of(chromium, option)
    before = chromium.run("return [values, worth, past.length]")
    for x in refused:
        with pytest.raises(lo.errors.OptionError) as error:
            loss(p, x)
        chromium.run("set(arguments[0], 0, arguments[1])", k, x)
        assert chromium.text("heard") == str(error.value)
        assert chromium.run("return [values, worth, past.length]") == before
        chromium.driver.execute_script("location.hash = arguments[0]", f"#step=1&n={k}.0:{x!r}")
        assert chromium.run("restore(); return [values, worth]") == before[:2]


def titles(browser):
    return browser.run("return inputs.filter(one => one.slider && one.node === '').map(one => one.name)")


def test_only_what_can_be_followed_is_offered(chromium, page):
    """Smoothed labels are an array, a base is compared with e, and a gamma of 0 leaves its factor out."""
    p = lo.Parameter(P, name="p")
    for loss in (
        losses.cross_entropy(p, LABELS, label_smoothing=0.1),
        losses.cross_entropy(p, LABELS, base=10),
        losses.focal(p, LABELS, gamma=0.0),
        losses.mse(p, T, half=True),
        losses.mse(p, T, half=True, reduction="none").sum(),
        losses.mse(p, T, reduction="batchmean"),
        (p**2.0).sum() / 3,
        (2 * p).mean(),
    ):
        chromium.open(page(loss))
        assert chromium.run("return !document.getElementById('lab').hidden")
        assert titles(chromium) == []


@make_loss(inputs_of("a", "b"), k=number)
def lost_in_part(a, b, *, k=2.0, reduction="mean"):
    return a * k - b * math.sqrt(k)


@make_loss(inputs_of("a", "b"), k=number)
def lost_as_a_number(a, b, *, k=2.0, reduction="mean"):
    return a * k - a * math.sqrt(k)


@make_loss(inputs_of("a", "b"), k=number)
def decided(a, b, *, k=2.0, reduction="mean"):
    return a * k - b if k < 1e6 else a * k


@make_loss(inputs_of("a", "b"), k=number)
def followed(a, b, *, k=2.0, reduction="mean"):
    return (a * (3.0 - k) - b) * (1.0 / abs(-k))


@make_loss(inputs_of("a", "b"), k=number, m=number)
def of_two(a, b, *, k=2.0, m=3.0, reduction="mean"):
    return a * (k * m) - b


def test_a_trail_that_is_lost_or_a_branch_is_met(chromium, page):
    p = lo.Parameter(P, name="p")
    for loss in (lost_in_part, lost_as_a_number, decided, of_two, followed):
        chromium.open(page(loss(p, T)))
        assert titles(chromium) == (["k of followed"] if loss is followed else [])
    chromium.run("set(shownSliders[0], 0, 0.75)")
    assert chromium.run("return worth") == pytest.approx(followed(p, T, k=0.75).item(), rel=1e-14)


def test_factors_have_the_names_of_what_they_multiply(chromium, page):
    W, b = lo.Parameter(P, name="W"), lo.Parameter(0.5, name="b")
    loss = losses.mse(W, T) + 0.1 * losses.l2([W, b]) + (1.5 - b) - 0.25 + 2.0 / b
    chromium.open(page(loss.named("loss")))
    found = titles(chromium)
    assert {"factor of l2(W, b)", "number before − b", "divided by b"} <= set(found)
    assert [title for title in found if title.startswith("subtracted from")]
    for x, term in ((0.75, "factor of l2(W, b)"), (-3.0, "divided by b")):
        chromium.run("set(arguments[0], 0, arguments[1])", index_of(chromium, term), x)
    expected = losses.mse(W, T) + 0.75 * losses.l2([W, b]) + (1.5 - b) - 0.25 - 3.0 / b
    assert chromium.run("return worth") == pytest.approx(expected.item(), rel=1e-14)


def test_a_number_that_a_function_is_given_has_a_slider(chromium, tmp_path):
    W = lo.Parameter(P, name="W")

    def loss(X, strength):
        return (losses.mse(X @ W, T) + strength * losses.l2(W)).named("loss")

    X = RNG.normal(size=(3, 3))
    chromium.open(lo.draw(loss, X, np.float64(0.1)).save(tmp_path / "page.html"))
    k = index_of(chromium, "strength")
    chromium.run(
        """const range = document.querySelector("#options input[aria-label=strength]");
        range.value = 0.3;
        range.dispatchEvent(new Event("input"));
        range.dispatchEvent(new Event("change"));"""
    )
    assert chromium.run("return values[arguments[0]][0]", k) == 0.3
    assert chromium.run("return worth") == pytest.approx(loss(X, 0.3).item(), rel=1e-14)


def test_a_slider_is_moved_typed_at_and_undone(chromium, page):
    p = lo.Parameter(P, name="p")
    chromium.open(page(losses.huber(p, T)))
    slide = """
        const [range] = document.querySelectorAll("#options input");
        for (const x of arguments) { range.value = x; range.dispatchEvent(new Event("input")); }
        range.dispatchEvent(new Event("change"));
        return [values[shownSliders[0]][0], past.length];"""
    assert chromium.run(slide, 0.5, 0.4, 0.25) == [0.25, 2]
    assert chromium.run(slide, 3, 2) == [2, 3]
    typed = """
        const [, typed] = document.querySelectorAll("#options input");
        typed.value = arguments[0];
        typed.dispatchEvent(new Event("change"));
        return [typed.value, values[shownSliders[0]][0]];"""
    assert chromium.run(typed, "1/4") == ["0.25", 0.25]
    assert chromium.run(typed, "-1") == ["0.25", 0.25]
    assert chromium.text("heard") == "huber: delta must be finite and > 0, got -1.0"
    assert chromium.run(typed, "x") == ["0.25", 0.25]
    chromium.run("back(0)")
    shown = "return [...document.querySelectorAll('#options input')].map(one => one.value)"
    assert chromium.run(shown) == ["1", "1"]
    assert chromium.run("focus = [shownSliders[0], 0]; verify(); return by('heard').textContent").startswith(
        "Finite difference by delta of huber"
    )


def test_the_address_holds_options(chromium, page):
    path = page(losses.huber(lo.Parameter(P, name="p"), T))
    chromium.open(path)
    chromium.run("set(shownSliders[0], 0, 0.3)")
    chromium.until("location.hash.includes('&n=')")
    worth, address = chromium.run("return [worth, location.hash]")
    chromium.driver.get("about:blank")
    chromium.driver.get(path.as_uri() + address)
    assert (
        chromium.run("return worth")
        == worth
        == pytest.approx(losses.huber(P, T, delta=0.3).item(), rel=1e-14)
    )


def test_a_named_number_inside_a_gate_is_followed_in_the_legend(chromium, page, tmp_path):
    def make(strength):
        W, X = lo.Parameter(P, name="W"), lo.Tensor(T, name="X")
        scale = lo.Tensor(strength, name="λ <b>")
        return (losses.mse(W, X) + scale * losses.l2(W)).named("loss")

    chromium.open(page(make(0.1)))
    k = index_of(chromium, "λ")
    chromium.run("set(arguments[0], 0, -2.5)", k)
    texts = "return [...picture.querySelectorAll('text')].map(text => text.textContent.trim())"
    ours = chromium.run(texts)
    assert "λ <b> = −2.5" in ours
    assert chromium.run("return worth") == pytest.approx(make(-2.5).item(), rel=1e-14)
    chromium.open(lo.draw(make(-2.5)).save(tmp_path / "anew.html"))
    assert sorted(chromium.run("show(end);" + texts)) == sorted(ours)
