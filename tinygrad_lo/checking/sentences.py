"""How a cause is told: the sentence about a gradient, in one place for all checks."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

from tinygrad_lo.checking.diagnosis import CLOSE, Cause, close, digits

SENTENCES = {
    "not finite": "is nan or inf where the differences are finite",
    "disconnected": "is 0 everywhere: nothing was added to it, or a path to the loss is left out",
    "flat": "is not 0, but the loss stays the same when {what} changes: is it rounded, or made of other "
    "things?",
    "sign": "has the wrong sign",
    "transpose": "has the right numbers in another order: look at the indices, and at every .T and reshape",
    "turned": "has the right numbers in the order of the transpose",
    "some elements": "is wrong only {where}{what}: look at masks, branches and indices",
    "ties": "must be shared by elements that are equally large, not taken once each or lost",
    "not linear": "must be linear in the arriving gradient: the opposite for the opposite",
    "constant": "differs by the constant {amount}",
    "another loss": "is that of a loss that {what}",
    "labels": "is that of other labels: they are off by one against those of the loss",
    "exchanged": "is that of the other labels: {what} are exchanged against those of the loss",
    "axis": "takes {what} over axis 0, over the samples: it belongs over the classes of each",
    "mean axis": "is divided by {what} where the {right:g} samples belong: a mean over the wrong axis",
    "left out": "leaves out the factor {what}: with ones in its place it is right",
    "twice": "is {what} times what it should be: a factor {what} too much, or a division by it left out",
    "taken for its transpose": "is right where {what} is symmetric: {what} is taken for {what}.T",
    "margin": "is wrong where the margin is {what}: only margins above 0 count",
    "relu off": "is wrong where {what} is off: is its mask left out, taken from the wrong array, or >= for "
    ">?",
    "relu on": "is 0 at elements where {what} is on: is its mask taken from the wrong array?",
    "right class": "is wrong only at the right class of each sample{what}",
    "answers": "is wrong only where the target is {what}",
    "wrong classes": "is wrong only at the wrong classes of each sample",
    "mean path": "differs by one number along {where}: a path, such as that through a mean, is missing, or "
    "wrong",
    "variance path": "differs by a multiple of x − mean along {where}: the path through the variance is "
    "missing, or wrong",
    "both paths": "differs by a line in x along {where}: the paths through the mean and the variance are "
    "missing, or wrong",
    "right regularizer": "({what}) is right",
    "other regularizer": "is another: {what}",
    "a regularizer": "is right if that is {amount}·{what}",
    "rounded": "is nearly right, to 2 or 3 digits: are constants rounded, or is float32 used inside?",
}
UNEXPLAINED = "fits none of the known mistakes; compare the numbers below by hand, on a smaller input"
LOGARITHMS = {
    1 / math.log(2): "1/ln 2: a logarithm in base 2",
    1 / math.log(10): "1/ln 10: a logarithm in base 10",
    math.log(2): "ln 2: a logarithm in base 2 was meant",
    math.log(10): "ln 10: a logarithm in base 10 was meant",
}


def sentence(subject: str, cause: Cause | None) -> str:
    """What is wrong with the subject, such as "the gradient by W"."""
    if cause is None:
        return f"{subject} {UNEXPLAINED}"
    if cause.penalty is not None:
        data = told(replace(cause, penalty=None))
        return f"{subject}: its data part {data}; its regularizer {told(cause.penalty)}"
    if cause.kind == "other regularizer" or (cause.kind == "regularizer" and cause.right):
        return f"{subject}: its data part is right; its regularizer {told(cause)}"
    return f"{subject} {told(cause)}"


def told(cause: Cause) -> str:
    """What a cause means, as the end of a sentence."""
    if cause.kind in WRITERS:
        return WRITERS[cause.kind](cause)
    text = SENTENCES[cause.kind].format(
        what=cause.what,
        where=cause.where or "at some elements",
        amount=four_digits(cause.amount),
        right=cause.right or 0,
    )
    return f"{text} {cause.where}" if cause.kind == "sign" and cause.where else text


def times_as_words(size: float) -> str:
    """A multiple in words, a whole number or one over it as a fraction."""
    near = Fraction(size).limit_denominator(1000)
    if 1 not in (near.numerator, near.denominator) or near == 1 or not close(size, float(near)):
        return f"{digits(size)} times"
    return {"1/2": "half of", "2": "twice"}.get(str(near), f"{near} {'of' if near < 1 else 'times'}")


def as_multiple(cause: Cause) -> str:
    """yours / right as a multiple, and what such a multiple comes from."""
    size, count = abs(cause.amount), times_as_words(abs(cause.amount))
    text = f"is {count} what it should be"
    text += " and has the wrong sign" * (cause.amount < 0) + f" {cause.where}" * bool(cause.where)
    if cause.kind == "mean or sum":
        near = Fraction(size).limit_denominator(1000)
        return f"{text}: {f'the 1/{near} of a mean is missing' if near > 1 else 'a mean in place of a sum'}"
    if count in ("half of", "twice"):
        return f"{text}: look for a ½, or for the 2 of a square"
    return text + next((f", which is {words}" for log, words in LOGARITHMS.items() if close(size, log)), "")


def four_digits(value: float) -> str:
    """Four digits, with a minus that is one."""
    return f"{value:.4g}".replace("-", "−")


def as_slope(cause: Cause) -> str:
    """The derivative of an activation, left out, there too much, or another one."""
    yours, _, right = cause.what.partition(" for ")
    if right == "1":
        return f"has the slope {yours} too much"
    return f"leaves out the slope {right}" if yours == "1" else f"has the slope {yours} where {right} belongs"


def as_target(cause: Cause) -> str:
    """Of k·(prediction − target) one part is wrong: `amount` times the prediction, `right` the target."""
    p, t = cause.amount, cause.right or 0.0
    whole_p, whole_t = close(p, 1.0), close(t, 1.0)
    if whole_p and abs(t) < CLOSE:
        return "does not subtract the target: of p − y only p is there"
    if whole_t and abs(p) < CLOSE:
        return "leaves out the prediction: of p − y only y is there"
    if whole_p and close(t, -1.0):
        return "adds the target: p + y stands where p − y belongs"
    text = "is a multiple of p − y, but its"
    if whole_p:
        return f"{text} y is {digits(t)} times what it should be"
    rest = "" if whole_t else f", and its y is {digits(t)} times"
    return f"{text} p is {digits(p)} times what it should be{rest}"


def as_penalty(cause: Cause) -> str:
    """How a penalty's gradient is wrong."""
    yours, right, term = four_digits(cause.amount), four_digits(cause.right or 0.0), cause.what
    if cause.right is None:
        word = "missing, or too small" if cause.amount < 0 else "too much"
        return f"differs by {yours}·{term}: the gradient of a regularizer is {word}"
    if cause.right == 0.0:
        return f"has {yours}·{term} too much: the loss has no such regularizer"
    if cause.amount == 0.0:
        return f"({right}·{term}) is missing"
    ratio = cause.amount / cause.right
    text = "has the wrong sign" if close(ratio, -1.0) else as_multiple(Cause("factor", ratio))
    return f"{text.partition(':')[0]}: {yours}·{term} where {right}·{term} belongs"


WRITERS = {
    "factor": as_multiple,
    "mean or sum": as_multiple,
    "regularizer": as_penalty,
    "slope": as_slope,
    "target": as_target,
}
