"""A real browser without a window, and pages for it to open."""

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

import tinygrad_lo as lo
from tinygrad_lo.drawing import render
from tinygrad_lo.drawing.picture import draw

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
WIDTH, HEIGHT = 1000, 800
CODES = {
    "Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "End": 35, "Home": 36,
    "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40,
}  # fmt: skip
# Counts what the policy forbids, from before the page's first line.
WATCH = """
window.violations = [];
window.alerts = [];
window.alert = text => window.alerts.push(String(text));
document.addEventListener("securitypolicyviolation",
    event => window.violations.push(event.violatedDirective));
"""


class Browser:
    """Chromium, with the page's own words."""

    def __init__(self, *more):
        options = Options()
        options.binary_location = CHROMIUM
        usual = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-extensions")
        for argument in (*usual, *more):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})

    def open(self, path, step=None, width=WIDTH, height=HEIGHT, scheme="light", media=""):
        """Load a page anew, in a window of this size, for a reader who likes this color scheme."""
        self.run("window.stop()")
        self.emulate(width, height, scheme, media)
        self.driver.get("about:blank")
        self.logged()
        self.driver.get(path.as_uri() + ("" if step is None else f"#step={step}"))
        return self

    def emulate(self, width=WIDTH, height=HEIGHT, scheme="light", media=""):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def press(self, *keys, control=False):
        """Press keys as the keyboard does: by name (ArrowRight) or as the character."""
        for key in keys:
            event = {"key": key, "windowsVirtualKeyCode": CODES.get(key, 0), "modifiers": 2 * control}
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 and not control else "")
            down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
            self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", event | down)
            self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", event | {"type": "keyUp"})

    def click(self, id):
        """Press the mouse in the middle of a control, where whatever lies on top of it gets the click."""
        x, y = self.run(
            """
            const box = document.getElementById(arguments[0]).getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];""",
            id,
        )
        for kind in ("mousePressed", "mouseReleased"):
            event = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
            self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)

    def text(self, id):
        return self.run("return document.getElementById(arguments[0]).textContent", id)

    @property
    def step(self):
        return self.run("return now")

    def texts(self):
        """What each node of the picture says, by its id: every text that can be seen."""
        return self.run("""
            const said = {};
            for (const group of document.querySelectorAll("#stage g.node")) {
              const texts = [...group.querySelectorAll("text")];
              said[group.querySelector("title").textContent] = texts
                .filter(text => getComputedStyle(text).visibility === "visible")
                .map(text => text.textContent);
            }
            return said;""")

    def gradient(self, node):
        """The gradient in a card, as it can be seen."""
        return self.run(
            """
            const texts = [...document.querySelectorAll(`#a_gradient-${arguments[0]} text`)];
            return texts.filter(text => getComputedStyle(text).visibility === "visible")
              .filter(text => text.textContent.trim()).map(text => text.textContent);""",
            node,
        )

    def picture(self):
        """All that can be seen of the picture now."""
        return self.run("""
            return [...picture.querySelectorAll("*")].map(part => {
              const style = getComputedStyle(part);
              if (style.visibility === "hidden" || style.display === "none") return "hidden";
              const look = ["fill", "fillOpacity", "stroke", "strokeWidth", "strokeDasharray", "opacity",
                "fontWeight"];
              const text = part.tagName === "text" ? part.textContent : "";
              const box = ["x", "y", "width", "height"].map(name => part.getAttribute(name));
              return [part.tagName, ...look.map(name => style[name]), text, ...box].join(" ");
            });""")

    def until(self, script, patience=10.0):
        """Wait for what the script returns to hold."""
        end = time.monotonic() + patience
        while not self.run(f"return {script}"):
            assert time.monotonic() < end, f"never held: {script}"
            time.sleep(0.02)

    def serious(self):
        """What axe-core finds serious on the page; TINYGRAD_LO_AXE is the path of its axe.min.js."""
        self.run(Path(os.environ["TINYGRAD_LO_AXE"]).read_text(encoding="utf-8"))
        found = self.driver.execute_async_script("""
            const done = arguments[0], bad = new Set(["serious", "critical"]);
            // A colour on its way from one theme to the other is nobody's colour.
            for (const motion of document.getAnimations()) motion.cancel();
            axe.run(document).then(result => done(JSON.stringify(result.violations
              .filter(one => bad.has(one.impact))
              .map(one => [one.id, one.nodes.map(node => node.html.slice(0, 100)).slice(0, 3)]))));""")
        return json.loads(found)

    def logged(self):
        """What the console said, and every address that was asked for, since the last call."""
        console = [entry["message"] for entry in self.driver.get_log("browser")]
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return console, asked


@pytest.fixture(scope="session")
def chromium():
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no Chromium with its driver here: apt-get install chromium chromium-driver")
    browser = Browser()
    yield browser
    browser.driver.quit()


@pytest.fixture
def browser(chromium):
    chromium.emulate()
    yield chromium
    chromium.driver.switch_to.default_content()


@pytest.fixture(autouse=True)
def _graphviz():
    if not render.backends():
        pytest.skip("no Graphviz")


@pytest.fixture
def page(tmp_path):
    """Write the page of a loss, and say where it is."""

    def write(loss, **options):
        return draw(loss, **options).save(tmp_path / "page.html")

    return write


@pytest.fixture
def neuron():
    """The neuron of the slides: scalars, drawn as a circuit."""
    w0, w1, w2 = (lo.Parameter(v, name=f"w{i}") for i, v in enumerate((2.0, -3.0, -3.0)))
    x0, x1 = (lo.Tensor(v, name=f"x{i}") for i, v in enumerate((-1.0, -2.0)))
    return np.tanh(w0 * x0 + w1 * x1 + w2).named("f")


@pytest.fixture
def svm():
    """The multiclass hinge loss of the slides' three pictures, plus 0.1 ΣW²: tensors, drawn as cards."""
    X = lo.Tensor([[0.2, 4.7, 3], [5.6, -6.3, -4.3], [-2.8, 8.1, 5]], name="X")
    W = lo.Parameter([[1.0, 2, 0], [0, 1, -1], [1, 0, 1]], name="W")
    with lo.scope("scores"):
        S = (X @ W).named("S")
    data_loss = lo.losses.multiclass_hinge(S, [0, 1, 2]).named("data_loss")
    with lo.scope("regularization"):
        reg = ((W * W).sum() * 0.1).named("reg")
    return (data_loss + reg).named("loss")


@pytest.fixture(params=["neuron", "svm"])
def loss(request):
    """Scalars, then tensors."""
    return request.getfixturevalue(request.param)
