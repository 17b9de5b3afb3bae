"""Options of public functions: what their values may be, and what a name that is not there meant.

Every option is read by one of `number whole flag choice pair`, which take Python's and NumPy's numbers
alike and return Python's: a Python float leaves a float32 model float32, an np.float64 would not.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import math
import operator
import sys
import textwrap
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

import numpy as np

from tinygrad_lo.errors import DTypeError, OptionError, UnknownNameError, UnknownOptionError

P = ParamSpec("P")
R = TypeVar("R")
INF = math.inf
OptionReader = Callable[[str, str, Any], Any]  # (who, name, value) -> the value as it is kept, or OptionError


def is_finite(value: Any) -> bool:
    """Whether the value is a finite number, and no boolean."""
    if isinstance(value, (int, np.integer)):
        return not isinstance(value, bool) and abs(int(value)) <= sys.float_info.max
    return isinstance(value, (float, np.floating)) and math.isfinite(value)


def is_whole(value: Any) -> bool:
    """Whether the value is an int of Python's or NumPy's, and no boolean."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def number(
    who: str, name: str, value: Any, *, at_least: float = -INF, above: float = -INF,
    at_most: float = INF, below: float = INF,
) -> float:  # fmt: skip
    """A finite number within bounds, as a Python float."""
    plain = float(value) if type(value) is Followed else value
    if is_finite(plain) and at_least <= plain <= at_most and above < plain < below:
        if type(value) is not Followed:
            return float(value)
        value.option.words = f"{who}: {name} must be {interval(at_least, above, at_most, below)}, got "
        value.option.bounds = (at_least, above, at_most, below)
        return value
    raise OptionError(f"{who}: {name} must be {interval(at_least, above, at_most, below)}, got {plain!r}")


class Option:
    """A number of the user's that is followed into a graph.

    Attributes:
        words: how the library refuses another number, up to that number.
        bounds: at least, above, at most, below; None until it is read as a number.
        asked: the comparisons that Python has made, as functions of the number, with their answers.
    """

    def __init__(self, title: str, value: float, bounds: tuple[float, ...] | None = None) -> None:
        self.title, self.value, self.bounds = title, value, bounds
        self.words = ""
        self.asked: list[tuple[Callable[[float], bool], bool]] = []


class Followed(float):
    """A number that knows how it is made of an option: `made` makes it anew, of a number or of a tensor.

    Whether it is 0 may be asked: what an option of 0 leaves out would not have counted.
    """

    option: Option
    made: Callable[[Any], Any]

    @classmethod
    def of(cls, option: Option, value: float, made: Callable[[Any], Any] = lambda x: x) -> Followed:
        """This number, made of an option."""
        self = cls(value)
        self.option, self.made = option, made
        return self

    def __hash__(self) -> int:
        return super().__hash__()


def applied(function: Callable[[float], float], of_tensors: Callable[[Any], Any], x: float) -> float:
    """A function of a number, followed where that is; `of_tensors` is the same function of tensors."""
    if type(x) is not Followed:
        return function(x)
    return Followed.of(x.option, function(x), lambda number: of_tensors(x.made(number)))


def _arithmetic(apply: Callable[..., Any], *, swapped: bool = False) -> Callable[..., Any]:
    def method(self: Followed, *others: Any) -> Any:
        if not all(isinstance(x, (int, float)) for x in others):
            return NotImplemented
        args = (*others, self) if swapped else (self, *others)
        value = apply(*map(float, args))
        return Followed.of(
            self.option, value, lambda x: apply(*(y.made(x) if type(y) is Followed else y for y in args))
        )

    return method


def _comparison(apply: Callable[..., bool]) -> Callable[..., Any]:
    def method(self: Followed, other: Any) -> Any:
        if not isinstance(other, (int, float)):
            return NotImplemented
        answer = apply(float(self), float(other))
        self.option.asked.append((lambda x: apply(self.made(x), float(other)), answer))
        return answer

    return method


