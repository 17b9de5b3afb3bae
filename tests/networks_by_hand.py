"""Networks whose backward pass is written by hand, a line for each value, and usual mistakes in it.

A line is (gradient, code, mistakes); a mistake is (what stands there instead, the cause that is to be named).
"""

import numpy as np

import tinygrad_lo as lo

N, D, H, C = 5, 4, 6, 3
LABELS = np.array([0, 2, 1, 1, 0])
ONE_HOT = np.eye(C)[LABELS]
ROWS = np.arange(N)


def drawn(seed, **shapes):
    """Parameters by name."""
    rng = np.random.default_rng(seed)
    return {name: lo.Parameter(rng.normal(size=shape), name=name) for name, shape in shapes.items()}


def two_layers():
    """relu and softmax, cross-entropy in steps."""
    p = drawn(0, X=(N, D), W1=(D, H), b1=(H,), W2=(H, C), b2=(C,))
    z = (p["X"] @ p["W1"] + p["b1"]).named("z")
    h = lo.nn.relu(z).named("h")
    s = (h @ p["W2"] + p["b2"]).named("s")
    e = np.exp(s).named("e")
    total = e.sum(axis=1, keepdims=True).named("total")
    probs = (e / total).named("probs")
    logs = np.log(probs).named("logs")
    return -(logs * ONE_HOT).sum() / N


TWO_LAYERS = [
    ("dlogs", "-ONE_HOT / N", [("ONE_HOT / N", "sign"), ("-ONE_HOT", "mean or sum"),
        ("-np.ones((N, C)) / N", "left out")]),
    ("dprobs", "dlogs / probs", [("dlogs", "slope"), ("dlogs * probs", "slope"), ("1 / probs", "left out")]),
    ("dtotal", "-(dprobs * e / total**2).sum(axis=1, keepdims=True)", [
        ("(dprobs * e / total**2).sum(axis=1, keepdims=True)", "sign"),
        ("-(dprobs * probs / total**2).sum(axis=1, keepdims=True)", "operand")]),
    ("de", "dprobs / total + dtotal", [("dprobs / total", "path"), ("dtotal * np.ones((N, C))", "path"),
        ("dprobs / total - dtotal", "path")]),
    ("ds", "de * e", [("de", "slope"), ("de * s", "slope"), ("e", "left out")]),
    ("dh", "ds @ W2.T", [("-ds @ W2.T", "sign")]),
    ("dW2", "h.T @ ds", [("z.T @ ds", "operand"), ("h.T @ ds / N", "mean or sum")]),
    ("db2", "ds.sum(axis=0)", [("ds.mean(axis=0)", "mean or sum"), ("-ds.sum(axis=0)", "sign")]),
    ("dz", "dh * (z > 0)", [("dh", "slope"), ("dh * (z < 0)", "slope"), ("dh * z", "slope")]),
    ("dX", "dz @ W1.T", [("-dz @ W1.T", "sign")]),
    ("dW1", "X.T @ dz", [("X.T @ dh", "operand")]),
    ("db1", "dz.sum(axis=0)", [("dz.mean(axis=0)", "mean or sum"), ("dz[0]", None)]),
]  # fmt: skip


def batch_norm():
    """Batch normalization in nine lines."""
    p = drawn(1, x=(N, D), gamma=(D,), beta=(D,))
    mean = p["x"].mean(axis=0).named("mean")
    centered = (p["x"] - mean).named("centered")
    squares = (centered**2).named("squares")
    variance = squares.mean(axis=0).named("variance")
    root = np.sqrt(variance + 1e-5).named("root")
    inverse = (1.0 / root).named("inverse")
    normal = (centered * inverse).named("normal")
    out = (p["gamma"] * normal + p["beta"]).named("out")
    return (out * np.arange(1.0, N * D + 1).reshape(N, D)).sum()


