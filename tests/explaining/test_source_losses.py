"""The printed program of every loss and layer, with every option, is the engine: float64 to the last bit."""

import numpy as np
import pytest
from every_loss import ALL, gradients_of, made, run

import tinygrad_lo as lo


@pytest.mark.parametrize("build", ALL)
def test_float64_to_the_last_bit(build):
    loss, leaves = made(build, np.float64)
    text = lo.source(loss)
    value, gradients = run(text, text.arguments)
    expected = gradients_of(loss, leaves)
    assert value == loss.item(), text
    assert gradients.keys() == expected.keys()
    for name, g in expected.items():
        np.testing.assert_array_equal(gradients[name], g, strict=True, err_msg=text)
        arrays = [*text.arguments.values(), *(x for key, x in gradients.items() if key != name)]
        assert not any(np.shares_memory(gradients[name], x) for x in arrays), text


@pytest.mark.parametrize("build", ALL)
def test_float32(build):
    loss, leaves = made(build, np.float32)
    text = lo.source(loss)
    value, gradients = run(text, text.arguments)
    expected = gradients_of(loss, leaves)
    assert value.dtype == loss.dtype == np.float32
    np.testing.assert_allclose(value, loss.item(), rtol=1e-5)
    for name, g in expected.items():
        assert gradients[name].dtype == g.dtype == np.float32
        np.testing.assert_allclose(gradients[name], g, rtol=1e-5, atol=1e-5 * np.abs(g).max())


@pytest.mark.parametrize("build", ALL)
def test_the_text_is_a_function_of_the_parameters(build):
    """Printed once, it answers for other values of the parameters as the engine does."""
    loss, _ = made(build, np.float64)
    text = lo.source(loss)
    other, leaves = made(build, np.float64, seed=1)
    new = {name: leaf.data for name, leaf in leaves.items() if name in text.arguments}
    value, gradients = run(text, {**text.arguments, **new})
    assert value == other.item(), text
    for name, g in gradients_of(other, leaves).items():
        np.testing.assert_array_equal(gradients[name], g, strict=True, err_msg=text)
