"""Addresses, files and names that nobody should write: a sentence, and the page goes on."""

import random

import pytest
from classifier_pages import Link

NASTY = [
    "constructor", "__proto__", "toString", "<img src=x onerror=alert(1)>", "javascript:alert(3)", "NaN",
    "</script><script>alert(2)</script>", "Infinity", "-5", "1e999", "1e9", "0x10", "", " ", "=1+1", "null",
    "%E0%A4%A", "משקל", "١٢", "1,2;3", ";;;", "\u2028", "{lone}", "9" * 400, "-0", "1e-320", "${alert(4)}",
    "0,0,0", "0,0,7", "\0",
]  # fmt: skip
ALL = "svm, squared, worst, cross_entropy, rest"
WANTED = "a point is two numbers up to 1000 and a class, like"
ROWS = "3 rows of 2 numbers up to a million, like 1,2;2,-4;3,-1"
KEYS = [
    "loss",
    "margin",
    "reg",
    "lambda",
    "eta",
    "W",
    "b",
    "points",
    "point",
    "name",
    "__proto__",
    "constructor",
    "x",
]


def hostile(count, seed):
    """Addresses, files and names by chance: whole ones with one thing broken, and nonsense."""
    rng = random.Random(seed)
    good = {
        "loss": "cross_entropy", "margin": "2", "reg": "l1", "lambda": "0.5", "eta": "1", "W": "1,2;3,4;5,6",
        "b": "1,2,3", "points": "1,2,0;3,4,1", "point": "2", "name": "a",
    }  # fmt: skip
    for _ in range(count):
        words = [(key, good[key]) for key in good if rng.random() < 0.6]
        for _ in range(rng.randint(1, 3)):
            words.insert(rng.randint(0, len(words)), (rng.choice(KEYS), rng.choice(NASTY)))
        lines = ["x1,x2,class", "0.5,1,cat", '1,"2","a ""b"""']
        for _ in range(rng.randint(1, 4)):
            line = rng.choice([",", ";", "\t", " "]).join(
                rng.choice([*NASTY, "1", "0", "cat"]) for _ in range(rng.randint(1, 4))
            )
            lines.insert(rng.randint(0, len(lines)), line)
        yield [words, rng.choice(["\n", "\r\n"]).join(lines), [rng.choice(NASTY) for _ in range(3)]]


TRY = """
    const problems = [];
    const fine = v => typeof v === "number" && Number.isFinite(v);
    const elements = document.querySelectorAll("script, img, iframe").length;
    const tried = JSON.parse(JSON.stringify(arguments[0]).replaceAll("{lone}", "\\ud800"));
    for (const [words, csv, names] of tried) {
      const hash = new URLSearchParams();
      for (const [key, text] of words) hash.append(key, text);
      try {
        restore("#" + hash);
        const said = by("said").textContent;
        useCSV(csv);
        const told = by("csv_problem").textContent;
        state.names = names.map(name => named(name) || "?");
        refresh("problem");
        const {loss, margin, reg, lambda, eta, W, b, points, chosen} = state;
        const range = (v, low, high) => fine(v) && v >= low && v <= high, model = [...W.flat(), ...b];
        const ok = [
          Object.hasOwn(DATA.losses, loss), DATA.margins.includes(margin),
          Object.hasOwn(DATA.regularizers, reg), range(lambda, 0, 10), range(eta, 0.001, 10),
          model.length === 9, model.every(fine), fine(current.total), marks.length === points.length,
          points.every(([x, y, k]) => fine(x) && fine(y) && [0, 1, 2].includes(k)),
          range(chosen, 0, Math.max(0, points.length - 1)), said === "" || said.startsWith("Left out: "),
          told.length > 5, document.querySelectorAll("script, img, iframe").length === elements,
        ];
        if (ok.includes(false)) problems.push([ok.indexOf(false), words, csv, said, told, state]);
        const places = () => JSON.stringify(state.points.map(([x, y]) => [x, y])), before = places();
        if (points.length) useCSV(writeCSV());
        if (places() !== before) problems.push(["CSV does not come back", before, writeCSV()]);
      } catch (error) { problems.push([words, csv, String(error), error.stack]); }
    }
    return problems;"""


