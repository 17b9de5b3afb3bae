"""lo.formula: every op of the table as text that says what its rules compute."""

# ruff: noqa: E501  tables of expected texts

import math
import re

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.machine.recording import Recording
from tinygrad_lo.engine.ops import COMPOSED, TABLE
from tinygrad_lo.errors import GraphError, MutationError, OptionError, UnsupportedError
from tinygrad_lo.explaining.derivative import formula, rule_names
from tinygrad_lo.explaining.expression import Bond, Piece, infix, shape_of_template

BUILT_IN = list(TABLE)  # ops that other tests define are not meant


def lines(what):
    return formula(what).splitlines()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("add", ["y = a + b", "∂L/∂a = g", "∂L/∂b = g", "where g = ∂L/∂y"]),
        ("subtract", ["y = a − b", "∂L/∂a = g", "∂L/∂b = −g", "where g = ∂L/∂y"]),
        ("multiply", ["y = a × b", "∂L/∂a = g × b", "∂L/∂b = g × a", "where g = ∂L/∂y"]),
        ("divide", ["y = a ÷ b", "∂L/∂a = g ÷ b", "∂L/∂b = g × (−y ÷ b)", "where g = ∂L/∂y"]),
        ("reciprocal", ["y = 1 ÷ x", "∂L/∂x = −(g × y × y)", "where g = ∂L/∂y"]),
        ("square", ["y = x²", "∂L/∂x = g × 2 × x", "where g = ∂L/∂y"]),
        ("exp", ["y = exp(x)", "∂L/∂x = g × y", "where g = ∂L/∂y"]),
        ("tanh", ["y = tanh(x)", "∂L/∂x = g × (1 − tanh(x)²)", "where g = ∂L/∂y"]),
        ("arccos", ["y = arccos(x)", "∂L/∂x = −g × 1 ÷ √(1 − x²)", "where g = ∂L/∂y"]),
        ("relu", ["y = max(0, x)", "∂L/∂x = g × (y > 0)", "where g = ∂L/∂y"]),
        ("sigmoid", ["y = σ(x)", "∂L/∂x = g × σ(x) × σ(−x)", "where g = ∂L/∂y"]),
        ("clip", ["y = clip(x, low, high)", "∂L/∂x = g × (x ≥ low) × (x ≤ high)", "where g = ∂L/∂y"]),
        ("matmul", ["y = a @ b", "∂L/∂a = g @ bᵀ", "∂L/∂b = aᵀ @ g", "where g = ∂L/∂y"]),
        ("sum", ["y = Σ x", "∂L/∂x = broadcast g", "where g = ∂L/∂y"]),
        ("max", ["y = max x", "∂L/∂x = g × (x = y) ÷ (Σ (x = y))", "where g = ∂L/∂y"]),
        ("logsumexp", ["y = log Σ exp(x)", "∂L/∂x = g × softmax x", "where g = ∂L/∂y"]),
        ("log_softmax", ["y = log softmax x", "∂L/∂x = g − exp(y) × Σ g", "where g = ∂L/∂y"]),
        ("norm", ["y = ‖x‖", "∂L/∂x = g × x ÷ (1 if y = 0 else y)", "where g = ∂L/∂y"]),
        ("transpose", ["y = xᵀ", "∂L/∂x = gᵀ", "where g = ∂L/∂y"]),
        ("getitem", ["y = x[index]", "∂L/∂x = scatter g", "where g = ∂L/∂y"]),
        ("scatter", ["y = scatter g", "∂L/∂g = h[index]", "where h = ∂L/∂y"]),
        ("pick", ["out = s[i, yᵢ]", "∂L/∂s = put g at yᵢ", "no gradient to y", "where g = ∂L/∂out"]),
        ("hypot", ["y = √(a² + b²)", "∂L/∂a = g × a ÷ √(a² + b²)", "∂L/∂b = g × b ÷ √(b² + a²)", "where g = ∂L/∂y"]),
        ("inv", ["y = x⁻¹", "∂L/∂x = −(yᵀ @ g @ yᵀ)", "where g = ∂L/∂y"]),
        ("cumsum", ["y = cumsum x", "∂L/∂x = (cumsum g[::-1])[::-1]", "where g = ∂L/∂y"]),
        ("greater", ["y = (a > b)", "no gradient to a, b"]),
        (
            "where",
            ["y = a if c else b", "∂L/∂a = g if c else 0", "∂L/∂b = 0 if c else g", "no gradient to c", "where g = ∂L/∂y"],
        ),
        (
            "concatenate",
            ["y = join a, b", "∂L/∂a = g[0:2]", "∂L/∂b = g[2:3]", "where g = ∂L/∂y", "(shown for a of 2×3, b of 1×3)"],
        ),
        (
            "prod",
            ["y = Π x", "∂L/∂x = g × reshape (reshape x)[…, ::-1]", "where g = ∂L/∂y", "(shown for x of 2 elements)"],
        ),
    ],
)  # fmt: skip
def test_rules_as_a_reader_writes_them(name, text):
    assert lines(name) == text


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_op_has_a_readable_text(name):
    text = lines(name)
    assert text
    for line in text:
        assert len(line) <= 160
        assert "<" not in line.replace("<", "", line.count(" < ")), "no object leaks into the text"
        assert line.count("(") == line.count(")")
    op = TABLE[name]
    derivatives = [line for line in text if line.startswith("∂L/∂")]
    without = sum(line.count(",") + 1 for line in text if line.startswith("no gradient"))
    assert bool(derivatives) == op.differentiable
    assert len(derivatives) + without >= 1


