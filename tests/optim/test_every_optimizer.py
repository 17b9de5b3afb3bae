"""What every optimizer promises: whichever class lo.optim lists is checked, and named nowhere here."""

import copy
import inspect
import itertools
import math
import pickle
import re
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.errors import CheckpointError, DTypeError, NonFiniteError, OptionError, UnknownOptionError
from tinygrad_lo.optim.groups import options_of
from tinygrad_lo.optim.optimizer import Optimizer, minus
from tinygrad_lo.options import flag, public


def optimizers():
    """Every optimizer that the room lists."""
    things = [getattr(lo.optim, name) for name in lo.optim.__all__]
    return [thing for thing in things if isinstance(thing, type) and issubclass(thing, Optimizer)]


# --------------------------------------------------------------------------- options, from the signature


def defaults(kind):
    """All options; those that have to be said get a value."""
    return {k: 0.1 if p.default is p.empty else p.default for k, p in options_of(kind).items()}


def other_value(kind, name):
    """A value that the option accepts, and that is not its default."""
    default = defaults(kind)[name]
    for value in (not default, 0.0625, (0.5, 0.75)):
        try:
            kept = kind.options[name]("test", name, value)
        except OptionError:
            continue
        if kept != default:
            return kept
    raise AssertionError(f"{kind.__name__}: no value for {name}")


def variants(kind):
    """Every combination of what options switch on; the rest has its default."""
    usual = defaults(kind)
    switches = [name for name, value in usual.items() if value in (False, True, 0.0)]
    for values in itertools.product(*([usual[name], other_value(kind, name)] for name in switches)):
        options = {**usual, **dict(zip(switches, values, strict=True))}
        if kind.conflict(options) is None:
            yield options


def parameter(shape=(5,), dtype=float, name="w"):
    rng = np.random.default_rng(1)
    return lo.Parameter(rng.standard_normal(shape).astype(dtype)[()] if shape else dtype(0.75), name=name)


def gradients(count, shape=(5,), dtype=float):
    rng = np.random.default_rng(2)
    return [np.asarray(rng.standard_normal(shape)).astype(dtype)[()] for _ in range(count)]


def run(opt, grads):
    params = [p for group in opt.param_groups for p in group["params"]]
    for g in grads:
        for p in params:
            p.grad = g
        opt.step()
    return [p.data for p in params]


def same(xs, ys):
    return all(type(x) is type(y) and np.array_equal(x, y) for x, y in zip(xs, ys, strict=True))


# -------------------------------------------------------------------------------------- the checks


SIGNS = {"←": "=", "−": "-", "·": "*", "^": "**", "²": "**2", "½": "0.5", "∇f(w)": "gradient", "μ'": "next_μ"}


def perform(lines, space):
    """Run equations as a program, read as a student would."""
    for line in lines:
        for sign, code in SIGNS.items():
            line = line.replace(sign, code)
        line = re.sub(r"\|(\w+)\|", r"abs(\1)", line)
        line = re.sub(r"√([^\s()]+)", r"sqrt(\1)", line).replace("√(", "sqrt(")
        exec(line.strip(), {}, space)


def the_printed_formula_is_the_rule(kind):
    """From the state after the first step: what a formula says of none is the docstring's matter."""
    for options in variants(kind):
        w = parameter()
        opt = kind(w, **options)
        title, header, *lines = opt.formula().splitlines()
        assert (title, header) == (kind.__name__, "  group 0  [w]")
        run(opt, gradients(1))
        space = {"sqrt": np.sqrt, "max": np.maximum, "sign": np.sign, "w": w.data}
        space |= {{"product": "Π"}.get(k, k): np.copy(x) for k, x in opt.state[w].items()}
        for t, g in enumerate(gradients(7), 2):
            run(opt, [g])
            space |= {"gradient": g, "t": t}
            perform(lines, space)
            np.testing.assert_allclose(w.data, space["w"], rtol=1e-12, atol=1e-14, err_msg=str(options))


def the_first_step_starts_from_zeros(kind):
    for options in variants(kind):
        if options.get("dampening"):
            continue  # not of the first gradient
        w = parameter()
        opt = kind(w, **options)
        space = dict.fromkeys(kind.state_kinds, 0.0) | {"sqrt": np.sqrt, "max": np.maximum, "Π": 1.0, "t": 1}
        space |= {"sign": np.sign, "w": w.data, "gradient": gradients(1)[0]}
        perform(opt.formula().splitlines()[2:], space)
        run(opt, gradients(1))
        np.testing.assert_allclose(w.data, space["w"], rtol=1e-12, atol=1e-14, err_msg=str(options))


