"""The list of steps: the engine's numbers in the engine's order, and what each gate does in words."""

# ruff: noqa: E501  tables of expected texts

import dataclasses
import time

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.graph import reachable
from tinygrad_lo.engine.machine.recording import Recording
from tinygrad_lo.engine.ops import TABLE
from tinygrad_lo.errors import DTypeError, GraphError, MutationError
from tinygrad_lo.explaining.steps import steps


def backward_texts(loss):
    return [step.text for step in steps(loss).backward]


def sentences(loss):
    return [step.sentence for step in steps(loss).backward]


def p(value, name):
    return lo.Parameter(value, name=name)


# ------------------------------------------------------------------------------------------- texts


def test_a_scalar_graph_step_by_step():
    w, x = p(3.0, "w"), lo.Tensor(-2.0, name="x")
    loss = ((w * x + 6.0) ** 2 * 0.5).named("loss")
    found = steps(loss)
    assert [step.text for step in found.forward] == [
        "v1 = w × x = 3 × (−2) = −6",
        "v2 = v1 + 6 = (−6) + 6 = 0",
        "v3 = v2² = 0² = 0",
        "loss = v3 × 0.5 = 0 × 0.5 = 0",
    ]
    loss = ((w * x + 7.0) ** 2 * 0.5).named("loss")
    assert backward_texts(loss) == [
        "∂L/∂v3 = 0.5 · ∂L/∂loss = 0.5 · 1 = 0.5",
        "∂L/∂v2 = 2 · v2 · ∂L/∂v3 = 2 · 1 · 0.5 = 1",
        "∂L/∂v1 = 1 · ∂L/∂v2 = 1 · 1 = 1",
        "∂L/∂w = x · ∂L/∂v1 = (−2) · 1 = −2",
    ]


def test_a_tensor_graph_step_by_step():
    X, W, b = lo.Tensor(np.ones((4, 3)), name="X"), p(np.ones((3, 2)), "W"), p(np.zeros(2), "b")
    S = (X @ W + b).named("S")
    loss = (S.relu() * S).sum().named("loss")
    found = steps(loss)
    assert [step.text for step in found.forward] == [
        "v1 = X @ W  4×2, e.g. v1[0,0] = X[0,:] @ W[:,0] = 1 · 1 + 1 · 1 + 1 · 1 = 3",
        "S = v1 + b  4×2, e.g. S[0,0] = v1[0,0] + b[0] = 3 + 0 = 3",
        "v2 = max(0, S)  4×2, e.g. v2[0,0] = max(0, S[0,0]) = max(0, 3) = 3",
        "v3 = v2 × S  4×2, e.g. v3[0,0] = v2[0,0] × S[0,0] = 3 × 3 = 9",
        "loss = Σ v3 = 9 + 9 + 9 + … (5 more) = 72",
    ]  # fmt: skip
    assert [step.text for step in found.backward] == [
        "∂L/∂v3 = broadcast ∂L/∂loss  4×2, e.g. ∂L/∂v3[0,0] = 1",
        "∂L/∂v2 = ∂L/∂v3 × S  4×2, e.g. ∂L/∂v2[0,0] = 1 × 3 = 3",
        "∂L/∂S = ∂L/∂v3 × v2  4×2, e.g. ∂L/∂S[0,0] = 1 × 3 = 3",
        "∂L/∂S += ∂L/∂v2 × (v2 > 0)  4×2, e.g. ∂L/∂S[0,0] += 3 × (3 > 0) = 3",
        "∂L/∂v1 = ∂L/∂S  4×2, e.g. ∂L/∂v1[0,0] = 6",
        "∂L/∂b = Σ ∂L/∂S  2, e.g. ∂L/∂b[0] = 6 + 6 + 6 + 6 = 24",
        "∂L/∂W = Xᵀ @ ∂L/∂v1  3×2, e.g. ∂L/∂W[0,0] = 1 · 6 + 1 · 6 + 1 · 6 + 1 · 6 = 24",
    ]
    assert [step.summed for step in found.backward] == [(), (), (), (), (), (0,), ()]


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (lambda a, b: a / b, ["∂L/∂a = (1 ÷ b) · ∂L/∂L = (1 ÷ (−2)) · 1 = −0.5",
                              "∂L/∂b = (−L ÷ b) · ∂L/∂L = (−(−1.5) ÷ (−2)) · 1 = −0.75"]),
        (lambda a, b: a - b, ["∂L/∂a = 1 · ∂L/∂L = 1 · 1 = 1", "∂L/∂b = (−1) · ∂L/∂L = (−1) · 1 = −1"]),
        (lambda a, b: b * b, ["∂L/∂b = b · ∂L/∂L = (−2) · 1 = −2",
                              "∂L/∂b += b · ∂L/∂L = (−2) · 1 = −2, in all (−2) + (−2) = −4"]),
        (lambda a, b: b.relu(), ["∂L/∂b = (L > 0) · ∂L/∂L = (0 > 0) · 1 = 0"]),
        (lambda a, b: np.exp(b - b), None),
        (lambda a, b: np.tanh(a * 0.0), ["∂L/∂v1 = (1 − tanh(v1)²) · ∂L/∂L = (1 − tanh(0)²) · 1 = 1",
                                         "∂L/∂a = 0 · ∂L/∂v1 = 0 · 1 = 0"]),
        (lambda a, b: np.log(a * 0.0), ["∂L/∂v1 = (1 ÷ v1) · ∂L/∂L = (1 ÷ 0) · 1 = ∞", "∂L/∂a = 0 · ∂L/∂v1 = 0 · ∞ = nan"]),
        (lambda a, b: a * 1.0, ["∂L/∂a = 1 · ∂L/∂L = 1 · 1 = 1"]),
    ],
)  # fmt: skip
def test_products_with_their_numbers(loss, text):
    with np.errstate(all="ignore"):
        found = backward_texts(loss(p(3.0, "a"), p(-2.0, "b")))
    assert text is None or found == text


