"""Bad input to tensors and graphs: one error class each, its builtin base, and the words that help."""

import copy
import math
import pickle
import warnings

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo import errors


def vector():
    return lo.Tensor([1.0, 2.0, 3.0])


def pair(name="W1"):
    return lo.Parameter([1.0, 2.0], name=name)


def assign(target, value):
    target[0] = value


def set_grad(p, value):
    p.grad = value


def subtract_in_place(p):
    p -= 0.1 * np.ones(2)


def set_data(t, value):
    t.data = value


def add_into_array(t):
    a = np.zeros(2)
    a += t


def matrix():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return np.asmatrix([[1.0]])


def watched(call):
    with lo.anomaly():
        return call()


def made_without_graph():
    with lo.no_grad():
        return (pair() * 2.0).sum()


class Frame:
    """Stands for an object of a data library."""

    def to_numpy(self):
        return np.zeros(2)


CASES = [
    # -------------------------------------------------------------------------- building tensors
    ("text", lambda: lo.Tensor("abc"), errors.DTypeError, TypeError,
     ["cannot build a Tensor from str", "expected number, list or array"]),
    ("ragged list", lambda: lo.Tensor([[1.0], [1.0, 2.0]]), errors.ShapeError, ValueError,
     ["ragged", "row 0 has length 1", "row 1 has length 2"]),
    ("number among rows", lambda: lo.Tensor([[1.0], 2.0]), errors.ShapeError, ValueError,
     ["ragged", "row 0 has length 1", "row 1 has no length"]),
    ("object array", lambda: lo.Tensor(np.array([1, None], object)), errors.DTypeError, TypeError,
     ["dtype object at index 1: None"]),
    ("complex list", lambda: lo.Tensor([1 + 2j]), errors.DTypeError, TypeError,
     ["complex numbers are not supported"]),
    ("complex number", lambda: lo.Tensor(1 + 2j), errors.DTypeError, TypeError,
     ["complex numbers are not supported"]),
    ("integers that want a gradient", lambda: lo.Tensor([1, 2, 3], requires_grad=True), errors.DTypeError,
     TypeError, [f"{np.dtype(int)} cannot require gradients", "[1., 2., 3.]", "dtype=float"]),
    ("an integer parameter", lambda: lo.Parameter(3), errors.DTypeError, TypeError,
     [f"{np.dtype(int)} cannot require gradients", "3. or dtype=float"]),
    ("booleans that want a gradient", lambda: lo.Parameter([True, False]), errors.DTypeError, TypeError,
     ["bool cannot require gradients"]),
    ("integers made to want a gradient", lambda: setattr(lo.Tensor([1, 2]), "requires_grad", True),
     errors.DTypeError, TypeError, [f"{np.dtype(int)} cannot require gradients"]),
    ("None", lambda: lo.Tensor(None), errors.DTypeError, TypeError, ["cannot build a Tensor from NoneType"]),
    ("text array", lambda: lo.Tensor(np.array(["abc"])), errors.DTypeError, TypeError,
     ["dtype <U3", "convert with .astype(float)"]),
    ("a data frame", lambda: lo.Tensor(Frame()), errors.DTypeError, TypeError, ["Frame", ".to_numpy()"]),
    ("a matrix", lambda: lo.Tensor(matrix()), errors.DTypeError, TypeError, ["matrix"]),
    ("a masked array", lambda: lo.Tensor(np.ma.array([1.0])), errors.DTypeError, TypeError, ["MaskedArray"]),
    ("a tensor", lambda: lo.Tensor(vector()), errors.GraphError, RuntimeError, ["t.detach()"]),
    ("a list of tensors", lambda: lo.Tensor([pair(), pair()]), errors.GraphError, RuntimeError,
     ["leave the graph", "np.stack"]),
    ("complex dtype", lambda: lo.Tensor([1.0], dtype=complex), errors.DTypeError, TypeError, ["complex128"]),
    ("a name that is no text", lambda: lo.Tensor(1.0, name=3), errors.UnsupportedError, TypeError,
     ["a name is text or None, got int: 3"]),
    # ------------------------------------------------------------------------- shapes and dtypes
    ("truth of two", lambda: bool(lo.Tensor([1.0, 2.0])), errors.ShapeError, ValueError,
     ["truth value of a 2-element tensor", ".any()"]),
    ("len of a scalar", lambda: len(lo.Tensor(1.0)), errors.ShapeError, ValueError, ["scalar"]),
    ("iterating a scalar", lambda: list(lo.Tensor(1.0)), errors.ShapeError, ValueError, ["scalar"]),
    ("add (2,) + (3,)", lambda: pair() + vector(), errors.ShapeError, ValueError,
     ["add", "(2,) and (3,) cannot be broadcast", "axis -1: 2 vs 3"]),
    ("where with odd shapes", lambda: np.where(np.ones(3, bool), pair(), 0.0), errors.ShapeError, ValueError,
     ["where", "cannot be broadcast"]),
    ("matmul (2,3) @ (2,3)", lambda: lo.Tensor(np.ones((2, 3))) @ lo.Tensor(np.ones((2, 3))),
     errors.ShapeError, ValueError, ["matmul", "inner sizes 3 and 2 differ", "did you mean b.T?"]),
    ("matmul (2,3) @ (2,)", lambda: lo.Tensor(np.ones((2, 3))) @ np.ones(2), errors.ShapeError, ValueError,
     ["inner sizes 3 and 2 differ", "did you mean a.T?"]),
    ("matmul of batches", lambda: lo.Tensor(np.ones((2, 3, 3))) @ np.ones((4, 3, 3)), errors.ShapeError,
     ValueError, ["matmul", "(2, 3, 3)", "(4, 3, 3)"]),
    ("matmul of a scalar", lambda: lo.Tensor(2.0) @ vector(), errors.ShapeError, ValueError,
     ["matmul needs at least 1-D, got 0-d", "use *"]),
    ("power of text", lambda: vector() ** "2", errors.DTypeError, TypeError, ["str"]),
    ("power of None", lambda: vector() ** None, errors.DTypeError, TypeError, ["NoneType"]),
    ("integer to a negative power", lambda: lo.Tensor([1, 2]) ** -1, errors.DTypeError, TypeError,
     ["negative power", "float"]),
    ("adding a complex array", lambda: vector() + np.ones(3, complex), errors.DTypeError, TypeError,
     ["complex numbers are not supported"]),
    ("adding an object array", lambda: vector() + np.array([1, None, 2], object), errors.DTypeError,
     TypeError,
     ["dtype object at index 1: None"]),
    ("astype int with a gradient", lambda: pair().astype(int), errors.DTypeError, TypeError,
     [f"{np.dtype(int)} cannot carry gradients"]),
    # -------------------------------------------------------------------------------- reductions
    ("axis out of range", lambda: vector().sum(axis=5), errors.ShapeError, ValueError,
     ["sum", "axis 5 out of range for 1-D", "-1..0"]),
    ("axis out of range in max", lambda: vector().max(axis=-2), errors.ShapeError, ValueError,
     ["max", "axis -2 out of range for 1-D"]),
    ("duplicate axis", lambda: vector().sum(axis=(0, 0)), errors.ShapeError, ValueError,
     ["duplicate axis 0"]),
    ("the same axis counted from both ends", lambda: vector().mean(axis=(0, -1)), errors.ShapeError,
     ValueError,
     ["duplicate axis -1"]),
    ("axis as text", lambda: vector().sum(axis="0"), errors.DTypeError, TypeError, ["axis must be an int",
     "'0'"]),
    ("mean of nothing", lambda: lo.Tensor([]).mean(), errors.ShapeError, ValueError,
     ["mean of 0 elements (shape (0,)) is undefined"]),
    ("max of nothing", lambda: lo.Tensor([]).max(), errors.ShapeError, ValueError,
     ["max of 0 elements (shape (0,)) is undefined"]),
    ("min of nothing along an axis", lambda: lo.Tensor(np.ones((2, 0))).min(axis=1), errors.ShapeError,
     ValueError, ["min of 0 elements"]),
    ("var of nothing", lambda: lo.Tensor([]).var(), errors.ShapeError, ValueError, ["var of 0 elements"]),
    ("std of nothing", lambda: lo.Tensor([]).std(), errors.ShapeError, ValueError, ["std of 0 elements"]),
    ("negative ddof", lambda: np.std(vector(), ddof=-1), errors.OptionError, ValueError, ["ddof", "-1"]),
    ("ddof as large as n", lambda: np.var(vector(), ddof=3), errors.ShapeError, ValueError, ["ddof=3",
     "got 3"]),
    # -------------------------------------------------------------------- shapes that are changed
    ("reshape 3 to 4", lambda: vector().reshape(2, 2), errors.ShapeError, ValueError,
     ["cannot reshape 3 elements into (2, 2)", "= 4"]),
    ("reshape with two -1", lambda: vector().reshape(-1, -1), errors.ShapeError, ValueError, ["only one -1"]),
    ("reshape by a float", lambda: vector().reshape(1.5), errors.DTypeError, TypeError, ["made of ints"]),
    ("squeeze an axis of size 3", lambda: vector().squeeze(0), errors.ShapeError, ValueError,
     ["axis 0 has size 3, not 1"]),
    ("transpose with a missing axis", lambda: lo.Tensor(np.ones((2, 3))).transpose(0), errors.ShapeError,
     ValueError, ["transpose", "(2, 3)"]),
    ("swapaxes out of range", lambda: vector().swapaxes(0, 1), errors.ShapeError, ValueError, ["axis 1"]),
    ("broadcast_to that does not fit", lambda: np.broadcast_to(vector(), (2, 2)), errors.ShapeError,
     ValueError,
     ["(3,)", "(2, 2)"]),
    ("concatenate (2,3), (3,3) along 1",
     lambda: np.concatenate([lo.Tensor(np.ones((2, 3))), lo.Tensor(np.ones((3, 3)))], axis=1),
     errors.ShapeError, ValueError, ["all axes except 1 must match", "2 vs 3 on axis 0"]),
    ("concatenate of different ranks", lambda: np.concatenate([vector(), lo.Tensor([[1.0]])]),
     errors.ShapeError, ValueError, ["different numbers of axes"]),
    ("stack of different shapes", lambda: np.stack([vector(), pair()]), errors.ShapeError, ValueError,
     ["(3,)", "(2,)"]),
    ("pad by a negative width", lambda: np.pad(vector(), -1), errors.ShapeError, ValueError, [">= 0"]),
    ("einsum with too few operands", lambda: np.einsum("ij,jk", lo.Tensor(np.ones((2, 2)))),
     errors.ShapeError,
     ValueError, ["'ij,jk'", "names 2 operands, got 1"]),
    ("einsum with odd shapes", lambda: np.einsum("i,i->", vector(), pair()), errors.ShapeError, ValueError,
     ["einsum", "(3,), (2,)"]),
    # ---------------------------------------------------------------------------------- indexing
    ("index out of range", lambda: vector()[5], errors.IndexingError, IndexError,
     ["index 5 out of range for axis 0 of size 3"]),
    ("negative index out of range", lambda: vector()[-4], errors.IndexingError, IndexError, ["index -4"]),
    ("index array out of range", lambda: vector()[np.array([0, 3])], errors.IndexingError, IndexError,
     ["index 3 out of range for axis 0 of size 3"]),
    ("too many indices", lambda: vector()[0, 0], errors.IndexingError, IndexError,
     ["too many indices: 2 for shape (3,)"]),
    ("index by a float", lambda: vector()[1.5], errors.IndexingError, IndexError, ["not 1.5 (shape (3,))"]),
    ("mask of another length", lambda: vector()[np.array([True, False])], errors.IndexingError, IndexError,
     ["(shape (3,))"]),
    ("assigning an element", lambda: assign(vector(), 1.0), errors.GraphError, RuntimeError,
     ["tensors are not assigned into", "np.where", "np.concatenate"]),
    ("a float tensor as an index", lambda: [1, 2][lo.Tensor(1.0)], errors.DTypeError, TypeError, ["integer"]),
    # ------------------------------------------------------------------- values leaving the graph
    ("item of two", lambda: pair().item(), errors.ShapeError, ValueError, ["item() needs 1 element, got 2"]),
    ("math.exp", lambda: math.exp(lo.Parameter(1.0)), errors.GraphError, RuntimeError,
     ["would leave the graph", "np.exp(t)", "t.item()"]),
    ("float", lambda: float(lo.Parameter(1.0)), errors.GraphError, RuntimeError,
     ["would leave the graph", "t.item()"]),
    ("int", lambda: int(lo.Parameter(1.0)), errors.GraphError, RuntimeError, ["would leave the graph"]),
    ("np.asarray", lambda: np.asarray(pair()), errors.GraphError, RuntimeError,
     ["would leave the graph", "t.numpy()", "t.detach()"]),
    ("np.array", lambda: np.array(pair()), errors.GraphError, RuntimeError, ["would leave the graph"]),
    ("array += tensor", lambda: add_into_array(pair()), errors.GraphError, RuntimeError,
     ["would leave the graph", "a = a + t"]),
    ("X.dot(W)", lambda: np.ones((3, 2)).dot(pair()), errors.GraphError, RuntimeError,
     ["X.dot(W)", "leaves the graph", "X @ W"]),
    ("np.fft.fft", lambda: np.fft.fft(vector()), errors.UnsupportedError, TypeError,
     ["np.fft.fft is not differentiable here", "docs/ops.md"]),
    ("np.i0", lambda: np.i0(vector()), errors.UnsupportedError, TypeError,
     ["np.i0 is not differentiable here"]),
    ("np.linalg.svd", lambda: np.linalg.svd(lo.Tensor(np.eye(2))), errors.UnsupportedError, TypeError,
     ["np.linalg.svd is not differentiable here"]),
    ("np.add.accumulate", lambda: np.add.accumulate(vector()), errors.UnsupportedError, TypeError,
     ["not differentiable here"]),
    ("np.sum with dtype", lambda: np.sum(vector(), dtype=np.float32), errors.UnsupportedError, TypeError,
     ["np.sum", "dtype="]),
    ("np.sum with where", lambda: np.sum(vector(), where=[True, False, True]), errors.UnsupportedError,
     TypeError, ["np.sum", "where"]),
    ("np.exp with where", lambda: np.exp(vector(), where=[True, False, True]), errors.UnsupportedError,
     TypeError, ["np.exp", "where="]),
    ("np.exp with out", lambda: np.exp(vector(), out=np.zeros(3)), errors.GraphError, RuntimeError,
     ["np.exp", "out="]),
    ("np.where of one argument", lambda: np.where(vector()), errors.UnsupportedError, TypeError,
     ["np.where"]),
    ("np.pad by reflection", lambda: np.pad(vector(), 1, mode="reflect"), errors.UnsupportedError, TypeError,
     ["mode='constant'", "'reflect'"]),
    ("clip bounds that want a gradient", lambda: np.clip(vector(), lo.Parameter(0.0, name="low"), None),
     errors.GraphError, RuntimeError, ["a_min", "'low'", "t.detach()"]),
    # ---------------------------------------------------------------------------------- backward
    ("backward of two", (pair() * 2.0).backward, errors.GraphError, RuntimeError,
     ["backward() needs one number to start from", "(2,)", ".sum()", ".mean()", "seed="]),
    ("seed of another shape", lambda: (pair() * 2.0).backward(seed=np.ones(3)), errors.ShapeError, ValueError,
     ["seed has shape (3,)", "(2,)"]),
    ("backward of a constant", lambda: (vector() * 2.0).sum().backward(), errors.GraphError, RuntimeError,
     ["nothing requires a gradient", "lo.anomaly()"]),
    ("backward of what no_grad made", lambda: made_without_graph().backward(), errors.GraphError,
     RuntimeError,
     ["nothing requires a gradient"]),
    ("backward of an int leaf", lambda: lo.Tensor(3).backward(), errors.GraphError, RuntimeError,
     ["does not require grad"]),
    ("grad of another shape", lambda: set_grad(pair(), np.ones(3)), errors.ShapeError, ValueError,
     ["grad shape (3,) != (2,) of 'W1'"]),
    ("grad of another dtype", lambda: set_grad(pair(), np.ones(2, np.float32)), errors.DTypeError, TypeError,
     ["float32", "'W1'", "float64"]),
    ("a tensor as grad", lambda: set_grad(pair(), pair()), errors.GraphError, RuntimeError, ["array"]),
    ("grad of a value in between", lambda: (pair() * 2.0).named("S").grad, errors.GraphError, RuntimeError,
     ["kept on leaves", "'S'", "lo.grad(loss, S)"]),
    ("assigned grad of a value in between", lambda: set_grad(pair() * 2.0, None), errors.GraphError,
     RuntimeError, ["kept on leaves"]),
    ("data of a value in between", lambda: set_data(pair() * 2.0, np.ones(2)), errors.GraphError,
     RuntimeError,
     ["multiply", "cannot be assigned"]),
    ("data of another shape", lambda: set_data(pair(), np.ones(3)), errors.ShapeError, ValueError,
     ["(3,) != (2,)", "'W1'"]),
    ("data of another dtype", lambda: set_data(pair(), np.ones(2, np.float32)), errors.DTypeError, TypeError,
     ["float32", "'W1'", "float64"]),
    ("freezing a value in between", lambda: setattr(pair() * 2.0, "requires_grad", False), errors.GraphError,
     RuntimeError, ["only leaves"]),
    ("W -= on a Parameter", lambda: subtract_in_place(pair("W")), errors.GraphError, RuntimeError,
     ["makes a new tensor", "W.data -= …", "optimizer"]),
    ("deepcopy of a value in between", lambda: copy.deepcopy(pair() * 2.0), errors.GraphError, RuntimeError,
     ["only leaf tensors", "y.detach()"]),
    ("copy of a value in between", lambda: copy.copy(pair() * 2.0), errors.GraphError, RuntimeError,
     ["only leaf tensors"]),
    ("pickle of a value in between", lambda: pickle.dumps(pair() * 2.0), errors.GraphError, RuntimeError,
     ["only leaf tensors", "y.detach()"]),
    # -------------------------------------------------------------------------------------- grad
    ("grad by what is not reached", lambda: lo.grad(pair().sum(), lo.Parameter(1.0, name="q")),
     errors.GraphError, RuntimeError, ["'q' is not reached", "allow_unused=True"]),
    ("grad of two", lambda: lo.grad(pair() * 2.0, pair()), errors.GraphError, RuntimeError, ["(2,)"]),
    ("grad of an array", lambda: lo.grad(np.ones(2), pair()), errors.DTypeError, TypeError,
     ["output must be a tensor, got ndarray"]),
    ("grad by an array", lambda: lo.grad(pair().sum(), [np.ones(2)]), errors.DTypeError, TypeError,
     ["wrt must be a tensor, got ndarray"]),
    ("grad of a constant", lambda: lo.grad(vector().sum(), vector()), errors.GraphError, RuntimeError,
     ["nothing requires a gradient"]),
    ("value_and_grad of what leaves the graph", lambda: lo.value_and_grad(lambda x: x.item())(1.0),
     errors.GraphError, RuntimeError, ["does not depend on the argument", ".item()"]),
    ("argnums of no argument", lambda: lo.value_and_grad(lambda x: x, argnums=1)(1.0), errors.OptionError,
     ValueError, ["argnums 1", "1 were given"]),
    ("argnums as text", lambda: lo.value_and_grad(lambda x: x, "0")(1.0), errors.OptionError, ValueError,
     ["argnums must be an int or a list of ints, got '0'"]),
    ("argnums as a float", lambda: lo.value_and_grad(lambda x: x, 0.0)(1.0), errors.OptionError, ValueError,
     ["argnums must be an int or a list of ints, got 0.0"]),
    ("hessian of two numbers", lambda: lo.hessian(lambda x: x * x)(np.ones(2)), errors.GraphError,
     RuntimeError,
     ["(2,)"]),
    ("hvp with another shape", lambda: lo.hvp(lambda x: x.sum(), np.ones(2), np.ones(3)), errors.ShapeError,
     ValueError, ["(3,)", "(2,)"]),
    # ----------------------------------------------------------------------------------- anomaly
    ("negative base", lambda: watched(lambda: lo.Tensor([-1.0]) ** 0.5), errors.NonFiniteError,
     FloatingPointError, ["pow", "negative base", "fractional exponent", "gives nan at (0,)"]),
    ("log of 0", lambda: watched(lambda: lo.Tensor([0.0]).log()), errors.NonFiniteError, FloatingPointError,
     ["log: input 0.0 at (0,) -> -inf", "created at", "test_bad_input.py:"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "error", "base", "words"), [pytest.param(*case[1:], id=case[0]) for case in CASES]
)
def test_bad_input_is_refused_in_words(call, error, base, words):
    with pytest.raises(errors.LoError) as caught:
        call()
    assert type(caught.value) is error
    assert isinstance(caught.value, base)
    for word in words:
        assert word in str(caught.value)


def test_mutation_between_the_passes_names_the_parameter():
    W = pair()
    loss = (W * W).sum()
    W.data -= 0.1
    with pytest.raises(errors.MutationError, match="'W1' was changed after the forward pass; run it again"):
        loss.backward()
    assert issubclass(errors.MutationError, errors.GraphError)
    assert W.grad is None


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (errors.ShapeError, ValueError),
        (errors.DTypeError, TypeError),
        (errors.DomainError, ValueError),
        (errors.LabelError, IndexError),
        (errors.LabelError, ValueError),
        (errors.GraphError, RuntimeError),
        (errors.MutationError, errors.GraphError),
        (errors.NonFiniteError, FloatingPointError),
        (errors.OptionError, ValueError),
        (errors.CheckpointError, ValueError),
        (errors.GradcheckError, AssertionError),
        (errors.DrawingError, RuntimeError),
        (errors.StaleError, RuntimeError),
        (errors.IndexingError, IndexError),
        (errors.UnsupportedError, TypeError),
    ],
)
def test_each_error_is_the_builtin_that_python_readers_expect(error, base):
    assert issubclass(error, base)
    assert issubclass(error, errors.LoError)
