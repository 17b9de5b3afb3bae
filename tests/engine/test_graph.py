"""Nodes, births, modes, names and scopes."""

import contextlib
import gc
import sys
import threading
import weakref

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.graph import active, reachable
from tinygrad_lo.engine.machine.hooks import check
from tinygrad_lo.engine.naming import scopes
from tinygrad_lo.errors import DomainError, UnsupportedError
from tinygrad_lo.losses import cross_entropy, l2


def test_w_times_w_has_two_edges():
    w = lo.Parameter(3.0)
    assert (w * w).parents == (w, w)
    assert (w * w).inputs == (3.0, 3.0)


def test_parents_are_in_order_and_none_where_an_input_is_no_tensor():
    a, b = lo.Parameter(1.0), lo.Parameter(2.0)
    assert (a - b).parents == (a, b)
    assert (5.0 - b).parents == (None, b)
    assert (5.0 - b).inputs == (5.0, 2.0)
    joined = np.concatenate([a.reshape(1), np.ones(2), b.reshape(1)])
    assert [p is None for p in joined.parents] == [False, True, False]
    assert a.parents == a.inputs == ()
    assert a.op is None
    assert (a - b).op.name == "subtract"


def test_constants_remember_no_inputs():
    x = lo.Tensor([1.0, 2.0])
    assert (x * 2.0).parents == ()
    assert (x * 2.0).op is None


def test_births_are_a_topological_order(rng):
    nodes = [lo.Parameter(rng.standard_normal()) for _ in range(3)]
    for _ in range(50):
        i, j = rng.integers(len(nodes), size=2)
        nodes.append(nodes[i] + nodes[j] * 0.5)
    found = reachable([nodes[-1]])
    place = {node: i for i, node in enumerate(found)}
    assert found[-1] is nodes[-1]
    for node in found:
        for parent in node.parents:
            if parent is not None:
                assert place[parent] < place[node]


def test_nodes_keep_the_arrays_they_saw():
    w = lo.Parameter([1.0, 2.0])
    y = w * 3.0
    before = w.data
    w.data = np.array([5.0, 6.0])
    assert y.inputs[0] is before


def test_no_grad_as_a_block_and_as_a_decorator():
    w = lo.Parameter(2.0)

    @lo.no_grad()
    def measured(x):
        return x * w

    with lo.no_grad():
        inside = w * w
    assert not inside.requires_grad
    assert inside.parents == ()
    assert not measured(3.0).requires_grad
    assert (w * w).requires_grad


def test_no_grad_nests_and_ends_after_an_error():
    w = lo.Parameter(2.0)
    with lo.no_grad():
        with lo.no_grad():
            pass
        assert not (w * w).requires_grad
    with pytest.raises(ZeroDivisionError), lo.no_grad():
        1 / 0
    assert (w * w).requires_grad


def test_ops_are_quick_again_after_a_mode_has_ended():
    """While `active` is not empty every op takes the slow path."""
    with lo.no_grad(), lo.scope("a"), lo.anomaly():
        assert len(active) == 3
    with pytest.raises(ZeroDivisionError), lo.no_grad(), lo.anomaly():
        1 / 0
    assert active == []


def test_no_grad_in_a_recursive_function_ends():
    w = lo.Parameter(2.0)

    @lo.no_grad()
    def down(n):
        return w * 1.0 if n == 0 else down(n - 1)

    assert not down(3).requires_grad
    assert (w * w).requires_grad


def test_backward_and_create_graph_work_inside_no_grad():
    w = lo.Parameter(3.0)
    y = w**3
    with lo.no_grad():
        slope = lo.grad(y, w, create_graph=True)
        y.backward()
    assert w.grad == 27.0
    assert lo.grad(slope, w) == 18.0


def in_thread(run):
    """Run in another thread, and raise here what it raised there."""
    failure = []

    def target():
        try:
            run()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


def test_no_grad_and_scope_stay_in_their_thread():
    w = lo.Parameter(2.0)
    found = {}

    def other():
        y = w * w
        found["needs"] = y.requires_grad
        found["scopes"] = scopes([y])[y.birth]

    with lo.no_grad(), lo.scope("here"):
        in_thread(other)
    assert found == {"needs": True, "scopes": ()}


def test_a_decorated_function_in_two_threads_leaves_each_in_its_own_mode():
    """All threads that call the function share the decorator; they must not share what it restores."""
    w = lo.Parameter(2.0)
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))
    found = {}

    @lo.no_grad()
    def silently(during):
        during()

    def first():
        with lo.no_grad():
            silently(lambda: (first_is_in.set(), second_is_in.wait(10)))
            found["still off in the first"] = not (w * w).requires_grad
        first_is_out.set()

    def second():
        first_is_in.wait(10)
        silently(lambda: (second_is_in.set(), first_is_out.wait(10)))
        found["on again in the second"] = (w * w).requires_grad

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"still off in the first": True, "on again in the second": True}


def train(seed, steps):
    """A small model, from its own seed; no_grad and scope inside each step."""
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((16, 3)), rng.integers(0, 3, 16)
    W1, b1 = lo.Parameter(rng.standard_normal((3, 4))), lo.Parameter(np.zeros(4))
    W2, b2 = lo.Parameter(rng.standard_normal((4, 3))), lo.Parameter(np.zeros(3))
    opt = lo.optim.SGD([W1, b1, W2, b2], lr=0.1, momentum=0.9)
    track = []
    for _ in range(steps):
        with lo.scope("model"):
            scores = (X @ W1 + b1).relu() @ W2 + b2
        loss = cross_entropy(scores, y) + 1e-3 * l2([W1, W2])
        opt.zero_grad()
        loss.backward()
        with lo.no_grad():
            held = (W1 * W1).sum()
            assert not held.requires_grad
        opt.step()
        assert loss.requires_grad
        track.append(loss.item())
    return track, [p.data.copy() for p in (W1, b1, W2, b2)]


