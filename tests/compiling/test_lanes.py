"""Graphs of many numbers compiled to arrays: the engine's values and gradients, and no wrong matrices."""

from itertools import pairwise

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.compiling import lanes
from tinygrad_lo.engine.machine.recording import Recording
from tinygrad_lo.program.classes import Classes, axes_of


@pytest.fixture(autouse=True)
def _always(monkeypatch):
    """Small graphs, too."""
    monkeypatch.setattr(lanes, "FEWEST", 0)
    monkeypatch.setattr(lanes, "WORTH", 0)


def numbers(rng, count):
    return [lo.Parameter(float(x)) for x in rng.standard_normal(count)]


def network(rng, widths, points, squash):
    layers = [[(numbers(rng, m), numbers(rng, 1)[0]) for _ in range(n)]
              for m, n in pairwise(widths)]  # fmt: skip
    X, signs = rng.standard_normal((points, widths[0])).tolist(), rng.choice([-1.0, 1.0], points).tolist()

    def loss():
        total = 0.0
        for x, sign in zip(X, signs, strict=True):
            for layer in layers:
                x = [sum((w * xi for w, xi in zip(ws, x, strict=True)), b) for ws, b in layer]
                x = [squash(value) for value in x] if layer is not layers[-1] else x
            total = total + (1 - sign * x[0]).relu()
        everything = [p for layer in layers for ws, b in layer for p in (*ws, b)]
        return total * (1 / points) + 0.01 * sum(p * p for p in everything)

    return loss


