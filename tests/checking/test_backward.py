"""Gradients by hand: right ones pass, the first wrong one is named with its cause, what follows is told."""

import json
import time

import numpy as np
import pytest
from networks_by_hand import NETWORKS, by_hand, mistakes

import tinygrad_lo as lo
from tinygrad_lo.errors import DTypeError, GradcheckError, GraphError

MISTAKES = list(mistakes())


@pytest.mark.parametrize("network", NETWORKS)
def test_right_gradients_pass(network):
    make, lines = NETWORKS[network]
    report = lo.check_backward(make(), by_hand(make(), lines))
    assert report, report
    assert report.score == 1.0
    assert report.first is report.cause is None
    assert report.said == []
    assert lo.check_backward(make(), {name: np.float32(g) for name, g in by_hand(make(), lines).items()})
    six = np.vectorize(lambda value: float(f"{value:.6g}"))
    rounded = lo.check_backward(make(), {name: six(g) for name, g in by_hand(make(), lines).items()})
    assert (bool(rounded), rounded.cause) == (False, None), rounded


def random_graph(seed):
    """A random graph of small arrays, a quarter of whose values are named."""
    rng = np.random.default_rng(seed)
    values = [lo.Parameter(rng.uniform(0.3, 2.0, (3, 4)), name=f"w{i}") for i in range(3)]
    ones = (
        lambda x: np.exp(-x), np.tanh, np.sqrt, lo.nn.sigmoid, np.abs, lambda x: x**2 / (1.0 + x),
        lambda x: x - x.mean(axis=0), lambda x: x / x.sum(axis=1, keepdims=True),
        lambda x: lo.nn.softmax(x, axis=1),
    )  # fmt: skip
    twos = (np.add, np.subtract, np.multiply, lambda a, b: a / (b + 9.0), np.maximum)
    for i in range(12):
        a, b = (values[j] for j in rng.integers(0, len(values), 2))
        one = np.abs(ones[rng.integers(len(ones))](a)) + 0.1
        value = one if rng.uniform() < 0.5 else np.abs(twos[rng.integers(len(twos))](one, b)) + 0.1
        values.append(value.named(f"u{i}") if rng.uniform() < 0.5 else value)
    return sum((v * float(k + 1) for k, v in enumerate(values)), start=0.0).mean()


@pytest.mark.parametrize("seed", range(200))
def test_no_right_gradient_is_flagged(seed):
    """With rounding of their own: gradients of the graph in another order, and noise of 1e-13."""
    loss = random_graph(seed)
    nodes = [node for node in lo.engine.graph.reachable([loss]) if node.name]
    rng = np.random.default_rng(seed)
    right = [(node, g * (1.0 + 1e-13 * rng.normal(size=g.shape)))
             for node, g in zip(nodes, lo.grad(loss, nodes), strict=True)]  # fmt: skip
    report = lo.check_backward(loss, right)
    assert report, report


@pytest.mark.parametrize(
    ("network", "name", "instead", "cause"), MISTAKES, ids=[f"{m[0]}: {m[1]} = {m[2]}" for m in MISTAKES]
)
def test_the_first_wrong_gradient_is_named(network, name, instead, cause):
    make, lines = NETWORKS[network]
    report = lo.check_backward(make(), by_hand(make(), lines, {name: instead}))
    assert not report
    assert report.first == name
    assert report.cause == cause, report
    assert len(report.said) == 1
    later = {row.verdict for row in report.rows if row.key != name}
    assert later <= {"exact", "close", "follows"}, report
    assert all(row.note == f"from {name}" for row in report.rows if row.verdict == "follows")


def test_enough_mistakes_have_a_cause():
    assert len(MISTAKES) >= 100
    assert {(network, name) for network, name, *_ in MISTAKES} == {
        (network, line[0]) for network, (_, lines) in NETWORKS.items() for line in lines
    }, "each named value has a mistake"
    assert sum(cause is not None for *_, cause in MISTAKES) >= 0.9 * len(MISTAKES)


