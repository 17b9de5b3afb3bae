"""The quiz in Chromium: it hides, accepts, refuses kindly, and shows."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.explaining.formula import number
from tinygrad_lo.explaining.steps import steps


@pytest.fixture
def asked(browser, page, neuron):
    """The neuron's page at the step with ∂L/∂w1 = −0.8399, in quiz mode."""
    browser.open(page(neuron))
    found = steps(neuron)
    browser.run("show(arguments[0])", 2 + len(found.forward) + [p.target for p in found.backward].index("w1"))
    browser.press("q")
    return browser


def answer(browser, text):
    """Type an answer and send it off."""
    browser.run('by("answer").focus(); by("answer").value = arguments[0]', text)
    browser.press("Enter")
    return browser.text("verdict")


def test_the_number_is_hidden_until_it_is_known(asked):
    node = asked.run("return steps[now].node")
    assert asked.text("line") == "∂L/∂w1 = x1 · ∂L/∂v2 = ?"
    assert asked.gradient(node) == ["?"]
    assert "0.8399" not in asked.run("return document.body.innerText")
    assert answer(asked, "-0.84") == "✓ Right."
    assert asked.text("line") == "∂L/∂w1 = x1 · ∂L/∂v2 = (−2) · 0.42 = −0.8399"
    assert asked.gradient(node) == ["−0.8399"]
    asked.press("ArrowRight", "ArrowLeft")
    assert asked.gradient(node) == ["−0.8399"], "what was answered stays known"


@pytest.mark.parametrize(
    "typed", ["-0.8399486832280523", "−0.8399", "-0,84", " -.8399 ", "-8.4e-1", "-0.8399/1", "-42/50"]
)
def test_right_answers_however_they_are_written(asked, typed):
    assert answer(asked, typed) == "✓ Right."


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("0.84", "Look at the sign"),
        ("-0.845", "local derivative times the gradient"),
        ("-0.835", "local derivative times the gradient"),
        ("0", "local derivative times the gradient"),
        ("", "Type a number"),
        ("tanh", "“tanh” is not a number I can read"),
        ("<b>1</b>", "“<b>1</b>” is not a number I can read"),
        ("1/2/3", "not a number I can read"),
        ("nan", "local derivative times the gradient"),
        ("1e999", "local derivative times the gradient"),
    ],
)
def test_wrong_answers_are_refused_with_a_hint(asked, typed, hint):
    assert hint in answer(asked, typed)
    assert asked.text("line").endswith("= ?")
    assert asked.gradient(asked.run("return steps[now].node")) == ["?"]
    assert asked.run("return document.activeElement.id") == "answer"
    assert answer(asked, "-0.84") == "✓ Right."


def test_the_tolerance_is_half_a_percent(asked):
    right = 0.8399486832280523
    for factor, verdict in ((1.0051, False), (0.9949, False), (1.0049, True)):
        assert ("Right" in answer(asked, str(-right * factor))) is verdict


def test_the_answer_can_be_shown(asked):
    asked.click("reveal")
    assert asked.text("line").endswith("= −0.8399")
    assert asked.run("return document.activeElement.id") == "next"


def test_only_what_is_added_is_asked(browser, page):
    w = lo.Parameter(3.0, name="w")
    browser.open(page((w * 4.0 + w * w).named("loss")))
    browser.press("q", "End", "ArrowLeft", "ArrowLeft")
    question = browser.run("return steps[now].question")
    assert browser.text("line") == question
    assert "+=" in question
    part, total = (browser.run(f"return steps[now].{key}") for key in ("answer", "sum"))
    assert "Asked is only what is added now" in answer(browser, total)
    assert answer(browser, part) == "✓ Right."


