"""Equal parts: loops are found with what they carry, and classes hold every value once."""

import time

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.explaining.formula import Names
from tinygrad_lo.program.repeats import equal_parts

RNG = np.random.default_rng(0)


def parts_of(root):
    nodes = Names([root]).nodes
    return nodes, equal_parts(nodes)


def loops_of(groups):
    """Turns, how many values are carried, and how many classes are inside, of each loop."""
    loops = dict.fromkeys(loop for group in groups for item in group for loop in item.loops)
    return [
        (loop.turns, len(loop.carried), sum(loop in group[0].loops for group in groups)) for loop in loops
    ]


def recurrent(steps, h, cell):
    W, U = (lo.Parameter(RNG.normal(size=(3, 3)), name=name) for name in "WU")
    for _ in range(steps):
        h = cell(lo.Tensor(RNG.normal(size=(1, 3))), h, W, U)
    return (h * h).sum()


def plain(x, h, W, U):
    return np.tanh(x @ W + h @ U)


@pytest.mark.parametrize("h", [np.zeros((1, 3)), lo.Tensor(np.zeros((1, 3))), lo.Parameter(np.zeros((1, 3)))])
def test_a_recurrent_network_is_one_loop_whatever_it_begins_with(h):
    _, groups = parts_of(recurrent(7, h, plain))
    assert loops_of(groups) == [(7, 1, 4)]
    (loop,) = {loop for group in groups for item in group for loop in item.loops}
    assert loop.carried[0].lanes[0].op.name == "tanh"


def test_a_second_carried_value_is_seen():
    W = lo.Parameter(np.eye(3), name="W")
    h, c = lo.Parameter(np.ones((1, 3))), lo.Parameter(np.ones((1, 3)))
    for _ in range(5):
        c = lo.nn.sigmoid(h @ W) * c
        h = np.tanh(c) * 2.0
    _, groups = parts_of(h.sum())
    assert loops_of(groups) == [(5, 2, 5)]


def test_layers_alike_are_turns_each_with_its_own_weights():
    x = lo.Tensor(np.ones((2, 4)), name="x")
    for _ in range(6):
        x = lo.nn.relu(x @ lo.Parameter(RNG.normal(size=(4, 4))) + lo.Parameter(np.zeros(4)))
    _, groups = parts_of(x.sum())
    assert loops_of(groups) == [(6, 1, 3)]
    assert sorted(sum(len(item.lanes) for item in g) for g in groups if g[0].lanes[0].op is None) == [1, 6, 6]


def test_steps_of_several_samples_are_loops_in_a_loop():
    W, U = lo.Parameter(np.eye(3), name="W"), lo.Parameter(np.eye(3), name="U")
    losses = []
    for _ in range(5):
        h = lo.Parameter(np.zeros((1, 3)))
        for _ in range(4):
            h = plain(lo.Tensor(RNG.normal(size=(1, 3))), h, W, U)
        losses.append((h * h).sum())
    _, groups = parts_of(sum(losses[1:], losses[0]))
    assert sorted(loops_of(groups)) == [(4, 1, 4), (5, 0, 6)]
    (tanh,) = (
        group[0]
        for group in groups
        if group[0].lanes[0].op is not None and group[0].lanes[0].op.name == "tanh"
    )
    assert [loop.turns for loop in tanh.loops] == [5, 4]
    assert len(tanh.lanes) == 20


def test_parts_made_in_any_order_are_one_class():
    w = [lo.Parameter(float(k)) for k in range(1, 7)]
    products = [None] * 6
    for k in (3, 0, 5, 1):
        products[k] = w[k] * 2.0
    other = w[0] ** 3
    for k in (2, 4):
        products[k] = w[k] * 2.0
    _, groups = parts_of(
        products[0] + products[1] + products[2] + products[3] + products[4] + products[5] + other
    )
    sizes = sorted(sum(len(item.lanes) for item in group) for group in groups)
    assert sizes == [1, 1, 1, 5, 6]  # w[0] is cubed, too


def test_exponents_tell_powers_apart_and_numbers_do_not():
    w = [lo.Parameter(float(k)) for k in range(1, 5)]
    _, groups = parts_of(w[0] ** 2 + w[1] ** 3 + w[2] * 3.0 + w[3] * 4.0)
    assert sorted(sum(len(item.lanes) for item in group) for group in groups) == [1, 1, 1, 1, 1, 2, 2]


def random_graph(rng, size):
    values = [lo.Parameter(rng.normal(size=(2, 2))) for _ in range(3)] + [lo.Tensor(np.ones((2, 2)))]
    ops = [
        lambda a, b: a + b,
        lambda a, b: a * b,
        lambda a, b: a @ b,
        lambda a, b: np.tanh(a),
        lambda a, b: a.T,
    ]
    for _ in range(size):
        a, b = (values[rng.integers(max(0, len(values) - 6), len(values))] for _ in range(2))
        values.append(ops[rng.integers(len(ops))](a, b))
    return sum(values[5:], values[4]).sum()


@pytest.mark.parametrize("seed", range(30))
def test_classes_hold_every_value_once_and_only_its_equals(seed):
    rng = np.random.default_rng(seed)
    nodes, groups = parts_of(random_graph(rng, int(rng.integers(1, 60))))
    births = [node.birth for group in groups for item in group for copy in item.copies for node in copy]
    assert sorted(births) == sorted(node.birth for node in nodes)
    number = {
        node.birth: n
        for n, group in enumerate(groups)
        for item in group
        for copy in item.copies
        for node in copy
    }
    for group in groups:
        lanes = [node for item in group for node in item.lanes]
        assert len({(node.op, node.value.shape, node.needs) for node in lanes}) == 1
        if not group[0].loops and lanes[0].op is not None and not group[0].is_sum:
            made = {tuple(number[p.birth] for p in node.parents if p is not None) for node in lanes}
            ops = {tuple(groups[n][0].lanes[0].op for n in one) for one in made}
            assert len(ops) == 1


def test_the_same_graph_has_the_same_classes():
    def counts():
        _, groups = parts_of(random_graph(np.random.default_rng(5), 60))
        return [[len(item.lanes) for item in group] for group in groups]

    assert counts() == counts()


def test_time_grows_with_the_graph():
    def seconds(samples):
        w = [lo.Parameter(float(k)) for k in range(8)]
        total = lo.Tensor(0.0)
        for k in range(samples):
            z = w[0]
            for one in w[1:]:
                z = (z * one + float(k)).tanh()
            total = total + z
        nodes = Names([total]).nodes
        begin = time.process_time()
        groups = equal_parts(nodes)
        assert len(groups) < 60
        return time.process_time() - begin

    seconds(50)
    assert seconds(3200) < 10 * seconds(800)