@pytest.mark.parametrize("name", [name for name, entry in COMPOSED.items() if entry.samples])
def test_every_composed_function_has_a_text(name):
    text = lines(name)
    assert text[0].startswith("y = ")
    assert text[1].startswith("∂L/∂")
    assert text[-1].startswith("(shown for ")


# ------------------------------------------------------- the text, read back, is what the rule does


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


SPACE = {
    name: getattr(math, name)
    for name in ("exp", "log", "log2", "log10", "sqrt", "sin", "cos", "tan", "tanh", "sinh", "cosh")
} | {
    "arcsin": math.asin, "arccos": math.acos, "arctan": math.atan, "arctan2": math.atan2, "arcsinh": math.asinh,
    "arccosh": math.acosh, "arctanh": math.atanh, "deg2rad": math.radians, "rad2deg": math.degrees,
    "fmax": max, "fmin": min, "abs": abs, "max": max, "min": min,
    "sigmoid": sigmoid, "sign": lambda x: (x > 0) - (x < 0), "clip": lambda x, low, high: min(max(x, low), high),
}  # fmt: skip


def evaluate(text, values):
    """The text as Python."""
    for sign, python in (
        ("×", "*"), ("·", "*"), ("÷", "/"), ("−", "-"), ("^", "**"), ("²", "**2"), ("³", "**3"), ("σ(", "sigmoid("),
        ("log₂", "log2"), ("log₁₀", "log10"), ("≥", ">="), ("≤", "<="), ("≠", "!="), (" = ", " == "), ("√(", "sqrt("),
    ):  # fmt: skip
        text = text.replace(sign, python)
    text = re.sub(r"√(\w+)", r"sqrt(\1)", text)
    text = re.sub(r"\|([^|]+)\|", r"abs(\1)", text)
    return float(eval(text, SPACE | values))


# Their formula is written as in books, or names what the op does not compute from.
NOT_READ_BACK = ("bernoulli", "bernoulli_known", "log_known", "where")
ELEMENTWISE = [
    name
    for name in BUILT_IN
    if TABLE[name].differentiable and not TABLE[name].samples and name not in NOT_READ_BACK
]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_text_evaluates_to_the_gradient(name, rng):
    op = TABLE[name]
    domains = op.domain if isinstance(op.domain[0], tuple) else (op.domain,) * op.arity
    arriving, output, names = rule_names(op, (None,) * op.arity)
    for _ in range(5):
        leaves = [lo.Parameter(rng.uniform(low, high)) for low, high in domains]
        y = op.apply(*leaves)
        g = rng.uniform(-2.0, 2.0)
        y.backward(seed=g)
        values = {arriving: g, output: y.item()} | {
            n: leaf.item() for n, leaf in zip(names, leaves, strict=True)
        }
        text = dict(line.split(" = ", 1) for line in lines(name) if line.startswith(("∂", f"{output} =")))
        assert evaluate(text[output], values) == pytest.approx(y.item(), rel=1e-12)
        for leaf, n in zip(leaves, names, strict=True):
            # Constants such as log 2 are shown with four digits.
            assert evaluate(text[f"∂L/∂{n}"], values) == pytest.approx(float(leaf.grad), rel=3e-4)


