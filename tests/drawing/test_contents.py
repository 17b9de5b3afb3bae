"""The numbers of a picture are those of the engine, and a large graph is cut honestly."""

import math

import numpy as np
import pytest
from drawing_networks import contents_of

import tinygrad_lo as lo
from tinygrad_lo.drawing.picture import draw
from tinygrad_lo.engine.ops.elementwise import relu
from tinygrad_lo.explaining.formula import Names


def by_name(contents):
    return {value.name: value for value in contents.values}


def edge_between(contents, tail, head):
    values = by_name(contents)
    found = [e for e in contents.edges if (e.tail, e.head) == (values[tail].id, values[head].id)]
    assert len(found) == 1
    return found[0]


def test_gradients_are_those_of_lo_grad(svm):
    names = Names([svm])
    contents = contents_of(svm)
    assert [value.name for value in contents.values] == [names.of(node) for node in names.nodes]
    for value, node in zip(contents.values, names.nodes, strict=True):
        np.testing.assert_array_equal(value.data, node.data)
        if node.requires_grad:
            np.testing.assert_array_equal(value.gradient, lo.grad(svm, node))
        else:
            assert value.gradient is None
        assert value.expects == node.requires_grad


def test_edges_carry_what_is_sent_along_them_not_what_arrives_in_all():
    # loss = (a b + c a)²  with a=2, b=-3, c=5: q = 4, dloss/dq = 8
    a, b, c = lo.Parameter(2.0, name="a"), lo.Parameter(-3.0, name="b"), lo.Parameter(5.0, name="c")
    loss = ((a * b).named("p") + (c * a).named("r")).named("q") ** 2
    contents = contents_of(loss.named("loss"))
    sent = {
        (t, h): edge_between(contents, t, h)
        for t, h in [("a", "p"), ("b", "p"), ("c", "r"), ("a", "r"), ("q", "loss")]
    }
    assert [e.strength for e in sent.values()] == [24, 16, 16, 40, 8]
    assert [e.slope for e in sent.values()] == [-3, 2, 2, 5, 8]
    assert by_name(contents)["a"].gradient == 16


def test_w_times_w_has_two_edges_that_add_up():
    w = lo.Parameter(3.0, name="w")
    contents = contents_of(w * w)
    assert [(e.strength, e.slope) for e in contents.edges] == [(3, 3), (3, 3)]
    assert by_name(contents)["w"].gradient == 6


def test_a_dead_relu_sends_exactly_zero():
    x = lo.Parameter(-2.0, name="x")
    contents = contents_of(relu(x).named("h") * 5.0)
    assert edge_between(contents, "x", "h").strength == 0
    assert edge_between(contents, "x", "h").slope == 0


def test_data_and_rules_that_are_none_send_nothing():
    x, w = lo.Tensor(2.0, name="x"), lo.Parameter(3.0, name="w")
    contents = contents_of((x * w).named("loss"))
    assert edge_between(contents, "x", "loss").strength is None
    assert edge_between(contents, "x", "loss").slope is None
    assert edge_between(contents, "w", "loss").strength == 2


def test_slopes_stand_between_scalars_only():
    x = lo.Parameter([1.0, 2.0], name="x")
    contents = contents_of((x.sum().named("s") * 3.0).named("loss"))
    assert edge_between(contents, "x", "s").slope is None
    assert edge_between(contents, "s", "loss").slope == 3


def test_a_concatenation_sends_each_input_its_part():
    a, b = lo.Parameter([1.0], name="a"), lo.Parameter([2.0, 3.0], name="b")
    joined = np.concatenate([a, b, a]).named("j")
    contents = contents_of((joined * np.array([1.0, 20.0, 300.0, -4000.0])).sum())
    sent = [e.strength for e in contents.edges if e.head == by_name(contents)["j"].id]
    assert sent == [1, 300, 4000]


def test_nothing_changes(svm):
    leaves = [node for node in Names([svm]).nodes if node.op is None]
    contents_of(svm)
    assert all(leaf.grad is None for leaf in leaves)
    svm.backward()
    before = leaves[1].grad
    contents_of(svm)
    assert leaves[1].grad is before


def test_values_are_what_the_forward_pass_saw():
    w = lo.Parameter(3.0, name="w")
    loss = w * w
    w.data = 100.0
    value = by_name(contents_of(loss))["w"]
    assert (value.data, value.gradient) == (3, 6)


def test_a_parameter_changed_in_place_is_refused():
    w = lo.Parameter([3.0], name="w")
    loss = (w * w).sum()
    w.data -= 1.0
    with pytest.raises(lo.errors.MutationError, match="'w' was changed"):
        contents_of(loss)
    assert not contents_of(loss, gradient=False).differentiated


@pytest.mark.parametrize(
    ("root", "role"), [(lo.Parameter([1.0, 2.0]) * 2.0, "result"), (lo.Tensor(4.0, name="x") * 2.0, "data")]
)
def test_several_elements_or_no_gradient_show_values_only(root, role):
    contents = contents_of(root)
    assert not contents.differentiated
    assert not any(value.expects for value in contents.values)
    assert contents.values[-1].role == role


