"""What passes along edges: the engine's own parts, and the rules they come from."""

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.drawing.passes.flow import concrete, flow_back, largest_magnitude
from tinygrad_lo.explaining.formula import Names
from tinygrad_lo.explaining.steps import steps


def flow_of(loss, **options):
    names = Names([loss])
    births = {node.birth for node in names.nodes}
    return names, flow_back(loss, names, births, lambda *edge: True, lambda *edge: True, **options)


def test_formulas_and_slopes_are_those_of_the_steps(svm):
    names, flow = flow_of(svm)
    found = steps(svm).backward
    assert len(found) == len(flow.strengths)
    for step in found:
        key = (names.nodes[step.gate_place].birth, step.operand)
        assert flow.strengths[key] == np.max(np.abs(step.part))
        assert flow.formulas[key] == step.formula
        assert flow.slopes.get(key) == step.slope


def test_the_rule_stands_in_the_tooltip_of_its_edge(svm):
    source = lo.draw(svm).source
    assert 'tooltip="W → S: largest |gradient| 5.4 from Xᵀ @ ∂L/∂S"' in source.replace("&#160;", " ")
    assert "from 0.1 · ∂L/∂reg · local derivative 0.1" in source.replace("&#160;", " ")


def test_without_words_there_are_strengths_and_slopes(svm):
    _, flow = flow_of(svm)
    _, bare = flow_of(svm, worded=False)
    assert not bare.formulas
    assert (bare.strengths, bare.slopes) == (flow.strengths, flow.slopes)


def test_only_what_is_asked_for_is_looked_at(svm):
    names = Names([svm])
    flow = flow_back(svm, names, (), lambda head, tail: tail.name == "W", lambda *edge: False)
    assert len(flow.strengths) == 3  # X @ W, and W * W twice
    assert not flow.slopes
    assert {node.name for node in names.nodes if node.birth in flow.gradients} == {"W"}


def test_largest_keeps_nan_and_knows_no_lazy_array():
    assert np.isnan(largest_magnitude(np.array([1.0, np.nan])))
    assert largest_magnitude(np.zeros((0, 2))) is None
    assert largest_magnitude(object()) is None
    assert concrete(3.0) == 3.0
