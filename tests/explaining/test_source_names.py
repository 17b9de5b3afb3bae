"""The printed program is executed: whatever users call their things, it must stay a program, and theirs."""

import ast
import keyword

import numpy as np
import pytest

import tinygrad_lo as lo

EVIL = '"; import os; os.environ["PRINTED"] = "ran"#'
PAIRS = [
    ("class", "lambda"), ("None", "True"), ("match", "_"), ("print", "max"), ("np", "lo"), ("loss", "dloss"),
    ("loss_and_gradients", "exec"), ("b", "db"), ("dv", "v"), ("v1", "v2"), ("x1", "w1"), ("i1", "y1"),
    ("windows", "positions"), ("fold", "loss_2"), ("a b", "a_b"), ("a_b", "a__b"), ("A.weight", "A weight"),
    ("w", "w"), ("w_2", "w"), ("", ""), ("1", "2"), ("{0}", "%s"), ('a"b', "a'b"), ("a\nb", "c\rd"),
    ("\\", "\t"), ("\0", "\ud800"), (EVIL, "x"), ("x)\n    import os\n    (y", "x):"), ("self", "__debug__"),
    ("__class__", "__name"), ("é", "e\u0301"), ("\u0302", "x\u0302"), ("ﬁ", "fi"), ("ℌ", "H"), ("𝐱", "x"),
    ("µ", "μ"), ("ª", "a"), ("σ²", "σ2"), ("·", "a·b"), ("İ", "i̇"), ("𝐝𝐞𝐟", "def"),
    ("a" * 300, "a" * 300 + "b"), ("\u2028", "\u202e"), ("\u200d", "🙂"),
]  # fmt: skip


def run(text):
    """Run the printed text as a script would, any warning an error."""
    namespace = {}
    exec(compile(text, "<source>", "exec"), namespace)
    return namespace["loss_and_gradients"](**text.arguments)


def function_of(text):
    """The printed function as a syntax tree."""
    *_, function = ast.parse(text).body
    assert isinstance(function, ast.FunctionDef)
    return function


def pair(a, b):
    return lo.Parameter([1.0, 2.0], name=a), lo.Parameter([3.0, 5.0], name=b)


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_any_names_of_parameters(a, b):
    u, w = pair(a, b)
    text = lo.source((u * w * 2.0).sum())
    loss, gradients = run(text)
    assert loss == 26.0
    for g, expected in zip(gradients.values(), ([6.0, 10.0], [2.0, 4.0]), strict=True):
        np.testing.assert_array_equal(g, expected)
    names = list(text.arguments)
    assert [x.arg for x in function_of(text).args.args] == names
    assert all(name.isidentifier() and not keyword.iskeyword(name) for name in names)
    if a and b and a != b:
        assert list(gradients) == [a, b]


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_any_names_of_data_and_of_values_between(a, b):
    x = lo.Tensor([1.0, 2.0], name=a)
    w = lo.Parameter([3.0, 5.0], name="w")
    loss = ((x * w).named(b) * lo.Tensor([1.0, 1.0], name=b)).named(a).sum().named(a)
    value, gradients = run(lo.source(loss))
    assert value == 13.0
    np.testing.assert_array_equal(gradients["w"], [1.0, 2.0])


def test_nothing_of_a_name_is_executed(monkeypatch):
    monkeypatch.delenv("PRINTED", raising=False)
    lines = [EVIL, "x\n    import os; os.environ['PRINTED'] = 'ran'\n    #", "'''" + EVIL, "\\N{BULLET}"]
    for name in lines:
        with lo.scope(name):
            w = lo.Parameter([1.0], name=name)
            loss = ((w * lo.Tensor([2.0], name=name)).named(name) ** 2).sum()
        text = lo.source(loss)
        allowed = (ast.Expr, ast.Assign, ast.Return)
        assert all(isinstance(statement, allowed) for statement in function_of(text).body), text
        run(text)
    import os

    assert "PRINTED" not in os.environ


TITLES = [
    "x\n    import os", "x\r    import os", "x\r\nimport os", "\x0c y", "\x0b y", " \u2028 import os",
    "\x85 y", "\0", "\ud800", "\\", '"""', "#", "%s {0}", "", "é", "t" * 500,
]  # fmt: skip


@pytest.mark.parametrize("title", TITLES)
def test_any_title_of_a_scope_is_one_comment(title):
    w = lo.Parameter([1.0, 2.0], name="w")
    with lo.scope(title), lo.scope("inner"):
        loss = (w**2).sum()
    text = lo.source(loss)
    loss, gradients = run(text)
    assert loss == 5.0
    np.testing.assert_array_equal(gradients["w"], [2.0, 4.0])
    loss, dw, _ = function_of(text).body[1:]
    assert (ast.unparse(loss), ast.unparse(dw)) == ("loss = np.sum(w ** 2)", "dw = 2.0 * w")


def test_a_gradient_is_named_after_its_parameter():
    """dw is the gradient of w, also where a parameter is called dw, or several are called w."""
    cases = [("b", "db"), ("w", "w"), ("w_2", "w"), ("class", "class_"), ("x", "dx"), ("", "w")]
    for a, b in cases:
        u, w = pair(a, b)
        text = lo.source((u * w * 2.0).sum())
        result = function_of(text).body[-1].value.elts[1]
        used = {name.id for name in result.values}
        assert len(used) == 2, text
        for argument, name in zip(text.arguments, result.values, strict=True):
            assert name.id.startswith(f"d{argument}"), text
            rest = name.id.removeprefix(f"d{argument}")
            assert not rest or (f"d{argument}" in text.arguments and rest.strip("_").isdigit()), text


