"""Numbers that leave the graph: refused, and the first words are what to write instead."""

import copy
import io
import json
import math
import pickle
import re
import statistics
import traceback

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.naming import spelled
from tinygrad_lo.errors import DTypeError, GraphError, ShapeError, UnsupportedError

ONE = {
    "float": float,
    "int": int,
    "round": lambda t: round(t, 2),
    "round to an int": round,
    "%.3f": "%.3f".__mod__,
    "%d": "%d".__mod__,
    "math.isnan": math.isnan,
    "math.exp": math.exp,
    "math.floor": math.floor,
    "math.trunc": math.trunc,
    "math.isclose": lambda t: math.isclose(t, 1.0),
    "complex": complex,
    "np.float64": np.float64,
    "np.float32": np.float32,
    "np.array": np.array,
    "np.full": lambda t: np.full(3, t),
    "a row of an array": lambda t: np.zeros((2, 3)).__setitem__(0, t),
    "range": range,
    "an element of an int array": lambda t: np.zeros(3, int).__setitem__(0, t),
}
MANY = {
    "np.mean": np.mean,
    "np.array": np.array,
    "np.sum": np.sum,
    "np.median": np.median,
    "np.argmin": np.argmin,
    "np.polyfit": lambda losses: np.polyfit([1, 2], losses, 1),
    "np.savetxt": lambda losses: np.savetxt(io.StringIO(), losses),
    "statistics.mean": statistics.mean,
    "statistics.fmean": statistics.fmean,
    "statistics.stdev": statistics.stdev,
    "math.fsum": math.fsum,
}
PLOTS = {
    "plot": lambda plt, losses: plt.plot(losses),
    "plot of x and y": lambda plt, losses: plt.plot([1, 2], losses),
    "semilogy": lambda plt, losses: plt.semilogy(losses),
    "scatter": lambda plt, losses: plt.scatter([1, 2], losses),
    "bar": lambda plt, losses: plt.bar([1, 2], losses),
}


def loss():
    w = lo.Parameter([1.0, 2.0], name="w")
    return (w * w).sum()


@pytest.mark.parametrize("call", ONE.values(), ids=ONE)
def test_one_number_is_item(call):
    for t, name in ((loss().named("train_loss"), "train_loss"), (loss(), "loss"), (lo.Parameter(1.0), "t")):
        with pytest.raises(
            GraphError, match=rf"^write {name}\.item\(\), .* would leave the graph of "
        ) as caught:
            call(t)
        assert f"np.exp({name})" in str(caught.value)


WRITES = {
    "a[0] = t": lambda a, t: a.__setitem__(0, t),
    "a.fill(t)": lambda a, t: a.fill(t),
    "a[0, 1] = t": lambda a, t: a.reshape(1, 3).__setitem__((0, 1), t),
    "a[0, ...] = t": lambda a, t: a.reshape(1, 3).__setitem__((0, ...), t),
    "a[:2] = t": lambda a, t: a.__setitem__(slice(2), t),
    "a[mask] = t": lambda a, t: a.__setitem__(a == 0, t),
}


@pytest.mark.parametrize(
    "dtype", [np.float64, np.float32, np.float16, np.longdouble, np.int64, np.complex128]
)
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_number_written_into_an_array_is_refused_in_our_last_line(write, dtype):
    for t in (loss().named("train_loss"), lo.Parameter(1.0, name="train_loss")):
        a = np.zeros(3, dtype)
        with pytest.raises(GraphError) as caught:
            write(a, t)
        last = traceback.format_exception(caught.value)[-1]
        assert last.startswith("tinygrad_lo.errors.GraphError: write train_loss.item(), ")
        assert not a.any()


def refused(kind=lo.Parameter):
    """A scalar that float() has been refused of, and that was not used since."""
    t = lo.Parameter(2.0, name="w")
    t = t if kind is lo.Parameter else (t * 2.0).named("w")
    with pytest.raises(GraphError):
        float(t)
    return t


