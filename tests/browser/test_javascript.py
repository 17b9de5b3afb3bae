"""The program printed as JavaScript, in a real browser, gives what the engine gives."""

import json

import numpy as np
import pytest
from every_loss import ALL, gradients_of, made
from samples import COMPOSED_CASES, TABLE_CASES, fill, inputs_of, positions

import tinygrad_lo as lo

EDITS = 3
NEAR = 1e-14  # of the largest number of a result
RUN = """
    const odd = {nan: NaN, inf: Infinity, "-inf": -Infinity};
    const values = JSON.parse(arguments[1], (key, x) => odd[x] ?? x);
    const run = new Function(arguments[0] + "; return loss_and_gradients")();
    const plain = (key, x) => typeof x !== "number" || Number.isFinite(x) ? x
      : String(x).replace("NaN", "nan").replace("Infinity", "inf");
    const answer = one => { try { return run(one); } catch (error) { return String(error); } };
    return JSON.stringify(values.map(answer), plain);
"""


def plain(value):
    """An array as lists, numbers that JSON lacks as words."""
    if isinstance(value, list):
        return [plain(x) for x in value]
    return value if not isinstance(value, float) or np.isfinite(value) else str(value)


def answers(browser, text, inputs):
    """What the printed program says of each of these inputs."""
    lists = [{name: plain(np.asarray(x).tolist()) for name, x in one.items()} for one in inputs]
    return json.loads(browser.run(RUN, text, json.dumps(lists)))


def numbers(nested):
    if isinstance(nested, list):
        return [numbers(x) for x in nested]
    return float(nested)


