// The points as CSV, in and out; the same graph as Python; the page as a link.

function python() {
  const rows = table => `[${table.map(row => Array.isArray(row) ? `[${row.join(", ")}]` : row).join(", ")}]`;
  const {python: call} = DATA.losses[state.loss], exact = v => Number.isInteger(v) ? v.toFixed(1) : String(v);
  const names = state.names.map(name => JSON.stringify(name)).join(", ");
  const groups = state.reg === "l1" ? `[{"params": [W], "l1": ${state.lambda}}, {"params": [b]}]` : "[W, b]";
  const word = state.reg === "l1" ? "  # proximal: it minimizes data_loss.backward() with l1" : "";
  return `import numpy as np
import tinygrad_lo as lo

X = np.array(${rows(state.points.map(([a, b]) => [a, b]))}).reshape(-1, 2)
y = np.array(${rows(state.points.map(point => point[2]))})  # classes: ${names}
W = lo.Parameter(${rows(state.W.map(row => row.map(exact)))}, name="W")  # a class each row
b = lo.Parameter(${rows(state.b.map(exact))}, name="b")

S = (X @ W.T + b).named("S")
data_loss = ${call.replace("{margin}", state.margin.toFixed(1))}
loss = (data_loss + ${state.lambda} * lo.losses.${state.reg}(W)).named("loss")
print(lo.tree(loss))

loss.backward()
print(W.grad, b.grad)
optimizer = lo.optim.SGD(${groups}, lr=${state.eta})${word}
`;
}

function download(name, text, type) {
  const url = URL.createObjectURL(new Blob([text], {type}));
  const anchor = html(document.body, "a", {href: url, download: name, hidden: ""});
  anchor.click();
  anchor.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    say(`${what} is in the clipboard.`);
  } catch {
    const instead = what === "The link" ? "copy the address of the page" : "select the text and copy it";
    say(`The browser does not let this page use the clipboard; ${instead}.`);
  }
}

function useCSV(text) {
  const read = readCSV(text);
  if (read.problem) {
    write({csv_problem: read.problem});
    setAll(by("csv"), {"aria-invalid": true});
    return;
  }
  Object.assign(state, {points: read.points, names: read.names, chosen: 0});
  setAll(by("csv"), {"aria-invalid": false});
  write({csv_problem: `${counted(read.points.length, "point")} read.`});
  refresh("problem");
}

function paintShare() {
  if (!by("share").open) return;
  write({python: python()});
  if (document.activeElement !== by("csv") && by("csv").getAttribute("aria-invalid") !== "true") by("csv").value = writeCSV();
}

by("csv").oninput = () => setAll(by("csv"), {"aria-invalid": false});
by("csv_use").onclick = () => useCSV(by("csv").value);
by("csv_save").onclick = () => download("points.csv", writeCSV(), "text/csv");
by("csv_file").onchange = async () => {
  const [file] = by("csv_file").files;
  if (!file) return;
  if (file.size > 1e6)
    return say(`${quoted(file.name)} has ${Math.round(file.size / 1e6)} MB; ${LIMITS.points} points are a few kilobytes.`);
  by("csv").value = await file.text();
  by("csv_file").value = "";
  useCSV(by("csv").value);
};
by("python_copy").onclick = () => copy(python(), "The script");
by("python_save").onclick = () => download("classifier.py", python(), "text/x-python");
by("share").ontoggle = paintShare;
by("copy_link").onclick = () => { link(); copy(location.href.split("#")[0] + address(), "The link"); };