USES = {
    "isinstance": lambda t: isinstance(t, lo.Tensor) and not isinstance(t, str) and t.shape == (),
    "t + 1": lambda t: t + 1.0,
    "1 - t": lambda t: 1.0 - t,
    "array * t": lambda t: np.ones(2) * t,
    "np.exp": np.exp,
    "np.stack": lambda t: np.stack([t, t]),
    "t == 2": lambda t: bool(t == t.item()),
    "hash": lambda t: {t: True}[t],
    "repr": repr,
    "f-string": lambda t: f"{t:.2f}",
    "backward": lambda t: (t * t).backward() or True,
    "lo.grad": lambda t: lo.grad(t * t, t),
    "requires_grad": lambda t: t.requires_grad,
    "tree": lo.tree,
    "mse": lambda t: lo.losses.mse(t, 1.0),
    "named": lambda t: lo.named(t, "other"),
    "t.reshape(1)[0]": lambda t: t.reshape(1)[0],
}


@pytest.mark.parametrize("kind", [lo.Tensor, lo.Parameter])
@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_refused_scalar_is_as_before(use, kind):
    t = refused(kind)
    assert use(t) is not False
    assert type(t) is kind
    assert t[None].shape == (1,)


def test_a_refused_parameter_is_assigned_copied_and_optimized_as_before():
    refused().data = 3.0
    refused().grad = 1.0
    refused().requires_grad = False
    assert type(copy.deepcopy(refused())) is type(pickle.loads(pickle.dumps(refused()))) is lo.Parameter
    w = refused()
    optimizer = lo.optim.SGD([w], lr=0.5)
    (w * w).backward()
    optimizer.step()
    assert w.item() == 0.0


def test_a_refused_scalar_of_a_class_of_its_own_keeps_it():
    class Rate(lo.Parameter):
        pass

    rate = Rate(1.0)
    with pytest.raises(GraphError):
        float(rate)
    assert type(rate) is Rate


@pytest.mark.parametrize("call", MANY.values(), ids=MANY)
def test_a_list_of_numbers_is_a_list_of_items(call):
    words = (
        r"^write loss\.item\(\), of a list \[l\.item\(\) for l in losses\]: .*np\.stack\(losses\)\.mean\(\)"
    )
    with pytest.raises(GraphError, match=words):
        call([loss(), loss()])


@pytest.mark.parametrize("call", PLOTS.values(), ids=PLOTS)
def test_plots_of_losses_are_refused_with_the_list_to_plot(call):
    matplotlib = pytest.importorskip("matplotlib", reason="needs the extra 'examples'")
    matplotlib.use("Agg")
    plt = pytest.importorskip("matplotlib.pyplot")
    try:
        with pytest.raises(
            GraphError, match=r"^write loss\.item\(\), of a list \[l\.item\(\) for l in losses\]"
        ):
            call(plt, [loss(), loss()])
    finally:
        plt.close("all")


def test_what_the_messages_advise_works():
    losses = [loss(), loss().named("b")]
    assert [t.item() for t in losses] == [5.0, 5.0]
    assert np.stack(losses).mean().item() == 5.0
    assert (sum(losses) / len(losses)).item() == 5.0
    assert max(losses) is losses[0]
    assert sorted(losses) == losses
    assert json.dumps([t.item() for t in losses]) == "[5.0, 5.0]"


def test_text_of_a_tensor_is_no_number_that_leaves():
    t = loss()
    assert f"{t:.3f} {t:>8.2e} {t:+.1f}" == "5.000 5.00e+00 +5.0"
    assert "{:.1f}".format(t) == "5.0"  # noqa: UP032
    assert "%s".__mod__(t) == str(t)


def test_numbers_without_a_graph_are_free():
    with lo.no_grad():
        t = loss()
    assert (float(t), int(t), round(t, 1), math.trunc(t), t.as_integer_ratio()) == (5.0, 5, 5.0, 5, (5, 1))
    assert "%.1f".__mod__(t) == "5.0"
    assert np.mean([t, t]) == 5.0
    a = np.zeros(3)
    a[0] = t
    assert a.tolist() == [5.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "call", [np.asarray, np.array, lambda w: np.array([w, w]), lambda w: np.ones((3, 2)).dot(w)]
)
def test_arrays_are_numpy_or_detach(call):
    with pytest.raises(GraphError, match=r"^write t\.numpy\(\) or t\.detach\(\): .* of 'W', .*X @ W"):
        call(lo.Parameter([1.0, 2.0], name="W"))


def test_a_scalar_that_is_iterated_over_names_its_number():
    for call in (list, len):
        with pytest.raises(ShapeError, match=r"scalar tensor.*its number is loss\.item\(\)"):
            call(loss())