def random_expression(rng, a, b):
    """A few ops on two leaves."""
    pool = [a, b]
    for _ in range(rng.integers(2, 7)):
        x, y = (pool[rng.integers(len(pool))] for _ in range(2))
        c = float(rng.choice([-2.0, 0.5, 3.0]))
        made = [
            lambda x, y, c: x + y, lambda x, y, c: x - y, lambda x, y, c: x * y, lambda x, y, c: x * c,
            lambda x, y, c: c - x, lambda x, y, c: x / (y * y + 1.0), lambda x, y, c: -x, lambda x, y, c: x**2,
            lambda x, y, c: np.tanh(x), lambda x, y, c: np.exp(-x * x), lambda x, y, c: x.relu(),
            lambda x, y, c: np.sqrt(x * x + 1.0), lambda x, y, c: np.maximum(x, y), lambda x, y, c: c / (x * x + 2.0),
        ][rng.integers(14)]  # fmt: skip
        pool.append(made(x, y, c))
    return pool[-1]


@pytest.mark.parametrize("seed", range(150))
def test_whole_expressions_evaluate_to_their_gradients(seed):
    """Where parentheses were wrong, numbers would be."""
    rng = np.random.default_rng(seed)
    a, b = lo.Parameter(rng.uniform(0.5, 2), name="a"), lo.Parameter(rng.uniform(-2, -0.5), name="b")
    y = random_expression(rng, a, b).named("y")
    text = dict(line.split(" = ", 1) for line in lines(y))
    if "where g" in formula(y):
        pytest.skip("too long: shown by its last op")
    values = {"a": a.item(), "b": b.item()}
    assert evaluate(text["y"], values) == pytest.approx(y.item(), rel=1e-9, abs=1e-12)
    for leaf in (a, b):
        if f"∂y/∂{leaf.name}" in text:
            assert evaluate(text[f"∂y/∂{leaf.name}"], values) == pytest.approx(
                float(lo.grad(y, leaf)), rel=2e-3, abs=1e-9
            )


# ------------------------------------------------------------------------------ how an op is named


def test_an_op_by_its_function_its_record_its_ufunc_and_its_name():
    w = lo.Parameter(2.0)
    expected = formula("exp")
    assert formula(np.exp) == formula(np.exp(w).op) == formula(lo.engine.ops.elementwise.exp) == expected
    assert formula(lo.nn.relu) == formula("relu")
    assert formula(np.sum) == formula("sum")
    assert formula(abs) == formula(np.abs) == formula("abs")
    assert formula(np.mean) == formula("mean")


def test_ops_of_the_user():
    cube = lo.define_op("cube", lambda x: x**3, [lambda g, y, x: g * 3 * x**2])
    half = lo.define_op("half", lambda a, b: a * b / 2, [lambda g, y, a, b: g * b / 2, None], symbol="⊗")
    mixed = lo.define_op(
        "mixed", lambda a, b: a @ b, [lambda g, y, a, b: g @ b.T, lambda g, y, a, b: a.T @ g]
    )
    try:
        assert lines(cube) == ["y = cube(x)", "∂L/∂x = g × 3 × x²", "where g = ∂L/∂y"]
        assert lines(half) == ["y = a ⊗ b", "∂L/∂a = g × b ÷ 2", "no gradient to b", "where g = ∂L/∂y"]
        assert lines(mixed)[1:3] == ["∂L/∂a = g @ bᵀ", "∂L/∂b = aᵀ @ g"]
        w = lo.Parameter(2.0, name="w")
        assert lines((cube(w) + half(w, 3.0)).named("y")) == [
            "y = cube(w) + (w ⊗ 3)", "∂y/∂w = 1.5 + 3 × w²",
        ]  # fmt: skip
    finally:
        for name in ("cube", "half", "mixed"):
            TABLE.pop(name)