_apply: Any
for _apply in (operator.add, operator.sub, operator.mul, operator.truediv, operator.pow):
    setattr(Followed, f"__{_apply.__name__}__", _arithmetic(_apply))
    setattr(Followed, f"__r{_apply.__name__}__", _arithmetic(_apply, swapped=True))
for _apply in (operator.neg, operator.abs):
    setattr(Followed, f"__{_apply.__name__}__", _arithmetic(_apply))
for _apply in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne):
    setattr(Followed, f"__{_apply.__name__}__", _comparison(_apply))


def interval(at_least: float = -INF, above: float = -INF, at_most: float = INF, below: float = INF) -> str:
    """The bounds of a number, as messages and docstrings say them."""
    low = f">= {at_least:g}" if at_least > -INF else f"> {above:g}" if above > -INF else ""
    high = f"<= {at_most:g}" if at_most < INF else f"< {below:g}" if below < INF else ""
    if low and high:
        opened, closed = "[("[low[1] != "="], "])"[high[1] != "="]
        return f"in {opened}{low.split()[1]}, {high.split()[1]}{closed}"
    return f"finite and {low or high}" if low or high else "finite"


def whole(who: str, name: str, value: Any, at_least: int = 1) -> int:
    """A count, as a Python int."""
    if is_whole(value) and value >= at_least:
        return int(value)
    raise OptionError(f"{who}: {name} must be an int >= {at_least}, got {value!r}")