def test_the_report_reads_in_the_order_of_the_backward_pass():
    make, lines = NETWORKS["two layers"]
    wrong = by_hand(make(), lines, {"ds": "de"})
    report = lo.check_backward(make(), dict(sorted(wrong.items())))
    made = ["dlogs", "dprobs", "dtotal", "de", "ds", "db2", "dh", "dW2", "dz", "db1", "dW1", "dX"]
    assert [row.key for row in report.rows] == made
    assert str(report).splitlines()[:2] == [
        "check_backward FAILED",
        "  the gradient by ds has another local derivative: 1 stands where e belongs",
    ]
    assert "  dW1          4×6    " in str(report)
    assert str(report).count("follows: from ds") == 7
    assert repr(report) == str(report)
    assert report.score == 11 / 12
    facts = json.loads(json.dumps(report.as_dict()))
    assert facts["first"] == "ds"
    assert facts["cause"] == "slope"
    assert facts["rows"][6] == {"name": "dh", "verdict": "follows", "note": "from ds"}
    with pytest.raises(GradcheckError, match="has another local derivative"):
        report.raise_if_failed()


def test_two_mistakes_are_both_found_and_the_first_is_told():
    make, lines = NETWORKS["two layers"]
    wrong = by_hand(make(), lines, {"ds": "de", "dz": "dh"})
    report = lo.check_backward(make(), wrong)
    verdicts = {row.key: row.verdict for row in report.rows}
    assert report.first == "ds"
    assert verdicts["dz"] == "WRONG"
    assert {row.note for row in report.rows if row.key in ("dX", "dW1", "db1")} == {"from dz"}
    assert report.score == 10 / 12


@pytest.fixture
def small():
    x, w = lo.Tensor([[1.0, 2.0], [3.0, -1.0]], name="x"), lo.Parameter([0.5, -1.0], name="w")
    s = (x @ w).named("s")
    return (s**2).mean(), s, w


def test_all_ways_to_give_gradients(small):
    loss, s, w = small
    ds = s.numpy()
    dw = np.array([[1.0, 2.0], [3.0, -1.0]]).T @ ds

    def backward():
        ds = s.numpy()
        dw = np.array([[1.0, 2.0], [3.0, -1.0]]).T @ ds
        dummy = 3  # no value of the graph is called ummy
        assert dummy + dw.size

    ways = [{"s": ds, "w": dw}, {"ds": ds, "dw": dw}, [("s", ds), (w, dw)], [(s, ds), ("dw", dw)], backward,
            lambda: {"s": ds, "w": dw}, {"s": ds.tolist(), "w": lo.Tensor(dw)}, {s: ds, "w": dw}]  # fmt: skip
    for way in ways:
        report = lo.check_backward(loss, way)
        assert report, report
        assert [row.key.removeprefix("d") for row in report.rows] == ["s", "w"]
    assert str(lo.check_backward(loss, backward)).startswith("check_backward of backward passed")


def test_a_name_of_lo_tree_and_of_the_loss_itself(small):
    loss, s, _ = small
    report = lo.check_backward(loss, {"L": 1, "v1": np.full(2, 0.5), "s": s.numpy()})
    assert [row.verdict for row in report.rows] == ["exact"] * 3


def test_a_wrong_shape_is_said_and_the_right_one_goes_on(small):
    loss, s, _ = small
    x = np.array([[1.0, 2.0], [3.0, -1.0]])
    report = lo.check_backward(loss, {"s": s.numpy()[:, None], "w": x.T @ s.numpy()})
    assert [row.verdict for row in report.rows] == ["wrong shape", "exact"]
    assert report.first == "s"
    assert report.cause == "shape"
    assert "must have the shape (2,) of its value" in report.said[0]


