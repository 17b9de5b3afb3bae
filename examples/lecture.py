"""All figures of a lecture, and a page that shows them: slide topic, figure, printed number, command.

    python examples/lecture.py 003 [folder]      one lecture: 000 001 002 003 004, or all

Each figure is a script of its own in examples/figures, which says in SLIDES what it shows of which lecture.
"""

import html
import importlib
import sys
import time
from pathlib import Path
from types import ModuleType

FIGURES = Path(__file__).parent / "figures"
LECTURES = {
    "000": "Loss functions and optimization", "001": "Cost functions and output units",
    "002": "Linear classification: losses", "003": "Losses, activations and optimizers",
    "004": "Losses and probability",
}  # fmt: skip
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Figures of the lectures</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
img {{ max-width: 100%; border: 1px solid #ddd }} code {{ background: #f3f3f3; padding: .1em .3em }}</style>
<h1>Figures of the lectures</h1>
{sections}
</html>
"""


def scripts() -> dict[str, ModuleType]:
    """Every figure's script by its name."""
    sys.path.insert(0, str(FIGURES))
    names = sorted(path.stem for path in FIGURES.glob("*.py") if path.stem != "style")
    return {name: importlib.import_module(name) for name in names}


def section(lecture: str, name: str, module: ModuleType, lines: list[str]) -> str:
    """A figure on the page."""
    topics = "; ".join(module.SLIDES[lecture])
    question = (module.__doc__ or "").splitlines()[0]
    numbers = "<br>".join(map(html.escape, lines))
    return (
        f"<h3>{html.escape(topics)}</h3>\n<p>{html.escape(question)}</p>\n"
        f'<img src="{name}.png" alt="{html.escape(question)}">\n'
        f"<p>{numbers}</p>\n<p><code>python examples/figures/{name}.py</code></p>"
    )


def main(lectures: list[str], folder: Path) -> None:
    """Make the figures, print a line for each result, write the page."""
    folder.mkdir(parents=True, exist_ok=True)
    modules = {
        name: module for name, module in scripts().items() if any(one in module.SLIDES for one in lectures)
    }
    results = {}
    for name, module in modules.items():
        begin = time.perf_counter()
        results[name] = module.main(folder)
        for line in results[name]:
            print(line)
        print(f"    {folder / name}.png  ({time.perf_counter() - begin:.1f} s)", flush=True)
    parts = []
    for lecture in lectures:
        parts.append(f"<h2>Lecture {lecture}: {html.escape(LECTURES[lecture])}</h2>")
        parts += [section(lecture, n, m, results[n]) for n, m in modules.items() if lecture in m.SLIDES]
    (folder / "index.html").write_text(PAGE.format(sections="\n".join(parts)), encoding="utf-8")
    print(f"{len(results)} figures; the page is {folder / 'index.html'}")


if __name__ == "__main__":
    wanted = sys.argv[1] if len(sys.argv) > 1 else "all"
    if wanted != "all" and wanted not in LECTURES:
        sys.exit(f"which lecture? {', '.join(LECTURES)} or all, not {wanted!r}")
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent / "output"
    main(list(LECTURES) if wanted == "all" else [wanted], target)