def test_an_element_of_a_table_is_asked(browser, page, svm):
    browser.open(page(svm))
    found = steps(svm)
    product = [p for p in found.backward if p.target == "W"][-1]
    browser.run("show(arguments[0])", 2 + len(found.forward) + found.backward.index(product))
    browser.press("q")
    j = int(np.argmax(np.abs(product.part)))
    row, column = np.unravel_index(j, product.part.shape)
    assert browser.text("line") == f"∂L/∂W[{row}, {column}] += (Xᵀ @ ∂L/∂S)[{row}, {column}] = ?"
    shown = browser.gradient(f"n{product.target_place}")
    assert shown[j] == "?"
    before = [number(g) for g in np.ravel(product.before)]
    assert [*shown[:j], *shown[j + 1 :]] == [*before[:j], *before[j + 1 :]], "the sum so far, not the answer"
    assert answer(browser, repr(float(product.part.flat[j]))) == "✓ Right."
    assert "?" not in browser.gradient(f"n{product.target_place}")


def test_every_question_accepts_its_own_answer(browser, page, loss):
    browser.open(page(loss))
    browser.press("q")
    asked = 0
    for k in range(browser.run("return steps.length")):
        browser.run("show(arguments[0])", k)
        if browser.run("return isAsking()"):
            asked += 1
            assert answer(browser, browser.run("return steps[now].answer")) == "✓ Right.", browser.text(
                "line"
            )
    assert asked == len(steps(loss).backward)


def test_zero_and_nan_can_be_answered(browser, page):
    w = lo.Parameter(-1.0, name="w")
    with np.errstate(all="ignore"):
        loss = (lo.nn.relu(w) + np.log(w) * 0.0).named("loss")
    browser.open(page(loss))
    browser.press("q")
    wanted = {"0.0": ("0", "1"), "nan": ("nan", "0"), "-0.0": ("0", "1")}
    met = set()
    for k in range(browser.run("return steps.length")):
        browser.run("show(arguments[0])", k)
        right = browser.run("return isAsking() ? steps[now].answer : null")
        if right in wanted:
            met.add(right.strip("-"))
            assert "Right" not in answer(browser, wanted[right][1])
            assert answer(browser, wanted[right][0]) == "✓ Right."
    assert "0.0" in met


def test_by_keyboard_alone(browser, page, neuron):
    browser.open(page(neuron))
    browser.press("q")
    assert browser.text("verdict").startswith("Go on with →")
    for _ in range(20):
        if browser.run("return isAsking()"):
            break
        browser.press("ArrowRight")
    assert browser.run("return document.activeElement.id") == "answer"
    at = browser.step
    browser.press("q", "f", " ", "1", "ArrowLeft")
    assert browser.run('return by("answer").value') == "qf 1", "what is typed is no command"
    assert browser.step == at
    browser.run('by("answer").value = ""')
    browser.press("ArrowRight")
    assert browser.step == at + 1, "in an empty field the arrows go on"
    browser.press("Escape", "Home")
    assert browser.step == 0
    browser.press("q")
    browser.press("End")
    assert "quizzing" not in browser.run("return document.body.className")


def test_playing_stops_at_a_question(browser, page, neuron):
    browser.open(page(neuron))
    browser.run("data.pace = 10")
    browser.press("q", " ")
    browser.until("isAsking()")
    at = browser.step
    assert browser.run("return timer") == 0
    assert browser.step == at


def test_the_quiz_is_scored_and_asks_again_what_was_not_right(browser, page, neuron):
    browser.open(page(neuron))
    browser.press("q")
    first = browser.run("return steps.findIndex(step => step.answer !== undefined)")
    browser.run("show(arguments[0])", first)
    exact = browser.run("return steps[now].answer")
    assert answer(browser, exact) == "✓ Right."
    browser.run("show(now + 1); by('reveal').click()")
    count = browser.run("return steps.filter(step => step.answer !== undefined).length")
    for _ in range(count):
        browser.run("show(now + 1)")
    browser.run("show(end)")
    skipped = count - 2
    assert browser.text("sentence").startswith(f"Quiz: 1 right, 1 helped, {skipped} skipped.")
    browser.run("by('again').click()")
    assert browser.step == first + 1
    assert browser.run("return isAsking()")
