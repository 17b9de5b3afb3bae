"""Lay out what Sphinx builds the site from: the pages of docs/, and all that is made from the package.

    python docs/stage.py FOLDER [--assets FOLDER]

Made are the reference with its plots and live graphs, the source, the lectures' figures with their numbers,
the classifier page and the exercises.
"""

import argparse
import contextlib
import html
import importlib
import inspect
import re
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT / "examples"), str(ROOT / "examples" / "figures")]

import generate  # noqa: E402
import reference  # noqa: E402
from pygments import highlight  # noqa: E402
from pygments.formatters import HtmlFormatter  # noqa: E402
from pygments.lexers import PythonLexer  # noqa: E402

import tinygrad_lo as lo  # noqa: E402
from tinygrad_lo.checking.loss_conventions import KNOWN  # noqa: E402
from tinygrad_lo.pages.classifier import classifier  # noqa: E402

mpl.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

THEMES = ("light", "dark")
INK = {"light": "#1f2328", "dark": "#e6edf3"}
LINES = {"light": ("#0550ae", "#b35900", "#57606a"), "dark": ("#79c0ff", "#ffb366", "#afb8c1")}
WIDTHS = np.linspace(-4.0, 4.0, 401)


def stage(folder: Path, assets: Path | None) -> None:
    """Everything that the site is built from."""
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("_build", "*.py", "*.in", "__pycache__"))
    for kind in ("extra/live", "plots", "reference", "source", "figures"):
        (folder / kind).mkdir(parents=True)
    with ProcessPoolExecutor() as workers:
        names = sorted(
            path.stem for path in (ROOT / "examples" / "figures").glob("*.py") if path.stem != "style"
        )
        numbers = dict(zip(names, workers.map(figure, names, [folder / "figures"] * len(names)), strict=True))
    figure_pages(folder / "figures", numbers)
    (folder / "extra" / "live" / "classifier.html").write_text(classifier(), encoding="utf-8")
    exercise_pages(folder / "extra" / "exercises", assets)
    first_live_graph(folder / "extra" / "live")
    for name, thing in reference.public():
        (folder / "reference" / f"{name}.md").write_text(
            reference.page(name, thing, extras(name, thing, folder)), encoding="utf-8"
        )
    contents(folder)
    sources(folder / "source")
    for path in folder.rglob("*.md"):
        path.write_text(linked(path.read_text(encoding="utf-8"), path, folder), encoding="utf-8")


# ------------------------------------------------------------------------------------------ reference


def extras(name: str, thing: object, folder: Path) -> list[str]:
    """What is seen of a function: a curve, and a graph; of an error, what raises it."""
    room, _, short = name.rpartition(".")
    if room == "lo.errors":
        return raised(short)
    if room == "lo.losses" and short in KNOWN:
        return [*curve_of_loss(name, thing, folder), picture_of(short, thing, folder)]
    if room == "lo.nn" and short not in ("Module", "Sequential", "Flatten"):
        made = thing(*OPTIONS.get(short, ())) if isinstance(thing, type) else thing
        return curve_of_activation(name, made, folder) or [layer(short, thing, folder)]
    return []


# What a layer is made with, or a function takes beside its input.
OPTIONS: dict[str, tuple[Any, ...]] = {
    "prelu": (0.25,), "dropout": (0.5,), "batch_norm": (np.ones(3), np.zeros(3)),
    "conv2d": (np.array([[[[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]]]),),
    "max_pool2d": (2,), "avg_pool2d": (2,), "Linear": (3, 2), "Conv2d": (1, 1, 3), "MaxPool2d": (2,),
    "AvgPool2d": (2,), "BatchNorm1d": (3,), "BatchNorm2d": (1,),
}  # fmt: skip


def raised(name: str) -> list[str]:
    """The section of docs/errors.md about an error."""
    text = (HERE / "errors.md").read_text(encoding="utf-8")
    return text.partition(f"## {name}\n")[2].partition("\n## ")[0].strip().splitlines()


def picture_of(name: str, loss: Callable[..., Any], folder: Path) -> str:
    """The graph of a loss on small random numbers, as a live page in both themes."""
    known = KNOWN[name]
    given = known.draw(np.random.default_rng(4), 3, 3)

    def value(*args: Any) -> Any:
        result = loss(*args, **known.required)
        return result.sum() if result.ndim else result

    rounded = {key: np.round(x, 1) for key, x in given.items()}
    with contextlib.suppress(lo.errors.DomainError):  # rows that sum to 1 may not, rounded
        value(*rounded.values())
        given = rounded
    names = [key.replace("-", "_") for key in given]
    tensors = [x if x.dtype.kind != "f" else lo.Tensor(x, requires_grad=key not in DATA, name=key)
               for key, x in zip(names, given.values(), strict=True)]  # fmt: skip
    value.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(key, inspect.Parameter.POSITIONAL_ONLY) for key in names]
    )
    for theme in THEMES:
        page = folder / "extra" / "live" / f"{name}.{theme}.html"
        lo.draw(value, *tensors, theme=theme, title=f"lo.losses.{name}").save(page)
    return live(f"../live/{name}", f"The graph of {name}, live: change a number", 620)