def the_docstring_has_every_line(kind):
    """Of formula(), with the names of the options for their numbers."""
    doc = {line.strip() for line in inspect.getdoc(kind).splitlines()}
    for options in variants(kind):
        symbols = {k: x if kind.options[k] is flag else k for k, x in options.items()}
        symbols |= {"betas": ("β1", "β2"), "momentum": "momentum" if options.get("momentum") else ""}
        missing = [line for line in kind.equations(object.__new__(kind), symbols) if line not in doc]
        assert not missing, missing


def the_formula_changes_with_the_step(kind):
    """Whichever option changes a step changes the text, and its number stands there."""
    for options in variants(kind):
        for name in options:
            changed = {**options, name: other_value(kind, name)}
            if changed == options or kind.conflict(changed) is not None:
                continue
            a, b = (kind(parameter(), **o) for o in (options, changed))
            differ = not same(run(a, gradients(3)), run(b, gradients(3)))
            assert a.formula() != b.formula() or not differ, (name, options)
            numbers = changed[name] if isinstance(changed[name], tuple) else (changed[name],)
            if differ and not isinstance(changed[name], bool) and changed[name]:
                assert all(str(number) in b.formula() for number in numbers), (name, b.formula())


def twenty_steps_saved_and_twenty_more_are_forty(kind, tmp_path):
    grads = gradients(40)
    for i, options in enumerate(variants(kind)):
        w, u, v = (parameter() for _ in range(3))
        once, first, second = kind(w, **options), kind(u, **options), kind(v, **options)
        run(once, grads)
        run(first, grads[:20])
        lo.save(tmp_path / str(i), model=u, optimizer=first)
        run(second, grads[:1])
        lo.load(tmp_path / str(i), model=v, optimizer=second)
        run(second, grads[20:])
        assert same([w.data], [v.data]), options
        assert second.formula() == once.formula()


def a_state_goes_round(kind):
    for options in variants(kind):
        opt, other = (kind([parameter(), parameter((), name="s")], **options) for _ in range(2))
        for p in (p for o in (opt, other) for p in o.param_groups[0]["params"]):
            p.grad = np.ones(p.shape)[()]
        opt.step()
        state = copy.deepcopy(opt.state_dict())
        other.load_state_dict(state)
        np.testing.assert_equal(other.state_dict(), state)
        assert list(other.param_groups[0]) == list(opt.param_groups[0])


def copies_go_on_alone(kind):
    for options in variants(kind):
        w = parameter()
        opt = kind(w, **options)
        run(opt, gradients(3))
        for how in (copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))):
            twin_w, twin = how((w, opt))
            before = twin_w.data.copy()
            twins = run(twin, gradients(3))
            assert twin_w is twin.param_groups[0]["params"][0]
            assert same(run(how((w, opt))[1], gradients(3)), twins)
            assert not np.array_equal(before, twins[0])
            with pytest.raises(OptionError, match="lr must be"):
                twin.param_groups[0]["lr"] = -1


def groups_have_rates_of_their_own(kind):
    for options in variants(kind):
        a, b = parameter(name="a"), parameter(name="b")
        both = kind([{"params": a}, {"params": b, "lr": 0.25}], **options)
        alone = [kind(parameter(), **options), kind(parameter(), **{**options, "lr": 0.25})]
        grads = gradients(5)
        together = run(both, grads)
        assert same(together, [run(opt, grads)[0] for opt in alone])
        assert not np.array_equal(*together)
        assert both.formula().count("group ") == 2


def dtypes_and_kinds_are_kept(kind):
    for options, dtype, shape in itertools.product(variants(kind), (np.float32, np.float64), ((), (2, 3))):
        w = parameter(shape, dtype)
        opt = kind(w, **options)
        run(opt, gradients(3, shape, dtype))
        assert type(w.data) is (np.ndarray if shape else dtype)
        assert w.dtype == dtype
        arrays = [x for k, x in opt.state[w].items() if "array" in kind.state_kinds[k]]
        assert all(x.dtype == dtype and x.shape == shape for x in arrays)