def test_forward_numbers():
    w = p(-2.0, "w")
    texts = [step.text for step in steps(np.exp(-w) + (w**2 - w * 1.0) + np.abs(w)).forward]
    assert texts == [
        "v1 = −w = −(−2) = 2", "v2 = exp(v1) = exp(2) = 7.389", "v3 = w² = (−2)² = 4", "v4 = w × 1 = (−2) × 1 = −2",
        "v5 = v3 − v4 = 4 − (−2) = 6", "v6 = v2 + v5 = 7.389 + 6 = 13.39", "v7 = |w| = |−2| = 2",
        "L = v6 + v7 = 13.39 + 2 = 15.39",
    ]  # fmt: skip


def test_equal_ops_with_other_numbers_have_their_own_texts():
    """A rule is recorded once for inputs of one kind; numbers, sizes and options are part of the kind."""
    w, v = p(2.0, "w"), p([1.0, 2.0, 3.0], "v")
    assert backward_texts(w * 0.5 * 0.25)[0].startswith("∂L/∂v1 = 0.25 · ")
    assert backward_texts(w * 0.5 * 0.25)[1].startswith("∂L/∂w = 0.5 · ")
    assert "3 · v1² · " in backward_texts((w**2) ** 3)[0]
    assert backward_texts(np.concatenate([v[:1], v]).sum())[1:3] == [
        "∂L/∂v1 = (∂L/∂v2)[0:1]  1, e.g. ∂L/∂v1[0] = 1",
        "∂L/∂v = (∂L/∂v2)[1:4]  3, e.g. ∂L/∂v[0] = 1",
    ]
    narrow, wide = np.clip(v, 0.0, 1.0).sum(), np.clip(v, -2.0, 2.0).sum()
    assert [step.formula for step in steps(narrow * wide).backward if step.target == "v"] == [
        "∂L/∂v3 × (v ≥ (−2)) × (v ≤ 2)",
        "∂L/∂v1 × (v ≥ 0) × (v ≤ 1)",
    ]


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda v: v.sum() + 1.0, ["+ copies the gradient to its inputs", "sum copies the gradient to every element that went into it"]),
        (lambda v: (v * v).sum(), [..., "× swaps: each input gets the gradient times the other input", ...]),
        (lambda v: (v * 2.0).sum(), [..., "× by a constant: the gradient is multiplied by it, too"]),
        (lambda v: (1.0 - v).sum(), [..., "− turns the sign of the gradient"]),
        (lambda v: (v - v[:1]).sum(), [..., "− copies the gradient to its first input", "− turns the sign of the gradient"]),
        (lambda v: (v - 1.0).sum(), [..., "− copies the gradient to its first input"]),
        (lambda v: (-v).sum(), [..., "negative turns the sign of the gradient"]),
        (lambda v: v.relu().sum(), [..., "relu routes: the gradient passes where v1 > 0, and stops elsewhere"]),
        (lambda v: v.max(), ["max routes: the gradient passes where v = L, and stops elsewhere; ties share it"]),
        (lambda v: np.maximum(v, 1.0).sum(), [..., "maximum routes: the gradient passes where v > 1, and stops elsewhere; ties share it"]),
        (lambda v: np.where(np.array([True, False]), v, 0.0).sum(), [..., "where routes: the gradient passes where x1, and stops elsewhere"]),
        (lambda v: np.where(np.array([True, False]), 0.0, v).sum(), [..., "where routes: the gradient passes where not x1, and stops elsewhere"]),
        (lambda v: np.ones(2) @ v, ["@ swaps: each input gets the gradient times the other input"]),
        (lambda v: (np.ones((2, 2)) @ v.reshape(2, 1)).sum(), [..., "@ swaps, as × does: the gradient times the other input, turned so that shapes fit", ...]),
        (lambda v: v.reshape(2, 1)[0].sum(), [..., "getitem only moves numbers: the gradient goes back to where they came from", ...]),
        (lambda v: np.broadcast_to(v, (3, 2)).sum(), [..., "broadcast_to repeats numbers: the gradients of all copies are added"]),
        (lambda v: np.exp(v).sum(), [..., "exp multiplies the gradient by its local derivative"]),
        (lambda v: lo.losses.cross_entropy(v, 0) * 1.0, [..., ..., ..., ..., "log_softmax mixes elements: each of them gets gradient from several"]),
        (lambda v: v.norm(), ["norm multiplies the gradient by its local derivative"]),
    ],
)  # fmt: skip
def test_one_sentence_for_each_gate(loss, words):
    found = sentences(loss(p([3.0, 4.0], "v")))
    for sentence, expected in zip(found, words, strict=False):
        assert expected in (..., sentence)