BATCH_NORM = [
    ("dout", "np.arange(1.0, N * D + 1).reshape(N, D)", [
        ("-np.arange(1.0, N * D + 1).reshape(N, D)", "sign")]),
    ("dgamma", "(dout * normal).sum(axis=0)", [("(dout * centered).sum(axis=0)", "operand"),
        ("(dout * normal).mean(axis=0)", "mean or sum")]),
    ("dbeta", "dout.sum(axis=0)", [("dout.mean(axis=0)", "mean or sum")]),
    ("dnormal", "dout * gamma", [("dout", "slope"), ("gamma * np.ones((N, D))", "left out")]),
    ("dinverse", "(dnormal * centered).sum(axis=0)", [("(dnormal * normal).sum(axis=0)", "operand"),
        ("(dnormal * centered).mean(axis=0)", "mean or sum")]),
    ("droot", "-dinverse / root**2", [("dinverse / root**2", "sign"), ("-dinverse / root", "slope")]),
    ("dvariance", "droot * 0.5 / root", [("droot / root", "slope"), ("droot * 0.5 / variance", "slope")]),
    ("dsquares", "np.ones((N, D)) * dvariance / N", [("np.ones((N, D)) * dvariance", "mean or sum")]),
    ("dcentered", "dnormal * inverse + 2 * centered * dsquares", [("dnormal * inverse", "path"),
        ("dnormal * inverse + centered * dsquares", "slope"), ("2 * centered * dsquares", "path")]),
    ("dmean", "-dcentered.sum(axis=0)", [("dcentered.sum(axis=0)", "sign")]),
    ("dx", "dcentered + np.ones((N, D)) * dmean / N", [("dcentered", "path"),
        ("dcentered + np.ones((N, D)) * dmean", "mean or sum")]),
]  # fmt: skip


def svm():
    """The multiclass hinge loss with its regularizer, by the names of the loss."""
    p = drawn(2, X=(N, D), W=(D, C))
    S = (p["X"] @ p["W"]).named("S")
    right = (S * ONE_HOT).sum(axis=1, keepdims=True).named("right")
    gaps = (S - right + 1.0).named("gaps")
    hinges = lo.nn.relu(gaps).named("hinges")
    others = (hinges * (1.0 - ONE_HOT)).named("others")
    data = (others.sum() / N).named("data")
    squares = (p["W"] ** 2).named("squares")
    return data + 0.1 * squares.sum()


SVM = [
    ("ddata", "1.0", [("-1.0", "sign"), ("2.0", "factor 2")]),
    ("dothers", "np.ones((N, C)) / N * ddata", [("np.ones((N, C)) * ddata", "mean or sum")]),
    ("dhinges", "dothers * (1 - ONE_HOT)", [("dothers", "left out"), ("dothers * ONE_HOT", None)]),
    ("dgaps", "dhinges * (gaps > 0)", [("dhinges", "slope"), ("dhinges * gaps", "slope"),
        ("dhinges * (gaps < 0)", "slope")]),
    ("dright", "-dgaps.sum(axis=1, keepdims=True)", [("dgaps.sum(axis=1, keepdims=True)", "sign"),
        ("-dgaps.mean(axis=1, keepdims=True)", "mean or sum")]),
    ("dS", "dgaps + dright * ONE_HOT", [("dgaps", "path"), ("dgaps - dright * ONE_HOT", "path"),
        ("dgaps + dright", "left out")]),
    ("dsquares", "0.1 * np.ones((D, C))", [("np.ones((D, C))", "left out"),
        ("-0.1 * np.ones((D, C))", "sign")]),
    ("dX", "dS @ W.T", [("-dS @ W.T", "sign")]),
    ("dW", "X.T @ dS + 2 * W * dsquares", [("X.T @ dS", "path"), ("X.T @ dS + W * dsquares", "slope"),
        ("2 * W * dsquares", "path")]),
]  # fmt: skip


def recurrent():
    """Three turns of a recurrent network."""
    p = drawn(3, W=(H, H), U=(D, H), h0=(N, H))
    xs = np.random.default_rng(4).normal(size=(3, N, D))
    h = p["h0"]
    for t in range(3):
        a = (h @ p["W"] + lo.Tensor(xs[t], name=f"x{t + 1}") @ p["U"]).named(f"a{t + 1}")
        h = np.tanh(a).named(f"h{t + 1}")
    return (h**2).sum() / 2.0