def flag(who: str, name: str, value: Any) -> bool:
    """True or False, as a Python bool."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise OptionError(f"{who}: {name} must be True or False, got {value!r}")


def function(who: str, f: Any, call: str) -> None:
    """Refuse a value in the place of the function itself; `call` is what follows who: (f, x)."""
    if not callable(f):
        instead = f"write {who}{call}, not {who}{call.replace('f', 'f(x)', 1)}"
        raise DTypeError(
            f"{who}: the first argument is the function itself, got {type(f).__name__}; {instead}"
        )


def choice(who: str, name: str, value: Any, allowed: Collection[Any]) -> Any:
    """One of a few values, mostly words."""
    plain = value.item() if isinstance(value, np.generic) else value
    for one in allowed:
        if type(plain) is type(one) and plain == one:
            return plain
    raise OptionError(f"{who}: {name} must be {either(allowed)}, got {value!r}{guess(value, allowed)}")


def either(allowed: Collection[Any]) -> str:
    """The values of a choice, as messages and docstrings list them."""
    *others, last = map(repr, allowed)
    return f"{', '.join(others)} or {last}"


def pair(who: str, name: str, value: Any, **bounds: float) -> tuple[float, float]:
    """Two numbers within bounds: `betas`."""
    if not isinstance(value, (tuple, list, np.ndarray)) or len(value) != 2:
        raise OptionError(f"{who}: {name} must be a pair of numbers, got {value!r}")
    first, second = (number(who, f"{name}[{i}]", one, **bounds) for i, one in enumerate(value))
    return first, second


def requirement(read: OptionReader) -> str:
    """What a reader asks of an option, for docstrings: its bounds or values, else its own summary."""
    texts: dict[Any, Callable[..., str]] = {
        number: interval,
        whole: lambda at_least=1: f"an int >= {at_least}",
        flag: lambda: either((True, False)),
        choice: either,
        pair: lambda **bounds: f"a pair of numbers {interval(**bounds)}",
    }
    kind = getattr(read, "func", read)  # functools.partial keeps it there
    if kind in texts:
        return texts[kind](**getattr(read, "keywords", {}))
    summary = (kind.__doc__ or "").splitlines()[0].removesuffix(".")
    return summary[:1].lower() + summary[1:]


SECTIONS = ("Shapes:", "Units:", "At the edges:", "Raises:", "Source:")


def completed(doc: str, shared: str, readers: Mapping[str, OptionReader]) -> str:
    """A docstring with shared sections and what options must be: each section once, in order, and filled."""
    if readers:
        wanted = "; ".join(f"{name} is {requirement(read)}" for name, read in readers.items())
        shared += f"\nRaises: OptionError: unless {wanted}."
    head, title, example = inspect.cleandoc(doc).partition("\nExample:")
    sections = dict.fromkeys(SECTIONS, "")
    for text in (shared, head):
        current = "head"
        sections[current] = ""
        for line in text.splitlines():
            current = next(filter(line.startswith, SECTIONS), current)
            sections[current] += f"{line.removeprefix(current)}\n"
    lines = [sections["head"].rstrip() + "\n"]
    for name in filter(sections.get, SECTIONS):
        words = sections[name].split()
        text = by_error(words) if name == "Raises:" else " ".join(words)
        lines.append(textwrap.fill(f"{name:9} {text}", 106, subsequent_indent=" " * 10))
    return "\n".join(lines) + title + example


def by_error(words: list[str]) -> str:
    """A section `Raises:` that names each error once, with all of its causes."""
    error, causes = "", {"": ""}
    for word in words:
        if word.endswith("Error:"):
            error = word
            causes[error] = f"{causes[error][:-1]};" if error in causes else error
        else:
            causes[error] += f" {word}"
    return "  ".join(filter(None, causes.values()))


# Ours, and what PyTorch, Keras, scikit-learn and papers call it; likeness finds the rest. A word that stands
# in several lines, or for several names, means the first of them that is there.
ELSEWHERE = """
decay: alpha gamma rho decay_rate
weight_decay: wd l2 decay
betas: beta1 beta2 beta_1 beta_2 b1 b2 beta
momentum: mu beta gamma
delta: beta
factor: gamma decay_rate
every: step_size period
at: milestones
steps: T_max total_steps warmup_steps num_steps max_iter maxiter
tolerance: tol gtol ftol xtol
L-BFGS-B: lbfgs LBFGS L-BFGS l-bfgs
minimum: eta_min min_lr
peak: max_lr
lr: learning_rate eta alpha step_size
rate: decay_rate
eps: epsilon
max_norm: max_grad_norm clipnorm
limit: clip_value clipvalue
opt: optimizer
slope: negative_slope alpha
p: rate dropout prob
inputs: in_features in_channels input_dim
outputs: out_features out_channels units filters
size: kernel_size pool_size
init: kernel_initializer
axis: dim
prediction scores score z x: input logits y_pred
target labels y: y_true targets target labels y label
class_weights: weight class_weight
weights: weight sample_weight sample_weights
label_smoothing: smoothing alpha
ignore_index: ignore_class
reduction: size_average reduce
half: scale
margin: m
rng: random_state generator seed
seed: random_state manual_seed set_seed
n: n_samples
batch_size: bs
rtol: tol atol tolerance
path: filename file
model: state_dict net module
style: format
Tensor: tensor array Variable Value
gradcheck: grad_check check_grads
jacobian: jacrev
compile: jit
draw: draw_dot plot
mse: mse_loss MSELoss mean_squared_error
mae: l1_loss L1Loss mean_absolute_error
cross_entropy: CrossEntropyLoss categorical_crossentropy sparse_categorical_crossentropy softmax softmax_loss
binary_cross_entropy: bce BCELoss binary_crossentropy log_loss
binary_cross_entropy_with_logits: bce_with_logits BCEWithLogitsLoss
nll: nll_loss NLLLoss
kl_divergence: kl_div KLDivLoss kld kullback_leibler
huber: smooth_l1_loss HuberLoss SmoothL1Loss
log_cosh: LogCosh logcosh
quantile: pinball pinball_loss mean_pinball_loss
focal: focal_loss sigmoid_focal_loss
hinge: hinge_loss HingeEmbeddingLoss
multiclass_hinge: svm svm_loss multi_margin_loss MultiMarginLoss
triplet: triplet_loss triplet_margin_loss TripletMarginLoss
l1: lasso L1
l2: ridge L2
minibatches: DataLoader batches
Linear: Dense
StepLR: StepDecay
CosineLR: CosineAnnealingLR CosineDecay
WarmupLR: LinearLR
ExponentialLR: ExponentialDecay
Average: EMA AveragedModel
last: get_last_lr
"""
MEANS: dict[str, list[str]] = {}
for line in ELSEWHERE.strip().splitlines():
    ours, _, theirs = line.partition(": ")
    for word in theirs.split():
        MEANS.setdefault(word, []).extend(name for name in ours.split() if name != word)

# Options of others that ask for what happens here anyway.
NEEDLESS = {
    "set_to_none": "gradients are set to None here",
    "retain_graph": "a graph stays, and can be swept again",
    "inplace": "nothing is computed in place",
    "requires_grad": "a Parameter wants a gradient, a Tensor takes requires_grad=",
    "device": "arrays stay where they are: on the GPU if they are CuPy's",
}


def meant(word: object, known: Iterable[Any]) -> str | None:
    """Which of the known names a word that is none of them was meant to be."""
    names = [name for name in known if isinstance(name, str)]
    for name in MEANS.get(str(word), ()):
        if name in names:
            return name
    lower = {name.lower(): name for name in reversed(names)}
    near = difflib.get_close_matches(str(word).lower(), lower, 1)
    return lower[near[0]] if near else None


def guess(word: object, known: Iterable[Any]) -> str:
    """'; did you mean …?', or nothing."""
    likely = meant(word, known) if isinstance(word, str) else None
    return f"; did you mean {likely!r}?" if likely else ""


def unknown(who: str, word: str, known: Collection[str]) -> UnknownOptionError:
    """The error for an option that is not there."""
    there = f"Options are {', '.join(known)}" if known else "It takes none"
    why = NEEDLESS.get(word)
    hint = guess(word, known) or (f": {why}." if why else ".")
    return UnknownOptionError(f"{who} has no option {word!r}{hint} {there}")


def missing(module: str, word: str, known: Iterable[str]) -> UnknownNameError:
    """The error for a name that a module does not have; for its `__getattr__`."""
    return UnknownNameError(f"{module} has no {word!r}{guess(word, known)}")


def public(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function answer an option that it does not have with the one that was meant."""

    @functools.wraps(function)
    def call(*args: P.args, **options: P.kwargs) -> R:
        try:
            return function(*args, **options)
        except TypeError:
            mistake = misnamed(function, args, options)
            if mistake is None:
                raise
        raise mistake

    return call