def pairs(rng, count):
    x, y = numbers(rng, count), numbers(rng, count)
    return lambda: sum(
        (((x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2 + 0.01) ** 0.5 - 1.0) ** 2
        for i in range(count) for j in range(i)
    )  # fmt: skip


def cubic(rng, count):
    a, b, c, d = numbers(rng, 4)
    points = rng.standard_normal((count, 2)).tolist()
    return lambda: sum((a + b * x + c * x**2 + d * x**3 - y) ** 2 for x, y in points)


def sequences(rng, units, steps, count):
    W, U = [numbers(rng, units) for _ in range(units)], numbers(rng, units)
    data = rng.standard_normal((count, steps)).tolist()

    def loss():
        total = 0.0
        for sequence in data:
            h = [0.1] * units
            for x in sequence:
                h = [(sum(w * v for w, v in zip(row, h, strict=True)) + u * x).tanh()
                     for row, u in zip(W, U, strict=True)]  # fmt: skip
            total = total + sum(h)
        return total

    return loss


def backwards(rng, count):
    """Indices that run backward, repeat, and jump."""
    w = numbers(rng, count)
    order = rng.integers(0, count, count).tolist()
    return lambda: (
        sum(a * b.exp() for a, b in zip(w, w[::-1], strict=True))
        + sum(w[i] * w[j] * 0.5 for i, j in enumerate(order))
    )


def columns(rng, rows, count):
    """A matrix that is read by columns."""
    W = [numbers(rng, count) for _ in range(rows)]
    v = numbers(rng, rows)
    return lambda: sum(sum(W[i][j] * v[i] for i in range(rows)).tanh() for j in range(count))


def products_used_again(rng, rows, count):
    """A product that is in a sum, and elsewhere."""
    W = [numbers(rng, count) for _ in range(rows)]
    v = numbers(rng, rows)

    def loss():
        products = [[w * x for w in row] for row, x in zip(W, v, strict=True)]
        return sum(sum(row).tanh() for row in products) * sum(p.exp() for p in products[0])

    return loss


def paired(rng, rows, count):
    """Dot products of rows with rows of their own."""
    U, V = ([numbers(rng, count) for _ in range(rows)] for _ in range(2))
    return lambda: sum(
        sum(a * b for a, b in zip(u, v, strict=True)).tanh() for u, v in zip(U, V, strict=True)
    )


def prefix_sums(rng, count):
    """Sums that go on, and are used on the way."""
    w = numbers(rng, count)

    def loss():
        running, total = w[0], 0.0
        for p in w[1:]:
            running = running + p
            total = total + running.tanh()
        return total

    return loss


def shuffled_biases(rng, count):
    w, b = numbers(rng, 3), numbers(rng, count)
    X, places = rng.standard_normal((count, 3)).tolist(), rng.permutation(count).tolist()
    return lambda: sum(
        (b[i] + w[0] * x[0] + w[1] * x[1] + w[2] * x[2]).tanh() for i, x in zip(places, X, strict=True)
    )


def three_loops(rng, a, b, c):
    """The left factor has the outer and the inner loop, the right one that in between."""
    u, v = [[numbers(rng, 4) for _ in range(c)] for _ in range(a)], [numbers(rng, 4) for _ in range(b)]
    return lambda: sum(
        sum(p * q for p, q in zip(u[i][k], v[j], strict=True)).tanh()
        for i in range(a) for j in range(b) for k in range(c)
    )  # fmt: skip


def twice_in_a_sum(rng, count):
    w = numbers(rng, count)

    def loss():
        squares = [p * p for p in w]
        return sum(squares + squares[:1] + squares) + sum(
            (s + s + p) * 0.3 for s, p in zip(squares, w, strict=True)
        )

    return loss


def uneven(rng, count):
    """Sums of different lengths, products of constants, subtraction, division."""
    w = numbers(rng, count)
    return lambda: sum(
        (sum(w[j] * 0.1 * (j + 1) for j in range(1 + i % 4)) - w[i] / (2.0 + w[i] * w[i])) ** 2
        for i in range(count)
    )


def odd_sums(rng):
    """Even steps for six at a stretch, added up by fours."""
    w = numbers(rng, 40)
    order = [w[i + j] for i in (0, 10, 20, 30) for j in range(6)]
    return lambda: sum(sum(order[i : i + 4]).tanh() for i in range(0, 24, 4)) + sum(p * p for p in w)


CASES = {
    "relu network": lambda rng: network(rng, (2, 5, 4, 1), 7, lambda v: v.relu()),
    "tanh network": lambda rng: network(rng, (3, 4, 1), 9, lambda v: v.tanh()),
    "one input": lambda rng: network(rng, (1, 3, 1), 4, lambda v: v.exp()),
    "one point": lambda rng: network(rng, (3, 3, 1), 1, lambda v: v.relu()),
    "pairs": lambda rng: pairs(rng, 9),
    "cubic": lambda rng: cubic(rng, 30),
    "one sequence": lambda rng: sequences(rng, 3, 5, 1),
    "sequences": lambda rng: sequences(rng, 3, 4, 6),
    "backwards": lambda rng: backwards(rng, 12),
    "columns": lambda rng: columns(rng, 4, 6),
    "twice in a sum": lambda rng: twice_in_a_sum(rng, 8),
    "odd sums": odd_sums,
    "paired": lambda rng: paired(rng, 5, 3),
    "products used again": lambda rng: products_used_again(rng, 4, 6),
    "prefix sums": lambda rng: prefix_sums(rng, 12),
    "shuffled biases": lambda rng: shuffled_biases(rng, 11),
    "three loops": lambda rng: three_loops(rng, 3, 4, 2),
    "uneven": lambda rng: uneven(rng, 13),
}


def by_engine(loss):
    value = loss()
    value.backward()
    leaves = [node for node in lo.engine.graph.reachable([value]) if node.op is None and node.needs]
    grads = [leaf.grad for leaf in leaves]
    for leaf in leaves:
        leaf.grad = None
    return value.item(), leaves, grads


def batched(loss):
    """What the graph of a loss becomes on arrays."""
    with Recording(copies=True) as recording:
        return lanes.on_arrays(loss(), recording)


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_the_engines(case, rng):
    for _ in range(3):
        loss = CASES[case](rng)
        assert batched(loss) is not None
        expected, leaves, grads = by_engine(loss)
        step = lo.compile(loss)
        for _ in range(3):
            for leaf in leaves:
                leaf.grad = None
            assert float(step()) == pytest.approx(expected, rel=1e-12)
            assert [leaf.grad for leaf in leaves] == pytest.approx(grads, rel=1e-9, abs=1e-12)
        for leaf in leaves:  # other numbers, by the same program
            leaf.data = leaf.data * 0.7 + 0.1
            leaf.grad = None
        other = float(step())
        found = [leaf.grad for leaf in leaves]
        for leaf in leaves:
            leaf.grad = None
        expected, _, grads = by_engine(loss)
        assert other == pytest.approx(expected, rel=1e-12)
        assert found == pytest.approx(grads, rel=1e-9, abs=1e-12)


def test_a_network_of_numbers_is_its_matrices_again(rng):
    loss = network(rng, (2, 5, 4, 1), 7, lambda v: v.relu())
    names = [node.op.name for node in lo.engine.graph.reachable([batched(loss)]) if node.op is not None]
    assert names.count("matmul") == 4  # three layers, and the squares
    assert names.count("relu") == 3
    assert "gather" not in names


def test_a_whole_step_of_many_numbers_has_the_bits_of_loss_then_optimizer(rng):
    state = rng.bit_generator.state
    results = []
    for whole in (False, True):
        rng.bit_generator.state = state
        loss = network(rng, (2, 4, 1), 6, lambda v: v.tanh())
        params = by_engine(loss)[1]
        optimizer = lo.optim.Adam(params, lr=0.01)
        step = lo.compile(loss, optimizer=optimizer if whole else None)
        for _ in range(20):
            if not whole:
                optimizer.zero_grad()
            step()
            if not whole:
                optimizer.step()
        results.append([p.item() for p in params])
    assert results[0] == results[1]


def test_what_is_no_graph_of_numbers_stays_what_it_is(rng):
    w, x = numbers(rng, 3), lo.Parameter([1.0, 2.0])
    assert batched(lambda: sum(w) * x.sum()) is None
    assert batched(lambda: w[0] * 2.0 if w[1] > 0 else w[0]) is None  # it branches
    assert batched(lambda: np.where(w[0] > 0, w[1], w[2])) is None
    big = lo.Parameter(np.inf)
    assert batched(lambda: w[0] + big * 2.0) is None  # what is infinite cannot be compared


def test_few_numbers_stay_numbers(rng, monkeypatch):
    monkeypatch.undo()
    assert batched(cubic(rng, 200)) is None  # 1 804 nodes
    assert batched(sequences(rng, 6, 38, 1)) is None  # every step is a class of its own
    assert batched(cubic(rng, 400)) is not None


def test_a_wrong_matrix_is_noticed(rng, monkeypatch):
    right = lanes.strided
    monkeypatch.setattr(lanes, "strided", lambda *places: right(*places) * 1.001)
    loss = network(rng, (2, 5, 4, 1), 7, lambda v: v.relu())
    assert batched(loss) is None
    assert float(lo.compile(loss)()) == pytest.approx(loss().item(), rel=1e-12)


@pytest.mark.parametrize(
    ("places", "axes"),
    [
        ([[0, 1, 2, 10, 11, 12]], [(2, [10]), (3, [1])]),
        ([[5]], []),
        ([[4, 4, 4]], [(3, [0])]),
        ([[0, 3, 6, 9], [7, 7, 7, 7]], [(4, [3, 0])]),
        ([[0, 1, 5, 6], [0, 0, 1, 1]], [(2, [5, 1]), (2, [1, 0])]),
        ([[0, 1, 2, 5]], None),
        ([[0, 1, 3, 4, 7, 8]], None),
    ],
)
def test_indices_are_loops_where_their_steps_are_even(places, axes):
    found = axes_of(np.array(places))
    assert (found is None) == (axes is None)
    if axes is not None:
        assert [(n, steps.tolist()) for n, steps in found] == axes


def test_classes_of_the_lectures_own_neurons(rng):
    loss = network(rng, (2, 3, 1), 5, lambda v: v.relu())
    with Recording(copies=True) as recording:
        out = loss()
        classes = Classes(recording.history([out]), out)
    sizes = [len(kind.values) for kind in classes.kinds if kind.op is not None and kind.op.name == "relu"]
    assert sizes == [15, 5]