RECURRENT = [
    ("dh3", "h3", [("2 * h3", "left out"), ("-h3", "sign")]),
    ("da3", "dh3 * (1 - h3**2)", [("dh3", "slope"), ("dh3 * (1 - a3**2)", "slope"),
        ("dh3 * (1 - h3)", "slope")]),
    ("dh2", "da3 @ W.T", [("da3 @ W", "transpose")]),
    ("da2", "dh2 * (1 - h2**2)", [("dh2 * (1 - h3**2)", "operand"), ("dh2 * h2 * (1 - h2)", "slope")]),
    ("dh1", "da2 @ W.T", [("da2 @ W", "transpose")]),
    ("da1", "dh1 * (1 - h1**2)", [("dh1 * h1", "slope")]),
    ("dh0", "da1 @ W.T", [("da1 @ W", "transpose"), ("-da1 @ W.T", "sign")]),
    ("dW", "h0.T @ da1 + h1.T @ da2 + h2.T @ da3", [("h0.T @ da1 + h1.T @ da2", "path"),
        ("h2.T @ da3", "path"), ("h1.T @ da1 + h1.T @ da2 + h2.T @ da3", "operand")]),
    ("dU", "x1.T @ da1 + x2.T @ da2 + x3.T @ da3", [("x1.T @ da1 + x2.T @ da2", "path"),
        ("x1.T @ da1 + x2.T @ da2 - x3.T @ da3", "path")]),
]  # fmt: skip


def layer_norm():
    """Layer normalization and a squared error."""
    p = drawn(5, x=(N, D), gain=(D,))
    mean = p["x"].mean(axis=1, keepdims=True).named("mean")
    c = (p["x"] - mean).named("c")
    var = (c**2).mean(axis=1, keepdims=True).named("var")
    sd = np.sqrt(var).named("sd")
    n = (c / sd).named("n")
    y = (n * p["gain"]).named("y")
    r = (y - 1.0).named("r")
    return (r**2).mean()


LAYER_NORM = [
    ("dr", "2 * r / (N * D)", [("2 * r", "mean or sum"), ("r / (N * D)", "slope")]),
    ("dy", "dr", [("-dr", "sign")]),
    ("dgain", "(dy * n).sum(axis=0)", [("(dy * c).sum(axis=0)", "operand"),
        ("(dy * n).mean(axis=0)", "mean or sum")]),
    ("dn", "dy * gain", [("dy", "left out")]),
    ("dsd", "-(dn * c).sum(axis=1, keepdims=True) / sd**2", [
        ("(dn * c).sum(axis=1, keepdims=True) / sd**2", "sign"),
        ("-(dn * n).sum(axis=1, keepdims=True) / sd**2", "operand")]),
    ("dvar", "dsd / (2 * sd)", [("dsd / (2 * var)", "slope"), ("dsd / sd", "slope")]),
    ("dc", "dn / sd + 2 * c * dvar / D", [("dn / sd", "path"), ("2 * c * dvar / D", "path"),
        ("dn / sd + 2 * c * dvar", "mean or sum")]),
    ("dmean", "-dc.sum(axis=1, keepdims=True)", [("-dc.sum(axis=1, keepdims=True) / D", "mean or sum")]),
    ("dx", "dc + dmean / D", [("dc", "path"), ("dc - dmean / D", "path"), ("dc + dmean", "mean or sum")]),
]  # fmt: skip


def attention():
    """One head of attention."""
    p = drawn(6, Q=(N, D), K=(N, D), V=(N, D))
    scores = (p["Q"] @ p["K"].T).named("scores")
    scaled = (scores * 0.5).named("scaled")
    A = lo.nn.softmax(scaled, axis=1).named("A")
    out = (A @ p["V"]).named("out")
    return (out**2).sum()


