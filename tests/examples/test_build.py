"""Build it yourself: unfilled floors say what to do, solved ones stand, each usual mistake gets its hint."""

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "examples" / "build"
FLOORS = [path.name for path in sorted(BUILD.glob("floor*.py"))]

SWEEP = """        grads = {self: g}
        for node in reversed(order(self)):
            g = grads.pop(node)
            if not node.parents:
                node.grad = node.grad + g
            for parent, part in node.shares(g):
                grads[parent] = grads[parent] + part if parent in grads else part
"""
IN_BETWEEN = """        self.grad = g
        for node in reversed(order(self)):
            for parent, part in node.shares(node.grad):
                parent.grad = parent.grad + part
"""
IN_PLACE = """        grads = {self: g}
        for node in reversed(order(self)):
            g = grads.pop(node)
            if not node.parents:
                node.grad = node.grad + g
            for parent, part in node.shares(g):
                if parent in grads:
                    grads[parent] += part
                else:
                    grads[parent] = part
"""
RECURSIVE = """import floor1_scalar

def order(root):
    done = []
    def visit(node):
        if node not in done:
            for parent in node.parents:
                visit(parent)
            done.append(node)
    visit(root)
    return done

"""
FORGETFUL = """self.velocity = self.velocity | dict.fromkeys(self.velocity, 0.0)
                self.velocity[p] = group"""