# ---------------------------------------------------------------------------- the engine's numbers


def random_loss(rng, leaves):
    """A graph of shared values, broadcasting and reductions."""
    pool = list(leaves)
    for _ in range(rng.integers(3, 25)):
        x, y = (pool[rng.integers(len(pool))] for _ in range(2))
        made = [
            lambda x, y: x + y, lambda x, y: x - y, lambda x, y: x * y, lambda x, y: x / (y * y + 1.0),
            lambda x, y: x * x, lambda x, y: np.tanh(x), lambda x, y: x.relu(), np.maximum,
            lambda x, y: 0.5 * x - 2.0, lambda x, y: x.sigmoid() * y, lambda x, y: x.sum() * y,
            lambda x, y: np.where(np.array([True, False, True]), x, y),
        ][rng.integers(12)]  # fmt: skip
        pool.append(made(x, y))
    return (pool[-1] * pool[-2] + pool[len(pool) // 2] + leaves[2]).sum()


def random_leaves(rng):
    return [
        p(rng.normal(size=(2, 3)), "A"), p(rng.normal(size=3), "b"), p(rng.normal(), "c"),
        p(rng.normal(size=(2, 1)).astype(np.float32), "d"), lo.Tensor(rng.normal(size=3), name="x"),
    ]  # fmt: skip


def bits(x):
    return np.asarray(x).dtype, np.asarray(x).shape, np.asarray(x).tobytes()


@pytest.mark.parametrize("seed", range(150))
def test_totals_are_the_gradients_bit_for_bit(seed):
    rng = np.random.default_rng(seed)
    leaves = random_leaves(rng)
    loss = random_loss(rng, leaves)
    found = steps(loss)
    assert all(leaf.grad is None for leaf in leaves)
    loss.backward()
    nodes = found.names.nodes
    assert set(found.gradients) == {i for i, node in enumerate(nodes) if node.op is None and node.needs}
    for place, g in found.gradients.items():
        assert bits(g) == bits(nodes[place].grad)
    running = {}
    for step in found.backward:
        if step.before is None:
            assert step.target_place not in running
            assert bits(step.total) == bits(step.part)
        else:
            assert bits(step.before) == bits(running[step.target_place])
            assert bits(step.total) == bits(step.before + step.part)
        running[step.target_place] = step.total
        if step.last:
            g = lo.grad(loss, nodes[step.target_place])
            assert bits(step.total.astype(g.dtype)) == bits(g)
        if nodes[step.gate_place] is not loss:
            assert bits(step.arriving) == bits(running[step.gate_place]), "complete before it is handed on"
    targets = [step.target_place for step in found.backward]
    assert sorted(step.target_place for step in found.backward if step.last) == sorted(set(targets))


@pytest.mark.parametrize("seed", range(40))
def test_the_order_is_that_of_the_sweep(seed):
    rng = np.random.default_rng(seed)
    loss = random_loss(rng, random_leaves(rng))
    found = steps(loss)
    called = []

    def logged(rule, place, i):
        return lambda *args: (called.append((place, i)), rule(*args))[1]

    for place, node in enumerate(reachable([loss])):
        if node.op is not None:
            rules = tuple(rule and logged(rule, place, i) for i, rule in enumerate(node.op.rules))
            node.op = dataclasses.replace(node.op, rules=rules)
    loss.backward()
    assert [(step.gate_place, step.operand) for step in found.backward] == called


def test_rules_that_ask_for_a_value_have_the_text_of_that_value():
    op = lo.define_op("bent_", np.abs, [lambda g, y, x: g * 2.0 if x > 0 else g * 3.0])
    try:
        found = steps(op(p(1.0, "a")) + op(p(-1.0, "b"))).backward
        assert {step.target: step.formula for step in found[2:]} == {"a": "2 · ∂L/∂v1", "b": "3 · ∂L/∂v2"}
    finally:
        TABLE.pop("bent_")


def test_nothing_leaves_a_recording():
    w = p(2.0, "w") * 2.0
    with Recording(), pytest.raises(GraphError, match=r"lo\.steps .*would leave the graph"):
        steps(w)


def test_slopes_are_local_derivatives():
    w = p(3.0, "w")
    steps_ = steps(np.exp(w * 2.0)).backward
    assert [float(step.slope) for step in steps_] == [float(np.exp(6.0)), 2.0]
    assert steps((p([1.0], "v") * 2.0).sum()).backward[1].slope is None


def test_a_float32_graph_stays_float32():
    w = p(np.float32(0.1), "w")
    found = steps(w * 0.3 + 1.0)
    assert {step.part.dtype for step in found.backward} == {np.dtype(np.float32)}
    assert found.backward[-1].text == "∂L/∂w = 0.3 · ∂L/∂v1 = 0.3 · 1 = 0.3"


def test_places_are_those_of_the_names():
    w, x = p(3.0, "w"), lo.Tensor(2.0, name="x")
    found = steps(w * x + w)
    for step in found.forward:
        assert found.names.of(found.names.nodes[step.place]) == step.name
    for step in found.backward:
        assert found.names.of(found.names.nodes[step.target_place]) == step.target
        assert found.names.of(found.names.nodes[step.gate_place]) == step.gate


# --------------------------------------------------------------------------- what stands in the way


def test_looking_changes_nothing():
    w = p([1.0, 2.0], "w")
    loss = (w * w).sum()
    states = [(node.label, node.birth, getattr(node, "stamp", None)) for node in reachable([loss])]
    with lo.no_grad(), lo.scope("elsewhere"):
        assert len(steps(loss).backward) == 3
    assert [(node.label, node.birth, getattr(node, "stamp", None)) for node in reachable([loss])] == states
    assert w.grad is None
    loss.backward()
    steps(loss)
    assert w.grad.tolist() == [2.0, 4.0]


def test_under_anomaly_a_nan_is_shown_and_not_raised():
    w = p(0.0, "w")
    with np.errstate(all="ignore"):
        loss = (w / w).sigmoid() * 2.0
    with lo.anomaly():
        assert steps(loss).backward[-1].text.endswith("= nan")


def test_a_rule_for_arrays_only_is_shown_by_its_numbers():
    op = lo.define_op("only_arrays_", lambda x: x**3, [lambda g, y, x: g * np.asarray(x, float) ** 2 * 3])
    try:
        assert backward_texts(op(p(2.0, "w")) * 2.0)[1] == "∂L/∂w = ∂v1/∂w · ∂L/∂v1 = 12 · 2 = 24"
        assert backward_texts(op(p([2.0], "w")).sum())[1] == "∂L/∂w = (∂v1/∂w)ᵀ ∂L/∂v1  1"
    finally:
        TABLE.pop("only_arrays_")


def test_frozen_and_constant_values_get_nothing():
    w, frozen = p(2.0, "w"), p(3.0, "frozen")
    frozen.requires_grad = False
    with lo.no_grad():
        constant = (w * 5.0).named("constant")
    found = steps(w * frozen * constant)
    assert [step.target for step in found.backward] == ["v1", "w"]
    label = lo.losses.cross_entropy(p([1.0, 2.0], "s"), 1)
    assert "target" not in [step.target for step in steps(label).backward]


@pytest.mark.parametrize("name", ["a\nb", "{0}", "<b>&", "\x1b[31m", "a × b", ""])
def test_names_stay_in_their_line(name):
    w = p(-1.0, name)
    for step in (*steps(w * w + w).backward, *steps(w * w + w).forward):
        assert len(step.text.splitlines()) == 1
        assert all(c.isprintable() for c in step.text)


def test_what_has_no_steps_says_why():
    w = p([1.0, 2.0], "w")
    with pytest.raises(DTypeError, match="steps: expected a tensor, got float"):
        steps(3.0)
    with pytest.raises(GraphError, match="one number to start from, this tensor has shape"):
        steps(w * 2.0)
    with pytest.raises(GraphError, match="'x' does not require grad"):
        steps(lo.Tensor(1.0, name="x"))
    loss = w.sum()
    w.data -= 1.0
    with pytest.raises(MutationError, match="'w' was changed"):
        steps(loss)


def test_a_leaf_alone_has_its_seed():
    w = p(2.0, "w")
    found = steps(w)
    assert (found.forward, found.backward, found.loss) == ([], [], "w")
    assert found.gradients == {0: 1.0}


def test_lazy_arrays_stay_lazy():
    array = pytest.importorskip("dask.array")
    x = array.ones((4, 3))
    W = p(np.ones((3, 2)), "W")
    found = steps((lo.Tensor(x, name="X") @ W).sum())
    assert found.forward[-1].text == "L = Σ v1 = one number"
    assert isinstance(found.backward[-1].part, array.Array)


def test_twenty_thousand_values_without_recursion():
    y = p(1.0, "w")
    for _ in range(20_000):
        y = y + 1.0
    began = time.perf_counter()
    found = steps(y)
    assert time.perf_counter() - began < 20
    assert len(found.forward) == len(found.backward) == 20_000
    assert found.backward[-1].text == "∂L/∂w = 1 · ∂L/∂v1 = 1 · 1 = 1"