ATTENTION = [
    ("dout", "2 * out", [("out", "slope")]),
    ("dV", "A.T @ dout", [("A @ dout", "transpose"), ("-A.T @ dout", "sign")]),
    ("dA", "dout @ V.T", [("dout @ K.T", "operand"), ("dout @ Q.T", "operand")]),
    ("dscaled", "A * (dA - (dA * A).sum(axis=1, keepdims=True))", [("A * dA", "slope"), ("dA", "slope"),
        ("A * (1 - A) * dA", "slope")]),
    ("dscores", "dscaled * 0.5", [("dscaled", "left out"), ("dscaled * 2", "factor 4")]),
    ("dQ", "dscores @ K", [("dscores @ V", "operand"), ("dscores.T @ K", "transpose")]),
    ("dK", "dscores.T @ Q", [("dscores.T @ V", "operand"), ("dscores @ Q", "transpose")]),
]  # fmt: skip


def contrastive():
    """Two embeddings, similar or not."""
    p = drawn(7, A=(N, D), B=(N, D), W=(D, C))
    a, b = (p["A"] @ p["W"]).named("a"), (p["B"] @ p["W"]).named("b")
    d = (a - b).named("d")
    square = (d**2).sum(axis=1).named("square")
    length = np.sqrt(square).named("length")
    short = lo.nn.relu(5.0 - length).named("short")
    far = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    return ((1 - far) * square + far * short**2).mean()


FAR = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
CONTRASTIVE = [
    ("dshort", "2 * FAR * short / N", [("2 * FAR * short", "mean or sum"), ("FAR * short / N", "slope"),
        ("2 * short / N", "left out")]),
    ("dlength", "-dshort * (short > 0)", [("dshort * (short > 0)", "sign")]),
    ("dsquare", "(1 - FAR) / N + dlength / (2 * length)", [("(1 - FAR) / N", "path"),
        ("dlength / (2 * length)", "path"), ("(1 - FAR) / N + dlength / length", "path")]),
    ("dd", "2 * d * dsquare[:, None]", [("d * dsquare[:, None]", "slope"), ("2 * d", "left out")]),
    ("da", "dd", [("-dd", "sign")]),
    ("db", "-dd", [("dd", "sign")]),
    ("dA", "da @ W.T", [("db @ W.T", "sign")]),
    ("dW", "A.T @ da + B.T @ db", [("A.T @ da", "path"), ("B.T @ db", "path"),
        ("A.T @ da - B.T @ db", "path")]),
]  # fmt: skip


def autoencoder():
    """An autoencoder with shared weights and an L1 penalty on its code."""
    p = drawn(8, X=(N, D), W=(D, D))
    z = (p["X"] @ p["W"]).named("z")
    code = lo.nn.sigmoid(z).named("code")
    back = (code @ p["W"].T).named("back")
    r = (back - p["X"]).named("r")
    return (r**2).mean() + 0.1 * abs(code).sum() + 0.01 * abs(p["W"]).sum()


AUTOENCODER = [
    ("dr", "2 * r / (N * D)", [("2 * r / N", "mean or sum"), ("-2 * r / (N * D)", "sign")]),
    ("dback", "dr", [("-dr", "sign")]),
    ("dcode", "dback @ W + 0.1 * np.sign(code)", [("dback @ W", "path"),
        ("dback @ W.T + 0.1 * np.sign(code)", "transpose")]),
    ("dz", "dcode * code * (1 - code)", [("dcode", "slope"), ("dcode * (1 - code)", "slope"),
        ("dcode * z * (1 - z)", "slope")]),
    ("dX", "dz @ W.T - dr", [("dz @ W.T", "path"), ("dz @ W.T + dr", "path"), ("dz @ W - dr", "transpose")]),
    ("dW", "X.T @ dz + dback.T @ code + 0.01 * np.sign(W)", [("X.T @ dz + 0.01 * np.sign(W)", "path"),
        ("X.T @ dz + dback.T @ code", "path"),
        ("X.T @ dz + code.T @ dback + 0.01 * np.sign(W)", "left out")]),
]  # fmt: skip


def scalars():
    """An expression of single numbers."""
    a, b, c = (lo.Parameter(x, name=n) for n, x in {"a": 2.0, "b": -3.0, "c": 10.0}.items())
    e = (a * b).named("e")
    d = (e + c).named("d")
    f = np.tanh(d * 0.3).named("f")
    g = (f * d).named("g")
    return (g + e**2).named("loss")