# For each floor what is written instead of what, and what must be said.
MISTAKES = {
    1: [
        ("self.grad = self.grad + g", "self.grad = g", "it replaces nothing"),
        (
            "(lambda g: g * b, lambda g: g * a)",
            "(lambda g: g * a, lambda g: g * b)",
            "in the place of the other",
        ),
        ("(lambda g: g * b, lambda g: g * a)", "(lambda g: b, lambda g: a)", "Is the g there"),
        ("(lambda g: g, lambda g: g)", "(lambda g: 1.0, lambda g: 1.0)", "not 1"),
        ("parent.backward(part)", "pass", "calls parent.backward(part)"),
        ("type(self)(a * b,", "(a * b,", "a * b is of another class than its leaves, tuple"),
        ("type(self)(", "Value(", "Make new values by type(self)"),
        ("a * b, (self, other)", "a * b, (self,)", "your code raised ValueError"),
    ],
    2: [
        ("grads[parent] + part if parent in grads else part", "part", "gets two parts"),
        ("reversed(order(self))", "order(self)", "your code raised KeyError"),
        (SWEEP, IN_BETWEEN, "after backward() twice, is 72"),
        ("elif node not in seen:", "else:", "has 9 values, expected 5"),
        (
            "[(node, True), *((parent, False) for parent in node.parents)]",
            "[*((parent, False) for parent in node.parents), (node, True)]",
            "Seen first is not done first",
        ),
        ("        grads = {self: g}", "        return super().backward(g)", "not along the paths"),
    ],
    3: [
        ("unbroadcast(part, parent.data.shape)", "part", "Does shares unbroadcast"),
        ("keepdims=True)", "keepdims=False)", "with keepdims=True"),
        ("g.sum(axis=tuple(range(g.ndim - len(shape))))", "g", "r has one axis less"),
        (
            "g.sum(axis=tuple(range(g.ndim - len(shape))))",
            "g[(0,) * (g.ndim - len(shape))]",
            "r has one axis less",
        ),
        ("self.lift(other) - self", "self - other", "is other − self"),
        ("self + -self.lift(other)", "self + other", "a − b is a + (−b)"),
    ],
    4: [
        (
            "np.broadcast_to(np.reshape(g, kept.shape), x.shape)",
            "np.broadcast_to(g, x.shape)",
            "the axis is gone",
        ),
        ("total.data.size / self.data.size", "1.0 / self.data.size", "not the size of x"),
        ("return total * (total.data.size / self.data.size)", "return total", "divided by the count"),
        ("largest / largest.sum(axis=axis, keepdims=True)", "largest", "Equal largest elements share g"),
        (
            "lambda g: g @ b.T, lambda g: a.T @ g",
            "lambda g: b.T @ g, lambda g: g @ a.T",
            "only one order fits",
        ),
        ("return self.lift(other) @ self", "return self @ other", "__rmatmul__ is other @ self"),
    ],
    5: [
        ("g * (1.0 - y * y)", "g * (1.0 - x * x)", "1 − tanh²(x)"),
        ("g * (x > 0.0)", "g * (x >= 0.0)", "At exactly 0 nothing passes"),
        ("top = x.max(axis=-1, keepdims=True)", "top = 0.0", "Subtract the maximum"),
        ("lambda g, rule=rule: rule(g", "lambda g: rule(g", "A lambda in a loop"),
        ("-g * y / b", "g * y / b", "−g a/b²"),
        ("g * y,", "np.multiply(g, y, out=g),", "the gradient given to backward, afterwards, at [0, 0] is"),
        ("maximum(x, 0.0)", "maximum(x, 0.0, out=x)", "the data of X after the backward pass at [0, "),
        ("self.lift(other) / self", "self / other", "is other / self"),
    ],
    6: [
        (
            "right = (scores * one_hot(labels, scores.data.shape[1]))",
            "right = scores",
            "s_y is Σ s · one_hot",
        ),
        ("right + 1.0", "right.sum(axis=1) + 1.0", "Is s_y (N, 1)"),
        (" * (1.0 - hot)", "", "the right one would add a margin"),
        ("margins.sum(axis=1).mean()", "margins.mean()", "Sum over the classes"),
        (
            "scores.logsumexp() - right",
            "scores.exp().sum(axis=1, keepdims=True).log() - right",
            "takes care of it",
        ),
        ("(gap * gap).mean()", "(gap * gap).sum()", "The mean of the squared gaps"),
    ],
    7: [
        ("p.grad = 0.0\n\n    def step", "pass\n\n    def step", "p.grad = 0.0 for every parameter"),
        ("p.data = p.data - self.velocity[p]", "p.data -= self.velocity[p]", "the array that the user gave"),
        ("p.data - self.velocity[p]", "p.data + self.velocity[p]", "w ← w − lr · g"),
        ('+ group["weight_decay"] * p.data', "", "before the velocity"),
        ("self.velocity[p] = group", FORGETFUL, "kept from step to step"),
        ("defaults | group ", "group | defaults ", "come before the defaults"),
        ("    for p in inputs:\n        p.grad = 0.0\n", "", "the second time"),
        ("return abs(", "return (", "whatever its sign"),
        ("    p.data = x\n", "", "put the old array back"),
        ("(2.0 * h)", "h", "one element at a time"),
    ],
    8: [
        ("optimizer.zero_grad()", "pass", "zero_grad, backward and step"),
        ('graphviz.escape(f"{node.label} {what}")', "node.label", "keeps any text"),
        ("for parent in node.parents:", "for parent in set(node.parents):", "one arrow for each"),
        ("size=(n, m)", "size=(m, n)", "W (inputs, outputs)"),
        ("losses.append(float(loss.data))", "pass", "and 0 losses; expected at least 0.9, and 150"),
        ("{node: str(i)", "{node: '0'", "(nodes, arrows) (1, "),
        ("names[parent], name", "name, names[parent]", "not every arrow starts at a leaf"),
    ],
}
EACH = [
    pytest.param(floor, *mistake, id=f"{floor}-{i}", marks=pytest.mark.slow if i % 2 else ())
    for floor, some in MISTAKES.items()
    for i, mistake in enumerate(some)
]


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A copy of the folder, in which the first floors are solved, and how it is checked: code and text."""
    monkeypatch.setattr(sys, "path", [str(BUILD), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    kept = set(sys.modules)
    check = importlib.import_module("check")
    folder = tmp_path / "build"
    shutil.copytree(BUILD, folder, ignore=shutil.ignore_patterns("__pycache__"))

    def run(solved, last, capsys):
        for name in FLOORS[:solved]:
            if (folder / name).read_bytes() == (BUILD / name).read_bytes():
                shutil.copy(folder / "solutions" / name, folder / name)
        code = check.main(last, folder)
        return code, capsys.readouterr().out

    yield folder, run
    for name in set(sys.modules) - kept:
        if name.startswith("floor") or name in ("check", "cases", "compare"):
            del sys.modules[name]


@pytest.mark.parametrize("floor", range(1, 9))
def test_an_unfilled_floor_says_what_to_do_on_the_solved_ones_below(floor, house, capsys):
    folder, run = house
    code, printed = run(floor - 1, floor, capsys)
    assert code == 1
    assert re.findall(r"^floor (\d), .+: passed$", printed, re.MULTILINE) == [str(i) for i in range(1, floor)]
    *_, task = printed.partition(f"Floor {floor}: ")
    assert f"    python examples/build/{FLOORS[floor - 1]}\n" in task
    assert "Then read: " in task
    assert "\n\nStill to do: " in task
    assert len((folder / FLOORS[floor - 1]).read_text(encoding="utf-8").splitlines()) <= 90


def test_the_student_starts_a_floor_and_the_one_below_is_said_first(house):
    folder, _ = house
    for name in FLOORS[1:3]:
        shutil.copy(folder / "solutions" / name, folder / name)
    end = (
        '\n\nif __name__ == "__main__":\n    import sys\n\n    import check\n\n    sys.exit(check.main(3))\n'
    )
    assert (BUILD / FLOORS[2]).read_text(encoding="utf-8").endswith(end)
    with (folder / FLOORS[2]).open("a", encoding="utf-8") as file:
        file.write(end)
    command = [sys.executable, "-W", "error", folder / FLOORS[2]]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("Floor 1: ")
    shutil.copy(folder / "solutions" / FLOORS[0], folder / FLOORS[0])
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == f"Well done. Next: {FLOORS[3]}"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("2", "--solutions"), 0, f"Well done. Next: {FLOORS[2]}\n"),
        (("1",), 1, "'+'\n"),
        (("9",), 2, "choose from"),
    ],
)
def test_the_check_as_a_command(words, code, said, tmp_path):
    command = [sys.executable, "-B", "-W", "error", BUILD / "check.py", *words]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False, cwd=tmp_path)
    assert done.returncode == code
    assert (said in done.stderr) if code == 2 else done.stdout.endswith(said) and not done.stderr


def test_all_floors_solved_read_digits_and_draw_themselves(house, tmp_path, capsys):
    pytest.importorskip("sklearn", reason="needs the extra 'examples'")
    _, run = house
    code, printed = run(8, 8, capsys)
    assert code == 0, printed
    assert printed.endswith("Well done: all of it is yours.\n")
    assert float(re.search(r"accuracy (0\.\d+) on 497 digits", printed)[1]) >= 0.9
    saved = re.search(r"see (build_graph\.\w+)", printed)[1]
    assert "W1 (64, 32)" in (tmp_path / saved).read_text(encoding="utf-8")


@pytest.mark.parametrize(("floor", "right", "wrong", "said"), EACH)
def test_a_usual_mistake_gets_its_hint(floor, right, wrong, said, house, capsys):
    if floor == 8:
        pytest.importorskip("sklearn", reason="needs the extra 'examples'")
    folder, run = house
    spoilt(folder, floor, right, wrong)
    code, printed = run(floor, floor, capsys)
    assert code == 1
    assert f"floor {floor}, " in printed, printed
    assert said in printed.partition(f"floor {floor}, ")[2], printed


def spoilt(folder, floor, right, wrong):
    """Write the solution of a floor with this in place of that."""
    name = FLOORS[floor - 1]
    text = (folder / "solutions" / name).read_text(encoding="utf-8")
    assert right in text
    (folder / name).write_text(text.replace(right, wrong), encoding="utf-8")


def test_each_floor_has_at_least_three_mistakes():
    assert list(MISTAKES) == list(range(1, len(FLOORS) + 1))
    assert min(map(len, MISTAKES.values())) >= 3


def test_adding_in_place_is_harmless_with_numbers_and_found_with_arrays(house, capsys):
    folder, run = house
    spoilt(folder, 2, SWEEP, IN_PLACE)
    spoilt(folder, 3, "    g = g.sum(", "    if g.shape == shape:\n        return g\n    g = g.sum(")
    assert run(3, 2, capsys)[0] == 0
    code, printed = run(3, 3, capsys)
    assert code == 1
    assert "+= and out= write into an array" in printed
    shutil.copy(folder / "solutions" / FLOORS[1], folder / FLOORS[1])  # in the same process
    assert run(3, 3, capsys)[0] == 0


def test_recursion_is_told_from_other_errors(house, capsys):
    folder, run = house
    text = (folder / "solutions" / FLOORS[1]).read_text(encoding="utf-8")
    (folder / FLOORS[1]).write_text(RECURSIVE + text[text.index("class Value") :], encoding="utf-8")
    code, printed = run(2, 2, capsys)
    assert code == 1
    assert "RecursionError\n  Hint: Python allows about 1000 calls" in printed


def test_a_file_that_python_cannot_read_is_said(house, capsys):
    folder, run = house
    (folder / FLOORS[1]).write_text("def order(:\n", encoding="utf-8")
    code, printed = run(2, 2, capsys)
    assert code == 1
    assert "Your code raised SyntaxError: " in printed
    assert "floor2_order.py" in printed


def functions(path):
    """The bodies of all functions of a file, by class and name, without their docstrings; blanks are None."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    there = {}
    for scope in (tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))):
        for node in scope.body:
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                text = "\n".join(map(ast.unparse, body))
                there[getattr(scope, "name", ""), node.name] = None if "NotImplementedError" in text else text
    return there


