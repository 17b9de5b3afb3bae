"""check_setup and learning_rate_range: what they see, and that they leave everything as it was."""

import numpy as np
import pytest

import tinygrad_lo as lo

X, y = lo.data.two_moons(200, noise=0.1, rng=0)
CE = lo.losses.cross_entropy


def net():
    rng = np.random.default_rng(3)
    return lo.nn.Sequential(lo.nn.Linear(2, 16, rng=rng), lo.nn.Tanh(), lo.nn.Linear(16, 2, rng=rng))


def kept(model):
    """What must not change."""
    return [p.numpy().copy() for p in model.parameters()], [p.grad for p in model.parameters()]


def verdicts(report):
    return {row.name: row.passed for row in report.rows}


def test_a_sound_setup_passes_and_nothing_has_changed():
    model = net()
    before, draws = kept(model), None
    lo.seed(4)
    draws = lo.nn.dropout(np.ones(5), 0.5)
    lo.seed(4)
    report = lo.training.check_setup(
        model, CE, (X, y), penalty=lambda: 0.01 * lo.losses.l2(model.parameters())
    )
    assert report
    assert [*verdicts(report)] == ["initial loss", "penalty", "gradients", "overfitting", "movement"]
    assert all(verdicts(report).values())
    report.raise_if_failed()
    assert np.array_equal(lo.nn.dropout(np.ones(5), 0.5), draws)
    after = kept(model)
    assert all(map(np.array_equal, before[0], after[0]))
    assert after[1] == [None] * 4
    assert model.training


def test_each_mistake_is_seen():
    model = net()
    model[2].weight.data = 100 * model[2].weight.data
    assert verdicts(lo.training.check_setup(model, CE, (X, y)))["initial loss"] is False
    model = net()
    report = lo.training.check_setup(model, CE, (X, y), penalty=lambda: -0.01 * lo.losses.l2(model))
    assert verdicts(report)["penalty"] is False
    assert verdicts(lo.training.check_setup(net(), CE, (X, y)))["penalty"] is None
    spare = lo.Parameter([1.0], name="spare")
    model.spare = spare
    report = lo.training.check_setup(model, CE, (X, y))
    assert verdicts(report)["movement"] is False
    assert "spare stayed as it was" in str(report) or "'spare' stayed as it was" in str(report)
    flat = lo.nn.Sequential(lo.nn.Linear(2, 2, rng=0), lambda s: s * 1e-4)
    report = lo.training.check_setup(flat, CE, (X, y))
    assert verdicts(report)["overfitting"] is False
    with pytest.raises(lo.errors.GradcheckError, match="overfitting"):
        report.raise_if_failed()


def test_a_wrong_derivative_is_seen():
    wrong = lo.define_op("half_slope", lambda x: x * x, (lambda g, y, x: g * x,))
    try:
        model = lo.nn.Sequential(lo.nn.Linear(2, 8, rng=0), wrong, lo.nn.Linear(8, 2, rng=1))
        report = lo.training.check_setup(model, CE, (X, y))
    finally:
        lo.engine.ops.TABLE.pop("half_slope")
    assert verdicts(report)["gradients"] is False


def test_a_range_of_rates_leaves_everything_as_it_was():
    model = net()
    before = kept(model)
    lo.seed(4)
    draws = lo.nn.dropout(np.ones(5), 0.5)
    lo.seed(4)
    rates = lo.training.learning_rate_range(model, CE, (X, y), high=100.0)
    assert np.array_equal(lo.nn.dropout(np.ones(5), 0.5), draws)
    assert all(map(np.array_equal, before[0], kept(model)[0]))
    assert rates.rates[0] == 1e-6
    assert rates.rates[1] / rates.rates[0] == pytest.approx(1e8 ** (1 / 99))
    assert rates.rates[-1] < 100.0  # it burst, and that was the end
    assert f"try {rates.suggestion:.2g}" in str(rates)


def test_the_picture_of_a_range(tmp_path):
    pytest.importorskip("matplotlib")
    rates = lo.training.learning_rate_range(net(), CE, (X, y))
    assert rates.plot(tmp_path / "rates.png").stat().st_size > 1000
    assert rates.plot().axes[0].get_xscale() == "log"


def test_a_range_that_says_nothing_says_so():
    assert "it hardly fell" in str(lo.training.learning_rate_range(net(), CE, (X, y), high=1e-5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low": 1.0, "high": 0.1}, "low must be below high"),
        ({"steps": 3}, "steps must be an int >= 10"),
        ({"optimizer": "Adam"}, "optimizer must be a class of lo.optim"),
        ({"optimizer": lo.optim.SGD([lo.Parameter(1.0)], lr=1.0)}, "optimizer must be a class of lo.optim"),
    ],
)
def test_what_a_range_refuses(options, message):
    with pytest.raises(lo.errors.OptionError, match=message):
        lo.training.learning_rate_range(net(), CE, (X, y), **options)


def grid_of_good_rates(make, loss, data, optimizer):
    """The rates of a grid whose whole training ends within a tenth of the best."""
    rates, ends = np.geomspace(1e-3, 1.0, 10), []
    for rate in rates:
        last = []
        for seed in range(3):
            lo.seed(seed)
            model = make()
            try:
                history = lo.fit(
                    model, loss, data, optimizer=optimizer(model, lr=rate), epochs=20, progress=False
                )
                last.append(np.mean(history["loss"][-3:]))
            except lo.errors.NonFiniteError:
                last.append(np.inf)
        ends.append(np.median(last))
    return rates[ends <= 1.1 * np.min(ends)]


def problems():
    datasets = pytest.importorskip("sklearn.datasets")
    images, digits = datasets.load_digits(return_X_y=True)
    cells, cancer = datasets.load_breast_cancer(return_X_y=True)
    cells = (cells - cells.mean(axis=0)) / cells.std(axis=0)
    relu, linear = lo.nn.ReLU(), lo.nn.Linear
    return {
        "moons": (
            lambda: lo.nn.Sequential(linear(2, 16), relu, linear(16, 16), relu, linear(16, 2)),
            CE, lo.data.two_moons(400, noise=0.15, rng=0),
        ),
        "digits": (lambda: lo.nn.Sequential(linear(64, 32), relu, linear(32, 10)), CE, (images / 16, digits)),
        "digits, linear": (lambda: linear(64, 10), CE, (images / 16, digits)),
        "cancer": (lambda: linear(30, 2), CE, (cells, cancer)),
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:fit")
@pytest.mark.parametrize("name", ["moons", "digits", "digits, linear", "cancer"])
def test_the_suggestion_is_within_a_factor_of_three_of_the_best_of_a_grid(name):
    make, loss, data = problems()[name]
    good = grid_of_good_rates(make, loss, data, lo.optim.SGD)
    suggestions = []
    for seed in range(5):
        lo.seed(seed)
        suggestions.append(lo.training.learning_rate_range(make(), loss, data).suggestion)
    suggestion = float(np.median(suggestions))
    print(f"{name}: suggested {suggestion:.2g}, good {good}")
    assert good[0] / 3 <= suggestion <= good[-1] * 3