def test_hostile_input_is_a_sentence(page):
    page.run("by('share').open = true")
    assert page.run(TRY, list(hostile(150, 5))) == []


@pytest.mark.slow
def test_two_thousand_of_them(page):
    page.run("by('share').open = true")
    for seed in range(20):
        assert page.run(TRY, list(hostile(100, 100 + seed))) == []


@pytest.mark.parametrize(
    ("hash", "said"),
    [
        ("loss=constructor", f"Left out: loss in the address is “constructor”; it must be one of {ALL}."),
        ("lambda=-5", "Left out: lambda in the address is “-5”; it must be a number from 0 to 10."),
        ("eta=1e9", "Left out: eta in the address is “1e9”; it must be a number from 0.001 to 10."),
        ("speed=3", "Left out: the address has an entry “speed”, which this page does not know."),
        ("W=1,2&b=x", "Left out: W in the address is “1,2”; it must be " + ROWS + " (and 1 more)."),
        ("name=a", "Left out: the address names 1 class; it must be 3, none of them empty."),
        ("loss=cross_entropy&lambda=10&points=", ""),
    ],
)  # fmt: skip
def test_a_broken_link_says_what_it_left_out(browser, file, hash, said):
    browser.open(Link(file, "#" + hash))
    assert browser.text("said") == said
    assert browser.run("return Number.isFinite(current.total)")


@pytest.mark.parametrize(
    ("csv", "told"),
    [
        ("", "There are no lines; write a point on each: x₁, x₂, class."),
        ("1,2,0\n1,2", f"Line 2 is “1,2”; {WANTED} 0.5,1.2,0."),
        ("1 2 a\n\n1 e b", f"Line 3 is “1 e b”; {WANTED} 0.5 1.2 0."),
        ("1;2e3;b", f"Line 1 is “1;2e3;b”; {WANTED} 0.5;1.2;0."),
        ("1,2,a\n1,2,b\n1,2,c\n1,2,d", "Line 4 has a fourth class, “d”; there can be 3."),
        ("x,y,z", "There is only a line of titles; write a point on each line: x₁, x₂, class."),
        ("0,5;1,5;a\n1;2;b", "2 points read."),
        ("\ufeffx1\tx2\tclass\r\n1\t2\t2\r\n", "1 point read."),
        ("1,2,0\n" * 301, "There are more than 300 points; leave some out."),
    ],
)  # fmt: skip
def test_own_points(page, csv, told):
    page.run("useCSV(arguments[0])", csv)
    assert page.text("csv_problem") == told
    if csv.startswith("0,5"):
        assert page.run("return [state.points, state.names]") == [
            [[0.5, 1.5, 0], [1, 2, 1]],
            ["a", "b", "class 2"],
        ]


def test_long_names_are_cut_and_stay_apart(page):
    page.run("useCSV(['0,0,' + 'a'.repeat(40) + '1', '1,1,' + 'a'.repeat(40) + '2'].join('\\n'))")
    assert page.run("return [state.points.map(p => p[2]), state.names]") == [
        [0, 1],
        ["a" * 20, "a" * 20, "class 2"],
    ]


def test_a_file_is_read_and_written(page, tmp_path):
    path = tmp_path / "<b>points.csv"
    path.write_text("x1;x2;class\n0,25;1;cat\n-1;2;dog\n", encoding="utf-8")
    page.run("by('share').open = true")
    page.driver.find_element("id", "csv_file").send_keys(str(path))
    page.until("state.points.length === 2")
    assert page.run("return [state.points, state.names]") == [
        [[0.25, 1, 0], [-1, 2, 1]], ["cat", "dog", "class 2"],
    ]  # fmt: skip
    assert page.run("return writeCSV()") == "x1,x2,class\n0.25,1,cat\n-1,2,dog\n"
    for control in ("csv_save", "python_save", "python_copy", "copy_link"):
        page.run("by(arguments[0]).click()", control)
    page.until("by('said').textContent !== ''")
    assert "clipboard" in page.text("said")
