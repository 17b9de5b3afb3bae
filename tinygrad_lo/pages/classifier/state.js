// Everything that can change, what it may be, and how it is written into the page's address.

const LIMITS = {lambda: [0, 10], eta: [0.001, 10], weight: 1e6, coordinate: 1000, points: 300, name: 20};
const START = {W: [[1, 2], [2, -4], [3, -1]], b: [0, 0.5, -0.5]};
const SOFTMAX = "cross_entropy";
const NAMES = ["class 0", "class 1", "class 2"];

function fresh() {
  return {
    loss: "svm", margin: 1, reg: "l2", lambda: 0.1, eta: 0.1, ...structuredClone(START),
    points: structuredClone(DATA.datasets.blobs.points), names: [...NAMES], chosen: 0,
  };
}
let state = fresh();

const keyed = loss => DATA.losses[loss].margin ? `${loss},${state.margin}` : loss;
// What the chosen loss is shown beside: softmax, and softmax beside the SVM.
const beside = () => state.loss === SOFTMAX ? ["svm", SOFTMAX] : [state.loss, SOFTMAX];

function useDataset(key) {
  const {points, names} = DATA.datasets[key];
  Object.assign(state, {points: structuredClone(points), names: [...names ?? NAMES], chosen: 0});
}

const oneLine = text => text.replace(/\s+/g, " ").trim();
const named = text => [...oneLine(text)].slice(0, LIMITS.name).join("");

// ------------------------------------------------------------------------------------ the address

function address() {
  const words = new URLSearchParams();
  const plain = row => row.map(v => tidy(v, 9)).join(",");
  for (const key of ["loss", "margin", "reg", "lambda", "eta"]) words.set(key, state[key]);
  words.set("W", state.W.map(plain).join(";"));
  words.set("b", plain(state.b));
  words.set("points", state.points.map(plain).join(";"));
  words.set("point", state.chosen + 1);
  if (state.names.some((name, k) => name !== NAMES[k])) for (const name of state.names) words.append("name", name);
  return "#" + words;
}

// Each entry is read by a function that answers with what it means, or with null.
const within = ([low, high]) => text => {
  const v = readNumber(text);
  return v !== null && v >= low && v <= high ? v : null;
};
function numbers(text, count, most) {
  const row = text.split(",").map(part => readNumber(part));
  return row.length === count && row.every(v => v !== null && Math.abs(v) <= most) ? row : null;
}
function table(text, rows, count, most) {
  const parts = text === "" ? [] : text.split(";");
  if (!rows(parts.length)) return null;
  const read = parts.map(part => numbers(part, count, most));
  return read.every(row => row !== null) ? read : null;
}
const isPoint = ([, , y]) => KS.includes(y);
const READERS = {
  loss: [text => Object.hasOwn(DATA.losses, text) ? text : null, () => `one of ${Object.keys(DATA.losses).join(", ")}`],
  margin: [text => DATA.margins.find(one => one === readNumber(text)) ?? null, () => `one of ${DATA.margins.join(", ")}`],
  reg: [text => Object.hasOwn(DATA.regularizers, text) ? text : null, () => `one of ${Object.keys(DATA.regularizers).join(", ")}`],
  lambda: [within(LIMITS.lambda), () => "a number from 0 to 10"],
  eta: [within(LIMITS.eta), () => "a number from 0.001 to 10"],
  W: [text => table(text, n => n === CLASSES, 2, LIMITS.weight), () => "3 rows of 2 numbers up to a million, like 1,2;2,-4;3,-1"],
  b: [text => numbers(text, CLASSES, LIMITS.weight), () => "3 numbers up to a million, like 0,0.5,-0.5"],
  points: [text => {
    const read = table(text, n => n <= LIMITS.points, 3, LIMITS.coordinate);
    return read?.every(isPoint) ? read : null;
  }, () => `at most ${LIMITS.points} points x₁,x₂,class, with coordinates up to ${LIMITS.coordinate} and classes 0, 1, 2`],
  point: [text => /^\d{1,3}$/.test(text) ? Number(text) : null, () => "the number of a point"],
};

