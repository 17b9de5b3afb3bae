"""The reference pages of the site: one for each public name, made from its docstring.

A docstring of the house is a summary, paragraphs, formulas (indented), and sections: Shapes, Raises, Source.
"""

import html
import inspect
import re
import types
from collections.abc import Iterator
from pathlib import Path

from generate import members, signature

import tinygrad_lo as lo

PACKAGE = Path(lo.__file__).parent
ROOMS = ("losses", "nn", "optim", "data", "training", "errors")
SECTION = re.compile(r"^([A-Z][\w ]+): {0,9}(.*)")
SECTIONS = (
    "Args", "Shapes", "Units", "At the edges", "Raises", "Warns", "Returns", "Source", "Example", "Attributes"
)  # fmt: skip
MARKDOWN = re.compile(r"([\\*_<>\[\]#|$~{}])")
# One step of typesetting: what is lowered or raised, a variable with its hat, and its number.
SIGNS = re.compile(
    r"(?:(?<![A-Za-z]{2})(_)|(\^))(\((?:[^()]|\([^()]*\))*\)|\{[^{}]*\}|−?[\wα-ωΑ-Ω*+]+)"
    r"|(?<![\w.])([A-Za-zα-ωΑ-Ν]\u0302?)([0-9]?)(?=\W|_|[²ᵀ]|$)"
)


def public() -> Iterator[tuple[str, object]]:
    """Every public name with what it is: lo.losses.mse."""
    for title, room in [("lo", lo), *((f"lo.{name}", getattr(lo, name)) for name in ROOMS)]:
        names = getattr(room, "__all__", None) or [n for n, v in vars(room).items() if isinstance(v, type)]
        for name in names:
            thing = getattr(room, name)
            if not isinstance(thing, types.ModuleType):
                yield f"{title}.{name}", thing


def escaped(text: str) -> str:
    """A docstring's text as Markdown: what is in backticks is code, nothing else is markup."""
    parts = text.split("`")
    return "`".join(part if i % 2 else MARKDOWN.sub(r"\\\1", part) for i, part in enumerate(parts))


def typeset(line: str) -> str:
    """A line of a formula as HTML: x_i lowered, x^2 raised, variables slanted, gaps kept."""

    def sign(match: re.Match[str]) -> str:
        low, _, what, letter, number = match.groups()
        if letter:
            return f"<i>{letter}</i>" + (f"<sub>{number}</sub>" if number else "")
        inner = what[1:-1] if what[0] in "({" else what
        tag = "sub" if low else "sup"
        return f"<{tag}>{SIGNS.sub(sign, inner)}</{tag}>"

    return "   ".join(SIGNS.sub(sign, html.escape(part, quote=False)) for part in re.split(r" {3,}", line))


def formula(lines: list[str]) -> str:
    """Lines of a formula, as they stand under each other."""
    text = inspect.cleandoc("\n".join(["", *lines])).splitlines()
    body = "\n".join(" " * (len(line) - len(line.lstrip())) + typeset(line.lstrip()) for line in text)
    return f'```{{raw}} html\n<div class="formula" role="math">{body}</div>\n```'


def blocks(doc: str) -> Iterator[tuple[str, list[str]]]:
    """A docstring in pieces: ("text" | "formula" | a section's name, its lines)."""
    kind, lines, section = "text", [], ""
    for line in doc.splitlines():
        heading = SECTION.match(line)
        if heading and heading[1] in SECTIONS:
            yield kind, lines
            kind = section = heading[1]
            lines = [heading[2]] if heading[2] else []
        elif section or not line.strip():
            lines.append(line)
            if not section:
                yield kind, lines
                kind, lines = "text", []
        else:
            here = "formula" if line.startswith("    ") else "text"
            if here != kind and lines:
                yield kind, lines
                lines = []
            kind = here
            lines.append(line)
    yield kind, lines


def described(doc: str) -> list[str]:
    """A docstring as Markdown."""
    parts, terms = [], []
    for kind, lines in blocks(doc):
        text = [line for line in lines if line.strip()]
        if not text:
            continue
        if kind == "formula":
            parts.append(formula(text))
        elif kind == "text":
            parts.append(escaped("\n".join(text)))
        elif kind.startswith("Example"):
            code = inspect.cleandoc("\n".join(["", *lines]))
            terms.append(f"## Example\n\n```pycon\n{code}\n```")
        else:
            terms.append(section(kind, text))
    return [*parts, *terms]


def section(kind: str, lines: list[str]) -> str:
    """A section as a term with its text; of Raises, and of what has lines of its own, a list."""
    text = " ".join(line.strip() for line in lines)
    if kind == "Raises":
        items = re.split(r"(?<=[.;]) {1,2}(?=[A-Z]\w+Error: )", text)
        return "\n".join(["Raises", *(f": {escaped(item)}\n" for item in items)])
    if kind == "Attributes":
        return "\n".join(["Attributes", *(f": {escaped(item)}\n" for item in lines)])
    return f"{kind}\n: {escaped(text)}"


def where(thing: object) -> tuple[Path, int] | None:
    """The file of the package and the line in which a name is defined."""
    try:
        thing = inspect.unwrap(thing)
        return Path(inspect.getsourcefile(thing)), inspect.getsourcelines(thing)[1]
    except (TypeError, OSError):
        return None


def page(name: str, thing: object, seen: list[str]) -> str:
    """The page of one public name; what is to be seen of it stands before the fine print."""
    call = signature(name, thing)
    kind = "class" if isinstance(thing, type) else "function"
    lines = [f"# {name}", "", f"````{{py:{kind}}} {call}", "", "````"]
    place = where(thing)
    if place and place[0].is_relative_to(PACKAGE):
        file = place[0].relative_to(PACKAGE).with_suffix("")
        lines += ["", f'<a class="source" href="../source/{file.as_posix()}.html#L-{place[1]}">source</a>']
    parts = described(inspect.getdoc(thing) or "")
    first = next((i for i, part in enumerate(parts) if "\n: " in part or part.startswith("## ")), len(parts))
    lines += ["", "\n\n".join([*parts[:first], *seen, *parts[first:]])]
    if isinstance(thing, type) and not issubclass(thing, Exception):
        lines += methods(name, thing)
    return "\n".join([*lines, ""])


def methods(name: str, cls: type) -> list[str]:
    """What a class offers, each with its own docstring; also what comes from a base that has no page."""
    lines = []
    shown = {thing for _, thing in public() if isinstance(thing, type)}
    bases = [
        base for base in cls.__mro__[1:-1] if base not in shown and base.__module__.startswith("tinygrad_lo")
    ]
    offered = dict(member for base in (*reversed(bases), cls) for member in members(base))
    for member, value in offered.items():
        doc = inspect.getdoc(value)
        if doc and (callable(value) or isinstance(value, property)):
            call = member if isinstance(value, property) else signature(member, value, first=1)
            kind = "property" if isinstance(value, property) else "method"
            lines += ["", f"````{{py:{kind}}} {name}.{call}", "", "````", ""]
            lines += "\n\n".join(part.replace("## Example\n\n", "") for part in described(doc)).splitlines()
    return ["", "## Methods", *lines] if lines else []
