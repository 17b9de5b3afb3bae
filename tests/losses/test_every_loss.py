"""What every loss promises, asked of everything in `losses.__all__`; nothing is listed here by name.

Inputs are made by what the names of the arguments mean, so that a loss that is written tomorrow is tested
tomorrow. The tests at the end plant a loss, and losses that are wrong, to see that they are noticed.
"""

import inspect
import re

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo import errors, losses
from tinygrad_lo.losses.loss import inputs_of, loss

ROWS, COLUMNS = 4, 3


# ------------------------------------------------------------------------------ sample inputs


def numbers(rng):
    return rng.uniform(0.2, 2.0, (ROWS, COLUMNS))


def signed(rng):
    return rng.normal(0.0, 1.0, (ROWS, COLUMNS))


def probabilities(rng):
    return rng.uniform(0.1, 0.9, (ROWS, COLUMNS))


def distributions(rng):
    p = probabilities(rng)
    return p / p.sum(-1, keepdims=True)


def log_distributions(rng):
    return np.log(distributions(rng))


def labels(rng):
    return rng.permutation(np.arange(ROWS) % COLUMNS)


def signs(rng):
    return rng.choice([-1, 1], (ROWS, COLUMNS))


def yes_or_no(rng):
    return np.arange(ROWS) % 2


def weights(rng):
    return [signed(rng), signed(rng)[0]]


# An argument means something else beside some others: (beside which, or None) -> a sample.
MEANINGS = {
    "prediction": [(None, numbers)],
    "target": [("scores", labels), ("prediction", numbers), (None, numbers)],
    "labels": [(None, labels)],
    "scores": [(None, signed)],
    "score": [(None, signed)],
    "z": [(None, signed)],
    "log_probabilities": [(None, log_distributions)],
    "p": [("y", probabilities), (None, distributions)],
    "q": [(None, distributions)],
    "y": [("a", yes_or_no), ("score", signs), (None, probabilities)],
    "params": [(None, weights)],
    "embeddings": [(None, signed)],
    "positives": [(None, lambda rng: np.arange(ROWS))],  # each its own
}
VECTORS = ("a", "b", "A", "B", "anchor", "positive", "negative")
MEANINGS |= {name: [(None, signed)] for name in VECTORS}
TITLES = ["Shapes", "Units", "At the edges", "Raises", "Source", "Example"]
OPTIONS = {"l1": 0.3, "l2": 0.2, "margin": 0.7, "q": 0.3}  # options without a default


def parameters(name):
    return list(inspect.signature(getattr(losses, name)).parameters.values())


