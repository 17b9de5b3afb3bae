"""What passes along edges: the engine's own parts, and the rules they come from."""

import numpy as np
from drawing_networks import contents_of

import tinygrad_lo as lo
from tinygrad_lo.drawing.passes.flow import concrete, flow_back, largest_magnitude
from tinygrad_lo.explaining.formula import Names
from tinygrad_lo.explaining.steps import steps


def test_strengths_and_gradients_are_those_of_the_steps(svm):
    nodes = Names([svm]).nodes
    flow = flow_back(svm, {node.birth for node in nodes})
    found = steps(svm)
    assert len(found.backward) == len(flow.strengths)
    for step in found.backward:
        assert flow.strengths[nodes[step.gate_place].birth, step.operand] == np.max(np.abs(step.part))
        np.testing.assert_array_equal(flow.gradients[nodes[step.gate_place].birth], step.arriving)


def test_formulas_and_slopes_of_edges_are_those_of_the_steps(svm):
    wires = contents_of(svm).wires
    found = steps(svm).backward
    assert len(found) == sum(edge.strength is not None for edge in wires.values())
    for step in found:
        edge = wires[step.gate_place, step.operand]
        assert (edge.formula, edge.slope) == (step.formula, step.slope)


def test_gradients_of_leaves_come_unasked_and_of_other_values_when_asked(svm):
    nodes = Names([svm]).nodes
    gradients = flow_back(svm, ()).gradients
    assert {node.name for node in nodes if node.birth in gradients} == {"W"}


def test_the_rule_stands_in_the_tooltip_of_its_edge(svm):
    source = lo.draw(svm).source
    assert 'tooltip="W → S: largest |gradient| 5.4 from Xᵀ @ ∂L/∂S"' in source.replace("&#160;", " ")
    assert "from 0.1 · ∂L/∂reg · local derivative 0.1" in source.replace("&#160;", " ")


def test_largest_keeps_nan_and_knows_no_lazy_array():
    assert np.isnan(largest_magnitude(np.array([1.0, np.nan])))
    assert largest_magnitude(np.zeros((0, 2))) is None
    assert largest_magnitude(object()) is None
    assert concrete(3.0) == 3.0
