"""lo.fit: the loop that it stands for, its options, and what it refuses."""

import numpy as np
import pytest

import tinygrad_lo as lo

X, y = lo.data.two_moons(70, noise=0.1, rng=0)
FRESH = lo.data.two_moons(40, noise=0.1, rng=1)
CE = lo.losses.cross_entropy


def net(*, dropout=0.0):
    rng = np.random.default_rng(3)
    first, last = lo.nn.Linear(2, 8, rng=rng), lo.nn.Linear(8, 2, rng=rng)
    return lo.nn.Sequential(first, lo.nn.Tanh(), *[lo.nn.Dropout(dropout)] * bool(dropout), last)


def weights(model):
    return [p.numpy().copy() for p in model.parameters()]


def same(a, b):
    return all(map(np.array_equal, a, b))


def fitted(model=None, loss=CE, data=(X, y), *, lr=0.05, epochs=3, **options):
    model = net() if model is None else model
    optimizer = options.pop("optimizer", None) or lo.optim.Adam(model, lr=lr)
    options = {"progress": False, "rng": 1, "batch_size": 16} | options
    return model, lo.fit(model, loss, data, optimizer=optimizer, epochs=epochs, **options)


@pytest.mark.parametrize("compiled", [False, True])
def test_it_is_the_loop_that_it_stands_for(compiled):
    model = net()
    optimizer = lo.optim.Adam(model, lr=0.05)
    schedule = lo.optim.StepLR(optimizer, 2, factor=0.5)
    rng, losses, rates = np.random.default_rng(1), [], []

    def loss_of(X, y):
        return CE(model(X), y) + 0.01 * lo.losses.l2(model.parameters())

    program = lo.compile(loss_of, optimizer=optimizer, clip_norm=0.5)
    for _ in range(4):
        total = 0.0
        for rows, labels in lo.data.minibatches(X, y, batch_size=16, rng=rng):
            if compiled:
                loss = program(rows, labels)
            else:
                optimizer.zero_grad()
                loss = loss_of(rows, labels)
                loss.backward()
                lo.optim.clip_grad_norm(model, 0.5)
                optimizer.step()
            total += float(loss if compiled else loss.item()) * len(labels)
        losses.append(total / len(y))
        rates.append(optimizer.param_groups[0]["lr"])
        schedule.step()

    other = net()
    optimizer = lo.optim.Adam(other, lr=0.05)
    _, history = fitted(
        other, optimizer=optimizer, epochs=4, compiled=compiled, clip_norm=0.5,
        penalty=lambda: 0.01 * lo.losses.l2(other.parameters()),
        schedule=lo.optim.StepLR(optimizer, 2, factor=0.5),
    )  # fmt: skip
    assert history["loss"] == losses
    assert history["learning rate"] == rates == [0.05, 0.05, 0.025, 0.025]
    assert same(weights(model), weights(other))
    assert max(history["gradient norm"]) <= 0.5 * (1 + 1e-12)


def test_a_penalty_may_take_the_model():
    a, b = net(), net()
    fitted(a, penalty=lambda: 0.1 * lo.losses.l2(a.parameters()))
    fitted(b, penalty=lambda model: 0.1 * lo.losses.l2(model.parameters()))
    assert same(weights(a), weights(b))


def test_a_schedule_steps_once_an_epoch_or_once_a_step():
    model = net()
    optimizer = lo.optim.SGD(model, lr=1.0)
    _, history = fitted(model, optimizer=optimizer, schedule=(lo.optim.ExponentialLR(optimizer, 0.5), "step"))
    assert history["learning rate"] == [0.5**4, 0.5**9, 0.5**14]  # that of the last of five steps


def test_a_plateau_is_told_the_validation_loss():
    model = net()
    optimizer = lo.optim.SGD(model, lr=1e-9)
    schedule = lo.optim.ReduceOnPlateau(optimizer, factor=0.5, patience=0)
    with pytest.warns(UserWarning, match="raise the learning rate"):
        _, history = fitted(
            model, optimizer=optimizer, schedule=schedule, validation=FRESH, epochs=4, batch_size=4
        )
    assert history["learning rate"] == [1e-9, 1e-9, 5e-10, 2.5e-10]
    assert schedule.best == history["validation loss"][0]
    with pytest.raises(lo.errors.OptionError, match="ReduceOnPlateau watches the loss of epochs"):
        fitted(model, optimizer=optimizer, schedule=(schedule, "step"))


