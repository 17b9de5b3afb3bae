"""The last line of a cell: texts are printed, reports read, tensors are tables."""

import pickle
from xml.etree import ElementTree

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.drawing.notebook import COLUMNS, ROWS


class Printer:
    """What IPython hands to `_repr_pretty_`."""

    def __init__(self):
        self.written = []

    def text(self, words):
        self.written.append(words)


def shown(value):
    """As IPython finds it: on a class of the MRO, before that class's own __repr__."""
    for kind in type(value).__mro__:
        if "_repr_pretty_" in vars(kind):
            printer = Printer()
            vars(kind)["_repr_pretty_"](value, printer, False)
            return "".join(printer.written)
        if "__repr__" in vars(kind):
            return repr(value)
    return None


@pytest.fixture
def w():
    return lo.Parameter([[1.0, -2.0], [0.5, 0.0]], name="w")


def texts(w):
    loss = (w * w).sum().named("loss")
    report = lo.gradcheck(lambda w: (w * w).sum(), w)
    homework = lo.check_gradient(lambda x: (float((x * x).sum()), 3 * x), np.ones(3))
    return [lo.tree(loss), lo.explain(loss), lo.explain(loss, of=w), lo.formula("exp"), lo.formula(loss),
            lo.source(loss), lo.javascript(loss), report, homework]  # fmt: skip


def test_texts_and_reports_print_as_they_read(w):
    for value in texts(w):
        assert shown(value) == str(value)
        assert "\\n" not in shown(value)
        assert len(shown(value).splitlines()) > 1


def test_texts_stay_strings(w):
    for value in texts(w)[:7]:
        assert isinstance(value, str)
        assert repr(value).startswith(("'", '"'))
        assert (value + "!").endswith("!")
        assert pickle.loads(pickle.dumps(value)) == value
    assert set(lo.source((w * w).sum()).arguments) == {"w"}


def page(tensor):
    return ElementTree.fromstring(tensor._repr_html_().replace("<br>", "<br/>"))


def captions(tensor):
    return ["".join(caption.itertext()) for caption in page(tensor).iter("caption")]


def rows(tensor, table=0):
    found = list(page(tensor).iter("table"))[table]
    return [["".join(cell.itertext()) for cell in row.iter("td")] for row in found.iter("tr")]


def test_a_parameter_shows_value_and_gradient(w):
    assert captions(w) == ["value", "gradient"]
    assert rows(w) == [["1", "−2"], ["0.5", "0"]]
    assert rows(w, 1) == [["–"]]  # none has arrived, which is not 0
    (w * w).sum().backward()
    assert rows(w, 1) == [["2", "−4"], ["1", "0"]]


def test_tints_are_those_of_the_cards(w):
    from tinygrad_lo.drawing.colors import LIGHT

    styles = [cell.get("style") for cell in page(w).iter("td")]
    assert LIGHT.heat("value", 1.0) in styles[1]
    assert LIGHT.heat("value", 0.5) in styles[0]
    assert LIGHT.alarm in page(lo.Tensor([np.nan, 1.0])).find(".//td").get("style")


def test_data_and_computed_values_show_their_value(w):
    assert captions(lo.Tensor([1.0, 2.0])) == ["value"]
    assert captions(w * 2.0) == ["value"]
    assert "made by multiply" in (w * 2.0)._repr_html_()
    assert rows(lo.Tensor(3.0)) == [["3"]]
    assert rows(lo.Tensor([True, False])) == [["true", "false"]]
    assert rows(lo.Tensor(np.zeros((0, 3)))) == [["empty"]]


def test_large_arrays_are_shortened():
    big = lo.Tensor(np.arange(2000.0).reshape(40, 50))
    found = rows(big)
    assert len(found) == ROWS + 1
    assert [len(row) for row in found] == [COLUMNS + 1] * ROWS + [1]
    assert found[0][-1] == found[-1][0] == "…"
    assert rows(lo.Tensor(np.ones((2, 3, 4)))) == [["mean 1 · std 0 · min 1 · max 1"]]


def test_names_stay_text():
    evil = '<img src=x onerror="alert(1)">&\\'
    for value in (lo.Parameter(1.0, name=evil), lo.Parameter(1.0, name=evil) * 2.0):
        page(value)
        assert "<img" not in value._repr_html_()
    assert "".join(page(lo.Parameter(1.0, name=evil)).find("b").itertext()) == evil


def test_nothing_is_computed_and_nothing_changes(w):
    dask = pytest.importorskip("dask.array")
    x = lo.Tensor(dask.ones(3).map_blocks(refuse, dtype=float, meta=np.ones(0)))
    assert rows(x) == [["–"]]
    before = (w.data.copy(), w.grad, w.name)
    loss = (w * w).sum()
    assert loss._repr_html_()
    assert w.grad is before[1] is None
    np.testing.assert_array_equal(w.data, before[0])


def refuse(block):
    raise AssertionError("computed")