def sample(name):
    """The inputs of a loss, by argument, and the options that it must be given."""
    rng = np.random.default_rng(7)
    inputs = [p.name for p in parameters(name) if p.kind is p.POSITIONAL_OR_KEYWORD]
    unknown = [one for one in inputs if one not in MEANINGS]
    assert not unknown, f"{name}: say in MEANINGS what a sample of {unknown} is"
    made = {}
    for one in inputs:
        make = next(make for beside, make in MEANINGS[one] if beside is None or beside in inputs)
        made[one] = make(rng)
    required = [p.name for p in parameters(name) if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    return made, {one: OPTIONS[one] for one in required}


def is_float(x):
    return x[0].dtype.kind == "f" if isinstance(x, list) else x.dtype.kind == "f"


def each(function, x):
    return [function(item) for item in x] if isinstance(x, list) else function(x)


def cast(inputs, dtype):
    return {one: each(lambda a: a.astype(dtype), x) if is_float(x) else x for one, x in inputs.items()}


def as_parameters(inputs):
    """What can carry a gradient as parameters with names."""
    made = {}
    for one, x in inputs.items():
        if isinstance(x, list):
            made[one] = [lo.Parameter(item, name=f"{one}{i}") for i, item in enumerate(x)]
        else:
            made[one] = lo.Parameter(x, name=one) if is_float(x) else x
    return made


def leaves(inputs):
    flat = [item for x in inputs.values() for item in (x if isinstance(x, list) else [x])]
    return [item for item in flat if isinstance(item, lo.Tensor)]


def call(name, inputs, **options):
    return getattr(losses, name)(*inputs.values(), **sample(name)[1], **options)


def one_number(out):
    """A result that is not reduced, weighed so that errors in it do not cancel."""
    n = int(np.prod(out.shape))
    return out if n == 1 and not out.shape else (out * np.linspace(0.5, 1.5, n).reshape(out.shape)).sum()


def reduces(name):
    return {p.name for p in parameters(name)} >= {"reduction", "weights"}


def chooses(name):
    """Whether rows come of it, not numbers."""
    return call(name, sample(name)[0]).dtype.kind == "i"


# ----------------------------------------------------------------------------------- the checks


def check_derivatives(name):
    inputs, _ = sample(name)
    floats = {one: x for one, x in inputs.items() if is_float(x)}
    flat = [item for x in floats.values() for item in (x if isinstance(x, list) else [x])]

    def f(*arrays):
        rest = iter(arrays)
        full = {one: each(lambda _: next(rest), x) if one in floats else x for one, x in inputs.items()}
        return one_number(call(name, full))

    lo.gradcheck(f, *flat, order=2).raise_if_failed()


def check_array_in_array_out(name):
    inputs, _ = sample(name)
    plain = call(name, inputs)
    assert not isinstance(plain, lo.Tensor)
    tensor = call(name, as_parameters(inputs))
    assert tensor.requires_grad
    np.testing.assert_array_equal(plain, tensor.numpy())


def check_dtypes(name):
    for dtype in (np.float64, np.float32, np.float16):
        inputs = cast(sample(name)[0], dtype)
        assert call(name, inputs).dtype == dtype
        params = as_parameters(inputs)
        out = call(name, params)
        assert out.dtype == dtype
        out.sum().backward()
        assert [p.grad.dtype for p in leaves(params)] == [dtype] * len(leaves(params))


def check_reductions(name):
    if not reduces(name):
        with pytest.raises(errors.UnknownOptionError):
            call(name, sample(name)[0], reduction="mean")
        return
    inputs, _ = sample(name)
    each_sample = call(name, inputs, reduction="none")
    assert len(each_sample) == ROWS
    close = {"rtol": 1e-12}
    np.testing.assert_allclose(call(name, inputs, reduction="sum"), each_sample.sum(), **close)
    np.testing.assert_allclose(call(name, inputs, reduction="mean"), each_sample.mean(), **close)
    np.testing.assert_allclose(call(name, inputs, reduction="batchmean"), each_sample.sum() / ROWS, **close)
    assert call(name, inputs) == call(name, inputs, reduction="mean")
    with pytest.raises(errors.OptionError, match=f"{name}: reduction must be 'mean', 'sum', 'none' or"):
        call(name, inputs, reduction="average")


W = np.array([0.0, 1.0, 2.5, 0.5])


def check_weights(name):
    inputs, _ = sample(name)
    if not reduces(name):
        with pytest.raises(errors.UnknownOptionError, match=f"^{name} has no option 'weights'"):
            call(name, inputs, weights=W)
        return
    each_sample = call(name, inputs, reduction="none")
    rows = each_sample.reshape(ROWS, -1)
    expected = {
        "none": (rows * W[:, None]).reshape(each_sample.shape),
        "sum": W @ rows.sum(1),
        "mean": np.average(rows.mean(1), weights=W),
        "batchmean": np.average(rows.sum(1), weights=W),
    }
    for reduction, value in expected.items():
        weighted = call(name, inputs, weights=W, reduction=reduction)
        np.testing.assert_allclose(weighted, value, rtol=1e-12)
    params = as_parameters(inputs)
    compiled = lo.compile(lambda w: call(name, params, weights=w))
    for w in (W, W[::-1].copy(), np.ones(ROWS)):
        for p in leaves(params):
            p.grad = None
        loss = call(name, params, weights=w)
        loss.backward()
        gradients = [p.grad for p in leaves(params)]
        for p in leaves(params):
            p.grad = None
        np.testing.assert_allclose(compiled(w), loss.item(), rtol=1e-12)
        for p, gradient in zip(leaves(params), gradients, strict=True):
            np.testing.assert_allclose(p.grad, gradient, rtol=1e-12, atol=1e-15)
    with pytest.raises(
        errors.OptionError, match=f"^{name}: weights must be finite and >= 0 in float64, got -1.0 at row 3"
    ):
        compiled(np.array([1.0, 1.0, 1.0, -1.0]))


def check_shapes_are_refused(name):
    inputs, _ = sample(name)
    if len(inputs) > 1:
        shapes = [x.shape for x in inputs.values()]
        for one, x in inputs.items():
            cut = x[..., :-1] if shapes.count(x.shape) > 1 else x[:-1]
            with pytest.raises(errors.ShapeError, match=name):
                call(name, inputs | {one: cut})


def check_misspelt_options(name):
    with pytest.raises(errors.UnknownOptionError, match=f"^{name} has no option 'reductoin'"):
        call(name, sample(name)[0], reductoin="mean")


def check_source(name):
    params = as_parameters(sample(name)[0])
    out = one_number(call(name, params))
    out.backward()
    text = lo.source(out)
    space = {}
    exec(str(text), space)
    value, gradients = space["loss_and_gradients"](**text.arguments)
    assert value == out.item()
    for p in leaves(params):
        np.testing.assert_array_equal(gradients[p.name], p.grad)


def check_compile(name):
    params = as_parameters(sample(name)[0])
    out = one_number(call(name, params))
    out.backward()
    expected = [p.grad for p in leaves(params)]
    compiled = lo.compile(lambda: one_number(call(name, params)))
    for _ in range(3):
        for p in leaves(params):
            p.grad = None
        np.testing.assert_allclose(compiled(), out.item(), rtol=1e-12)
        for p, gradient in zip(leaves(params), expected, strict=True):
            np.testing.assert_allclose(p.grad, gradient, rtol=1e-12, atol=1e-15)


def check_looking(name):
    out = one_number(call(name, as_parameters(sample(name)[0])))
    assert f"‹{name}›" in lo.tree(out)
    assert name in lo.draw(out).source
    assert lo.formula(out)
    assert lo.explain(out)


def check_documentation(name):
    text = inspect.getdoc(getattr(losses, name)) or ""
    titles = [line.split(":")[0] for line in text.splitlines() if line.split(":")[0] in TITLES]
    assert titles == sorted({*titles}, key=TITLES.index)  # each once, in order
    assert {"Shapes", "Source", "Example"} <= {*titles}
    shapes, raises = (text.partition(f"\n{section}:")[2] for section in ("Shapes", "Raises"))
    shapes, raises = (
        shapes.partition("\nUnits:")[0].partition("\nRaises:")[0],
        raises.partition("\nSource:")[0],
    )
    inputs = [p.name for p in parameters(name) if p.kind is p.POSITIONAL_OR_KEYWORD]
    words = re.findall(r"\w+", shapes)
    assert [word for word in words if word in inputs][: len(inputs)] == inputs
    assert {word for word in words if len(word) > 1} & MEANINGS.keys() <= {*inputs}
    errors_named = re.findall(r"\w+Error:", raises)
    assert len(errors_named) == len({*errors_named})
    for p in parameters(name):
        assert p.kind is not p.KEYWORD_ONLY or re.search(rf"\b{p.name}\b", raises), f"what may {p.name} be?"


CHECKS = [value for key, value in list(globals().items()) if key.startswith("check_")]
FOR_CHOICES = (check_shapes_are_refused, check_misspelt_options, check_documentation)


@pytest.mark.parametrize("check", CHECKS, ids=[check.__name__ for check in CHECKS])
@pytest.mark.parametrize("name", losses.__all__)
def test_every_loss(name, check):
    if not chooses(name) or check in FOR_CHOICES:
        check(name)


# -------------------------------------------------------------------- does anybody notice?


@loss(inputs_of("prediction", "target"))
def smooth(prediction, target, *, weights=None, reduction="mean"):
    """The logarithm of cosh r: planted here, to be tested without being listed.

    Shapes:   prediction, target: equal.
    Source:   this test.
    Example:  none.
    """
    r = lo.named(prediction - target, "r")
    return lo.named(np.log(np.cosh(r)), "L_i")


def plant(monkeypatch, function):
    monkeypatch.setattr(losses, function.__name__, function, raising=False)
    monkeypatch.setattr(losses, "__all__", [*losses.__all__, function.__name__])
    return function.__name__


def test_a_planted_loss_is_found_and_passes(monkeypatch):
    before = losses.__all__
    name = plant(monkeypatch, smooth)
    for check in CHECKS:
        check(name)
    monkeypatch.undo()
    assert losses.__all__ == before
    assert not hasattr(losses, name)


@loss(inputs_of("prediction", "target"))
def wrong_slope(prediction, target, *, weights=None, reduction="mean"):
    r = prediction - target
    return r * (r.detach() if isinstance(r, lo.Tensor) else r)


@loss(inputs_of("prediction", "target"))
def wrong_dtype(prediction, target, *, weights=None, reduction="mean"):
    return (prediction - target) * np.ones(1)


@loss(inputs_of("prediction", "target"))
def wrong_sum(prediction, target, *, weights=None, reduction="mean"):
    return ((prediction - target) ** 2).sum(-1).mean()


def bare(prediction, target, *, weights=None, reduction="mean"):
    losses_ = (prediction - target) ** 2
    return losses_.mean() if reduction == "mean" else losses_.sum() if reduction == "sum" else losses_


WRONG = [
    (wrong_slope, check_derivatives),
    (wrong_dtype, check_dtypes),
    (wrong_sum, check_reductions),
    (bare, check_reductions),
    (bare, check_weights),
    (wrong_sum, check_weights),
    (bare, check_shapes_are_refused),
    (bare, check_misspelt_options),
    (bare, check_looking),
    (bare, check_documentation),
]


@pytest.mark.parametrize(("function", "check"), WRONG, ids=[f"{f.__name__}-{c.__name__}" for f, c in WRONG])
def test_a_wrong_loss_is_noticed(monkeypatch, function, check):
    name = plant(monkeypatch, function)
    with pytest.raises((AssertionError, errors.LoError, TypeError, ValueError, pytest.fail.Exception)):
        check(name)


def test_an_argument_without_a_meaning_is_asked_for(monkeypatch):
    def strange(prediction, oddity):
        return prediction

    name = plant(monkeypatch, strange)
    with pytest.raises(AssertionError, match="say in MEANINGS what a sample of \\['oddity'\\] is"):
        sample(name)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("bce", "binary_cross_entropy"),
        ("l1_loss", "mae"),
        ("MSELoss", "mse"),
        ("pinball_loss", "quantile"),
        ("kl_div", "kl_divergence"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(name, meant):
    with pytest.raises(errors.UnknownNameError, match=f"lo.losses has no '{name}'; did you mean '{meant}'"):
        getattr(losses, name)


def test_inputs_may_be_given_by_name_and_must_be_there():
    assert losses.mse(target=[1.0], prediction=[3.0]) == 4.0
    with pytest.raises(TypeError, match="mse: missing a required argument: 'target'"):
        losses.mse([1.0])
    with pytest.raises(TypeError, match="mse: too many positional arguments"):
        losses.mse([1.0], [1.0], True)
