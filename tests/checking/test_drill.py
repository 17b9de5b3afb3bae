"""The drill: what it asks is answered by the engine, and each usual wrong answer gets its reason."""

import io
import itertools
import re

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.checking.__main__ import main
from tinygrad_lo.checking.drill import ANSWER_RTOL, HELP, RUNGS, drill, fresh, questions, typed_number
from tinygrad_lo.errors import DTypeError, OptionError

COUNT = 100  # questions of each level


def graphs(level, seed):
    rng = np.random.default_rng(seed)
    while True:
        yield fresh(level, rng)


def asked(level, seed=0, count=COUNT):
    """So many questions."""
    every = (question for story in graphs(level, seed) for question in questions(story))
    return list(itertools.islice(every, count))


class Student:
    """Answers questions by looking into the graph that was printed for them."""

    def __init__(self, *answers):
        self.answers, self.heard = list(answers), []

    def ask(self, _):
        if not self.answers:
            raise EOFError
        return self.answers.pop(0)

    def tell(self, text):
        self.heard.append(text)

    def drilled(self, *options):
        return drill(*options, ask=self.ask, tell=self.tell)


@pytest.mark.parametrize("level", range(1, len(RUNGS) + 1))
def test_500_questions_are_marked_rightly(level):
    """Right answers are the engine's, and accepted; wrong ones are refused, with reasons."""
    rng = np.random.default_rng(1)
    for question in asked(level):
        assert question.wrong(question.answer) == ""
        assert question.wrong(question.answer * (1 + 0.5 * ANSWER_RTOL)) == ""
        assert question.traps
        for number, said in question.traps:
            assert said in [
                text for n, text in question.traps if abs(n - number) <= 2 * ANSWER_RTOL * abs(number) + 1e-6
            ]
            assert question.wrong(number).startswith("No: ")
            assert "usual mistakes" not in question.wrong(number)
        for answer in rng.normal(0.0, 10.0, 5).tolist():
            if abs(answer - question.answer) > 2 * ANSWER_RTOL * abs(question.answer):
                assert question.wrong(answer).startswith("No: ")


@pytest.mark.parametrize("level", range(1, 5))
def test_products_are_those_of_the_engine_by_another_way(level):
    """A product is what L gains through one gate: by differences of that gate alone."""
    for story in itertools.islice(graphs(level, 3), 40):
        loss = story.names.nodes[-1]
        told = [q for q in questions(story) if "through" in q.text.splitlines()[-1]]
        products = [step for step in story.backward if np.any(step.arriving)]
        for question, step in zip(told, products, strict=True):
            gate = story.names.nodes[step.gate_place]
            h = 1e-6

            def moved(by, gate=gate, step=step):
                inputs = [np.float64(x) + by * (i == step.operand) for i, x in enumerate(gate.inputs)]
                return float(gate.op.forward(*inputs))

            slope = (moved(h) - moved(-h)) / (2 * h)
            g = float(step.arriving)
            assert question.answer == pytest.approx(slope * g, rel=1e-6, abs=1e-8)
            known = {"local derivative ∂": slope, "that is ∂L": g, "not added": slope + g}
            known["itself"] = g * float(gate.value)
            for (number, text), (words, wanted) in itertools.product(question.traps, known.items()):
                if words in text.partition(";")[0]:
                    assert number == pytest.approx(wanted, rel=1e-6, abs=1e-8), text
        leaves = [node for node in story.names.nodes if node.op is None]
        for leaf, g in zip(leaves, lo.grad(loss, leaves), strict=True):
            last = [step for step in story.backward if step.target == story.names.of(leaf)][-1]
            assert float(last.total) == float(g)


def test_where_paths_meet_each_alone_is_not_enough():
    sums = [question for question in asked(4) if question.text.startswith("What comes to")]
    assert len(sums) > 10
    for question in sums:
        said = " ".join(text for _, text in question.traps)
        assert "one path alone" in said
        parts = [typed_number(part, {}) for part in re.findall(r"(\S+) through", question.text)]
        assert sum(parts) == pytest.approx(question.answer, rel=1e-3)
        alone = [number for number, text in question.traps if "one path alone" in text]
        assert all(any(number == pytest.approx(part, rel=1e-3) for part in parts) for number in alone)
    assert any("multiplied" in text for question in sums for _, text in question.traps)


