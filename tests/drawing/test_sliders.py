"""Where the slider of a number begins and ends."""

import pytest

from tinygrad_lo.drawing.sliders import slider
from tinygrad_lo.options import INF


@pytest.mark.parametrize(
    ("value", "bounds", "expected"),
    [
        (2.0, (-INF, -INF, INF, INF), [0.0, 10.0, 0.1]),  # three times the number, rounded up
        (-2.0, (-INF, -INF, INF, INF), [-10.0, 0.0, 0.1]),
        (0.0, (-INF, -INF, INF, INF), [0.0, 1.0, 0.01]),
        (2.0, (0.0, -INF, INF, INF), [0.0, 10.0, 0.1]),
        (2.0, (-INF, 0.0, INF, INF), [0.1, 10.0, 0.1]),  # an end that is no value is not reached
        (0.5, (-INF, 0.0, INF, 1.0), [0.01, 0.99, 0.01]),
        (0.5, (0.0, -INF, 1.0, INF), [0.0, 1.0, 0.01]),
    ],
)
def test_a_slider_stays_within_what_is_taken(value, bounds, expected):
    assert slider(value, bounds) == pytest.approx(expected)
