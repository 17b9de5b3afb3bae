"""Options are read in one place: every kind of number is taken, and a wrong name is answered."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo import options
from tinygrad_lo.errors import DTypeError, OptionError, UnknownNameError, UnknownOptionError


@pytest.mark.parametrize("value", [2, 2.0, np.int64(2), np.float32(2), np.float64(2), np.uint8(2)])
def test_numbers_of_all_kinds_become_floats(value):
    number = options.number("f", "x", value, above=0.0)
    assert type(number) is float
    assert number == 2.0


@pytest.mark.parametrize("value", [True, "2", None, np.nan, np.inf, 10**400, [2], np.ones(1), 1j])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(OptionError, match="f: x must be finite, got"):
        options.number("f", "x", value)


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        ({"at_least": 0.0}, "finite and >= 0"),
        ({"above": 0.0}, "finite and > 0"),
        ({"at_least": 0.0, "below": 1.0}, "in [0, 1)"),
        ({"above": 0.0, "below": 1.0}, "in (0, 1)"),
        ({"at_least": 0.0, "at_most": 1.0}, "in [0, 1]"),
        ({"above": 0.0, "at_most": 1.0}, "in (0, 1]"),
        ({"below": 3.0}, "finite and < 3"),
    ],
)
def test_the_bounds_are_said(bounds, text):
    with pytest.raises(OptionError) as error:
        options.number("f", "x", -7 if "below" not in bounds else 7, **bounds)
    assert str(error.value) == f"f: x must be {text}, got {-7 if 'below' not in bounds else 7}"


@pytest.mark.parametrize("bounds", [{"above": 1.0}, {"below": 1.0}])
def test_open_bounds_are_open(bounds):
    with pytest.raises(OptionError):
        options.number("f", "x", 1.0, **bounds)


def test_counts_and_flags():
    assert type(options.whole("f", "n", np.int64(3))) is int
    assert options.flag("f", "b", np.bool_(True)) is True
    for bad in (0, 1.0, True, "1"):
        with pytest.raises(OptionError, match=r"f: n must be an int >= 1, got"):
            options.whole("f", "n", bad)
    with pytest.raises(OptionError, match="f: b must be True or False, got 1"):
        options.flag("f", "b", 1)


def test_choices_and_pairs():
    assert options.choice("f", "c", "sum", ("mean", "sum")) == "sum"
    with pytest.raises(OptionError, match=r"f: c must be 'mean' or 'sum', got 'sun'; did you mean 'sum'\?"):
        options.choice("f", "c", "sun", ("mean", "sum"))
    with pytest.raises(OptionError):
        options.choice("f", "power", True, (1, 2))
    assert options.pair("f", "betas", [np.float32(0.5), 0], at_least=0.0, below=1.0) == (0.5, 0.0)
    with pytest.raises(OptionError, match=r"f: betas\[1\] must be in \[0, 1\), got 1.0"):
        options.pair("f", "betas", (0.9, 1.0), at_least=0.0, below=1.0)
    with pytest.raises(OptionError, match=r"f: betas must be a pair of numbers, got 0\.9"):
        options.pair("f", "betas", 0.9)


def test_names_of_elsewhere_come_before_likeness():
    assert options.meant("learning_rate", ["lr", "learning_rata"]) == "lr"
    assert options.meant("gamma", ["steps", "factor"]) == "factor"
    assert options.meant("momentun", ["lr", "momentum"]) == "momentum"
    assert options.meant("zzz", ["lr"]) is None


def test_every_foreign_name_means_one_of_ours():
    for word, ours in options.MEANS.items():
        assert word not in ours
        assert len(set(ours)) == len(ours), word


@options.public
def polished(x, *, lr=0.1, momentum=0.0):
    return x + "text" if x is None else lr


def test_a_public_function_answers_an_option_it_does_not_have():
    with pytest.raises(UnknownOptionError) as error:
        polished(1, learning_rate=3)
    assert str(error.value) == (
        "polished has no option 'learning_rate'; did you mean 'lr'? Options are x, lr, momentum"
    )
    with pytest.raises(TypeError, match="unsupported operand"):
        polished(None)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        polished(lr=1)
    assert issubclass(UnknownOptionError, (OptionError, TypeError))


def test_a_missing_name_of_a_module():
    error = options.missing("lo.losses", "bce", lo.losses.__all__)
    assert isinstance(error, UnknownNameError)
    assert str(error) == "lo.losses has no 'bce'; did you mean 'binary_cross_entropy'?"


def test_what_stands_too_far_back_is_asked_for_its_name():
    @options.public
    def wave(x, *, speed=1.0, height=2.0):
        return x

    class Sea:
        @options.public
        def __init__(self, *, depth=1.0):
            self.depth = depth

    text = r"^wave takes 1 argument by position; write the others with their names: speed=…\. Options are"
    with pytest.raises(UnknownOptionError, match=text):
        wave(1.0, 2.0)
    with pytest.raises(UnknownOptionError, match=r"^Sea takes 0 arguments by position; .* depth=…"):
        Sea(3.0)
    with pytest.raises(TypeError, match="missing 1 required"):
        wave()


# Those without an option, and those that pass theirs on.
WITHOUT = {
    "named",
    "scope",
    "no_grad",
    "anomaly",
    "check_loss",
    "check_step",
    "relu",
    "sigmoid",
    "tanh",
    "softplus",
}
WITHOUT |= {"check_loss", "check_step", "Tensor", "Parameter", "Module", "Sequential", "Flatten"}
PUBLIC = [
    (room, name)
    for room in (lo, lo.losses, lo.nn, lo.optim, lo.data)
    for name in room.__all__
    if callable(getattr(room, name)) and name not in WITHOUT
]


@pytest.mark.parametrize(("room", "name"), PUBLIC, ids=[name for _, name in PUBLIC])
def test_every_public_function_answers_an_option_it_does_not_have(room, name):
    with pytest.raises(UnknownOptionError, match="has no option 'nonsense'"):
        getattr(room, name)(nonsense=1)


@pytest.mark.parametrize(
    ("text", "call"),
    {
        "gradcheck(f, x)": lo.gradcheck,
        "taylor_test(f, x)": lo.taylor_test,
        "numerical_gradient(f, x)": lo.numerical_gradient,
        "check_gradient(f, x)": lo.check_gradient,
        "check_loss(f, name)": lambda f, x: lo.check_loss(f, "mse"),
        "value_and_grad(f)(x)": lambda f, x: lo.value_and_grad(f),
        "jacobian(f)(x)": lambda f, x: lo.jacobian(f),
        "hessian(f)(x)": lambda f, x: lo.hessian(f),
        "hvp(f, x, v)": lambda f, x: lo.hvp(f, x, x),
        "jvp(f, x, v)": lambda f, x: lo.jvp(f, [x], [x]),
    }.items(),
)
def test_a_value_in_place_of_the_function(text, call):
    x, who, wrong = np.ones(2), text.partition("(")[0], text.replace("(f", "(f(x)")
    for value, kind in ((lo.Parameter(x).sum(), "Tensor"), (3.0, "float")):
        with pytest.raises(DTypeError) as refusal:
            call(value, x)
        got = f"the first argument is the function itself, got {kind}; write {text}, not {wrong}"
        assert str(refusal.value) == f"{who}: {got}"