def test_measuring_changes_nothing():
    a, b = net(dropout=0.3), net(dropout=0.3)
    lo.seed(5)
    fitted(a)
    lo.seed(5)
    metrics = {"accuracy": lo.training.accuracy}
    _, history = fitted(b, validation=FRESH, metrics=metrics)
    assert same(weights(a), weights(b))
    assert b.training
    b.eval()
    assert history["accuracy"][-1] == lo.training.accuracy(b(X), y)
    assert history["validation accuracy"][-1] == lo.training.accuracy(b(FRESH[0]), FRESH[1])
    assert history["validation loss"][-1] == pytest.approx(CE(b(FRESH[0]), FRESH[1]).item(), rel=1e-12)


def test_a_model_that_cannot_be_compiled_is_trained_on_the_engine_and_the_history_says_why():
    def asking(model):
        def f(X):
            out = model(X)
            return out * (1.0 if out.sum().item() == 1e9 else 2.0)

        return f

    a, b = net(dropout=0.3), net(dropout=0.3)
    lo.seed(2)
    _, history = fitted(asking(a), optimizer=lo.optim.Adam(a))
    lo.seed(2)
    fitted(asking(b), optimizer=lo.optim.Adam(b), compiled=False)
    assert same(weights(a), weights(b))
    assert "item()" in history.compiled
    assert "not compiled: " in str(history)
    with pytest.raises(lo.errors.GraphError, match="item"):
        fitted(asking(a), optimizer=lo.optim.Adam(a), compiled=True)


def test_what_is_compiled_and_what_is_not_is_said():
    assert fitted()[1].compiled is True
    assert fitted(compiled=False)[1].compiled == "compiled=False"


def test_all_rows_at_once_are_not_shuffled():
    a, b = net(), net()
    fitted(a, batch_size=None, rng=1)
    fitted(b, batch_size=None, rng=2)
    assert same(weights(a), weights(b))


def test_several_inputs_and_targets():
    W, V = lo.Parameter(np.zeros((2, 1)), name="W"), lo.Parameter(np.zeros((1, 2)), name="V")
    noise = np.random.default_rng(0).standard_normal((70, 1))
    truth = (X @ [[1.0], [2.0]], noise @ [[3.0, 4.0]])

    def loss(prediction, target):
        return sum(map(lo.losses.mse, prediction, target))

    optimizer = lo.optim.SGD([W, V], lr=0.2)
    _, history = fitted(
        lambda A, B: (A @ W, B @ V), loss, ((X, noise), truth), optimizer=optimizer, epochs=60
    )
    assert history["loss"][-1] < 1e-6
    assert history.compiled is True
    assert np.allclose(W.data, [[1.0], [2.0]], atol=1e-3)
    assert np.allclose(V.data, [[3.0, 4.0]], atol=1e-3)


def test_early_stop_puts_back_the_best_weights():
    figures = iter([0.5, 0.9, 0.7, 0.9, 0.6, 0.99, 1.0])
    seen = []

    def metric(prediction, target):
        seen.append(weights(model))
        return next(figures)

    model = net()
    stop = lo.training.EarlyStop("score", patience=2, mode="max")
    _, history = fitted(model, metrics={"score": metric}, stop=stop, epochs=9)
    assert history["score"] == [0.5, 0.9, 0.7, 0.9, 0.6]
    assert history.best == 2
    assert same(weights(model), seen[1])
    assert "score was best in epoch 2, 0.9" in history.stopped
    assert "the weights are those of epoch 2" in str(history)


def test_an_early_stop_puts_the_best_back_also_where_it_does_not_stop():
    figures, seen = iter([1.0, 3.0, 2.0]), []
    model = net()

    def score(prediction, target):
        seen.append(weights(model))
        return next(figures)

    _, history = fitted(
        model, metrics={"score loss": score}, stop=lo.training.EarlyStop("score loss", patience=5)
    )
    assert (history.best, history.epochs, history.stopped) == (1, 3, "")
    assert same(weights(model), seen[0])


def test_an_interruption_gives_the_history_so_far():
    calls = iter([0.1, 0.2, KeyboardInterrupt()])

    def metric(prediction, target):
        value = next(calls)
        if isinstance(value, BaseException):
            raise value
        return value

    model, history = fitted(metrics={"m": metric}, epochs=9)
    assert history.epochs == 2
    assert history["m"] == [0.1, 0.2]
    assert history.stopped == "interrupted in epoch 3"
    assert model.training


