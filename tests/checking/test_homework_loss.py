"""check_loss: every loss is known, every convention is told from the others, usual mistakes are named."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.checking.loss_conventions import KNOWN, LossVariant
from tinygrad_lo.errors import DTypeError, GraphError, MutationError, NonFiniteError, OptionError, ShapeError

losses = lo.losses
# Asked for where the default would make two conventions one, as δ = 1 does.
ASKED = {"elastic_net": {"l1": 1.0, "l2": 0.5}, "huber": {"delta": 2.0}, "gaussian_nll": {"variance": 0.5}}
ASKED |= {"quantile": {"q": 0.3}}
NOT_COMPARED = {"hard_negatives", "semi_hard_negatives"}  # choices of rows, not losses


def asked_for(name):
    return LossVariant.asked_for("check_loss", print, name, ASKED.get(name, {}))


def softmax(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def right_class(x, y):
    return x[np.arange(len(y)), y]


def test_every_loss_of_the_library_is_known():
    assert set(KNOWN) == set(losses.__all__) - NOT_COMPARED


@pytest.mark.parametrize("name", KNOWN)
def test_the_loss_itself_passes(name):
    report = lo.check_loss(
        lambda *args: getattr(losses, name)(*args, **ASKED.get(name, {})), name, **ASKED.get(name, {})
    )
    assert report, str(report)
    assert report.match.startswith(f"lo.losses.{name}(...")


VARIANTS = [
    pytest.param(v, id=f"{v.name}: {v.said[0]}")
    for name in KNOWN
    for v in asked_for(name).variants(1)
    if v.said
]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_convention_is_recognized_by_its_values(variant):
    report = lo.check_loss(variant, variant.name, **ASKED.get(variant.name, {}))
    assert not report
    assert report.said[0].startswith(f"your loss {variant.said[0]}"), str(report)
    assert (report.match is None) == (variant.slip is not None)


# ------------------------------------------------------------- written as students write them


def crammer_singer(s, y):
    margins = np.maximum(0, s - right_class(s, y)[:, None] + 1)
    margins[np.arange(len(y)), y] = 0
    return margins.max(axis=1).mean()


def ce(s, y):
    return -np.mean(np.log(right_class(softmax(s), y)))


def loop_mse(p, t):
    total = 0.0
    for a, b in zip(p, t, strict=True):
        total += (a - b) ** 2
    return total / len(p)


WRITTEN = {
    "mean for sum": (lambda p, t: np.mean((p - t) ** 2), "mse", {"reduction": "sum"},
                     "averages over all elements; mse sums over all elements: a factor 1/N", "mean or sum"),
    "sum for mean": (lambda p, t: np.sum((p - t) ** 2), "mse", {}, "a factor N", "mean or sum"),
    "half": (lambda p, t: np.mean((p - t) ** 2) / 2, "mse", {}, "has the factor ½", "factor 0.5"),
    "no half": (lambda p, t: np.mean((p - t) ** 2), "mse", {"half": True}, "has no factor ½", "factor 2"),
    "each sample": (lambda p, t: (p - t) ** 2, "mse", {}, "which is not reduced", "mean or sum"),
    "N - 1": (lambda p, t: np.mean(np.abs(p - t)) * len(p) / (len(p) - 1), "mae", {}, "N − 1", "mean or sum"),
    "Crammer-Singer": (crammer_singer, "multiclass_hinge", {}, "is the Crammer–Singer variant", "convention"),
    "its sum": (lambda s, y: crammer_singer(s, y) * len(s), "multiclass_hinge", {},
                "Crammer–Singer variant: the worst class only and sums", "convention"),
    "minus": (lambda s, y: np.mean(np.log(right_class(softmax(s), y))), "cross_entropy", {}, "minus", "sign"),
    "minus and sum": (lambda p, y: np.sum(y * np.log(p) + (1 - y) * np.log(1 - p)),
                      "binary_cross_entropy", {}, "there twice; besides, it sums", "sign"),
    "base 2": (lambda s, y: -np.mean(np.log2(right_class(softmax(s), y))), "cross_entropy", {}, "(bits)",
               "convention"),
    "softmax twice": (lambda s, y: ce(softmax(s), y), "cross_entropy", {},
                      "softmax twice", "convention"),
    "no softmax": (lambda s, y: -np.mean(np.log(right_class(s, y))), "cross_entropy", {},
                   "softmax is missing", "convention"),
    "no sigmoid": (lambda z, y: -np.mean(y * np.log(z) + (1 - y) * np.log(1 - z)),
                   "binary_cross_entropy_with_logits", {}, "the sigmoid is missing", "convention"),
    "over classes": (lambda s, y: ce(s, y) / s.shape[1], "cross_entropy", {}, "a factor 1/C", "mean or sum"),
    "three times": (lambda s, y: 3.3 * ce(s, y), "cross_entropy", {}, "3.3 times", "factor 3.3"),
    "KL turned": (lambda p, q: np.mean(np.sum(q * np.log(q / p), axis=1)), "kl_divergence", {}, "KL(q‖p)",
                  "convention"),
    "similar is 1": (lambda a, b, y: losses.contrastive(a, b, 1 - y), "contrastive", {}, "y = 1 for similar",
                     "convention"),
    "Euclidean": (lambda a, p, n: losses.triplet(a, p, n, distance="euclidean"), "triplet", {}, "Euclidean",
                  "convention"),
    "smooth_l1": (lambda p, t: losses.huber(p, t, delta=2.0) / 2.0, "huber", {"delta": 2.0}, "smooth_l1",
                  "convention"),
    "mae for mse": (lambda p, t: np.abs(p - t).sum() / len(p), "mse", {"reduction": "batchmean"}, "it is mae",
                    "convention"),
    "reversed": (lambda p, t: np.mean(np.where(p > t, 0.9 * (p - t), 0.1 * (t - p))), "quantile", {"q": 0.9},
                 "the loss of 1 − q", "sign"),
    "alpha": (lambda s, y: 0.25 * losses.focal(s, y, gamma=1.0), "focal", {}, "α = 0.25 and has γ = 1",
              "convention"),
    "no factor": (ce, "focal", {}, "has γ = 0; focal has γ = 2", "convention"),
    "naive cosh": (lambda p, t: np.mean(np.log(np.cosh(p - t))), "log_cosh", {},
                   "at prediction of ±1 000 your loss is inf: write it as |r| + log", "overflow"),
    "nothing": (lambda s, y: 0.0, "multiclass_hinge", {}, "yours is 0 where", None),
    "nonsense": (lambda p, t: np.mean(np.cos(p - t)), "mse", {}, "no convention that is known", None),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_usual_mistakes_are_named(name):
    fn, loss, options, said, cause = WRITTEN[name]
    report = lo.check_loss(fn, loss, **options)
    assert not report
    assert said in str(report), str(report)
    assert report.cause == cause


@pytest.mark.parametrize("clip", [1e-12, 1e-9])
def test_a_small_number_inside_the_logarithm_is_allowed(clip):
    assert lo.check_loss(lambda s, y: -np.mean(np.log(right_class(softmax(s), y) + clip)), "cross_entropy")


def test_a_loss_for_one_output_only_is_tried_on_that():
    report = lo.check_loss(loop_mse, "mse")
    assert report, str(report)
    assert "takes prediction of shape (6,) and (8,) and (9,)" in str(report)
    assert "a factor N" in str(lo.check_loss(lambda p, t: loop_mse(p, t) * len(p), "mse"))
    with_rows = lo.check_loss(lambda p, t: ((p - t) ** 2).sum(axis=1).mean(), "mse", reduction="batchmean")
    assert with_rows, str(with_rows)


# ------------------------------------------------------------------------------------ gradients


def test_gradients_are_checked_as_well():
    report = lo.check_loss(lambda p, t: (np.mean((p - t) ** 2), 2 * (p - t) / p.size), "mse")
    assert report
    assert "derivatives were compared" in str(report)
    report = lo.check_loss(lambda p, t: (np.mean((p - t) ** 2), 2 * (p - t)), "mse")
    assert (bool(report), report.cause) == (False, "mean or sum")
    assert "the loss is right, its gradient is not" in str(report)
    report = lo.check_loss(lambda p, t: (np.sum((p - t) ** 2), 2 * (p - t)), "mse")
    assert "your gradient fits your loss" in str(report)
    report = lo.check_loss(lambda p, t: ((p - t) ** 2, 2 * (p - t)), "mse", reduction="none")
    assert report, str(report)


@pytest.mark.parametrize(
    ("after", "said"),
    [(np.float32, "is float32, and right to"), (lambda g: np.round(g, 7), "is nearly right")],
)
def test_a_rounded_gradient_is_that_of_no_other_loss(after, said):
    def loss(s, y):
        return ce(s, y), after((softmax(s) - np.eye(s.shape[1])[y]) / len(y))

    report = lo.check_loss(loss, "cross_entropy")
    assert f"the gradient by scores {said}" in report.said[1], report
    assert report.cause is None
    assert report.score > 0.89


def test_gradients_by_several_arguments():
    def pairs(a, b, y, sign=1.0):
        far = np.sqrt(((a - b) ** 2).sum(axis=1, keepdims=True))
        short = np.maximum(0.0, 1.0 - far)
        y = y[:, None]
        d = ((1 - y) * (a - b) - y * short * (a - b) / far) / len(a)
        return np.mean(0.5 * (1 - y) * far**2 + 0.5 * y * short**2), [d, -sign * d]

    assert lo.check_loss(pairs, "contrastive")
    assert lo.check_loss(lambda a, b, y: (pairs(a, b, y)[0], pairs(a, b, y)[1][0]), "contrastive")
    report = lo.check_loss(lambda a, b, y: pairs(a, b, y, -1.0), "contrastive")
    assert report.cause == "sign"
    assert "the gradient by b has the wrong sign" in str(report)


# -------------------------------------------------------------------------------------- refusals


def spoils(p, t):
    p -= t
    return np.mean(p**2)


def spoils_the_target(p, t):
    t *= -1.0
    return np.mean((p + t) ** 2)


REFUSED = {
    "unknown": (loop_mse, "msee", {}, OptionError, "did you mean 'mse'"),
    "no loss": (loop_mse, "hard_negatives", {}, OptionError, "no loss that can be compared"),
    "option": (loop_mse, "mse", {"margin": 1.0}, OptionError, "Options are half, reduction"),
    "value": (loop_mse, "mse", {"reduction": "avg"}, OptionError, "got 'avg'"),
    "name": (loop_mse, None, {}, OptionError, "None is no loss"),
    "float32 with a gradient": (lambda p, t: (np.float32(np.mean((p - t) ** 2)), p), "mse", {}, DTypeError,
                                "float64"),
    "called": (3.0, "mse", {}, DTypeError, "function itself"),
    "changes": (spoils, "mse", {}, MutationError, "changes the prediction in place"),
    "changes target": (spoils_the_target, "mse", {}, MutationError, "changes the target"),
    "random": (lambda p, t: np.random.default_rng().normal(), "mse", {}, GraphError, "another loss"),
    "int": (lambda p, t: 3, "mse", {}, DTypeError, "an integer"),
    "None": (lambda p, t: None, "mse", {}, DTypeError, "end with return"),
    "shape": (lambda p, t: np.ones((2, 2)), "mse", {}, ShapeError, r"shape \(2, 2\) for prediction of shape"),
    "nan": (lambda p, t: np.sqrt(np.mean(p - t) - 100.0), "mse", {}, NonFiniteError, "nan"),
    "arguments": (lambda p: 1.0, "mse", {}, TypeError, "positional"),
    "tensor": (lambda p, t: lo.losses.mse(lo.Tensor(p), t), "mse", {}, DTypeError, "lo.gradcheck"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    fn, loss, options, error, said = REFUSED[name]
    with pytest.raises(error, match=said):
        lo.check_loss(fn, loss, **options)


def test_a_variant_is_its_call():
    variant = LossVariant.asked_for("check_loss", print, "multiclass_hinge", {"combine": "max"})
    assert variant(np.array([[3.2, 5.1, -1.7]]), np.array([0])) == pytest.approx(2.9)
    assert variant.call() == "lo.losses.multiclass_hinge(..., combine='max')"
