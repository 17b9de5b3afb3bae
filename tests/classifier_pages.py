"""What tests of the classifier page share: links, the mouse, the answers of the lesson."""

import numpy as np

from tinygrad_lo.pages import classifier

EVERY = [(key, margin) for key, loss in classifier.LOSSES.items() for margin in loss.margins]
LIMIT = 1e-14  # of the largest number of an array
RIGHT = [
    [2.9], ["rises", "rises"], [2, 1.1], ["stays", "changes"], ["softmax's"], ["falls", "as many"],
    ["stays", 4, "rises"], ["some", "all"], ["rises", "falls"], ["none", "some"],
]  # fmt: skip


class Link:
    """A page with what its address says behind the #."""

    def __init__(self, path, hash=""):
        self.path, self.hash = path, hash

    def as_uri(self):
        return self.path.as_uri() + self.hash


def near(ours, theirs):
    theirs = np.asarray(theirs)
    largest = np.max(np.abs(theirs), initial=0.0)
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=0, atol=LIMIT * max(largest, 1e-300))


def mouse(browser, kind, x, y):
    event = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
    browser.driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)


def middle(browser, selector):
    return browser.run(
        """
        const box = document.querySelector(arguments[0]).getBoundingClientRect();
        return [box.x + box.width / 2, box.y + box.height / 2];""",
        selector,
    )


def answer(browser, given, wrong):
    """Fill in each answer, or another one."""
    for i, one in enumerate(given):
        browser.run(
            """
            const [i, answer, wrong] = arguments, set = by("asks").children[i];
            const field = set.querySelector("[inputmode]"), labels = [...set.querySelectorAll("label")];
            if (field) field.value = wrong ? "77" : String(answer);
            else labels.find(one => (one.textContent === answer) !== wrong).control.click();""",
            i, one, wrong,
        )  # fmt: skip