def assert_near(answer, loss, gradients, text):
    """The value and gradients, as near as the largest of these numbers allows."""
    assert isinstance(answer, dict), f"{answer}\n{text}"
    assert answer["gradients"].keys() == gradients.keys()
    ours = [
        np.asarray(numbers(answer["loss"])),
        *(np.asarray(numbers(answer["gradients"][k])) for k in gradients),
    ]
    theirs = [np.asarray(loss), *map(np.asarray, gradients.values())]
    top = max(np.abs(x[np.isfinite(x)]).max(initial=0.0) for x in theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.size == b.size
        a = a.reshape(b.shape)  # of an array without elements, lists do not say the shape
        np.testing.assert_allclose(a, b, rtol=0, atol=NEAR * top, err_msg=text)


def weighted(y):
    """A number that depends on every element differently."""
    rng = np.random.default_rng(5)
    parts = y if isinstance(y, list) else [y]
    return sum((part * rng.uniform(0.5, 1.5, part.shape)).sum() for part in parts)


def of_entry(entry, case, rng):
    """A function of an op's entry, its arguments with parameters in place, and these parameters by name."""
    is_op = hasattr(entry, "rules")
    args = inputs_of(entry, case, rng) if is_op else fill(case, entry.domain, rng)
    rules = entry.rules if is_op else ()
    leaves = {}

    def leaf(x):
        name = "abcdefgh"[len(leaves)]
        leaves[name] = lo.Parameter(x, name=name)
        return leaves[name]

    for i in positions(case):
        if not is_op or rules[0 if entry.arity is None else i] is not None:
            args[i] = leaf(args[i])
    if isinstance(args[0], list):
        args[0] = [leaf(x) for x in args[0]]
    return entry.apply if is_op else entry.function, args, leaves


@pytest.mark.parametrize(("entry", "case"), [*TABLE_CASES, *COMPOSED_CASES])
def test_every_op(chromium, entry, case, rng):
    function, args, leaves = of_entry(entry, case, rng)
    loss = weighted(function(*args))
    if not loss.requires_grad:
        return
    text = lo.javascript(loss)
    inputs, expected = [], []
    for edit in range(EDITS):
        for leaf in leaves.values():
            leaf.data = leaf.data + (rng.uniform(-0.1, 0.1, leaf.shape) if edit else 0.0)
            leaf.grad = None
        loss = weighted(function(*args))
        inputs.append({**text.arguments, **{name: leaf.data.copy() for name, leaf in leaves.items()}})
        expected.append((loss.item(), gradients_of(loss, leaves)))
    for answer, (value, gradients) in zip(answers(chromium, text, inputs), expected, strict=True):
        assert_near(answer, value, gradients, text)


@pytest.mark.parametrize("build", ALL)
def test_every_loss_and_layer(chromium, build):
    loss, _ = made(build, np.float64)
    text = lo.javascript(loss)
    inputs, expected = [], []
    for seed in range(EDITS + 1):
        loss, leaves = made(build, np.float64, seed=seed)
        new = {name: leaf.data.copy() for name, leaf in leaves.items() if name in text.arguments}
        inputs.append({**text.arguments, **new})
        expected.append((loss.item(), gradients_of(loss, leaves)))
    for answer, (value, gradients) in zip(answers(chromium, text, inputs), expected, strict=True):
        assert_near(answer, value, gradients, text)


def test_labels_and_masks_follow_the_arguments_of_a_function(chromium, rng):
    X, W = rng.normal(size=(4, 3)), lo.Parameter(rng.normal(size=(3, 3)), name="W")

    def svm(X, y):
        return lo.losses.multiclass_hinge(X @ W, y)

    text = lo.javascript(svm, X, np.array([0, 1, 2, 0]))
    labels = [[0, 1, 2, 0], [1, 1, 2, 0], [2, 0, 0, 2]]
    got = answers(chromium, text, [{**text.arguments, "y": y} for y in labels])
    for answer, y in zip(got, labels, strict=True):
        W.grad = None
        loss = svm(X, np.array(y))
        loss.backward()
        assert_near(answer, loss.item(), {"W": W.grad}, text)
    refused = answers(chromium, text, [{**text.arguments, "y": [0, 3, 2, 0]}])
    with pytest.raises(lo.errors.LabelError) as error:
        svm(X, np.array([0, 3, 2, 0]))
    assert refused == [f"RangeError: {error.value}"]


@pytest.mark.parametrize(
    ("loss", "bad"),
    [
        (lambda p, t: lo.losses.kl_divergence(t, p), [[0.5, 0.25], [0.5, 0.5]]),
        (lambda p, t: lo.losses.kl_divergence(t, p), [[1.5, -0.5], [0.5, 0.5]]),
        (lo.losses.binary_cross_entropy, [[0.5, 2.0], [0.5, 0.5]]),
        (lo.losses.msle, [[0.5, 2.0], [-3.0, 0.5]]),
    ],
)
def test_what_a_loss_refuses_is_refused_in_its_own_words(chromium, loss, bad):
    p = lo.Parameter([[0.25, 0.75], [0.5, 0.5]], name="p")
    target = np.array([[0.5, 0.5], [0.1, 0.9]])
    text = lo.javascript(lambda t: loss(p, t), target)
    (answer,) = answers(chromium, text, [{**text.arguments, "t": bad}])
    with pytest.raises(lo.errors.DomainError) as error:
        loss(p, np.array(bad))
    assert answer == f"RangeError: {error.value}"


NO_SAMPLES = {
    "labels": (
        lambda z, y: lo.losses.cross_entropy(z, y, ignore_index=-1),
        np.array([0, -1]),
        [np.array([-1, 1]), np.array([-1, -1])],
    ),
    "weights": (
        lambda z, c: lo.losses.mse(z, [1.0, 2.0], weights=c),
        np.ones(2),
        [np.eye(2)[0], np.zeros(2)],
    ),
}


@pytest.mark.parametrize("case", NO_SAMPLES.values(), ids=NO_SAMPLES)
def test_where_no_samples_are_left_the_page_says_so(chromium, case):
    loss, first, (some, none) = case
    z = lo.Parameter(np.eye(2) if first.dtype.kind == "i" else [0.25, -0.5], name="z")
    text = lo.javascript(lambda data: loss(z, data), first)
    answer, refused = answers(chromium, text, [{**text.arguments, "data": x} for x in (some, none)])
    loss(z, some).backward()
    assert_near(answer, loss(z, some).item(), {"z": z.grad}, text)
    with pytest.raises(lo.errors.ShapeError) as error:
        loss(z, none)
    assert refused == f"RangeError: {error.value}"


MASKS = {
    "a sum of conditions": lambda y: (y > 0) + (y < 3),
    "a product of conditions": lambda y: (y > 0) * (y < 3),
    "conditions": lambda y: ((y > 0) & (y < 3)) | ~(y > 1),
    "one of two conditions": lambda y: (y > 0) ^ (y > 2),
    "a matrix of conditions": lambda y: (y[:, None] > np.arange(3)) @ (y[None, :] > np.arange(3)[:, None]),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_conditions_are_computed_as_numpy_does(chromium, mask):
    w, y = lo.Parameter([0.3, -0.2, 0.5, 0.9], name="w"), np.array([0, 1, 2, 3])

    def f(y):
        return (w * mask(y)).sum()

    text = lo.javascript(f, y)
    for labels in (y, np.array([3, 3, 0, 1])):
        (answer,) = answers(chromium, text, [{**text.arguments, "y": labels}])
        w.grad = None
        loss = f(labels)
        loss.backward()
        assert_near(answer, loss.item(), {"w": w.grad}, text)


@pytest.mark.parametrize("bits", [lambda y: ~y, lambda y: y & 1, lambda y: y ^ y, lambda y: (y > 0) & True])
def test_bits_of_numbers_are_refused(bits):
    w = lo.Parameter([0.3, -0.2], name="w")
    with pytest.raises(lo.errors.UnsupportedError, match="has no JavaScript"):
        lo.javascript(lambda y: (w * bits(y)).sum(), np.array([1, 2]))


def test_small_integers_that_would_wrap_are_refused():
    w = lo.Parameter([0.3, -0.2], name="w")
    with pytest.raises(lo.errors.DTypeError, match="uint8 wraps around"):
        lo.javascript(lambda y: (w * (y - 1)).sum(), np.array([0, 2], np.uint8))


def test_nan_is_sorted_last(chromium):
    w = lo.Parameter([1.0, 2.0, 0.0, -1.0], name="w")
    text = lo.javascript((np.sort(w) * np.array([1.0, 2, 3, 4])).sum())
    (answer,) = answers(chromium, text, [{**text.arguments, "w": [1.0, float("nan"), 0.0, -1.0]}])
    assert answer["gradients"]["w"] == [3, 4, 2, 1]


def test_fractions_of_labels_and_singular_matrices_are_refused(chromium):
    W = lo.Parameter(np.eye(2), name="W")
    text = lo.javascript(lambda y: lo.losses.cross_entropy(W, y), np.array([0, 1]))
    assert answers(chromium, text, [{**text.arguments, "y": [0.5, 1]}]) == [
        "TypeError: y: expected whole numbers"
    ]
    text = lo.javascript(np.linalg.inv(W * 2.0).sum())
    assert answers(chromium, text, [{"W": [[1, 1], [1, 1]]}]) == ["RangeError: a matrix is singular"]


def test_another_branch_is_refused(chromium):
    w = lo.Parameter(2.0, name="w")

    def f(x):
        return w * x if x > 0 else w * w

    text = lo.javascript(f, np.float64(3.0))
    good, bad = answers(chromium, text, [{"x": 3.0, "w": 2.0}, {"x": -3.0, "w": 2.0}])
    assert_near(good, 6.0, {"w": 3.0}, text)
    assert "another branch" in bad


def test_shapes_and_types_are_read_strictly(chromium):
    w = lo.Parameter([1.0, 2.0], name="w")
    text = lo.javascript((w * w).sum())
    inputs = [{"w": [1.0, 2.0]}, {"w": [1.0]}, {"w": [1.0, "2"]}, {"w": 1.0}]
    good, *bad = answers(chromium, text, inputs)
    assert good == {"loss": 5, "gradients": {"w": [2, 4]}}
    assert bad == ["TypeError: w: expected lists of numbers of shape (2)"] * 3


@pytest.mark.parametrize(
    "name", ["new", "sum", "W₁", "log p", 'a"b\\', "</script>", "arguments", "loss", "é", "each", "__proto__"]
)
def test_any_name_is_only_a_name(chromium, name):
    w = lo.Parameter([3.0, 1.0], name=name)
    text = lo.javascript((w * w).sum())
    ((key, value),) = text.arguments.items()
    (answer,) = answers(chromium, text, [{key: value}])
    assert answer == {"loss": 10, "gradients": {name: [6, 2]}}


def test_an_op_of_the_users(chromium):
    cube = lo.define_op("cube", lambda x: x**3, [lambda g, y, x: g * 3 * x**2], javascript="{0} * {0} * {0}")
    plain_cube = lo.define_op("plain_cube", lambda x: x**3, [lambda g, y, x: g * 3 * x**2])
    try:
        w = lo.Parameter([2.0, -1.0], name="w")
        text = lo.javascript(cube(w).sum())
        (answer,) = answers(chromium, text, [{"w": [2.0, -1.0]}])
        assert answer == {"loss": 7, "gradients": {"w": [12, 3]}}
        with pytest.raises(lo.errors.UnsupportedError, match="plain_cube has no JavaScript"):
            lo.javascript(plain_cube(w).sum())
    finally:
        for name in ("cube", "plain_cube"):
            lo.engine.ops.TABLE.pop(name)


def test_what_javascript_cannot_compute_is_refused():
    w = lo.Parameter(np.ones(2, np.float32), name="w")
    with pytest.raises(lo.errors.DTypeError, match="'w' is float32"):
        lo.javascript((w * w).sum())
    x = lo.Parameter(np.ones(4), name="x")
    with pytest.raises(lo.errors.UnsupportedError, match="draws random numbers"):
        lo.javascript(lambda a: lo.nn.dropout(x * a, 0.5).sum(), np.ones(4))
    with pytest.raises(lo.errors.GraphError):
        lo.javascript(3.0)
    with pytest.raises(lo.errors.OptionError):
        lo.javascript((x * x).sum(), 1.0)
