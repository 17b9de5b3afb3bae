"""examples/landscape.py: planes through a point, the loss on them, and paths in them."""

import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_lo as lo

SCRIPT = "landscape.py"
X, y = lo.data.two_moons(40, noise=0.1, rng=0)


@pytest.fixture
def landscape(monkeypatch):
    pytest.importorskip("matplotlib", reason="needs the extra 'examples'")
    pytest.importorskip("sklearn", reason="needs the extra 'examples'")
    examples = Path(__file__).resolve().parents[2] / "examples"
    assert (examples / SCRIPT).is_file()
    monkeypatch.syspath_prepend(str(examples))
    monkeypatch.syspath_prepend(str(examples / "figures"))
    import landscape as module

    yield module
    sys.modules.pop("landscape", None)


def network():
    return lo.nn.Sequential(lo.nn.Linear(2, 4, rng=0), lo.nn.Tanh(), lo.nn.Linear(4, 2, rng=1))


def test_points_of_the_plane_are_found_exactly(landscape):
    rng = np.random.default_rng(0)
    centre, u, v = rng.standard_normal((3, 22))
    places = rng.standard_normal((5, 2))
    path = centre + places @ np.stack([u, v])
    np.testing.assert_allclose(landscape.project(path, centre, (u, v)), places, rtol=1e-10)


def test_the_surface_is_the_loss_and_the_parameters_are_as_before(landscape):
    net = network()
    before = landscape.flat(net)
    loss = lambda: lo.losses.cross_entropy(net(X), y)
    plane = landscape.directions(net, rng=np.random.default_rng(0))
    a, b, z = landscape.surface(loss, net, plane, 1.0, 3)
    assert np.array_equal(landscape.flat(net), before)
    assert z[1, 1] == pytest.approx(loss().item(), rel=1e-12)
    landscape.put(net, before + a[2] * plane[0] + b[0] * plane[1])
    assert z[0, 2] == pytest.approx(loss().item(), rel=1e-12)


def test_directions_of_a_path_hold_the_most_of_it(landscape):
    net = network()
    loss = lambda: lo.losses.cross_entropy(net(X), y)
    path = landscape.walk(loss, net, lo.optim.Adam(net, lr=0.05), 20)
    assert path.shape == (21, 22)
    u, v = landscape.directions(net, "path", path)
    assert u @ v == pytest.approx(0.0, abs=1e-9)
    found = landscape.project(path, path[-1], (u, v)) @ np.stack([u, v])
    beside = np.linalg.norm(path - path[-1] - found)
    assert beside < 0.3 * np.linalg.norm(path - path[-1])