def test_by_data():
    """No gradient flows to data by itself, and none does afterwards."""
    w, x = lo.Parameter([1.0, 2.0], name="w"), lo.Tensor([3.0, 4.0], name="x")
    s = (w * x).named("s")
    loss = (s**2).sum()
    ds = 2.0 * s.numpy()
    assert lo.check_backward(loss, {"s": ds, "x": ds * w.data, "w": ds * x.data})
    report = lo.check_backward(loss, {"s": ds, "x": ds * x.data})
    assert (report.first, report.cause) == ("x", "operand"), report
    assert lo.check_backward(loss, {"s": 0.5 * ds, "x": 0.5 * ds * w.data}).rows[1].verdict == "follows"
    n = lo.Tensor(np.array([1, 2]), name="n")
    with pytest.raises(DTypeError, match="n holds int64; a gradient is by floating-point numbers"):
        lo.check_backward((w * n).sum(), {"n": w.data})
    assert not x.requires_grad
    loss.backward()
    assert x.grad is None


def test_two_values_of_one_name():
    a = lo.Parameter([1.0, 2.0], name="a")
    one, other = (a * 2.0).named("h"), (a * 3.0).named("h")
    loss = (one * other).sum()
    report = lo.check_backward(loss, [(one, other.numpy()), (other, 2.0 * one.numpy())])
    assert [(row.key, row.ok) for row in report.rows] == [("h = a × 3", False), ("h = a × 2", True)]
    with pytest.raises(GraphError, match="2 values are called 'h'; give pairs with the tensors themselves"):
        lo.check_backward(loss, {"dh": other.numpy()})


def test_exact_and_close(small):
    loss, s, _ = small
    assert lo.check_backward(loss, {"s": s.numpy()}).rows[0].verdict == "exact"
    near = lo.check_backward(loss, {"s": s.numpy() * (1.0 + 1e-12)})
    assert near
    assert near.rows[0].verdict == "close"
    assert 0.0 < near.rows[0].difference < 1e-11
    assert not lo.check_backward(loss, {"s": s.numpy() * (1.0 + 1e-5)})


def test_float32_is_judged_by_its_rounding():
    w = lo.Parameter(np.linspace(0.1, 1.0, 12, dtype=np.float32), name="w")
    h = np.exp(w).named("h")
    loss = (h * h).sum()
    right = 2.0 * np.exp(w.data.astype(float))
    assert lo.check_backward(loss, {"h": right, "w": right * np.exp(w.data)})
    assert not lo.check_backward(loss, {"h": right * 1.01})


def classifier():
    """A softmax classifier in steps, and its gradients by hand."""
    rng = np.random.default_rng(0)
    s, y = lo.Parameter(rng.normal(size=(4, 3)), name="s"), np.eye(3)[[0, 2, 1, 1]]
    e = np.exp(s).named("e")
    total = e.sum(axis=1, keepdims=True).named("total")
    p = (e / total).named("p")
    dp = -y / p.data / 4.0
    dtotal = -(dp * e.data / total.data**2).sum(axis=1, keepdims=True)
    de = dp / total.data + dtotal
    return -(np.log(p) * y).sum() / 4.0, {"p": dp, "total": dtotal, "e": de, "s": de * e.data}


@pytest.mark.parametrize("after", [np.float32, lambda g: np.float32(g).astype(float)])
def test_right_gradients_in_float32_pass(after):
    """To their rounding, which the report says, whatever type holds them now; what is wrong stays so."""
    loss, right = classifier()
    report = lo.check_backward(loss, {name: after(g) for name, g in right.items()})
    assert report, report
    assert {row.note for row in report.rows} == {"to the rounding of float32"}
    wrong = lo.check_backward(loss, {"p": after(right["p"]), "s": after(right["e"])})
    assert (wrong.first, wrong.cause) == ("s", "slope"), wrong
    assert not lo.check_backward(loss, {"s": after(right["s"] * (1.0 + 3e-6))})


def test_what_follows_from_float32_is_right():
    loss, right = classifier()
    e = np.exp(np.random.default_rng(0).normal(size=(4, 3)))
    report = lo.check_backward(loss, {"e": np.float32(right["e"]), "s": np.float32(right["e"]) * e})
    assert report, report
    assert report.rows[1].note == "as those that arrive"