def test_a_rule_that_takes_arrays_only_is_named():
    op = lo.define_op("only_arrays", lambda x: x**3, [lambda g, y, x: g * float(3 * x**2)])
    try:
        for what in (op, op(lo.Parameter(2.0)), op(lo.Parameter(2.0)) * 2.0):
            with pytest.raises(UnsupportedError, match="asks for the values"):
                formula(what)
    finally:
        TABLE.pop("only_arrays")


@pytest.mark.parametrize(
    ("what", "kind", "match"),
    [
        ("nope", OptionError, "no op 'nope'; the ops are abs, add"),
        (3, UnsupportedError, "expected an op, its name, its function or a tensor, got int: 3"),
        (lambda x: x, UnsupportedError, "no op of the table; call it on tensors"),
        (np.floor, UnsupportedError, "floor is no op of the table"),
        ("split", UnsupportedError, "several tensors"),
        (lo.Parameter(1.0, name="w"), GraphError, "'w' is a leaf"),
        (lo.Tensor(1.0) * 2.0, GraphError, "this tensor is a leaf"),
    ],
)
def test_what_has_no_formula_says_why(what, kind, match):
    with pytest.raises(kind, match=match):
        formula(what)


# --------------------------------------------------------------------------------------- of tensors


def w(name="w"):
    return lo.Parameter(1.5, name=name)


MATRIX = lo.Tensor(np.ones((4, 3)), name="X")
WEIGHTS = lo.Parameter(np.ones((3, 2)), name="W")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (lambda: (w() * 3.0 - 1.0) ** 2, ["L = (w × 3 − 1)²", "∂L/∂w = 2 × (w × 3 − 1) × 3"]),
        (lambda: w("a") / (w("b") * w("c")), [
            "L = a ÷ (b × c)", "∂L/∂a = 1 ÷ (b × c)",
            "∂L/∂b = (−(a ÷ (b × c)) ÷ (b × c)) × c", "∂L/∂c = (−(a ÷ (b × c)) ÷ (b × c)) × b",
        ]),
        (lambda: w("a") - (w("b") - w("c")), ["L = a − (b − c)", "∂L/∂a = 1", "∂L/∂b = −1", "∂L/∂c = 1"]),
        (lambda: w() * -2.0, ["L = w × (−2)", "∂L/∂w = −2"]),
        (lambda: lo.losses.l2(WEIGHTS), ["L = Σ W²", "∂L/∂W = 2 × W"]),
        (lambda: MATRIX @ WEIGHTS, ["v1 = X @ W", "∂L/∂W = Xᵀ @ g", "where g = ∂L/∂v1"]),
        (lambda: (MATRIX @ WEIGHTS + lo.Parameter(np.zeros(2), name="b")).named("S"),
         ["S = X @ W + b", "∂L/∂W = Xᵀ @ g", "∂L/∂b = Σ g", "where g = ∂L/∂S"]),
        ((WEIGHTS * np.arange(6.0).reshape(3, 2)).sum, ["L = Σ (W × x1)", "∂L/∂W = x1"]),
    ],
)  # fmt: skip
def test_small_expressions_in_their_leaves(value, text):
    assert lines(value()) == text


def test_two_leaves_of_one_name_are_two():
    assert lines((w() * w()).named("y")) == ["y = w × w", "∂y/∂w = w", "∂y/∂w = w"]


def test_a_large_expression_by_its_last_op():
    p = w()
    y = p
    for _ in range(5000):
        y = y * 1.001
    assert lines((y * y).named("out")) == [
        "out = v5000 × v5000",
        "∂L/∂v5000 = g × v5000 + g × v5000",
        "where g = ∂L/∂out",
    ]
    assert lines(y - y)[1] == "∂L/∂v5000 = g + (−g)"