def test_every_kind_of_graph_is_asked():
    texts = {level: "\n".join(q.text for q in asked(level, count=400)) for level in range(1, 6)}
    assert " × " in texts[1]
    assert " + " in texts[1]
    for mark in ("u²", "u³", "max(0, u)", "max(u, c)"):
        assert mark in texts[2]
    for mark in ("exp(u)", "log(u)", "σ(u)", "tanh(u)"):
        assert mark in texts[3]
    for mark in ("X @ W", "Σ S", "÷ 2", "C + b", "max(0, v1)"):
        assert mark in texts[5]


def test_a_term_alone_of_a_matmul_is_known():
    said = [text for question in asked(5) for _, text in question.traps]
    assert any("one term alone" in text for text in said)
    assert any("the row comes first" in text for text in said)


def test_numbers_are_small_and_exact():
    for level in (1, 2, 4):
        for story in itertools.islice(graphs(level, 5), 50):
            leaves = [node for node in story.names.nodes if node.op is None]
            assert all(float(2 * x.value).is_integer() and 0 < abs(float(x.value)) <= 3 for x in leaves)


def test_the_same_seed_asks_the_same():
    first, second, other = ([q.text for q in asked(2, seed)] for seed in (7, 7, 8))
    assert first == second != other


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3*-2", -6.0),
        ("1/3", 1 / 3),
        ("−1.5", -1.5),
        ("2·(a − b)", 10.0),
        ("a^2", 9.0),
        (" -a ** 2 ", -9.0),
        ("1e3", 1e3),
    ],
)
def test_an_answer_is_an_expression(text, number):
    assert typed_number(text, {"a": 3.0, "b": -2.0}) == pytest.approx(number)


@pytest.mark.parametrize(
    "text",
    ["", "3*", "x", "a.real", "__import__('os')", "f(1)", "1/0", "9**9**9", "1e999", "'a'", "[1]",
     "True and 1", "2j", "(" * 300, "a if a else 1", "0**-1", "(-8)**.5", "1\n2"],
)  # fmt: skip
def test_anything_else_is_no_number(text):
    with pytest.raises(DTypeError, match=r"is no number; write one, such as .* with the names a$"):
        typed_number(text, {"a": 3.0})


def test_a_session_with_its_score():
    """A wrong answer is diagnosed and asked again; a hint, the solution, nonsense; then the end."""
    one, two, three, *_ = asked(1, seed=4)
    wrong, said = one.traps[0]
    student = Student(str(wrong), str(one.answer), "", "", "no number", f"{three.answer!r}", "q")
    assert student.drilled(1, 4) == (1, 3)
    heard = "\n".join(student.heard)
    assert student.heard[0] == HELP
    assert "Level 1: + and ×" in heard
    assert "├─ " in heard
    assert f"No: {said}." in heard
    assert two.hint in heard
    assert two.solution in heard
    assert "'no number' is no number" in heard
    assert heard.endswith("1 of 3 right at the first try (33%).")


def test_five_in_a_row_lead_to_the_next_level():
    student = Student()
    pending = []

    def ask(prompt):
        if len(pending) > 400:
            raise KeyboardInterrupt
        text = next(t for t in reversed(student.heard) if "What is" in t)
        pending.append(text)
        question = next(q for q in every if q.text == text)
        return repr(question.answer)

    # The same generator runs through the levels in one go: replay it.
    rng, every, streak, rung = np.random.default_rng(2), [], 0, 1
    while len(every) < 500:
        new = [*questions(fresh(rung, rng))]
        every += new
        streak += len(new)
        if streak >= 5:
            rung, streak = min(rung + 1, 5), 0
    right, count = drill(None, 2, ask=ask, tell=student.tell)
    assert right == count == 401
    assert [f"Level {level}" in "\n".join(student.heard) for level in range(1, 6)] == [True] * 5


def test_a_seed_that_is_none(capsys):
    assert main(["--drill", "--seed", "-1"]) == 2
    assert capsys.readouterr().err == "drill: seed must be an int >= 0, got -1\n"


def test_a_level_that_is_not_there():
    for level in (6, -1, 1.5, "2"):
        with pytest.raises(OptionError, match="drill: level must be"):
            drill(level)


def test_from_the_shell(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("q\n"))
    assert main(["--drill", "--level", "3", "--seed", "1"]) == 0
    out = capsys.readouterr().out
    assert "Level 3: exp, log, sigmoid and tanh" in out
    assert out.endswith("0 of 0 right at the first try.\n")
    assert main(["--drill", "--level", "9"]) == 2
    assert re.search("invalid choice: '?9", capsys.readouterr().err)  # Python 3.14 quotes it
