"""One seed repeats a whole script."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.machine.random import generator
from tinygrad_lo.errors import OptionError


def test_a_seed_repeats_what_follows():
    lo.seed(3)
    first = generator().random(4)
    second = generator().random(4)
    lo.seed(3)
    np.testing.assert_array_equal(generator().random(4), first)
    np.testing.assert_array_equal(generator().random(4), second)
    assert (first != second).all()


def test_other_seeds_give_other_numbers():
    lo.seed(3)
    first = generator().random(4)
    lo.seed(4)
    assert (generator().random(4) != first).all()


def test_numpys_global_state_is_left_alone():
    np.random.seed(0)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    lo.seed(5)
    generator().random(3)
    assert np.random.random() == expected  # noqa: NPY002


def test_a_generator_an_int_or_none():
    given = np.random.default_rng(1)
    assert generator(given) is given
    assert generator(7).random() == generator(np.int64(7)).random() == np.random.default_rng(7).random()
    assert generator() is generator(None)


@pytest.mark.parametrize("n", [-1, 1.5, "1", None, True])
def test_bad_seeds_are_refused(n):
    with pytest.raises(OptionError, match="seed: n must be an int >= 0, got"):
        lo.seed(n)


@pytest.mark.parametrize("rng", [1.5, "1", True, np.random, -1])
def test_bad_generators_are_refused(rng):
    with pytest.raises(OptionError, match="rng must be"):
        generator(rng)