@pytest.mark.parametrize("name", FLOORS)
def test_a_solution_fills_the_blanks_and_changes_nothing_else(name):
    task, solution = functions(BUILD / name), functions(BUILD / "solutions" / name)
    assert None in task.values()
    assert None not in solution.values()
    assert set(task) <= set(solution)
    given = {place: body for place, body in task.items() if body is not None}
    assert given == {place: solution[place] for place in given}


def test_the_page_has_every_floor_and_the_length_of_all_solutions():
    page = (BUILD / "README.md").read_text(encoding="utf-8")
    texts = [(BUILD / "solutions" / name).read_text(encoding="utf-8") for name in FLOORS]
    lines = sum(bool(line.strip()) for text in texts for line in text.splitlines())
    assert lines < 250
    assert f"{lines} lines" in page
    assert len(FLOORS) == 8
    assert all(f"`{name}`" in page for name in FLOORS)
    exist(page)


def exist(text):
    """Every path to a Python file that a text names is one of the examples or of the library."""
    paths = re.findall(r"\b\w+(?:/\w+)+\.py", text)
    assert paths
    for path in paths:
        assert (ROOT / path).is_file() or (ROOT / "tinygrad_lo" / path).is_file(), path


def test_what_the_floors_say_to_read_is_there():
    for name in FLOORS:
        exist((BUILD / name).read_text(encoding="utf-8").partition("Then read: ")[2])


def test_without_scikit_learn_the_last_floor_says_so(house, capsys, monkeypatch):
    _, run = house
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    code, printed = run(8, 8, capsys)
    assert code == 1
    assert printed.endswith("scikit-learn's, which is missing\n  Hint: pip install scikit-learn\n")


def test_random_programs_reach_what_the_short_ones_do_not(house):
    compare = importlib.import_module("compare")
    programs = [case.text for case in compare.at_random(40, "abc", "+*")]
    assert len(set(programs)) == 40
    assert any(text.count("a") > 3 for text in programs)
    assert np.array_equal(programs, [case.text for case in compare.at_random(40, "abc", "+*")])
