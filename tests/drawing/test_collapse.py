"""Large graphs: collapsed by scope, the deepest first, then cut; and the title says so."""

import numpy as np
import pytest
from drawing_networks import contents_of, network

import tinygrad_lo as lo
from tinygrad_lo.drawing.passes.collapse import heights
from tinygrad_lo.explaining.formula import Names


def titles(contents):
    return [group.title for group in contents.groups]


def chain(n, value):
    for _ in range(n):
        value = value * 1.5
    return value


@pytest.fixture
def tree():
    """Scopes a (with b and c inside) and d, each with some ops of its own."""
    w = lo.Parameter(1.0, name="w")
    with lo.scope("a"):
        with lo.scope("b"):
            v = chain(5, w)
        v = chain(3, v)
        with lo.scope("c"):
            v = chain(7, v)
    with lo.scope("d"):
        v = chain(4, v)
    return (v + 1.0).named("loss")


def test_scopes_are_collapsed_from_the_inside_outwards_and_of_equals_the_oldest(tree):
    total = len(Names([tree]).nodes)
    assert total == 1 + 5 + 3 + 7 + 4 + 1
    assert titles(contents_of(tree, total)) == []
    assert titles(contents_of(tree, total - 1)) == ["b"]
    assert titles(contents_of(tree, 12)) == ["b", "c"]
    assert titles(contents_of(tree, 9)) == ["b", "c", "d"]
    assert titles(contents_of(tree, 5)) == ["a", "d"]


def test_what_no_box_takes_is_cut_to_what_is_nearest(tree):
    contents = contents_of(tree, 2)
    assert titles(contents) == ["d"]
    assert [value.name for value in contents.values] == ["loss"]
    assert contents.cut
    (stub,) = contents.stubs
    assert stub.behind == 1 + 5 + 3 + 7


def test_every_value_is_counted_once(tree):
    for limit in range(1, 22):
        contents = contents_of(tree, limit)
        assert len(contents.groups) + contents.drawn <= limit
        hidden = max((stub.behind for stub in contents.stubs), default=0)
        assert contents.boxed + contents.drawn + hidden == contents.total


def test_an_overview_collapses_whole_levels_even_of_a_small_graph(tree):
    contents = contents_of(tree, overview=True)
    assert titles(contents) == ["b", "c", "d"]
    assert [len(group.members) for group in contents.groups] == [6, 7, 4]  # w stands with its only user


def test_the_network_of_984_values_is_an_overview_of_at_most_ten_boxes():
    loss = network()
    assert len(Names([loss]).nodes) == 984
    contents = contents_of(loss, overview=True)
    assert titles(contents) == ["layer 1", "layer 2", "layer 3", "hinge loss", "x0, x1"]
    assert len(contents.groups) + len(contents.values) + len(contents.stubs) <= 10
    assert [group.parameters for group in contents.groups] == [48, 272, 17, 0, 0]
    assert [edge.count for edge in contents.edges] == [32, 256, 16, 1, 1]
    source = lo.draw(loss).source
    assert "984 values" in source
    assert "983 of them in 5 boxes" in source


def test_parameters_of_two_boxes_share_one():
    ws = [lo.Parameter(float(i), name=f"w{i}") for i in range(1, 9)]
    with lo.scope("sum"):
        a = ws[0] + ws[1]
        for w in ws[2:]:
            a = a + w
    with lo.scope("squares"):
        b = ws[0] * ws[0]
        for w in ws[1:]:
            b = b + w * w
    contents = contents_of((a + b).named("loss"), overview=True)
    assert titles(contents) == ["sum", "squares", "w1 … w8"]
    leaves = contents.groups[2]
    assert (leaves.role, leaves.parameters, len(leaves.members)) == ("parameter", 8, 8)
    np.testing.assert_allclose(leaves.gradients, [1.0 + 2 * w.data for w in ws])


def test_gradients_and_outputs_of_a_box_are_the_engines():
    w = lo.Parameter([1.0, 2.0], name="w")
    with lo.scope("inside"):
        y = (w * w) * 3.0
    loss = y.sum().named("loss")
    (group,) = contents_of(loss, overview=True).groups
    np.testing.assert_array_equal(group.outputs, [y.data])
    np.testing.assert_array_equal(group.gradients, [lo.grad(loss, w)])
    assert group.gates == [("×", 2)]


def test_a_scope_with_one_value_stays_a_card(svm):
    contents = contents_of(svm, overview=True)
    assert titles(contents) == ["data loss", "regularization"]
    assert "S" in [value.name for value in contents.values]


def test_the_root_is_never_in_a_box():
    w = lo.Parameter([1.0, 2.0], name="w")
    loss = lo.losses.mse(w, np.zeros(2))
    for limit in (1, 2, 3):
        assert contents_of(loss, limit).values[-1].role == "loss"