def test_rounded_gradients_have_no_cause():
    """A right step is no mistake that explains them, and short numbers are no float32."""
    loss, right = classifier()
    report = lo.check_backward(loss, {name: np.round(g, 6) for name, g in right.items()})
    assert report.first == "p"
    assert report.cause is None
    assert "is nearly right, in its first digits" in report.said[0]
    w = lo.Parameter([1.0, 2.0], name="w")
    assert not lo.check_backward((w * np.array([1.0 + 1e-7, 2.0])).sum(), {"w": [1.0, 2.0]})


RELU, MAX, ABS = lo.nn.relu, np.max, np.abs


@pytest.mark.parametrize(
    ("f", "slope", "allowed"),
    [
        (ABS, [1.0, 1.0, -1.0], True), (ABS, [-1.0, 1.0, -1.0], True), (ABS, [1.5, 1.0, -1.0], False),
        (RELU, [1.0, 1.0, 0.0], True), (RELU, [0.3, 1.0, 0.0], True), (RELU, [-0.1, 1.0, 0.0], False),
        (RELU, [1.0, 1.0, 1.0], False), (lambda x: np.maximum(x, 0.0), [1.0, 1.0, 0.0], True),
        (lambda x: np.where(x >= 0.0, x, 0.0), [0.0, 1.0, 0.0], True),
        (lambda x: MAX(x[[0, 0, 2]]), [1.0, 0.0, 0.0], True),
        (lambda x: np.minimum(x, 0.0), [2.0, 0.0, 1.0], False),
        (lambda x: MAX(ABS(x)), [0.0, 1.0, 0.0], True), (lambda x: MAX(ABS(x)), [0.0, 0.0, 1.0], False),
    ],
)  # fmt: skip
def test_slopes_at_kinks_are_allowed_as_in_check_gradient(f, slope, allowed):
    r = lo.Parameter([0.0, 1.0, -1.0], name="r")
    a = (3.0 * r).named("a")
    y = f(a).named("y")
    dy = np.full(y.shape, 2.0)
    da = dy * np.array(slope)
    loss = (2.0 * y).sum()
    report = lo.check_backward(loss, {"y": dy, "a": da, "r": 3.0 * da})
    assert bool(report) is allowed, report
    assert (
        lo.check_gradient(lambda x: (float((2.0 * f(lo.Tensor(x))).sum()), da), a.numpy()).passed is allowed
    )
    if allowed:
        assert report.rows[1].note in ("", "at a kink, with a slope that is allowed there")
        doubled = lo.check_backward(loss, {"y": 2.0 * dy, "a": 2.0 * da, "r": 3.0 * da})
        assert [row.verdict for row in doubled.rows[:2]] == ["WRONG", "follows"], doubled


def test_many_elements_at_a_kink():
    r = lo.Parameter(np.zeros(5000), name="r")
    assert lo.check_backward(lo.nn.relu(r).sum(), {"r": np.ones(5000)})
    assert not lo.check_backward(lo.nn.relu(r).sum(), {"r": np.full(5000, 1.1)})


def test_a_mistake_beside_a_kink_has_its_cause():
    r = lo.Parameter([0.0, 1.0, -1.0, 2.0], name="r")
    loss = (np.array([1.0, 2.0, 3.0, 5.0]) * np.abs(r)).sum()
    report = lo.check_backward(loss, {"r": [1.0, -2.0, 3.0, -5.0]})
    assert report.cause == "sign", report


def test_a_gradient_that_cancels_to_nothing_is_close():
    """That by the subtracted maximum is 0 but for rounding, as in the exercise."""
    s = lo.Parameter(np.random.default_rng(0).normal(size=(4, 3)), name="s")
    top = np.max(s.detach(), axis=1, keepdims=True)
    top = lo.Parameter(top.numpy(), name="top")
    shifted = (s - top).named("shifted")
    e = np.exp(shifted)
    loss = -np.log(e / e.sum(axis=1, keepdims=True))[:, 0].mean()
    p = np.exp(shifted.data)
    p /= p.sum(axis=1, keepdims=True)
    dshifted = (p - np.eye(3)[[0] * 4]) / 4
    report = lo.check_backward(
        loss, {"shifted": dshifted, "top": -dshifted.sum(axis=1, keepdims=True), "s": dshifted}
    )
    assert report, report
    assert lo.check_backward(loss, {"top": np.zeros((4, 1))})


