"""Training with compiled functions: gradients as backward() leaves them, every loss, whole models."""

import inspect

import numpy as np
import pytest
from twins import agree, by_hand, compiled_once, trains_alike

import tinygrad_lo as lo

# ------------------------------------------------------------------------------------ gradients


def leaves_of(kind):
    rng = np.random.default_rng(0)
    a, b = (lo.Parameter(rng.standard_normal(3).astype(kind)) for _ in range(2))
    return a, b, lo.Parameter(rng.standard_normal((3, 2)).astype(kind)), lo.Parameter(kind(2.0))


D = np.arange(1.0, 4.0)
FORMS = {
    "sum": lambda a, b, A, s: a.sum(), "one g for two": lambda a, b, A, s: (a + b).sum(),
    "difference": lambda a, b, A, s: (a - b).sum(), "transposed": lambda a, b, A, s: A.T.sum(),
    "transposed weights": lambda a, b, A, s: (A.T * np.arange(6.0).reshape(2, 3)).sum(),
    "reshaped": lambda a, b, A, s: (A.reshape(-1) * np.arange(6.0)).sum(),
    "mean": lambda a, b, A, s: A.mean(),
    "broadcast": lambda a, b, A, s: (np.broadcast_to(a, (2, 3)) * 2.0).sum(),
    "data": lambda a, b, A, s: (a * D).sum(),
    "concatenate": lambda a, b, A, s: (np.concatenate([a, b]) * np.arange(6.0)).sum(),
    "stack": lambda a, b, A, s: np.stack([a, b]).sum(), "slice": lambda a, b, A, s: a[1:].sum(),
    "flip": lambda a, b, A, s: (a[::-1] * D).sum(), "dot": lambda a, b, A, s: a @ b,
    "times one": lambda a, b, A, s: (a * 1.0).sum(), "scalar": lambda a, b, A, s: s * 3.0,
    "the same twice": lambda a, b, A, s: s + s, "stretched": lambda a, b, A, s: (a * s).sum(),
    "matrix": lambda a, b, A, s: (A.T @ A).sum() * s, "element": lambda a, b, A, s: A[0, 1] * s,
    "split": lambda a, b, A, s: sum(part.sum() for part in np.split(A, 3)),
    "outer": lambda a, b, A, s: np.outer(a, b).sum(),
    "new axes": lambda a, b, A, s: (a[:, None] + b[None]).sum(),
    "view of data": lambda a, b, A, s: (a * np.ones((3, 3))[:, 0]).sum(),
    "diagonal": lambda a, b, A, s: (np.diag(a) @ A).sum(), "unused": lambda a, b, A, s: (a * 0.0).sum() + s,
}  # fmt: skip


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_gradients_add_up_and_belong_to_their_leaf(form, kind):
    leaves = leaves_of(kind)
    if kind is np.float32 and form(*leaves).dtype != kind:
        pytest.skip("float64 data")

    def f():
        return form(*leaves)

    c = lo.compile(f, check=False)
    agree(c, f, leaves, calls=3, rtol=1e-6 if kind is np.float32 else 1e-12)
    once = [leaf.grad for leaf in leaves]
    kept = [None if g is None else np.array(g) for g in once]
    c()  # now twice as large, in arrays of their own
    for leaf, g, before in zip(leaves, once, kept, strict=True):
        if g is None:
            assert leaf.grad is None
            continue
        np.testing.assert_array_equal(g, before)
        np.testing.assert_allclose(leaf.grad, 2 * before, rtol=1e-6)
        assert leaf.grad is not g
    every = [
        g for leaf, g in zip(leaves, once, strict=True) for g in (g, leaf.grad) if isinstance(g, np.ndarray)
    ]
    for i, g in enumerate(every):
        assert g.flags.writeable
        assert not any(
            np.shares_memory(g, other) for other in [*every[:i], D, *(leaf.data for leaf in leaves)]
        )
        g[...] = 99.0  # the user's to write into
    for leaf in leaves:
        leaf.grad = None
    c()
    for leaf, before in zip(leaves, kept, strict=True):
        if before is not None:
            np.testing.assert_array_equal(leaf.grad, before)


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_gradients_own_their_memory(calls):
    leaves = leaves_of(np.float64)
    for form in FORMS.values():
        c = lo.compile(lambda form=form: form(*leaves), check=False)
        for _ in range(calls):
            _, grads = compiled_once(c, leaves)
        for g in grads:  # nor keep a larger array alive
            assert not isinstance(g, np.ndarray) or g.base is None or g.base.nbytes == g.nbytes


