"""Floor 8, solved: a network reads digits, and shows its graph."""

from itertools import pairwise

import graphviz
import numpy as np
from floor2_order import order
from floor5_rules import Tensor
from floor6_losses import cross_entropy
from floor7_training import SGD


def start(sizes, rng):
    """W and b of each layer: W from a normal distribution with variance 2 / inputs, b zero."""
    params = []
    for i, (n, m) in enumerate(pairwise(sizes), start=1):
        params += [Tensor(rng.normal(size=(n, m)) * np.sqrt(2.0 / n), label=f"W{i}")]
        params += [Tensor(np.zeros(m), label=f"b{i}")]
    return params


def scores(params, X):
    """X through all layers, with relu between them."""
    for i in range(0, len(params), 2):
        X = (X.relu() if i else X) @ params[i] + params[i + 1]
    return X


def train(params, X, labels, steps):
    """Steps downhill on the cross-entropy; the loss of each step."""
    optimizer, losses = SGD(params, lr=0.1, momentum=0.9), []
    for _ in range(steps):
        loss = cross_entropy(scores(params, X), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.data))
    return losses


def draw(root):
    """The graph of a value: a node for each value, an arrow from each input to what is made of it."""
    picture = graphviz.Digraph(graph_attr={"rankdir": "LR"}, node_attr={"shape": "box"})
    names = {node: str(i) for i, node in enumerate(order(root))}
    for node, name in names.items():
        what = node.data.shape or f"{node.data:.3g}"  # of one number the number
        picture.node(name, graphviz.escape(f"{node.label} {what}"))
        for parent in node.parents:
            picture.edge(names[parent], name)
    return picture
