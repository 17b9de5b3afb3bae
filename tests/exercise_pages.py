"""What tests of the exercise pages share: programs, and a web server on loopback."""

import functools
import http.server
import subprocess
import sys
import threading

from tinygrad_lo.checking.exercise import exercises

ASKED = "p = softmax(scores); loss = the mean of −log p_y; gradient by the scores"
SOFTMAX = """rows = np.arange(len(labels))
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.log(p[rows, labels]).mean()
    p[rows, labels] -= 1.0
    return loss, p / len(labels)"""
# What is written in place of what: right, then wrong.
WRITTEN = {
    "ex01_chain_rule": (
        'to_do("replace this by np.array([df/da, df/db, df/dc])")',
        "np.array([2 * q * b, 2 * q * a, 2 * q])",
        "np.array([q * b, q * a, q])",
    ),
    "ex02_diamond": (
        'to_do("replace this by what comes through u, and what comes through v")',
        "2 * x * v + u * np.cos(x)",
        "2 * x * v",
    ),
    "ex05_softmax": (
        f'raise NotImplementedError("{ASKED}")',
        SOFTMAX,
        SOFTMAX.replace("p[rows, labels] -= 1.0", "pass"),
    ),
}


def programs(name):
    """An exercise untouched, right and wrong, and two that are no program or stop early."""
    code = exercises()[name].read_text(encoding="utf-8")
    gap, right, wrong = WRITTEN[name]
    assert code.count(gap) == 1
    return {
        "untouched": code,
        "right": code.replace(gap, right),
        "wrong": code.replace(gap, wrong),
        "no Python": code.replace(gap, "1 +"),
        "no name": code.replace("import numpy as np", "import numpi as np"),
    }


def command_line(folder, name, text):
    """What `python ex01_chain_rule.py` prints, and its status."""
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    command = [sys.executable, f"{name}.py"]
    environment = {"PYTHONPATH": ":".join(sys.path), "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        encoding="utf-8", check=False,
    )  # fmt: skip
    return done.stdout, done.returncode


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""

    def copyfile(self, source, outputfile):
        """A browser that stops loading is no error."""
        try:
            super().copyfile(source, outputfile)
        except ConnectionError:
            self.close_connection = True


class Server:
    """A folder on loopback, and the addresses in it."""

    def __init__(self, folder):
        handler = functools.partial(Handler, directory=folder)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def end(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Address:
    def __init__(self, server, hash="", file="index.html"):
        self.text = f"{server.origin}/{file}{hash}"

    def as_uri(self):
        return self.text