def nothing_is_written_into(kind):
    for options in variants(kind):
        w = parameter()
        opt = kind(w, **options)
        for g in gradients(3):
            before = w.data
            g.flags.writeable = before.flags.writeable = False
            run(opt, [g])
            held = [x for x in opt.state[w].values() if isinstance(x, np.ndarray)]
            assert w.data is not before
            assert not any(np.shares_memory(x, y) for x in [*held, w.data] for y in (g, before))
            assert not any(np.shares_memory(x, w.data) for x in held)


def options_are_read_and_checked(kind):
    for name, reader in kind.options.items():
        value = other_value(kind, name)
        for form in forms(value):
            allowed = (o for o in variants(kind) if kind.conflict({**o, name: value}) is None)
            opt = kind(parameter(), **next(allowed))
            opt.param_groups[0][name] = form
            kept = opt.param_groups[0][name]
            assert (kept, type(kept)) == (value, type(value)), (name, form)
        before = dict((opt := kind(parameter(), lr=0.1)).param_groups[0])
        for bad in (None, "x", math.nan, -1, (2.0, 0.5), *((1, 0) if reader is flag else (True,))):
            words = rf"^{kind.__name__}: group 0: {name}(\[.\])? must be "
            with pytest.raises(OptionError, match=words):
                opt.param_groups[0].update({name: bad})
            with pytest.raises(OptionError, match=words):
                kind(parameter(), **{"lr": 0.1, name: bad})
            assert dict(opt.param_groups[0]) == before


def forms(value):
    """A value as Python and as NumPy have it."""
    if isinstance(value, tuple):
        return [value, list(value), np.array(value), tuple(map(np.float32, value))]
    return (
        [value, np.bool_(value)] if isinstance(value, bool) else [value, np.float32(value), np.float64(value)]
    )


def unknown_options_are_answered(kind):
    names = ", ".join(kind.options)
    for call in (
        lambda word: kind(parameter(), **{word: 0.5}),
        lambda word: kind([{"params": parameter(), word: 0.5}], lr=0.1),
        lambda word: kind(parameter(), lr=0.1).param_groups[0].update({word: 0.5}),
    ):
        with pytest.raises(UnknownOptionError, match=f"^{kind.__name__}.* has no option 'qqq'.*{names}"):
            call("qqq")
        with pytest.raises(UnknownOptionError, match="'learning_rate'; did you mean 'lr'"):
            call("learning_rate")
        for name in kind.options:
            with pytest.raises(UnknownOptionError, match=f"'{name}_'; did you mean '{name}'"):
                call(name + "_")
    with pytest.raises(UnknownOptionError, match="gradients are set to None here"):
        kind(parameter(), lr=0.1).zero_grad(set_to_none=True)


def parameters_come_in_every_form(kind):
    expected = run(kind(parameter(), lr=0.1), gradients(3))
    for form in (
        lambda w: w,
        lambda w: [w],
        lambda w: (p for p in [w]),
        lambda w: [("w", w)],
        lambda w: {"w": w},
        lambda w: SimpleNamespace(named_parameters=lambda: iter([("w", w)])),
        lambda w: {"params": w},
        lambda w: [{"params": [w]}],
        lambda w: ({"params": {"w": w}} for _ in "1"),
    ):
        assert same(run(kind(form(parameter()), lr=0.1), gradients(3)), expected)


def frozen_and_idle_parameters_stay(kind):
    for options in variants(kind):
        w, frozen, idle = (parameter(name=name) for name in ("w", "frozen", "idle"))
        opt = kind([w, frozen, idle], **options)
        before = frozen.data, idle.data
        frozen.requires_grad = False
        w.grad, frozen.grad = np.ones(5), np.full(5, np.nan)
        opt.step()
        assert frozen.data is before[0]
        assert idle.data is before[1]
        assert list(opt.state) in ([], [w])


def a_gradient_that_is_not_finite_changes_nothing(kind):
    for options, bad in itertools.product(variants(kind), (np.nan, np.inf)):
        w, b = parameter(), parameter((), name="b")
        opt = kind([b, w], **options)
        w.grad, b.grad = np.ones(5), 1.0
        opt.step()
        before = [w.data.copy(), b.data, copy.deepcopy(opt.state_dict())]
        w.grad = np.array([1.0, bad, 1.0, 1.0, 1.0])
        with pytest.raises(NonFiniteError, match=r"grad of 'w' has 1 .*, step skipped, state untouched"):
            opt.step()
        np.testing.assert_equal([w.data, b.data, opt.state_dict()], before)