def test_probabilities_that_a_loss_looks_past():
    z = lo.Parameter([0.5, -1.0, 2.0], name="z")
    p = lo.nn.sigmoid(z).named("p")
    y = np.array([1.0, 0.0, 1.0])
    loss = lo.losses.binary_cross_entropy(p, y)
    dp = (p.data - y) / (p.data * (1 - p.data)) / 3
    assert lo.check_backward(loss, {"p": dp, "z": dp * p.data * (1 - p.data)})
    report = lo.check_backward(loss, {"p": dp, "z": dp})
    assert (report.first, report.cause) == ("z", "slope")


def test_labels_that_are_off_by_one():
    s = lo.Parameter(np.random.default_rng(0).normal(size=(4, 3)), name="s")
    y = np.array([0, 2, 1, 1])
    loss = lo.losses.cross_entropy(s, y)
    p = np.exp(s.data) / np.exp(s.data).sum(axis=1, keepdims=True)
    assert lo.check_backward(loss, {"s": (p - np.eye(3)[y]) / 4})
    report = lo.check_backward(loss, {"s": (p - np.eye(3)[(y + 1) % 3]) / 4})
    assert report.cause == "labels", report


@pytest.mark.parametrize(
    ("gradients", "error", "said"),
    [
        ({"S": [1.0, 2.0]}, GraphError, "no value is called 'S'; did you mean 's'?"),
        ({"dq": [1.0, 2.0]}, GraphError, "no value is called 'dq'; there are x, w, s, v1, v2, L"),
        ({}, GraphError, "no gradients were given"),
        (3.0, DTypeError, 'give {"S": dS}, pairs, or a function, got float'),
        ([np.ones(2)], DTypeError, "a list has pairs"),
        ({"s": None}, DTypeError, "the gradient by s must be an array of numbers, got None"),
        ({"s": ["a", "b"]}, DTypeError, "must be an array of numbers"),
        ({"s": [1.0, 2.0], "ds": [1.0, 2.0]}, GraphError, "ds is given twice|s is given twice"),
        ([(lo.Parameter(1.0, name="other"), 1.0)], GraphError, "was not made from this tensor"),
        (lambda x: x, DTypeError, "called without arguments"),
    ],
)
def test_what_cannot_be_read_is_refused(small, gradients, error, said):
    with pytest.raises(error, match=said.replace("(", r"\(").replace("?", r"\?").replace("{", r"\{")):
        lo.check_backward(small[0], gradients)


def test_a_loss_that_is_no_tensor_is_refused():
    with pytest.raises(DTypeError, match="the loss must be a tensor"):
        lo.check_backward(3.0, {"s": 1.0})
    with pytest.raises(GraphError, match="needs one number"):
        lo.check_backward(lo.Parameter([1.0, 2.0]) * 2.0, {"s": 1.0})


@pytest.mark.parametrize("dtype", [float, np.float32])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_is_wrong(small, bad, dtype):
    report = lo.check_backward(small[0], {"s": np.array([bad, 1.0], dtype)})
    assert report.first == "s"
    assert report.cause == "not finite"


def test_the_search_for_a_cause_ends_in_a_long_graph():
    """Thousands of steps times hundreds of mistakes: what is tried is limited by the work."""
    x = lo.Parameter([0.5, -1.0, 2.0], name="x")
    s = x
    for _ in range(1000):
        s = s * 1.0001 + x * 0.0001
    loss = (s**2).sum()
    begin = time.perf_counter()
    report = lo.check_backward(loss, {"x": 1.3 * lo.grad(loss, x)})
    assert (report.first, report.cause) == ("x", "factor 1.3")
    assert time.perf_counter() - begin < 8.0