def test_an_error_tells_epoch_and_batch():
    rows, labels = lo.data.two_moons(300, rng=0)
    labels[299] = 5  # behind those that are looked at first
    with pytest.raises(lo.errors.LabelError) as caught:
        fitted(data=(rows, labels), batch_size=None)
    assert caught.value.__notes__ == ["(in fit, epoch 1, batch 1, lr 0.05)"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": lo.optim.Adam}, "make it first, e.g. lo.optim.Adam(model)"),
        ({"data": (X,)}, "data is a pair (X, y) of inputs and targets"),
        ({"data": (X, y[:5])}, "X has 70, y has 5"),
        ({"data": (lo.Parameter(X), y)}, "X requires a gradient"),
        ({"data": (3.0, y)}, "X has no rows"),
        ({"epochs": 0}, "epochs must be an int >= 1"),
        ({"batch_size": 0}, "batch_size must be an int >= 1"),
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"metrics": [lo.training.accuracy]}, "metrics is a dict of functions"),
        ({"metrics": {"loss": lo.training.accuracy}}, "a metric cannot be called 'loss'"),
        ({"schedule": 0.1}, "schedule must be one of lo.optim"),
        ({"stop": 5}, "stop must be an lo.training.EarlyStop"),
        ({"stop": lo.training.EarlyStop("validation loss")}, "history has no 'validation loss'"),
        ({"compiled": "yes"}, "compiled must be True, False or 'auto'"),
        ({"loss": "mse"}, "loss must be a function, got str"),
        ({"lr_schedule": None}, "lr_schedule"),
    ],
)
def test_what_it_refuses(options, message):
    with pytest.raises(lo.errors.LoError) as caught:
        fitted(**options)
    assert message in str(caught.value)


@pytest.mark.parametrize("given", [np.ones(2), None, "high", [1, 2]])
def test_a_metric_that_gives_no_number_is_named(given):
    X, y = np.ones((4, 2)), np.array([0, 1, 0, 1])
    model = lo.nn.Linear(2, 2, rng=0)
    options = {"optimizer": lo.optim.SGD(model, lr=0.1), "epochs": 1, "progress": False}
    with pytest.raises(lo.errors.OptionError, match="the metric 'odd' must return one number, got "):
        lo.fit(model, lo.losses.cross_entropy, (X, y), metrics={"odd": lambda p, t: given}, **options)
    with pytest.raises(lo.errors.OptionError, match="X is a dict; give arrays"):
        lo.fit(model, lo.losses.cross_entropy, ({"a": X}, y), **options)


def test_a_loss_without_tensors_is_refused():
    with pytest.raises(lo.errors.GraphError, match="no parameter is in it"):
        fitted(lambda X: X, lambda p, t: float(p.sum()), optimizer=lo.optim.SGD([lo.Parameter(1.0)], lr=1.0),
               compiled=False)  # fmt: skip


def test_progress_is_a_line_an_epoch_where_nobody_watches(capsys):
    fitted(progress="auto", epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert "loss 0." in lines[1]


def test_progress_is_a_bar_in_a_terminal(capsys, monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    fitted(progress="auto", epochs=2)
    captured = capsys.readouterr()
    assert "2/2" in captured.err
    assert not captured.out


def test_a_module_is_trained_in_train_mode_and_left_in_its_own():
    a, b = net(dropout=0.5), net(dropout=0.5).eval()
    for model in (a, b):
        lo.seed(3)
        fitted(model, compiled=False)
    assert same(weights(a), weights(b))
    assert (a.training, b.training) == (True, False)


def test_a_function_that_always_draws_draws_the_same_numbers_whatever_is_measured():
    def trained(**options):
        lo.seed(3)
        layers = net()
        model = lambda X: layers(lo.nn.dropout(X, 0.5))
        fitted(model, optimizer=lo.optim.Adam(layers), **options)
        return weights(layers)

    assert same(trained(), trained(validation=FRESH, metrics={"accuracy": lo.training.accuracy}))


def test_going_back_to_the_best_weights_draws_no_number_twice():
    model = net(dropout=0.5)
    figures = iter([1.0, 2.0, 3.0])
    lo.seed(3)
    fitted(
        model, metrics={"loss of mine": lambda p, t: next(figures)},
        stop=lo.training.EarlyStop("loss of mine"), compiled=False,
    )  # fmt: skip
    after = lo.nn.dropout(np.ones(9), 0.5)
    lo.seed(3)
    fitted(net(dropout=0.5), compiled=False)
    assert np.array_equal(lo.nn.dropout(np.ones(9), 0.5), after)