def test_edges_between_boxes_are_counted_and_carry_the_largest_gradient():
    w, b = lo.Parameter(1.0, name="w"), lo.Parameter(2.0, name="b")
    with lo.scope("one"):
        y = w * 2.0 + b
    with lo.scope("two"):
        z = y * 3.0 + y * 5.0
    contents = contents_of(z * 1.0, overview=True)
    between = next(edge for edge in contents.edges if (edge.tail, edge.head) == ("b0", "b1"))
    assert (between.count, between.strength) == (2, 5.0)


def test_a_nan_among_the_gradients_of_an_edge_stays():
    w = lo.Parameter([1.0, 0.0], name="w")
    with np.errstate(all="ignore"):
        with lo.scope("one"):
            y = w * 2.0 * 1.0
        with lo.scope("two"):
            z = np.log(y).sum() * 0.0 + (y * 5.0).sum()
        contents = contents_of(z * 1.0, overview=True)
    between = next(edge for edge in contents.edges if (edge.tail, edge.head) == ("b0", "b1"))
    assert np.isnan(between.strength)


def test_the_largest_of_several_gradients_is_kept():
    y = lo.Parameter(1.0, name="w") * 2.0
    with lo.scope("two"):
        z = y * 5.0 + y * 3.0
    (edge, *_) = contents_of(z * 1.0, overview=True).edges
    assert (edge.count, edge.strength) == (1, 16.0)
    between = contents_of(z * 1.0, overview=True).edges[1]
    assert (between.count, between.strength) == (2, 5.0)


# --------------------------------------------------------------------------------------- focus


def diamond():
    a, b = lo.Parameter(1.0, name="a"), lo.Parameter(2.0, name="b")
    p = (a * 2.0).named("p")
    q = (b * 3.0).named("q")
    return a, p, ((p * p).named("r") + q).named("loss")


def names_in(contents):
    return [value.name for value in contents.values]


def test_focus_keeps_what_leads_to_it_and_what_it_leads_to():
    _, p, loss = diamond()
    contents = contents_of(loss, focus=[p])
    assert names_in(contents) == ["a", "p", "r", "loss"]
    assert [value.name for value in contents.values if value.focus] == ["p"]
    assert [stub.behind for stub in contents.stubs] == [2]
    assert not contents.cut


def test_focus_goes_by_tensor_or_by_name_and_the_title_says_so():
    a, p, loss = diamond()
    by_name, by_tensor = lo.draw(loss, focus="p").source, lo.draw(loss, focus=p).source
    assert by_name == by_tensor
    assert "what leads to and from p" in by_name
    assert "the 4 of 6 values" in by_name
    assert lo.draw(loss, focus=a).source != by_name
    assert "6 values" not in lo.draw(loss, focus="loss").source


def test_focus_of_an_unknown_name_or_a_stranger_is_refused():
    _, _, loss = diamond()
    with pytest.raises(lo.errors.OptionError, match=r"'pp', and no value of this graph has that name.*'p'"):
        lo.draw(loss, focus="pp")
    with pytest.raises(lo.errors.OptionError, match="focus is 'z', which 'loss' was not computed from"):
        lo.draw(loss, focus=lo.Parameter(1.0, name="z"))
    with pytest.raises(lo.errors.OptionError, match="got int"):
        lo.draw(loss, focus=3)


def test_a_focus_that_is_not_there_is_answered_with_the_names_that_the_user_gave():
    W = lo.Parameter(np.ones((2, 3)), name="W")
    loss = (lo.losses.cross_entropy((lo.Tensor(np.ones((4, 2)), name="X") @ W) * 2.0, [0, 1, 2, 0])).named(
        "J"
    )
    with pytest.raises(lo.errors.OptionError, match=r"focus is 'q', .* there are 'W', 'X', 'J'$"):
        lo.draw(loss, focus="q")
    with pytest.raises(lo.errors.OptionError, match=r"there are 'w1', 'L'$"):
        lo.draw(lo.Parameter(1.0) * 2.0, focus="q")


def test_what_is_nearest_to_the_focus_is_kept():
    v = lo.Parameter(1.0, name="w")
    middle = chain(50, v).named("middle")
    loss = chain(50, middle).named("loss")
    contents = contents_of(loss, 6, focus=[middle])
    assert names_in(contents) == ["v48", "v49", "middle", "v50", "v51", "loss"]
    assert contents.cut


def test_the_scope_of_the_focus_stays_open(svm):
    margins = next(node for node in Names([svm]).nodes if node.name == "margins")
    contents = contents_of(svm, 6, focus=[margins])
    assert "data loss" not in titles(contents)
    assert "margins" in names_in(contents)


def test_a_scope_is_as_high_as_the_scopes_inside_it():
    a, b, c = ("a", -1), ("b", -2), ("c", -9)
    assert heights([(a, b), (a,), (a, c), (b,)]) == {(a, b): 0, (a,): 1, (a, c): 0, (b,): 0}