def test_gradients_from_compiled_and_eager_add_up():
    p, q = lo.Parameter([1.0, 2.0]), lo.Parameter(3.0)

    def f():
        return (p * p).sum() * q

    c = lo.compile(f)
    c()
    f().backward()
    c()
    np.testing.assert_allclose(p.grad, 3 * np.array([6.0, 12.0]))
    assert q.grad == 15.0
    p.grad = None
    c()
    np.testing.assert_allclose(p.grad, [6.0, 12.0])
    assert q.grad == 20.0


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("calls", [0, 1, 5])
def test_an_optimizer_is_told_of_gradients_it_has_used(check, calls):
    """zero_grad() forgotten: the warning of eager training, whichever way the gradients came."""
    p = lo.Parameter([1.0, 2.0])
    optimizer = lo.optim.SGD([p], lr=0.1)
    c = lo.compile(lambda: p @ p, check=check)
    for _ in range(calls):
        c()
    p.grad = None
    c()
    optimizer.step()
    c()
    with pytest.warns(UserWarning, match="zero_grad"):
        optimizer.step()


def test_changing_data_between_forward_and_backward_stays_refused():
    p = lo.Parameter([1.0, 2.0])
    c = lo.compile(lambda: p @ p)
    loss = (p * p).sum()
    c()
    p.data -= 0.1
    with pytest.raises(lo.errors.MutationError):
        loss.backward()


# --------------------------------------------------------------------------------------- losses

L = lo.losses
N, K = 6, 4


def probabilities(rng):
    x = rng.uniform(0.1, 1.0, (N, K))
    return x / x.sum(-1, keepdims=True)


def unit(x):
    return x.sigmoid() * 0.8 + 0.1


def normal(rng):
    return rng.standard_normal((N, K))


LABELS = {"labels": lambda rng: rng.integers(0, K, N)}
LOSSES = {
    "mse": (L.mse, normal), "mae": (L.mae, normal),
    "huber": (lambda p, t, **o: L.huber(p, t, delta=0.7, **o), normal),
    "msle": (lambda p, t, **o: L.msle(p * p, t, **o), lambda rng: rng.uniform(0, 3, (N, K))),
    "gaussian_nll": (lambda p, t, **o: L.gaussian_nll(p, t, variance=p * p + 0.1, **o), normal),
    "cross_entropy": (L.cross_entropy, LABELS["labels"]),
    "cross_entropy, soft": (L.cross_entropy, probabilities),
    "cross_entropy, weights": (
        lambda p, t, **o: L.cross_entropy(p, t, class_weights=[1.0, 2.0, 0.5, 0.0], **o), LABELS["labels"]),
    "cross_entropy, smoothing": (
        lambda p, t, **o: L.cross_entropy(p, t, label_smoothing=0.1, **o), LABELS["labels"]),
    "cross_entropy, ignore": (
        lambda p, t, **o: L.cross_entropy(p, t, ignore_index=-100, **o),
        lambda rng: np.where(rng.random(N) > 0.6, -100, rng.integers(0, K, N))),
    "cross_entropy, all": (
        lambda p, t, **o: L.cross_entropy(
            p, t, ignore_index=1, class_weights=np.array([1.0, 2.0, 0.5, 3.0]), label_smoothing=0.2, **o),
        LABELS["labels"]),
    "nll": (lambda p, t, **o: L.nll(lo.nn.log_softmax(p), t, **o), LABELS["labels"]),
    "binary": (lambda p, t, **o: L.binary_cross_entropy(unit(p), t, **o), lambda rng: rng.random((N, K))),
    "binary, logits": (L.binary_cross_entropy_with_logits,
    lambda rng: rng.integers(0, 2, (N, K)).astype(float)),
    "binary, pos_weight": (
        lambda p, t, **o: L.binary_cross_entropy_with_logits(p, t, pos_weight=[1.0, 2.0, 3.0, 0.5], **o),
        lambda rng: rng.integers(0, 2, (N, K)).astype(float)),
    "hinge": (lambda p, t, **o: L.hinge(p[:, 0], t, **o), lambda rng: rng.choice([-1.0, 1.0], N)),
    "squared_hinge": (lambda p, t, **o: L.squared_hinge(p[:, 0], t, **o),
    lambda rng: rng.choice([-1.0, 1.0], N)),
    "multiclass_hinge": (L.multiclass_hinge, LABELS["labels"]),
    "kl": (lambda p, t, **o: L.kl_divergence(t, lo.nn.softmax(p), **o), probabilities),
    "distribution": (lambda p, t: L.distribution_cross_entropy(t, lo.nn.softmax(p)), probabilities),
    "entropy": (lambda p, t: L.entropy(lo.nn.softmax(p + t)), probabilities),
    "triplet": (lambda p, t, **o: L.triplet(p, p * 1.1 + t, t, **o), normal),
    "contrastive": (lambda p, t, **o: L.contrastive(p, p * t, np.arange(N) % 2, **o), normal),
    "cosine": (lambda p, t: L.cosine_similarity(p, t).sum(), normal),
    "distance": (lambda p, t: L.pairwise_distance(p, t).sum(), normal),
    "regularizers": (
        lambda p, t: L.l1([p]) + L.l2([p]) + L.elastic_net(p, l1=0.1, l2=0.3) + (p * t).sum(), normal),
}  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize(("loss", "target"), LOSSES.values(), ids=LOSSES.keys())
def test_every_loss(loss, target, kind, reduction, rng):
    p = lo.Parameter(rng.standard_normal((N, K)).astype(kind), name="p")
    takes = inspect.signature(loss).parameters
    options = {"reduction": reduction} if "o" in takes or "reduction" in takes else {}
    weights = np.linspace(0.5, 1.5, N)

    def f(t):
        out = loss(p, t, **options)
        return (out * (weights[:, None] if out.ndim == 2 else weights)).sum() if out.ndim else out

    compiled = lo.compile(f)
    for _ in range(3):
        t = target(rng)
        for given in (t, t.astype(np.float32 if t.dtype.kind == "f" else np.int32), lo.Tensor(t)):
            agree(compiled, f, [p], given, rtol=1e-11 if kind is np.float64 else 2e-5)
        p.data = p.data * kind(0.9)