def test_one_element_of_any_shape_can_be_differentiated():
    w = lo.Parameter([[3.0]], name="w")
    contents = contents_of(w * 2.0)
    np.testing.assert_array_equal(by_name(contents)["w"].gradient, [[2.0]])


def test_a_single_parameter_is_a_picture():
    (value,) = contents_of(lo.Parameter(3.0, name="w")).values
    assert (value.role, value.gradient, value.formula) == ("parameter", 1, "")


def test_a_gradient_that_never_arrives_is_missing_and_not_zero(define):
    silent = define("silent_for_drawing", lambda x, y: x, (lambda g, out, x, y: g, None))
    x, y = lo.Parameter(1.0, name="x"), lo.Parameter(2.0, name="y")
    contents = contents_of(silent(x, y))
    assert by_name(contents)["y"].expects
    assert by_name(contents)["y"].gradient is None
    assert by_name(contents)["x"].gradient == 1


def test_nan_is_drawn_even_where_anomaly_would_raise():
    w = lo.Parameter([0.0, 1.0], name="w")
    with np.errstate(all="ignore"):
        loss = (np.log(w) * 0.0).sum()
        with lo.anomaly():
            contents = contents_of(loss)
    assert math.isnan(contents.values[-1].data)
    assert math.isnan(by_name(contents)["w"].gradient[0])


def test_plain_arrays_are_constants_shared_by_their_uses():
    plain = np.array([1.0, 2.0])
    w = lo.Parameter([3.0, 4.0], name="w")
    with lo.scope("inner"):
        loss = ((w * plain) + plain).sum()
    constants = [value for value in contents_of(loss).values if value.role == "constant"]
    assert [value.name for value in constants] == ["x1"]
    assert [title for title, _ in constants[0].path] == ["inner"]
    assert sum(edge.tail == constants[0].id for edge in contents_of(loss).edges) == 2


def test_a_leaf_stands_in_a_scope_only_if_it_was_made_there():
    before = lo.Parameter(1.0, name="before")
    with lo.scope("outer"):
        middle = lo.Parameter(2.0, name="middle")
        with lo.scope("inner"):
            inside = lo.Tensor([3.0], name="inside")
            y = before * middle * inside
    values = by_name(contents_of(y * 2.0))
    titles = {name: [title for title, _ in values[name].path] for name in ("before", "middle", "inside")}
    assert titles == {"before": [], "middle": ["outer"], "inside": ["outer", "inner"]}


# -------------------------------------------------------------------------------------- limits


def test_the_nearest_values_are_kept_and_the_rest_is_counted():
    w = lo.Parameter(1.0, name="w")
    v = w
    for _ in range(20):
        v = v + 1.0
    contents = contents_of(v, max_nodes=5)
    assert (contents.total, contents.drawn) == (21, 5)
    assert [value.name for value in contents.values] == ["v16", "v17", "v18", "v19", "L"]
    (stub,) = contents.stubs
    assert stub.behind == 16
    assert (contents.edges[0].tail, contents.edges[0].head) == (stub.id, contents.values[0].id)


def test_stubs_count_what_both_of_them_hide_twice():
    # p and q are both made from s, which is made from w: each hides s and w, and one value of its own.
    w = lo.Parameter(1.0, name="w")
    s = w * 2.0
    p, q = (s + 1.0) * 2.0, (s + 5.0) * 3.0
    contents = contents_of(p + q, max_nodes=3)
    assert contents.total - contents.drawn == 4
    assert [stub.behind for stub in contents.stubs] == [3, 3]


def test_a_hidden_value_that_is_used_twice_counts_once():
    v = lo.Parameter(1.0, name="w")
    for _ in range(6):
        v = v * v
    (stub,) = contents_of(v, max_nodes=3).stubs
    assert stub.behind == 4


def test_uses_that_are_not_drawn_are_counted():
    w = lo.Parameter(1.0, name="w")
    v = w * w
    for _ in range(10):
        v = (v + 1.0) * w
    contents = contents_of(v, max_nodes=4)
    assert by_name(contents)["w"].unseen == 12 - 2
    assert by_name(contents)["w"].gradient == lo.grad(v, w)


def test_dask_arrays_stay_lazy():
    da = pytest.importorskip("dask.array")
    w = lo.Parameter([1.0, 2.0], name="w")
    x = lo.Tensor(da.ones((4, 2), chunks=2), name="x")
    contents = contents_of((x @ w).sum())
    assert contents.differentiated
    assert "dask" in type(contents.values[-1].data).__module__
    assert [edge.strength for edge in contents.edges] == [None, None, None]
    assert "–" in draw((x @ w).sum()).source


def test_log_probabilities_show_their_probabilities():
    scores = lo.Parameter([[3.2, 5.1, -1.7]], name="s")
    loss = lo.losses.cross_entropy(scores, [0])
    source = lo.draw(loss).source
    assert "p = e^(log p)" in source
    for figure in ("0.13", "0.869", "0.000968"):
        assert f">{figure}<" in source