DATA = ("target", "answers", "signs")


def layer(name: str, thing: Any, folder: Path) -> str:
    """The graph of a layer on a few small numbers, as a live page in both themes."""
    lo.seed(0)
    rng = np.random.default_rng(4)
    x = lo.Parameter(np.round(rng.normal(size=(1, 1, 4, 4) if "2d" in name else (2, 3)), 1), name="x")
    options = OPTIONS.get(name, ())
    y = thing(*options)(x) if isinstance(thing, type) else thing(x, *options)
    for theme in THEMES:
        lo.draw(y, theme=theme, title=f"lo.nn.{name}").save(
            folder / "extra" / "live" / f"{name}.{theme}.html"
        )
    return live(f"../live/{name}", f"The graph of {name}, live: change a number", 520)


def live(path: str, title: str, height: int) -> str:
    """A frame with a live page, which follows the site's theme."""
    about, page = html.escape(title), f"{path}.light.html"
    return (
        f'```{{raw}} html\n<p class="live-title"><a href="{page}">{about}</a></p>\n'
        f'<iframe class="live" data-live="{path}" src="{page}#step=999" title="{about}" '
        f'loading="lazy" height="{height}"></iframe>\n```'
    )


def curve_of_loss(name: str, loss: Callable[..., Any], folder: Path) -> list[str]:
    """The loss of one number, where it takes that: for a target of 0, or for the answers −1, 0 and 1."""
    curves: dict[str, Callable[[Any], Any]] = {}
    for target in (0.0, 1.0, -1.0):

        def of(x: Any, target: float = target) -> Any:  # fmt: skip
            return loss(x, np.full(x.shape, target), reduction="none")

        try:
            if of(WIDTHS[WIDTHS > 0.5][:3] / 4.0).shape == (3,):
                curves[f"target {target:g}"] = of
        except (TypeError, lo.errors.LoError):
            continue
    if name.rpartition(".")[2] in ("mse", "mae", "huber", "log_cosh", "quantile", "gaussian_nll"):
        curves = {"target 0": curves["target 0"]}
    return plot(name, curves, "prediction", "loss", folder)


def curve_of_activation(name: str, function: Callable[..., Any], folder: Path) -> list[str]:
    """An activation of one number with its slope; what mixes its inputs, as a graph."""
    try:
        forward, backward = function(WIDTHS), function(WIDTHS[::-1])
        if np.array_equal(forward, backward[::-1]) and forward.shape == WIDTHS.shape:
            return plot(name, {name.removeprefix("lo."): function}, "x", "", folder, slopes=True)
    except (TypeError, lo.errors.LoError):
        pass
    return []


def plot(
    name: str, curves: dict[str, Callable[[Any], Any]], below: str, beside: str, folder: Path, *,
    slopes: bool = False,
) -> list[str]:  # fmt: skip
    """One picture for each theme of these functions of one number, where they are defined."""
    if not curves:
        return []
    for theme in THEMES:
        figure, axes = plt.subplots(figsize=(5.2, 3.0), layout="constrained")
        for (label, of), color, dash in zip(curves.items(), LINES[theme], ("-", "--", ":"), strict=False):
            x = defined(of)
            axes.plot(x, of(x), dash, color=color, label=label)
            if slopes:
                leaf = lo.Parameter(x)
                of(leaf).sum().backward()
                axes.plot(x, leaf.grad, "--", color=LINES[theme][1], label="its slope")
        axes.set_xlabel(below)
        axes.set_ylabel(beside)
        if len(curves) > 1 or slopes:
            axes.legend(frameon=False, labelcolor=INK[theme])
        axes.tick_params(colors=INK[theme])
        for part in (axes.xaxis.label, axes.yaxis.label):
            part.set_color(INK[theme])
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(INK[theme])
        figure.savefig(folder / "plots" / f"{name}.{theme}.svg", transparent=True)
        plt.close(figure)
    about = f"{name} as a function of one number" + (", with its slope" if slopes else "")
    return ["", *(f"![{about}](../plots/{name}.{theme}.svg){{.only-{theme}}}" for theme in THEMES), ""]


def defined(of: Callable[[Any], Any]) -> Any:
    """Where a function of one number may be asked: everywhere, above 0, or between 0 and 1."""
    for x in (WIDTHS, WIDTHS[WIDTHS > 0], np.linspace(0.0, 1.0, 401)[1:-1]):
        try:
            of(x)
        except lo.errors.LoError:
            continue
        return x
    raise AssertionError("nowhere defined")


