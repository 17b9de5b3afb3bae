"""What can go wrong: one class per kind of mistake.

Every class derives from `LoError` and from the builtin that a Python reader expects, so both
`except lo.errors.ShapeError` and `except ValueError` work. A message says what happened, what was
expected and what to do, with the actual values and the user's names.
"""


class LoError(Exception):
    """Base of everything this package raises on purpose."""


class ShapeError(LoError, ValueError):
    """Shapes, axes or sizes that do not fit the operation."""


class DTypeError(LoError, TypeError):
    """Data of a kind that cannot take part: text, objects, complex numbers, integer parameters."""


class DomainError(LoError, ValueError):
    """A value outside the set on which a function is defined, e.g. a probability of 1.5."""


class LabelError(LoError, IndexError, ValueError):
    """A class label that is not one of the classes; negative labels never wrap around."""


class GraphError(LoError, RuntimeError):
    """A request that the graph cannot answer, or that would silently leave it."""


class MutationError(GraphError):
    """An array was changed after the forward pass had used it, so gradients would be wrong."""


class NonFiniteError(LoError, FloatingPointError):
    """nan or inf appeared where a number was needed."""


class OptionError(LoError, ValueError):
    """An option with an impossible value, or an option that does not exist."""


class UnknownOptionError(OptionError, TypeError):
    """An option that a function does not have; the message names the one that was meant."""


class UnknownNameError(LoError, AttributeError):
    """A name that a module does not have; the message names the one that was meant."""


class CheckpointError(LoError, ValueError):
    """A file that is not a checkpoint of this model; nothing has been changed."""


class GradcheckError(LoError, AssertionError):
    """A gradient check failed; the message is its report."""


class DrawingError(LoError, RuntimeError):
    """A picture could not be rendered, usually because no Graphviz was found."""


class NotFollowedError(GraphError, AttributeError):
    """What a recorded function asks of an array could not be replayed on another one."""


class StaleError(LoError, RuntimeError):
    """A compiled function met a world that differs from the one it was recorded in."""


class IndexingError(LoError, IndexError):
    """An index outside the axis that it indexes."""


class UnsupportedError(LoError, TypeError):
    """A NumPy function or option that has no derivative rule here."""