CHECKS = [
    the_printed_formula_is_the_rule,
    the_first_step_starts_from_zeros,
    the_docstring_has_every_line,
    the_formula_changes_with_the_step,
    twenty_steps_saved_and_twenty_more_are_forty,
    a_state_goes_round,
    copies_go_on_alone,
    groups_have_rates_of_their_own,
    dtypes_and_kinds_are_kept,
    nothing_is_written_into,
    options_are_read_and_checked,
    unknown_options_are_answered,
    parameters_come_in_every_form,
    frozen_and_idle_parameters_stay,
    a_gradient_that_is_not_finite_changes_nothing,
]
every_check = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)


def call(check, kind, tmp_path):
    check(*((kind, tmp_path) if "tmp_path" in inspect.signature(check).parameters else (kind,)))


@every_check
@pytest.mark.parametrize("kind", optimizers(), ids=lambda kind: kind.__name__)
def test_it_is_kept(kind, check, tmp_path):
    call(check, kind, tmp_path)


# ------------------------------------------------------------------- an optimizer that is planted here


class Planted(Optimizer):
    """Steps along an average of gradients, all of nearly one length.

    g ← ∇f(w)
    m ← decay · m + (1 − decay) · g
    w ← w − lr · m / (√(m²) + eps)
    and with rough:
    w ← w − lr · m
    """

    state_kinds: ClassVar[dict[str, str]] = {"m": "array"}

    @public
    def __init__(
        self, params, lr: float = 0.125, *, decay: float = 0.5, eps: float = 1e-3, rough: bool = False
    ):
        self._begin(locals())

    def rule(self, w, g, state, group):
        m = state["m"] = group["decay"] * state.get("m", np.zeros_like(w)) + (1.0 - group["decay"]) * g
        move = np.multiply(m, group["lr"], np.empty_like(w))
        if not group["rough"]:
            move /= abs(m) + group["eps"]
        return minus(w, move, move)

    def equations(self, group):
        lr, decay = group["lr"], group["decay"]
        last = f"{lr} · m" if group["rough"] else f"{lr} · m / (√(m²) + {group['eps']})"
        return ["g ← ∇f(w)", f"m ← {decay} · m + (1 − {decay}) · g", f"w ← w − {last}"]


def test_it_is_picked_up(monkeypatch):
    monkeypatch.setattr(lo.optim, "Planted", Planted, raising=False)
    monkeypatch.setattr(lo.optim, "__all__", [*lo.optim.__all__, "Planted"])
    assert Planted in optimizers()


@every_check
def test_it_keeps_all_promises(check, tmp_path):
    call(check, Planted, tmp_path)


def wrong_rule(self, w, g, state, group):
    return Planted.rule(self, w, 1.01 * g if state else g, state, group)


def writes(self, w, g, state, group):
    g += 0.0
    return Planted.rule(self, w, g, state, group)


def doubles(self, w, g, state, group):
    return np.asarray(Planted.rule(self, w, g, state, group), np.float64)


def forgets(self, w, g, state, group):
    state["t"] = state.get("t", 0) + 1
    return Planted.rule(self, w, g, state, group) * (1.0 if state["t"] < 20 else 0.5)


MISTAKES = {
    "the rule is another one": ({"rule": wrong_rule}, the_printed_formula_is_the_rule),
    "so at the start": ({"rule": lambda *a: Planted.rule(*a) + 1.0}, the_first_step_starts_from_zeros),
    "the docstring lacks a line": ({"__doc__": "g ← ∇f(w)"}, the_docstring_has_every_line),
    "a number is missing": ({"equations": lambda self, group: ["w ← w"]}, the_formula_changes_with_the_step),
    "a count is not declared": ({"rule": forgets}, twenty_steps_saved_and_twenty_more_are_forty),
    "the gradient is written into": ({"rule": writes}, nothing_is_written_into),
    "float32 becomes float64": ({"rule": doubles}, dtypes_and_kinds_are_kept),
    "nothing moves": ({"rule": lambda self, w, g, state, group: w + 0.0}, groups_have_rates_of_their_own),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_found(mistake, tmp_path):
    changes, check = MISTAKES[mistake]
    kind = type("Planted", (Planted,), {"__doc__": Planted.__doc__, **changes})
    with pytest.raises((AssertionError, CheckpointError, DTypeError, ValueError)):
        call(check, kind, tmp_path)