def contents(folder: Path) -> None:
    """The index of the reference: docs/api.md, with a link for each name."""
    names = [name for name, _ in reference.public()]
    text = (HERE / "api.md").read_text(encoding="utf-8")
    for name in names:
        text = re.sub(rf"`({re.escape(name)}(\([^`]*)?)`", rf"[`\1`](reference/{name}.md)", text)
    rooms: dict[str, list[str]] = {}
    for name in names:
        rooms.setdefault(name.rpartition(".")[0], []).append(f"{name.rpartition('.')[2]} <reference/{name}>")
    for room, listed in rooms.items():
        text += "\n".join(["", "```{toctree}", ":hidden:", f":caption: {room}", "", *listed, "```", ""])
    (folder / "api.md").write_text(text, encoding="utf-8")


def sources(folder: Path) -> None:
    """Every module of the package, a page each, so that a name leads to its lines."""
    formatter = HtmlFormatter(linenos="inline", anchorlinenos=True, lineanchors="L", cssclass="highlight")
    paths = sorted((ROOT / "tinygrad_lo").rglob("*.py"))
    names = []
    for path in paths:
        name = path.relative_to(ROOT / "tinygrad_lo").with_suffix("")
        page = folder / f"{name.as_posix()}.md"
        page.parent.mkdir(parents=True, exist_ok=True)
        code = highlight(path.read_text(encoding="utf-8"), PythonLexer(), formatter)
        page.write_text(
            f"# tinygrad_lo/{name.as_posix()}.py\n\n```{{raw}} html\n{code}\n```\n", encoding="utf-8"
        )
        names.append(f"{name.as_posix()}")
    listed = "\n".join(names)
    (folder / "contents.md").write_text(
        f"# The source\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n", encoding="utf-8"
    )


# ------------------------------------------------------------------------------------------ pages


def figure(name: str, folder: Path) -> list[str]:
    """Make one figure of the lectures; the numbers that it prints."""
    return list(importlib.import_module(name).main(folder))


def figure_pages(folder: Path, numbers: dict[str, list[str]]) -> None:
    """A page for each lecture: the question, the figure, its numbers, the command."""
    lectures = importlib.import_module("lecture").LECTURES
    for lecture, topics in generate.slide_topics().items():
        lines = [f"# Lecture {lecture} in figures: {lectures[lecture]}", ""]
        shown: dict[str, list[str]] = {}
        for topic, name, *_ in topics:
            shown.setdefault(name, []).append(topic)
        asked = {name: (question, page) for _, name, question, page in topics}
        for name, all_topics in shown.items():
            question, page = asked[name]
            if not name:
                page = f"{'; '.join(all_topics)}: [the classifier page](../classifier.md)."
                lines += [f"## {question}", "", page, ""]
                continue
            lines += [f"## {question}", "", f"*{'; '.join(all_topics)}*", ""]
            lines += [f"![{question}]({name}.png)", ""]
            lines += ["```text", *numbers[name], "```", ""]
            lines += [f"`python examples/figures/{name}.py` · [more](../{page})", ""]
        (folder / f"{lecture}.md").write_text("\n".join(lines), encoding="utf-8")


def first_live_graph(folder: Path) -> None:
    """The graph of the first screen: one image of the slide, the SVM loss."""
    S = lo.Parameter([[3.2, 5.1, -1.7]], name="S")
    for theme in THEMES:
        lo.draw(lo.losses.multiclass_hinge(S, [0]), theme=theme).save(folder / f"first.{theme}.html")


def exercise_pages(folder: Path, assets: Path | None) -> None:
    """The exercises, as python -m tinygrad_lo.pages exercises writes them."""


def linked(text: str, path: Path, folder: Path) -> str:
    """A page whose links into the repository lead to pages of the site, and its figures to where they are."""
    up = "../" * (len(path.relative_to(folder).parts) - 1)
    lecture = ""
    if path == folder / "classifier.md":
        title, _, rest = text.partition("\n")
        link = '<p><a href="live/classifier.html">Open the page</a></p>'
        text = f"{title}\n\n```{{raw}} html\n{link}\n```\n{rest}"
    if path == folder / "slides.md":
        lines = text.splitlines()
        for i, line in enumerate(lines):
            lecture = line.removeprefix("## Lecture ") if line.startswith("## ") else lecture
            lines[i] = re.sub(r"`\w+\.png`: ([^|]*\S)", rf"[\1](figures/{lecture}.md)", line)
        text = "\n".join(lines)
    text = re.sub(r"\]\(\.\./tinygrad_lo/([\w/]+)\.py\)", rf"]({up}source/\1.md)", text)
    return re.sub(r"\[([^\]]*)\]\(\.\./(?:examples|tests)/[^)]*\)", r"\1", text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--assets", type=Path)
    asked = parser.parse_args()
    stage(asked.folder, asked.assets)
