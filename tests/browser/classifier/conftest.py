"""The classifier page, opened anew for each test."""

import pytest
from classifier_pages import Link

from tinygrad_lo.pages import classifier


@pytest.fixture(scope="session")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("classifier") / "classifier.html"
    path.write_text(classifier.classifier(), encoding="utf-8")
    return path


@pytest.fixture
def page(browser, file):
    """What the page must never do is checked at the end."""
    browser.open(Link(file), width=1240, height=900)
    yield browser
    console, asked = browser.logged()
    assert console == []
    assert {address.split("#")[0] for address in asked} <= {file.as_uri()}
    assert browser.run("return [...violations, ...alerts]") == []