def test_the_graph_is_left_as_it_was():
    p = w()
    y = (p * p).named("y")
    label = y.label
    with lo.no_grad(), lo.scope("elsewhere"):
        assert lines(y) == ["y = w × w", "∂y/∂w = w + w"]
    assert p.grad is None
    assert y.label is label
    y.backward()
    assert float(p.grad) == 3.0


def test_without_gradients_around_it_there_are_formulas_all_the_same():
    text = formula("mean")
    with lo.no_grad():
        assert formula("mean") == text


def test_short_expressions_with_long_derivatives_are_shown_by_their_last_op():
    p = w("a_parameter_with_a_long_name")
    y = p
    for _ in range(4):
        y = np.tanh(y * y)
    assert lines(y.named("y")) == ["y = tanh(v7)", "∂L/∂v7 = g × (1 − tanh(v7)²)", "where g = ∂L/∂y"]


def test_nothing_leaves_a_recording():
    y = w() * 2.0
    with Recording(), pytest.raises(GraphError, match=r"lo\.formula .*would leave the graph"):
        formula(y)


def test_a_changed_leaf_raises():
    p = lo.Parameter([1.0], name="p")
    y = p * 2.0
    p.data -= 0.5
    with pytest.raises(MutationError):
        formula(y)


# ------------------------------------------------------------------------------------- parentheses


@pytest.mark.parametrize(
    ("template", "level", "opened", "needs"),
    [
        ("exp({0})", 6, False, {0: -1}),
        ("exp({0}) − 1", Bond.SUM, False, {0: -1}),
        ("1 ÷ {0}", Bond.PRODUCT, False, {0: 5}),
        ("−{0}", Bond.SIGN, False, {0: 5}),
        ("{0}²", 5, False, {0: 6}),
        ("√{0}", 5, False, {0: 6}),
        ("Σ {0}", Bond.SIGN, True, {0: 5}),
        ("log Σ exp({0})", Bond.SIGN, True, {0: -1}),
        ("log(1 + {0})", 6, False, {0: Bond.PRODUCT}),
        (
            "{1} if {0} else {2}",
            Bond.LOOSE,
            False,
            {0: Bond.NEGATIVE, 1: Bond.NEGATIVE, 2: Bond.NEGATIVE},
        ),
        ("{0}[{1}]", 5, False, {0: 6, 1: -1}),
        ("⟦{0}⟧", Bond.LOOSE, False, {0: 6}),
    ],
)
def test_templates_say_how_tightly_they_hold(template, level, opened, needs):
    assert shape_of_template(template) == (level, opened, needs)


def test_signs_between_pieces():
    total, product, minus = (
        Piece("a + b", Bond.SUM, "+"),
        Piece("a × b", Bond.PRODUCT, "×"),
        Piece("−a", Bond.SIGN),
    )
    matrix, opened = Piece("a @ b", Bond.PRODUCT, "@"), Piece("Σ x", Bond.SIGN, opened=True)
    c = Piece("c")
    pairs = [
        ("+", c, total, "c + a + b"), ("−", c, total, "c − (a + b)"), ("×", c, total, "c × (a + b)"),
        ("×", c, product, "c × a × b"), ("÷", c, product, "c ÷ (a × b)"), ("@", c, product, "c @ (a × b)"),
        ("×", matrix, c, "(a @ b) × c"), ("@", matrix, c, "a @ b @ c"), ("+", c, minus, "c + (−a)"),
        ("×", minus, c, "−a × c"), ("^", minus, c, "(−a) ^ c"), ("×", opened, c, "(Σ x) × c"),
        ("×", c, opened, "c × Σ x"), (">", c, total, "c > a + b"), ("⊗", product, c, "(a × b) ⊗ c"),
    ]  # fmt: skip
    for sign, a, b, text in pairs:
        assert infix(sign, a, b).text == text
    assert infix("×", c, c, "·").text == "c · c"
    shared = infix("×", c, Piece("a ÷ b", Bond.PRODUCT, "÷"))
    assert (shared.text, infix("×", shared, c).text) == ("c × a ÷ b", "(c × a ÷ b) × c")
    assert Piece("−2", -1).within(Bond.SUM) == "(−2)"
