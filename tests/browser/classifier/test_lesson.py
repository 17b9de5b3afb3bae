"""The lesson: predict, then see."""

import pytest
from classifier_pages import RIGHT, answer


@pytest.mark.parametrize("wrong", [False, True])
def test_the_lesson_runs_to_its_end_and_judges_each_prediction(page, wrong):
    page.run("state.names = ['mine', 'yours', 'theirs']; refresh('problem')")
    before = page.run("return address()")
    page.click("lesson")
    for k, given in enumerate(RIGHT):
        assert page.text("card_step") == f"Question {k + 1} of 10"
        page.click("card_see")
        assert page.text("card_told") == "Predict first: each of these needs an answer."
        answer(page, given, wrong)
        page.click("card_see")
        sets = page.run("""
            const said = set => set.querySelector("output").textContent;
            return [...by("asks").children].map(set => [set.className, said(set)]);""")
        assert len(sets) == len(given)
        for (name, words), right in zip(sets, given, strict=True):
            assert name == ("bad" if wrong else "good"), (k, words)
            assert words == ("✓ right" if not wrong else words)
            assert not wrong or isinstance(right, float | int) or words == f"✗ it was: {right}"
        assert len(page.text("card_told")) > 40
        page.click("card_see")
    count = sum(map(len, RIGHT))
    assert page.text("said").startswith(
        f"The lesson is done: {0 if wrong else count} of {count} predictions were right."
    )
    assert page.run("return address()") == before


def test_what_is_asked_is_hidden(page):
    page.click("lesson")
    seen = page.run("""
        return [...document.querySelectorAll("#total, #rows td:last-child, #graphs .value, .gradient")]
          .filter(part => getComputedStyle(part).visibility === "visible").map(part => part.textContent);""")
    assert seen == ["3.20", "5.10", "−1.70"] * 2  # the scores


@pytest.mark.parametrize("key", ["jiggle", "double", "tie"])
def test_a_question_of_its_own(page, key):
    page.click(f"question_{key}")
    assert page.text("card_step") == "Predict first"
    page.run("for (const set of by('asks').children) set.querySelector('input').click()")
    page.click("card_see")
    assert all(
        page.run("return [...by('asks').children].map(set => set.querySelector('output').textContent)")
    )
    page.click("card_see")
    assert page.run("return by('card').hidden")
    if key == "tie":
        assert page.run("return scores(state.points[0])") == pytest.approx([10, 9, 9])


def test_a_question_in_the_lesson_leaves_it(page):
    before = page.run("return address()")
    page.click("lesson")
    assert page.run("return address()") != before
    page.click("question_jiggle")
    assert page.text("card_step") == "Predict first"
    assert page.run("return address()") == before
    page.press("Escape")
    assert page.run("return by('card').hidden")