def test_the_keys_of_the_gradients_are_the_names_of_the_user_and_unique():
    leaves = [lo.Parameter(float(i), name="W.b") for i in range(3)] + [lo.Parameter(9.0, name="W.b_2")]
    loss = 5.0 * leaves[0] + 2.0 * leaves[1] + 3.0 * leaves[2] + 4.0 * leaves[3]
    text = lo.source(loss)
    _, gradients = run(text)
    assert len(gradients) == 4
    assert next(iter(gradients)) == "W.b"
    assert list(map(float, gradients.values())) == [5.0, 2.0, 3.0, 4.0]
    assert list(text.arguments) == ["W_b", "W_b_2", "W_b_3", "W_b_2_2"]


def test_names_of_a_model_are_its_keys(rng):
    model = lo.nn.Sequential(lo.nn.Linear(3, 4, rng=rng), lo.nn.ReLU(), lo.nn.Linear(4, 2, rng=rng))
    names = [name for name, _ in model.named_parameters()]
    text = lo.source(lo.losses.cross_entropy(model(rng.standard_normal((5, 3))), np.array([0, 1, 1, 0, 1])))
    _, gradients = run(text)
    assert list(gradients) == names == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert list(text.arguments)[2:] == ["w_0_weight", "w_0_bias", "w_2_weight", "w_2_bias"]


def test_long_names_are_cut():
    u, w = pair("a" * 300, "a" * 300 + "b")
    text = lo.source((u * w).sum())
    assert len(set(text.arguments)) == 2
    assert max(map(len, text.arguments)) <= 60
    assert list(run(text)[1]) == [u.name, w.name]


OPS = ("np", "lo", "loss", "class", "loss_and_gradients", "v1", "dw", "print", "array", "ﬁ")


@pytest.fixture
def defined():
    """define_op, with the table as it was afterwards."""
    table = lo.engine.ops.TABLE
    before = list(table)
    yield lo.define_op
    for name in set(table).difference(before):
        del table[name]


@pytest.mark.parametrize("name", OPS)
def test_any_name_of_an_op(name, defined):
    try:
        triple = defined(name, lambda x: x * 3.0, [lambda g, y, x: g * 3.0])
    except lo.errors.OptionError:
        return  # refused where it is defined: also good
    w = lo.Parameter([1.0, 2.0], name="w")
    value, gradients = run(lo.source(triple(w).sum() + triple(triple(w)).sum()))
    assert value == 36.0
    np.testing.assert_array_equal(gradients["w"], [12.0, 12.0])


def test_an_op_and_a_parameter_of_one_name(defined):
    triple = defined("triple", lambda x: x * 3.0, [lambda g, y, x: g * 3.0])
    w = lo.Parameter([1.0, 2.0], name="triple")
    value, gradients = run(lo.source(triple(w).named("triple").sum()))
    assert value == 9.0
    np.testing.assert_array_equal(gradients["triple"], [3.0, 3.0])


SPELLINGS = [
    "({0}) * 3.0\n    import os",
    "{0}) + (1",
    "import os",
    "{0}; 1",
    "",
    "cbrt({0})",
    "os.sep",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_spelling_that_is_no_expression_is_refused_or_left_aside(spelling, defined):
    """It ends up in a text that is run: what is not an expression of the input does not get there."""
    w = lo.Parameter([1.0, 2.0], name="w")
    try:
        op = defined("odd", lambda x: x * 3.0, [lambda g, y, x: g * 3.0], spelling=spelling)
    except lo.errors.OptionError:
        return
    text = lo.source(op(w).sum())
    assert run(text)[0] == 9.0, text


def test_words_among_the_options_are_quoted(defined):
    def forward(x, *, mode="a"):
        return x * len(mode)

    def rule(g, y, x, *, mode="a"):
        return g * len(mode)

    op = defined("by_mode", forward, [rule])
    w = lo.Parameter([1.0, 2.0], name="w")
    for mode in ("b'\"", EVIL, "\n", "{0}", "\\"):
        value, gradients = run(lo.source(op(w, mode=mode).sum()))
        assert value == 3.0 * len(mode)
        np.testing.assert_array_equal(gradients["w"], np.full(2, len(mode)))


def test_arrays_among_the_options_of_an_op(defined):
    def forward(x, *, k=1.0):
        return x * k

    def rule(g, y, x, *, k=1.0):
        return g * k

    op = defined("scaled_by", forward, [rule])
    w = lo.Parameter([1.0, 2.0], name="w")
    for k in (np.array([0.1, 0.2]), np.float64(0.1), np.float32(0.1), [0.5, 2.0], np.inf):
        expected = op(w, k=np.asarray(k)).sum().item() if isinstance(k, list) else op(w, k=k).sum().item()
        k = np.asarray(k) if isinstance(k, list) else k
        value, gradients = run(lo.source(op(w, k=k).sum()))
        assert value == expected
        np.testing.assert_array_equal(gradients["w"], np.ones(2) * k)