// What the address says; a sentence for the first entry that says nothing, and then the page goes on without it.
function readAddress(hash) {
  const words = new URLSearchParams(hash.replace(/^#/, "")), read = fresh(), problems = [];
  for (const key of new Set(words.keys())) {
    if (key === "name") continue;
    if (!Object.hasOwn(READERS, key)) {
      problems.push(`the address has an entry ${quoted(key)}, which this page does not know`);
      continue;
    }
    const [reader, wanted] = READERS[key], text = words.get(key), value = reader(text);
    if (value === null) problems.push(`${key} in the address is ${quoted(text)}; it must be ${wanted()}`);
    else read[key] = value;
  }
  const names = words.getAll("name").map(named);
  if (names.length === CLASSES && names.every(Boolean)) read.names = names;
  else if (names.length) problems.push(`the address names ${counted(names.length, "class")}; it must be 3, none of them empty`);
  read.chosen = clamp((read.point ?? 1) - 1, 0, Math.max(0, read.points.length - 1));
  delete read.point;
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : "";
  return [read, problems.length ? `Left out: ${problems[0]}${more}.` : ""];
}

// Browsers stop pages that change their address too often.
let linking = 0;
function link() {
  clearTimeout(linking);
  linking = setTimeout(() => { try { history.replaceState(null, "", address()); } catch { /* in a frame */ } }, 250);
}

// -------------------------------------------------------------------------------------------- CSV

// A line as cells; quotes hold separators together, and two of them in quotes are one.
function cells(line, separator) {
  if (separator === " ") return line.trim().split(/\s+/);
  const row = [];
  const pattern = /("(?:[^"]|"")*"|[^"]*?)(?:SEP|$)/y;
  const reader = new RegExp(pattern.source.replace("SEP", separator === "\t" ? "\\t" : separator), "y");
  while (reader.lastIndex <= line.length) {
    const match = reader.exec(line);
    if (!match) return null;
    row.push(match[1].startsWith('"') ? match[1].slice(1, -1).replaceAll('""', '"') : match[1].trim());
    if (reader.lastIndex === line.length && !match[0].endsWith(separator)) break;
    if (!match[0]) return null;
  }
  return row;
}

// Points and names of classes, or a sentence that says which line is no point.
function readCSV(text) {
  const lines = text.replace(/^\ufeff/, "").split(/\r\n|\r|\n/).map((line, k) => [line.trim(), k + 1]).filter(([line]) => line);
  if (!lines.length) return {problem: "There are no lines; write a point on each: x₁, x₂, class."};
  const separator = [";", "\t", ","].find(sign => lines[0][0].includes(sign)) ?? " ";
  const points = [], classes = [];
  for (const [line, number] of lines) {
    const row = cells(line, separator);
    const at = row?.slice(0, 2).map(part => readNumber(part, separator !== ","));
    if (number === lines[0][1] && row?.length === 3 && at.every(v => v === null)) continue;  // titles
    const like = ["0.5", "1.2", "0"].join(separator);
    const wanted = `Line ${number} is ${quoted(line)}; a point is two numbers up to ${LIMITS.coordinate} and a class, like ${like}.`;
    if (row?.length !== 3 || !at.every(v => v !== null && Math.abs(v) <= LIMITS.coordinate)) return {problem: wanted};
    const name = oneLine(row[2]);
    if (!name) return {problem: wanted};
    if (!classes.includes(name)) classes.push(name);
    if (classes.length > CLASSES) return {problem: `Line ${number} has a fourth class, ${quoted(name)}; there can be ${CLASSES}.`};
    points.push([...at, name]);
    if (points.length > LIMITS.points) return {problem: `There are more than ${LIMITS.points} points; leave some out.`};
  }
  if (!points.length) return {problem: "There is only a line of titles; write a point on each line: x₁, x₂, class."};
  const byNumber = classes.every(name => /^[012]$/.test(name)), own = NAMES.map((name, k) => named(classes[k] ?? name));
  const place = name => byNumber ? Number(name) : classes.indexOf(name);
  return {points: points.map(([a, b, name]) => [a, b, place(name)]), names: byNumber ? [...NAMES] : own};
}

function writeCSV() {
  const cell = name => /[",;\s]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name;
  const title = k => state.names[k] === NAMES[k] ? String(k) : cell(state.names[k]);
  return ["x1,x2,class", ...state.points.map(([a, b, y]) => `${a},${b},${title(y)}`)].join("\n") + "\n";
}