def test_activations(rng):
    p = lo.Parameter(rng.standard_normal((5, 4)))
    weights = rng.standard_normal((5, 8))
    nn = lo.nn
    for function in (
        nn.relu, nn.leaky_relu, nn.relu6, nn.crelu, nn.elu, nn.sigmoid, nn.tanh, nn.softplus, nn.softminus,
        nn.softmax, nn.log_softmax,
    ):  # fmt: skip

        def f(x, g=function):
            y = g(p * x)
            return (y * weights[:, : y.shape[1]]).sum()

        agree(lo.compile(f), f, [p], rng.standard_normal((5, 4)), calls=4, rtol=1e-11)


# -------------------------------------------------------------------------------------- user ops


def test_ops_of_the_user(rng):
    """With options, also with rules that loop, which a program calls as they are."""
    cube = lo.define_op(
        "cubed_and_scaled", lambda x, scale: scale * x**3, [lambda g, y, x, scale: g * 3.0 * scale * x**2]
    )

    def doubling(g, y, x, times):
        for _ in range(times):
            g = g * 2.0
        return g

    double = lo.define_op("doubled", lambda x, times: x * 2.0**times, [doubling])
    p, s = lo.Parameter(rng.standard_normal(4)), lo.Parameter(1.5)
    scale, times = 2.0, 3

    def f(x):
        return (cube(p * x, scale=scale) * double(p, times=times)).sum() + double(s, times=2) * cube(
            s, scale=1.0
        )

    c = lo.compile(f, check=False)
    agree(c, f, [p, s], rng.standard_normal(4), calls=3)
    scale = 5.0
    agree(c, f, [p, s], rng.standard_normal(4))
    times = 1
    agree(c, f, [p, s], rng.standard_normal(4))
    for form in (lambda: cube(s, scale=2.0), lambda: double(s, times=3) * s):
        agree(lo.compile(form), form, [s], calls=4)


# ------------------------------------------------------------------------------------ whole models


def train_with_optimizer(wrap, build, make, batches, steps, clip=None, schedule=None):
    lo.seed(1)
    parameters, f = build()
    optimizer = make(parameters)
    plan = schedule(optimizer) if schedule else None
    step = wrap(f)
    losses = []
    for i in range(steps):
        optimizer.zero_grad()
        losses.append(float(step(*batches[i % len(batches)])))
        if clip:
            lo.optim.clip_grad_norm(parameters, clip)
        optimizer.step()
        if plan:
            plan.step()
    return np.array(losses), [np.array(p.data) for p in parameters]


