"""Boxes of a saved page that open."""

import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys

import tinygrad_lo as lo


@pytest.fixture
def boxed(chromium, tmp_path):
    W, h = lo.Parameter(np.eye(2), name="W"), lo.Tensor(np.ones((3, 2)), name="X")
    for layer in range(3):
        with lo.scope(f"layer {layer}"):
            h = lo.nn.relu(h @ W + 1.0) * 0.5
    chromium.open(lo.draw(h.sum().named("loss"), max_nodes=10).save(tmp_path / "boxed.html"))
    return chromium


def shown(browser):
    """How many boxes open, how many nodes there are, and what the line above the picture says."""
    where = browser.driver.find_element("id", "where").text  # "" where it is not seen
    return [*browser.run("return [picture.querySelectorAll('.opens').length, nodes.size]"), where]


@pytest.mark.parametrize("how", ["click", "key"])
def test_a_box_opens_and_closes(boxed, how):
    boxes, size, crumbs = shown(boxed)
    assert boxes
    assert not crumbs
    box = boxed.driver.find_element("css selector", ".opens")
    box.click() if how == "click" else box.send_keys(Keys.ENTER)
    _, larger, crumbs = shown(boxed)
    assert larger > size
    assert crumbs.split() == ["Whole", "graph", "›", "layer", "0"]
    boxed.run("show(end)")
    assert boxed.run("return steps.every(step => step.line && typeof step.line === 'string')")
    boxed.driver.find_element("css selector", "#where button").click()
    assert shown(boxed) == [boxes, size, ""]
