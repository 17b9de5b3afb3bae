"""The classifier page as a file: its command, its policy, its parts."""

import base64
import hashlib
import re
import subprocess
import sys
import webbrowser
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from classifier_pages import EVERY

import tinygrad_lo as lo
from tinygrad_lo.pages import classifier
from tinygrad_lo.pages.__main__ import write_page

ROOM = Path(classifier.__file__).parent


@pytest.fixture(scope="module")
def page():
    return classifier.classifier()


# ----------------------------------------------------------------------------------- the command


def test_save_writes_the_page_and_says_where(tmp_path, capsys, page, monkeypatch):
    monkeypatch.setattr(webbrowser, "open", lambda *_: pytest.fail("--save opens nothing"))
    path = tmp_path / "here.html"
    assert write_page(["classifier", "--save", str(path)]) == 0
    assert capsys.readouterr().out.strip() == str(path)
    assert path.read_text(encoding="utf-8") == page


def test_without_save_it_opens_the_browser(capsys, page, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    assert write_page(["classifier"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert opened == [path.as_uri()]
    assert path.read_text(encoding="utf-8") == page


def test_without_a_browser_it_says_so(capsys, monkeypatch):
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    assert write_page(["classifier"]) == 0
    out, err = capsys.readouterr()
    assert Path(out.strip()).is_file()
    assert err == "No browser could be opened; open that file in one.\n"


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path, capsys):
    assert write_page(["classifier", "--save", str(tmp_path / "no" / "such.html")]) == 2
    assert capsys.readouterr().err.endswith(
        "cannot be written: No such file or directory; name another with --save\n"
    )


@pytest.mark.parametrize(
    ("argv", "words"), [([], "required: PAGE"), (["clasifier"], "invalid choice: 'clasifier'")]
)
def test_an_unknown_page_is_refused(argv, words, capsys):
    assert write_page(argv) == 2
    assert words in capsys.readouterr().err


def test_the_module_runs(tmp_path, page):
    """In another process, with another order of sets, to the same bytes."""
    path = tmp_path / "page.html"
    command = [sys.executable, "-W", "error", "-m", "tinygrad_lo.pages", "classifier", "--save", path]
    subprocess.run(command, check=True, env={"PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(sys.path)})
    assert path.read_text(encoding="utf-8") == page


# ---------------------------------------------------------------------------------------- the file


def test_only_its_own_script_and_style_run(page):
    policy = re.search(r'Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; base-uri 'none'; form-action 'none'; ")
    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_nothing_is_fetched_and_no_text_becomes_code(page):
    addresses = set(re.findall(r"https?://[^\"'`\s)]+", page))
    assert addresses == {"http://www.w3.org/2000/svg"}
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "srcdoc",
    ):
        assert word not in page
    assert not re.search(r"\son\w+=\"| style=\"", page.partition("<script")[0])


def test_every_script_is_in_the_page_and_short(page):
    files = sorted(path.stem for path in (ROOM / "classifier").glob("*.js"))
    assert files == sorted(classifier.SCRIPTS.split())
    for path in [*(ROOM / "classifier").glob("*.js"), ROOM / "classifier.html", ROOM / "classifier.css"]:
        assert len(path.read_text(encoding="utf-8").splitlines()) < 400
    for name in files:
        assert (
            resources.files("tinygrad_lo.pages").joinpath(f"classifier/{name}.js").read_text(encoding="utf-8")
            in page
        )


def test_the_page_is_small(page):
    assert len(page.encode()) < 150_000


# ------------------------------------------------------------------------------------- its losses


@pytest.mark.parametrize(("key", "margin"), EVERY)
def test_the_call_in_the_script_is_the_mean_of_the_points(key, margin):
    """`python` for all points and `of` for one are the same loss."""
    choice = classifier.LOSSES[key]
    rng = np.random.default_rng(0)
    S, y = rng.normal(size=(9, 3)), rng.integers(0, 3, 9)
    mean = eval(choice.python.format(margin=margin), {"lo": lo, "np": np, "S": S, "y": y})
    one = [choice.of(s, label, margin) for s, label in zip(S, y, strict=True)]
    np.testing.assert_allclose(mean, np.mean(one), rtol=1e-14)


def test_the_graph_of_the_hinge_has_the_slide_s_values():
    rows = classifier.graph_of("svm", 1.0).rows
    assert [f"{row['name']} = {row['formula']}" for row in rows[1:]] == [
        "s_y = s[i, yᵢ]", "m = s − s_y + 1", "margins = max(0, m) × (j ≠ y)", "Lᵢ = Σ margins",
    ]  # fmt: skip
    assert [row["cells"] for row in rows] == [3, 1, 3, 3, 1]
    assert [[wire["from"] for wire in row["wires"]] for row in rows] == [[], [0], [0, 1], [2], [3]]


@pytest.mark.parametrize(("key", "margin"), EVERY)
def test_every_graph_goes_from_the_scores_to_the_loss(key, margin):
    rows = classifier.graph_of(key, margin).rows
    assert rows[0]["name"] == "s"
    assert (rows[-1]["name"], rows[-1]["cells"]) == ("Lᵢ", 1)
    used = {wire["from"] for row in rows for wire in row["wires"]}
    assert used == {*range(len(rows) - 1)}
    assert not re.search(r"\bv\d", " ".join(row["formula"] for row in rows))