def mlp():
    rng = np.random.default_rng(0)
    layers = lo.nn.Linear(5, 12, rng=rng), lo.nn.ReLU(), lo.nn.Dropout(0.2), lo.nn.Linear(12, 3, rng=rng)
    model = lo.nn.Sequential(*layers)
    parameters = list(model.parameters())
    return parameters, lambda x, y: L.cross_entropy(model(x), y) + 1e-3 * L.l2(parameters)


def cnn():
    rng = np.random.default_rng(0)
    parts = [
        0.3 * rng.standard_normal((4, 1, 3, 3)),
        np.ones(4),
        np.zeros(4),
        0.3 * rng.standard_normal((36, 3)),
    ]
    parameters = [lo.Parameter(part) for part in parts]
    filters, weight, bias, last = parameters
    means, variances = np.zeros(4), np.ones(4)

    def f(x, y):
        h = lo.nn.conv2d(x, filters, padding=1)
        h = lo.nn.batch_norm(h, weight, bias, running_mean=means, running_var=variances)
        h = lo.nn.dropout(lo.nn.max_pool2d(lo.nn.relu(h), 2), 0.25)
        return L.cross_entropy(h.reshape(len(y), 36) @ last, y)

    return parameters, f


def svm():
    W = lo.Parameter(0.1 * np.random.default_rng(0).standard_normal((5, 3)), name="W")
    b = lo.Parameter(np.zeros(3), name="b")
    return [W, b], lambda x, y: L.multiclass_hinge(x @ W + b, y) + 0.01 * (W * W).sum()


MODELS = {"mlp": (mlp, (16, 5)), "cnn": (cnn, (8, 1, 6, 6)), "svm": (svm, (16, 5))}


@pytest.mark.parametrize(("build", "shape"), MODELS.values(), ids=MODELS.keys())
def test_two_hundred_steps_of_adam(build, shape, rng):
    batches = [(rng.standard_normal(shape), rng.integers(0, 3, shape[0])) for _ in range(4)]

    def make(parameters):
        return lo.optim.Adam(parameters, lr=1e-2)

    losses, ends = train_with_optimizer(by_hand, build, make, batches, 200)
    found, others = train_with_optimizer(lo.compile, build, make, batches, 200)
    np.testing.assert_allclose(found, losses, rtol=1e-10)
    for a, b in zip(others, ends, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    "make", [lo.optim.SGD, lo.optim.Adagrad, lo.optim.RMSprop, lo.optim.AdamW, lo.optim.NAdam]
)
def test_optimizers_clipping_and_schedules(make, rng):
    batches = [(rng.standard_normal((16, 5)), rng.integers(0, 3, 16)) for _ in range(4)]
    options = (mlp, lambda p: make(p, lr=1e-2), batches, 40, 0.5, lambda o: lo.optim.CosineLR(o, steps=40))
    losses, ends = train_with_optimizer(by_hand, *options)
    found, others = train_with_optimizer(lo.compile, *options)
    np.testing.assert_allclose(found, losses, rtol=1e-9)
    for a, b in zip(others, ends, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


def test_a_float32_model_stays_float32(rng):
    model = lo.nn.Sequential(
        lo.nn.Linear(5, 8, rng=0, dtype=np.float32), lo.nn.Tanh(), lo.nn.Linear(8, 3, rng=1, dtype=np.float32)
    )
    parameters = list(model.parameters())
    c = lo.compile(lambda x, y: L.cross_entropy(model(x), y))
    for kind in (np.float32, np.float64):  # a layer takes plain float64 data as float32
        for _ in range(3):
            x = rng.standard_normal((4, 5)).astype(kind)
            for p in parameters:
                p.grad = None
            assert c(x, rng.integers(0, 3, 4)).dtype == np.float32
            assert all(p.grad.dtype == np.float32 for p in parameters)
    trains_alike(
        lambda x, y: L.cross_entropy(model(x), y), parameters,
        [(rng.standard_normal((4, 5)), rng.integers(0, 3, 4)) for _ in range(10)], rtol=1e-4,
    )  # fmt: skip