def test_four_threads_train_four_models_as_one_thread_does():
    serial = [train(seed, 200) for seed in range(4)]
    results = [None] * 4
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:

        def run(i):
            results[i] = train(i, 200)

        threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    for (losses, weights), result in zip(serial, results, strict=True):
        assert result is not None, "a thread has failed"
        assert result[0] == losses
        for a, b in zip(weights, result[1], strict=True):
            np.testing.assert_array_equal(a, b)


def test_threads_that_share_parameters_get_the_same_gradients():
    W = lo.Parameter(np.arange(6.0).reshape(2, 3))
    trunk = np.tanh(W)
    expected = lo.grad((trunk * 2.0).sum(), W)
    found = [None] * 4

    def run(i):
        found[i] = [lo.grad((trunk * 2.0).sum(), W) for _ in range(50)]

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for results in found:
        assert results is not None
        assert all((g == expected).all() for g in results)


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_the_collector_finds_nothing_after_a_training_step(no_collector):
    train(0, 2)
    gc.collect()
    train(1, 3)
    assert gc.collect() == 0


def test_the_collector_finds_nothing_after_higher_derivatives(no_collector):
    def step():
        x = lo.Parameter([1.0, 2.0])
        y = (np.tanh(x) * np.concatenate([x[:1], x[1:]]) + x.max()).sum()
        slope = lo.grad(y, x, create_graph=True)
        (slope * slope).sum().backward()
        lo.hessian(lambda x: (x**3).sum())(np.ones(2))

    step()
    gc.collect()
    step()
    assert gc.collect() == 0


def test_the_collector_finds_nothing_after_an_error(no_collector):
    def step():
        x = lo.Parameter([1.0, 2.0])
        with contextlib.suppress(lo.errors.GraphError):
            (x * x).backward()

    step()
    gc.collect()
    step()
    assert gc.collect() == 0


def test_a_graph_dies_with_its_loss(no_collector):
    held = np.zeros(4)
    w = lo.Parameter(np.zeros(4))
    loss = (w * held).sum()
    watched = weakref.ref(held)
    del held
    assert watched() is not None
    del loss
    assert watched() is None


def test_a_chain_of_a_million_additions_runs_and_is_freed_without_recursion(no_collector):
    x = lo.Parameter(1.0)
    y = x
    for _ in range(1_000_000):
        y = y + 1e-6
    assert y.item() == pytest.approx(2.0)
    y.backward()
    assert x.grad == 1.0
    assert len(reachable([y])) == 1_000_001
    y = None
    assert gc.collect() == 0


def test_a_chain_of_a_hundred_thousand_ops_that_use_their_input_twice():
    x = lo.Parameter(1.0)
    y = x
    for _ in range(100_000):
        y = y * 0.5 + y * 0.5
    y.backward()
    assert x.grad == 1.0


def titles(node):
    return [title for title, _ in scopes(reachable([node]))[node.birth]]


def test_scopes_nest_and_repeat():
    w = lo.Parameter(1.0)
    with lo.scope("outer"):
        a = w * 2.0
        with lo.scope("inner"):
            b = a * 2.0
        c = b * 2.0
    d = c * 2.0
    assert [titles(n) for n in (a, b, c, d)] == [["outer"], ["outer", "inner"], ["outer"], []]


def test_two_scopes_with_one_title_are_two():
    w = lo.Parameter(1.0)
    with lo.scope("layer"):
        a = w * 2.0
    with lo.scope("layer"):
        b = a * 2.0
    paths = scopes([a, b])
    assert paths[a.birth] != paths[b.birth]


def test_a_loss_marks_its_own_scope_inside_the_users():
    s = lo.Parameter([[1.0, 2.0]])
    with lo.scope("data loss"):
        loss = cross_entropy(s, [0])
    after = loss * 2.0
    assert titles(loss) == ["data loss", "cross_entropy"]
    assert scopes(reachable([after]))[after.birth] == ()
    inner = [n for n in reachable([after]) if n.op is not None and n is not after]
    paths = scopes(reachable([after]))
    assert all([t for t, _ in paths[n.birth]] == ["data loss", "cross_entropy"] for n in inner)


def test_scope_works_as_a_decorator():
    w = lo.Parameter(1.0)

    @lo.scope("layer")
    def layer(x):
        return x * w

    a, b = layer(1.0), layer(2.0)
    assert titles(a) == titles(b) == ["layer"]
    assert scopes([a])[a.birth] != scopes([b])[b.birth]


def test_named_passes_arrays_through_and_refuses_other_names():
    x = np.ones(2)
    assert lo.named(x, "margins") is x
    with pytest.raises(UnsupportedError, match="a name is text"):
        lo.named(lo.Tensor(1.0), 3)


def test_a_name_given_in_a_scope_keeps_the_scope():
    w = lo.Parameter(1.0)
    with lo.scope("layer"):
        y = (w * 2.0).named("y")
    assert y.name == "y"
    assert titles(y) == ["layer"]


def test_check_passes_what_is_valid_and_raises_the_complaint():
    x = lo.Tensor([1.0, 2.0])
    assert check(x, lambda v: (v > 0).all(), lambda v: DomainError("no")) is x
    with pytest.raises(DomainError, match="saw 2"):
        check(x, lambda v: False, lambda v: DomainError(f"saw {v.size}"))


def test_no_grad_refuses_to_decorate_what_runs_later():
    async def later():
        return 1

    async def many():
        yield 1

    def one():
        yield 1

    for function in (later, many, one):
        with pytest.raises(lo.errors.UnsupportedError, match="runs after the decorator has ended"):
            lo.no_grad()(function)