def misnamed(function: Callable[..., Any], args: Any, options: Iterable[str]) -> UnknownOptionError | None:
    """The error for an option that the function lacks, or for one by position that has to be named."""
    kind, by_kind = inspect.Parameter, defaultdict[Any, list[str]](list)
    for name, p in inspect.signature(function).parameters.items():
        by_kind[p.kind].append(name)
    either_way, named = by_kind[kind.POSITIONAL_OR_KEYWORD], by_kind[kind.KEYWORD_ONLY]
    by_place = by_kind[kind.POSITIONAL_ONLY] + either_way
    places = [name for name in by_place if name != "self"]
    known = [name for name in either_way + named if name != "self"]
    # What users call it: a class by its name, a method with its class.
    who = function.__qualname__.removesuffix(".__init__").rpartition(">.")[2]
    wrong = next((name for name in options if name not in known), None)
    if wrong is not None and not by_kind[kind.VAR_KEYWORD]:
        return unknown(who, wrong, known)
    if len(args) <= len(by_place) or not named or by_kind[kind.VAR_POSITIONAL]:
        return None
    return UnknownOptionError(
        f"{who} takes {len(places)} argument{'s' * (len(places) != 1)} by position; write the others "
        f"with their names: {named[0]}=…. Options are {', '.join(named)}"
    )