SCALARS = [
    ("dg", "1.0", [("0.0", "disconnected"), ("-1.0", "sign")]),
    ("df", "dg * d", [("dg", "left out"), ("dg * c", "operand"), ("dg * f", "operand")]),
    ("dd", "dg * f + df * (1 - f**2) * 0.3", [("dg * f", "path"), ("df * (1 - f**2) * 0.3", "path"),
        ("dg * f + df * (1 - f**2)", "left out")]),
    ("de", "dd + 2 * e", [("dd", "path"), ("2 * e", "path"), ("dd + e", "slope"), ("dd - 2 * e", "path")]),
    ("dc", "dd", [("-dd", "sign")]),
    ("da", "de * b", [("de * a", "operand"), ("de", "left out"), ("de * c", "operand")]),
    ("db", "de * a", [("de * b", "operand"), ("a", "left out")]),
]  # fmt: skip


def convolution():
    """A filter laid over images, relu, mean and a squared error."""
    p = drawn(9, x=(2, 1, 5, 5), k=(2, 1, 3, 3))
    maps = lo.nn.conv2d(p["x"], p["k"]).named("maps")
    h = lo.nn.relu(maps).named("h")
    pooled = h.mean(axis=(2, 3)).named("pooled")
    r = (pooled - 0.5).named("r")
    return (r**2).sum() / 2.0


def windows(x):
    """The 3×3 windows of images of one channel: (n, 3, 3, 3, 3)."""
    return np.lib.stride_tricks.sliding_window_view(x[:, 0], (3, 3), axis=(1, 2))


CONVOLUTION = [
    ("dr", "r", [("2 * r", "left out"), ("-r", "sign")]),
    ("dpooled", "dr", [("-dr", "sign")]),
    ("dh", "np.ones(h.shape) * dpooled[:, :, None, None] / 9", [
        ("np.ones(h.shape) * dpooled[:, :, None, None]", "left out"), ("np.ones(h.shape) / 9", "left out")]),
    ("dmaps", "dh * (maps > 0)", [("dh", "slope"), ("dh * h", "slope")]),
    ("dk", "np.einsum('nfij,nijuv->fuv', dmaps, windows(x))[:, None]", [
        ("np.einsum('nfij,nijuv->fuv', dh, windows(x))[:, None]", "operand"),
        ("-np.einsum('nfij,nijuv->fuv', dmaps, windows(x))[:, None]", "sign"),
        ("np.einsum('nfij,nijuv->fuv', dmaps, windows(x))[:, None, ::-1, ::-1]", "transpose")]),
]  # fmt: skip

NETWORKS = {
    "two layers": (two_layers, TWO_LAYERS), "batch normalization": (batch_norm, BATCH_NORM),
    "svm": (svm, SVM), "recurrent": (recurrent, RECURRENT), "layer normalization": (layer_norm, LAYER_NORM),
    "attention": (attention, ATTENTION), "contrastive": (contrastive, CONTRASTIVE),
    "autoencoder": (autoencoder, AUTOENCODER), "scalars": (scalars, SCALARS),
    "convolution": (convolution, CONVOLUTION),
}  # fmt: skip


def by_hand(loss, lines, changes=()):
    """All gradients by hand, with some lines replaced: a dict of code by gradient."""
    nodes = lo.engine.graph.reachable([loss])
    space = {name: np.asarray(node.data) for node in nodes if (name := node.name)}
    space |= {"np": np, "N": N, "D": D, "C": C, "ONE_HOT": ONE_HOT, "FAR": FAR, "windows": windows}
    for name, code, _ in lines:
        space[name] = eval(dict(changes).get(name, code), space)
    return {name: space[name] for name, _, _ in lines}


def mistakes():
    """Every mistake: (network, gradient, what stands there, the cause to be named)."""
    for network, (_, lines) in NETWORKS.items():
        for name, _, wrong in lines:
            for instead, cause in wrong:
                yield network, name, instead, cause