def test_a_tensor_compared_with_none_is_told_of_is():
    p = lo.Parameter([1.0])
    for call in (lambda: p.__eq__(None), lambda: [p].index(None), lambda: [None, None].count(p)):
        with pytest.raises(DTypeError, match=r"got NoneType; write t is None$"):
            call()
    with pytest.raises(DTypeError, match=r"got NoneType; write t is not None$"):
        p.__ne__(None)


def test_the_number_of_an_argument_may_be_numpys():
    for argnums in (np.int64(1), np.int8(-1)):
        assert lo.value_and_grad(lambda a, b: a * b, argnums)(2.0, 3.0) == (6.0, 2.0)
    assert lo.value_and_grad(lambda a, b: a * b, (np.int64(1), 0))(2.0, 3.0) == (6.0, (2.0, 3.0))
    assert lo.jacobian(lambda a, b: a * b, np.int64(1))(2.0, 3.0) == 2.0
    assert lo.value_and_grad(lambda a: a * a)(np.int64(3)) == (9.0, 6.0)


def test_the_grad_of_what_is_not_a_leaf_is_not_assigned():
    z = loss().named("z")
    with pytest.raises(GraphError, match="gradients are kept on leaves, and 'z' is not a leaf"):
        z.grad = 1.0


@pytest.mark.parametrize(
    ("name", "written"),
    [("W", "W"), ("0.weight", "model[0].weight"), ("layers.10.bias", "model.layers[10].bias"), ("λ", "λ"),
     ("encoder.W", "model.encoder.W"), ("lambda", "p"), ("log p", "p"), ("a.class", "p"), ("", "p"),
     ("0", "p"), ("a..b", "p"), (None, "p")],
)  # fmt: skip
def test_names_in_messages_are_python(name, written):
    assert spelled(lo.Parameter(1.0, name=name), "p") == written
    compile(written, "message", "eval")


def test_a_parameter_of_a_model_that_is_subtracted_from_is_written_in_python():
    model = lo.nn.Sequential(lo.nn.Linear(3, 2))
    names = [name for name, _ in model.named_parameters()]
    with pytest.raises(GraphError) as caught:
        model[0].weight -= 0.1
    assert names[0] == "0.weight"
    written = re.findall(r"write (\S+) -= …", str(caught.value))
    assert written == ["model[0].weight.data"]
    before = model[0].weight.data.copy()
    exec(f"{written[0]} -= 0.5", {"model": model})
    np.testing.assert_array_equal(model[0].weight.data, before - 0.5)


@pytest.mark.parametrize("ord", [2, -2, "nuc"])
def test_singular_values_have_no_rule(ord):
    with pytest.raises(UnsupportedError, match=r"write W\.norm\(\) for the root of the sum of squares"):
        np.linalg.norm(lo.Parameter(np.eye(2), name="W"), ord)


def test_orders_that_are_the_root_of_the_sum_of_squares_work(rng):
    v, M = rng.standard_normal(4), rng.standard_normal((3, 4))
    for x, options in [
        (v, {"ord": 2}),
        (M, {"ord": "fro"}),
        (M, {"ord": 2, "axis": 1}),
        (M, {"axis": (0, 1)}),
    ]:
        ours = np.linalg.norm(lo.Parameter(x), **options)
        np.testing.assert_allclose(ours.numpy(), np.linalg.norm(x, **options), rtol=1e-15)
    assert lo.Parameter(v).norm(2).item() == lo.Parameter(v).norm().item()


def test_norm_of_one_is_asked_back_which_one_it_is():
    W = lo.Parameter(np.arange(6.0).reshape(2, 3), name="W")
    with pytest.raises(UnsupportedError, match="norm: ord=1 of 2 axes means several things") as caught:
        W.norm(1)
    matrix, every = re.findall(r"np.linalg.norm\(W.*?1\)", str(caught.value))
    assert (eval(matrix).item(), eval(every).item()) == (7.0, 15.0)
    assert W.norm("fro").item() == W.norm().item()
    assert W.norm(1, axis=0).tolist() == [3.0, 5.0, 7.0]


def test_results_of_no_grad_copy_and_print_as_constants():
    w = lo.Parameter([1.0, 2.0])
    with lo.no_grad():
        y = (w * 2.0).sum() * 3.0
    assert copy.deepcopy(y).item() == 18.0
    assert repr(y) == "Tensor(18.)"
    with pytest.raises(lo.errors.GraphError, match="computed under no_grad"):
        y.backward()
