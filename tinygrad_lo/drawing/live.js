// ------------------------------------------------------------------------------- numbers that can be edited

// A graph as a program: `liveProgram(...inputs)` returns every value, gradient and product. All that the page
// then shows is made of these. `data.live` says which output goes where.
const live = data.live;
const inputs = live?.inputs ?? [];
let values = inputs.map(one => one.numbers.map(Number));
const original = values.map(numbers => [...numbers]);
let past = [], at = 0, focus = null, worth = NaN;
let memory = [];  // of the optimizer, for each input: velocities, or moments

const DIGITS = 4;  // of numbers in lines
const flatOf = x => x?.shape ? [...x] : [Number(x)];
const output = place => place === null || place === undefined ? null : flatOf(outputs[place]);
const total = places => places.map(output).reduce((sum, part) => sum.map((x, j) => x + part[j]));

// As Python's f"{x:.3g}" prints it: halves go to the even digit, a real minus sign, a loud nan.
function number(x, digits) {
  if (x === true || x === false) return String(x);
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "nan" : x > 0 ? "∞" : "−∞";
  if (x === 0) return "0";
  let text = x.toExponential(digits - 1);
  const longer = x.toExponential(Math.min(digits + 25, 100));
  const [mantissa, power] = longer.split("e"), rest = mantissa.replace(/^-?\d\.?/, "").slice(digits - 1);
  if (/^50*$/.test(rest) && Number(longer) === x) {
    const kept = longer.slice(0, longer.indexOf("e") - rest.length).replace(/\.$/, "");
    if (/[02468]$/.test(kept)) text = `${kept}e${power}`;
  }
  const exponent = Number(text.split("e")[1]);
  const rounded = Number(text);
  if (exponent >= -4 && exponent < digits) text = String(rounded);
  else if (Math.abs(x) < 10 ** (digits + 2) && Number.isInteger(rounded)) text = String(halfEven(x));
  else text = `${String(Number(text.split("e")[0]))}e${exponent}`;
  return text.replaceAll("-", "−");
}
function halfEven(x) {
  const low = Math.floor(x), over = x - low;
  return over > .5 || over === .5 && low % 2 ? low + 1 : low;
}

// Mean, standard deviation, smallest, largest; what rounding alone leaves of the first two is 0.
function summary(numbers) {
  const n = numbers.length, top = Math.max(...numbers.map(Math.abs)), mean = numbers.reduce((a, b) => a + b, 0) / n;
  const std = Math.sqrt(numbers.reduce((sum, x) => sum + (x - mean) ** 2, 0) / n);
  const noise = Number.EPSILON * top * (1 + Math.log2(n)), quiet = x => Math.abs(x) <= noise && noise < Infinity ? 0 : x;
  return [quiet(mean), quiet(std), Math.min(...numbers), Math.max(...numbers)];
}

// What the picture shows of an array.
function figures(numbers, shape, summarized, kind) {
  if (shape.includes(0)) return ["empty"];
  const words = summarized ? summary(numbers) : kind === "b" ? numbers.map(Boolean) : numbers;
  return words.map(x => number(x, live.digits + (shape.length ? 0 : 1)));
}
const warned = (x, word) => Number.isFinite(x) ? word : `⚠ ${word}`;
function onWire(numbers, shape, isValue) {
  if (!shape.length) return warned(numbers[0], number(numbers[0], live.digits + 1));
  let top = numbers.find(Number.isNaN) ?? numbers.reduce((a, b) => Math.abs(b) > Math.abs(a) ? b : a);
  const word = number(top, live.digits), all = numbers.every(x => x === top);
  const said = Number.isFinite(top) ? `${all ? "all" : "largest"} ${word}` : `⚠ ${word}`;
  return isValue ? `${shape.join("×")} · ${said}` : said;
}
function wordsOf(id, numbers, isValue) {
  const {shape, kind} = live.nodes[id];
  return live.circuit ? [onWire(numbers, shape, isValue)]
    : figures(numbers, shape, data.summaries.includes(id), isValue ? kind : "f");
}

// As Python's repr prints a float.
function written(x) {
  const power = x ? Math.floor(Math.log10(Math.abs(x))) : 0;
  if (power < -4 || power > 15) return x.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
  return Number.isInteger(x) ? x.toFixed(1) : String(x);
}

// The slots of a line: s a number as it is shown, t one as a term of a product; of numbers inside gates g and p
// as terms of a formula in text and in the picture, r as Python writes them.
function filled(text) {
  return text.replace(/\ue000([stbgpqr])([\d,]+)\ue001/g, (_, kind, places) => {
    if (kind === "b") return String(Boolean(output(Number(places))[0]));
    const [x] = total(places.split(",").map(Number));
    if (kind === "r") return written(x);
    const word = number(x, kind === "p" || kind === "q" ? live.digits + 1 : kind === "g" ? DIGITS + 1 : DIGITS);
    return kind !== "s" && kind !== "q" && x < 0 ? `(${word})` : word;
  });
}

// ------------------------------------------------------------------------------- the picture, made again

const shownValues = new Map(), others = new Map();
const argument = k => {
  const {shape} = inputs[k];
  if (!shape.length) return values[k][0];
  return Object.assign(Float64Array.from(values[k]), {shape});
};

function evaluate() {
  const result = liveProgram(...inputs.map((_, k) => argument(k)));
  return result;
}

function recompute() {
  try {
    outputs = evaluate();
  } catch (error) {
    body.classList.toggle("refused", true);
    return hear(error.message, true);
  }
  body.classList.remove("refused");
  const before = worth;
  [worth] = output(0);
  by("result").textContent = `${live.name} = ${number(worth, 5)}`;
  const change = worth - before;
  by("change").textContent = Number.isFinite(change) && change ? `${change > 0 ? "+" : ""}${number(change, 3)}` : "";
  for (const [id, {v, g}] of Object.entries(live.nodes)) repaint(id, output(v), output(g));
  redrawEdges();
  rewrite();
  retell();
  show(now || end);  // at the start, nothing of what changes would be seen
  return true;
}

function repaint(id, numbers, gradient) {
  const cell = shownValues.get(id);
  if (cell) rebase(cell, wordsOf(id, numbers, true), numbers, "value");
  const other = others.get(id);
  if (other) rebase(other, figures(numbers.map(Math.exp), live.nodes[id].shape, data.summaries.includes(id), "f"), numbers.map(Math.exp), "value");
  if (gradient && cells.has(id)) rebase(cells.get(id), wordsOf(id, gradient, false), gradient, "gradient");
}

// What a cell says at the end, and how: tinted by its share of the largest.
function rebase(cell, words, numbers, kind) {
  const sizes = words.map((_, j) => words.length === numbers.length ? Math.abs(numbers[j]) : 0);
  const top = Math.max(0, ...sizes.filter(Number.isFinite));
  cell.found.forEach((one, j) => {
    const word = words[j] ?? "", alarm = ALARM.test(word), share = cell.tinted && top ? sizes[j] / top : 0;
    one.text = word;
    one.ink = alarm ? "var(--alarm_ink)" : cell.tinted && word === "0" ? "var(--muted)" : `var(--${kind})`;
    one.fill = alarm ? "var(--alarm)" : share ? `var(--${kind}_heat)` : "var(--card)";
    one.opacity = !alarm && share ? (.3 * share).toFixed(3) : 1;
  });
  cell.shown = undefined;
  if (kind === "value") put(cell, null);
}

function redrawEdges() {
  const sizes = new Map(Object.entries(live.edges).map(([id, {p}]) =>
    [id, Math.max(...p.flatMap(place => output(place).map(Math.abs)))]));
  const top = Math.max(0, ...[...sizes.values()].filter(Number.isFinite));
  for (const [id, size] of sizes) {
    const edge = edgeOf.get(id), path = edge?.group.querySelector("path");
    if (!path) continue;
    const share = Number.isFinite(size) && top ? size / top : 1, ink = `var(--${size ? "edge" : "faint"})`;
    path.setAttribute("stroke-width", size ? (.8 + (live.widest - .8) * Math.sqrt(share)).toFixed(2) : 1.2);
    path.setAttribute("stroke", ink);
    if (size) path.removeAttribute("stroke-dasharray");
    else path.setAttribute("stroke-dasharray", "5,2");
    const tipOf = edge.group.querySelector("polygon"), word = edge.group.querySelector("text");
    for (const name of ["fill", "stroke"]) tipOf?.setAttribute(name, ink);
    const {local} = live.edges[id], about = edge.group.querySelector("a"), key = "xlink:title";
    if (about?.hasAttribute(key)) {
      let words = about.getAttribute(key).replace(/(largest \|gradient\| )\S+/, (_, before) => before + number(size, live.digits));
      if (local !== null) words = words.replace(/(local derivative ).*$/, (_, before) => before + number(output(local)[0], live.digits));
      about.setAttribute(key, words);
    }
    if (word && local !== null) word.textContent = `\u00a0×${number(output(local)[0], live.digits)}`;
  }
}

// Numbers inside of gates: in formulas, gates, tips and the legend, and at their sliders.
const rewritten = [];
function findTexts() {
  for (const [id, was, slots] of live.texts) {
    const group = id ? picture.querySelector(`[id="${id}"]`) : picture;  // without an id, a line of the legend
    for (const part of group?.querySelectorAll("text") ?? [])
      if (was && (id ? part.textContent.includes(was) : part.textContent === was)) rewritten.push({part, key: null, was: part.textContent.split(was), slots});
    for (const part of id && group?.querySelectorAll("a") || []) {
      const tip = part.getAttribute("xlink:title") ?? "";
      if (was && tip.includes(was)) rewritten.push({part, key: "xlink:title", was: tip.split(was), slots});
    }
  }
}
function rewrite() {
  for (const {part, key, was, slots} of rewritten) {
    const text = was.join(filled(slots));
    if (key) part.setAttribute(key, text); else part.textContent = text;
  }
  inputs.forEach(({slider}, k) => {
    if (!slider) return;
    const [range, typed] = by("options").children[shownSliders.indexOf(k)].querySelectorAll("input");
    range.value = values[k][0];
    range.setAttribute("aria-valuetext", number(values[k][0], DIGITS));
    if (document.activeElement !== typed) typed.value = String(values[k][0]);
  });
}
const shownSliders = [];
function addSlider(k) {
  const [low, high, step] = inputs[k].slider, label = document.createElement("label");
  const field = (type, more) => label.appendChild(Object.assign(document.createElement("input"), {type, ...more}));
  label.append(inputs[k].name, " ");
  const range = field("range", {min: low, max: high, step}), typed = field("text", {inputMode: "decimal", autocomplete: "off"});
  range.setAttribute("aria-label", inputs[k].name);
  typed.setAttribute("aria-label", `${inputs[k].name}, typed`);
  let moved = false;
  range.addEventListener("input", () => { oneState(moved, () => set(k, 0, Number(Number(range.value).toPrecision(12)))); moved = true; });
  range.addEventListener("change", () => { moved = false; });
  typed.addEventListener("change", () => { if (typed.value.trim() !== String(values[k][0])) set(k, 0, parse(typed.value)); rewrite(); typed.value = String(values[k][0]); });
  for (const one of [range, typed]) one.addEventListener("keydown", event => event.stopPropagation());
  shownSliders.push(k);
  by("options").append(label);
}
// What moves a number on and on leaves one state behind.
function oneState(goesOn, change) {
  const count = past.length, was = at;
  change();
  if (goesOn && past.length > count) { past.splice(was, 1); at = past.length - 1; chart(); }
}

// The steps of the numbers as they are now.
const TOLD = ["line", "sentence", "remark", "question", "answer", "sum", "cell"];
function retell() {
  const asMade = values.every((one, k) => one.every((x, j) => Object.is(x, original[k][j])));
  let sound = true, soundBack = true;
  for (const step of steps) {
    const told = step.live;
    if (!told) continue;
    told.kept ??= {...Object.fromEntries(TOLD.map(key => [key, step[key]])), totals: {...step.totals}};
    if (asMade) {  // with the elements that it works out
      Object.assign(step, told.kept, step.totals ? {totals: {...told.kept.totals}} : {});
      continue;
    }
    step.line = filled(told.text);
    if (told.part === undefined) {
      const base = (told.kept.sentence ?? "").replace(told.first, "").trim(), isOdd = sound && !output(told.value).every(Number.isFinite);
      step.sentence = [base, isOdd ? told.first : ""].filter(Boolean).join(" ");
      sound &&= !isOdd;
      continue;
    }
    const part = output(told.part), arriving = output(told.arriving), sum = total([...told.earlier, told.part]);
    const isNone = numbers => numbers.every(x => x === 0);
    const isOdd = soundBack && !part.every(Number.isFinite);
    step.remark = told.remarks[isNone(arriving) ? 1 : isNone(part) ? 2 : 0] + (isOdd ? " This is the first gradient that is not finite." : "");
    soundBack &&= !isOdd;
    for (const [id, words] of Object.entries(step.totals ?? {})) if (words) step.totals[id] = wordsOf(id, sum, false);
    if (step.answer === undefined) continue;
    const odd = part.findIndex(Number.isNaN), largest = part.reduce((k, x, j) => Math.abs(x) > Math.abs(part[k]) ? j : k, 0);
    const j = odd < 0 ? largest : odd, many = told.shape.length > 0;
    const place = many ? `[${placeOf(j, told.shape).join(", ")}]` : "";
    const product = filled(told.formula), formula = many ? `(${product})${place}` : product, sign = told.earlier.length ? "+=" : "=";
    Object.assign(step, {cell: j, answer: String(part[j]).replace("NaN", "nan"),
      question: `∂L/∂${told.target}${place} ${sign} ${formula} = ?`});
    if (told.earlier.length) step.sum = String(sum[j]);
  }
  known.clear();
  asked.clear();
}
function placeOf(j, shape) {
  return [...shape].reverse().map(n => { const k = j % n; j = (j - k) / n; return k; }).reverse();
}

// ------------------------------------------------------------------------------- changing a number

function hear(text, wrong = false) {
  by("heard").textContent = text;
  by("heard").className = wrong ? "wrong" : "";
}
const nameOf = (k, j) => inputs[k].name + (inputs[k].shape.length ? `[${placeOf(j, inputs[k].shape).join(", ")}]` : "");

// The library's sentence about a number that an option does not take.
function refusal(k, x) {
  const [atLeast, above, atMost, below] = (inputs[k].bounds ?? [-Infinity, -Infinity, Infinity, Infinity]).map(Number);
  return atLeast <= x && x <= atMost && above < x && x < below ? "" : inputs[k].words + written(x);
}

function set(k, j, x) {
  if (!Number.isFinite(x)) return hear("Type a number, such as 0.5, −2e-3 or 1/3.", true);
  if (inputs[k].kind === "int" && !Number.isInteger(x)) return hear(`${nameOf(k, j)} is a whole number.`, true);
  const words = refusal(k, x);
  if (words) return hear(words, true);
  focus = [k, j];
  const before = values[k][j];
  values[k][j] = x;
  if (!recompute()) {  // what a loss refuses is said, and not kept
    values[k][j] = before;
    body.classList.remove("refused");
  } else {
    hear(`${nameOf(k, j)}: ${number(before, DIGITS)} → ${number(x, DIGITS)}`);
    remember();
  }
}
function stepOf(x, isWhole) { return isWhole ? 1 : x ? 10 ** (Math.floor(Math.log10(Math.abs(x))) - 1) : .1; }
function nudge(k, j, count) {
  const x = values[k][j], step = stepOf(x, inputs[k].kind === "int");
  set(k, j, Number((x + count * step).toPrecision(12)));
}

function remember() {
  past = [...past.slice(0, at + 1), {values: values.map(one => [...one]), worth}].slice(-1000);
  at = past.length - 1;
  chart();
}
function chart() {
  for (const id of ["curve", "past"]) by(id).style.display = past.length > 1 ? "" : "none";
  by("past").max = past.length - 1;
  by("past").value = at;
  const finite = past.map(one => one.worth).filter(Number.isFinite);
  const low = Math.min(...finite), high = Math.max(...finite);
  const points = past.map(({worth: y}, i) => Number.isFinite(y)
    ? `${(150 * i / Math.max(1, past.length - 1)).toFixed(1)},${(36 - 24 * (high > low ? (y - low) / (high - low) : 0)).toFixed(1)}` : "");
  by("curve").querySelector("polyline").setAttribute("points", points.filter(Boolean).join(" "));
  const [first, last] = by("curve").querySelectorAll("text");
  first.textContent = number(past[0].worth, 3);
  last.textContent = number(past[at].worth, 3);
  by("curve").querySelector("title").textContent = `The loss over ${past.length} states, from ${first.textContent} to ${last.textContent}`;
}
function back(to) {
  at = Math.max(0, Math.min(past.length - 1, to));
  values = past[at].values.map(one => [...one]);
  memory = [];
  if (recompute()) hear(`State ${at} of ${past.length - 1}.`);
  chart();
}

const RULES = {
  descent: {title: "gradient descent", law: "w ← w − η g", step: (w, g, rate) => w - rate * g},
  momentum: {title: "momentum 0.9", law: "v ← 0.9 v + η g;  w ← w − v", step: (w, g, rate, m) => w - (m.v = .9 * (m.v ?? 0) + rate * g)},
  adam: {title: "Adam", law: "m ← 0.9 m + 0.1 g;  v ← 0.999 v + 0.001 g²;  w ← w − η m̂ / (√v̂ + 1e−8)", step: (w, g, rate, m) => {
    m.t = (m.t ?? 0) + 1;
    m.m = .9 * (m.m ?? 0) + .1 * g;
    m.v = .999 * (m.v ?? 0) + .001 * g * g;
    return w - rate * (m.m / (1 - .9 ** m.t)) / (Math.sqrt(m.v / (1 - .999 ** m.t)) + 1e-8);
  }},
};
function train(count) {
  const rate = parse(by("rate").value), rule = RULES[by("rule").value];
  if (!(rate > 0)) return hear(`η is a number above 0, got “${by("rate").value.trim()}”.`, true);
  for (let i = 0; i < count; i++) {
    const before = values.map(one => [...one]);
    inputs.forEach(({parameter, gradient}, k) => {
      const g = parameter ? output(gradient) : null;
      if (g) values[k] = values[k].map((w, j) => rule.step(w, g[j], rate, (memory[k] ??= [])[j] ??= {}));
    });
    if (!values.every(one => one.every(Number.isFinite))) {
      values = before;
      recompute();
      return hear("A parameter would be no number any more: the steps are too large.", true);
    }
    if (!recompute()) {
      values = before;
      return body.classList.remove("refused");
    }
    remember();
  }
  hear(`${count === 1 ? "One step" : `${count} steps`} of ${rule.title}: the loss is ${number(worth, 5)}.`);
}

function verify() {
  const [k, j] = focus ?? [inputs.findIndex(one => one.parameter), 0];
  if (k < 0 || inputs[k].kind !== "float") return hear("Choose a number that has a derivative.", true);
  const x = values[k][j], h = 1e-5 * Math.max(1, Math.abs(x));
  try {
    const [high, low] = [x + h, x - h].map(y => { values[k][j] = y; return flatOf(evaluate()[0])[0]; });
    const slope = (high - low) / (2 * h), gradient = output(inputs[k].gradient);
    const said = `(${number(high, 9)} − ${number(low, 9)}) ÷ ${number(2 * h, 3)} = ${number(slope, 6)}`;
    if (!gradient) return hear(`Finite difference by ${nameOf(k, j)}: ${said}. The backward pass does not compute it: it is no parameter.`);
    const far = Math.abs(slope - gradient[j]), near_ = far <= 1e-4 * Math.max(1e-3, Math.abs(slope), Math.abs(gradient[j]));
    hear(`∂L/∂${nameOf(k, j)}: the backward pass says ${number(gradient[j], 6)}, the finite difference ${said} ${near_ ? "✓" : "✗ (at a kink, the two can differ)"}`);
  } catch (error) {
    hear(`There is no difference to take here: ${error.message}`, true);
  } finally {
    values[k][j] = x;
  }
}

// The numbers that differ from the picture as it was made, for the address.
function edited() {
  if (!live) return "";
  const parts = values.flatMap((one, k) => one.flatMap((x, j) => x === original[k][j] ? [] : [`${k}.${j}:${x}`]));
  return parts.length && parts.length <= 200 ? `&n=${parts.join(",")}` : "";
}
function restore() {
  if (!live) return;
  const found = /^#step=\d{1,9}&n=([\d.:,e+-]{1,8000})$/.exec(location.hash);
  const next = original.map(one => [...one]);
  for (const part of found ? found[1].split(",") : []) {
    const [, k, j, text] = /^(\d{1,4})\.(\d{1,4}):(-?[\d.]+(?:e[+-]?\d{1,3})?)$/.exec(part) ?? [];
    const x = Number(text), one = inputs[k];
    const fits = one?.editable && j < one.numbers.length && Number.isFinite(x) && (one.kind !== "int" || Number.isInteger(x)) && !refusal(k, x);
    if (!fits) { hear("The address names a number that this page does not have; it shows the graph as it was made.", true); return; }
    next[k][j] = x;
  }
  if (next.every((one, k) => one.every((x, j) => x === values[k][j]))) return;
  values = next;
  memory = [];
  if (!recompute()) { values = original.map(one => [...one]); recompute(); hear("The numbers of the address are refused.", true); return; }
  past = [];
  remember();
  hear("The numbers of the address.");
}

function edit(k, j, handle, key = null) {
  const editor = document.createElement("input"), box = handle.getBoundingClientRect();
  editor.id = "editor";
  editor.value = String(values[k][j]);
  editor.setAttribute("aria-label", nameOf(k, j));
  // Below its number, or above where the window ends, so that it covers no neighbour in its row.
  editor.style.left = `${Math.max(0, Math.min(box.left, innerWidth - 110))}px`;
  editor.style.top = `${box.bottom + 30 < innerHeight ? box.bottom + 2 : box.top - 30}px`;
  let open = true;
  const close = keep => {
    if (!open) return;
    open = false;
    const written = editor.value;
    editor.remove();
    if (keep && written.trim() !== String(values[k][j])) set(k, j, parse(written));
  };
  editor.addEventListener("keydown", event => {
    event.stopPropagation();
    if (event.key === "Enter" || event.key === "Escape") { event.preventDefault(); close(event.key === "Enter"); handle.focus(); }
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      event.preventDefault();
      nudge(k, j, event.key === "ArrowUp" ? 1 : -1);
      editor.value = String(values[k][j]);
    }
  });
  editor.addEventListener("blur", () => close(true));
  body.append(editor);
  editor.focus();
  if (key === null) editor.select();
  else editor.value = key;  // which has opened it
}

// Over each number that can be edited lies a handle: click to type, drag to change, arrows on the keyboard.
function handlesOf(k) {
  const {node} = inputs[k], cell = shownValues.get(node);
  if (!cell || cell.found.length !== values[k].length) return;
  const handles = [];
  cell.found.forEach(({part, ground}, j) => {
    const box = (ground ?? part).getBBox();
    const handle = handles[j] = add(layer, "rect", {class: "number", x: box.x, y: box.y, width: box.width, height: box.height, rx: 3,
      tabindex: j ? -1 : 0, role: "spinbutton", "aria-label": nameOf(k, j), "aria-valuenow": values[k][j]});
    let from = null;
    handle.addEventListener("click", event => event.stopPropagation());
    handle.addEventListener("pointerdown", event => {
      from = {x: event.clientX, value: values[k][j], moved: false};
      handle.setPointerCapture(event.pointerId);
      event.preventDefault();
      handle.focus();
    });
    handle.addEventListener("pointermove", event => {
      const far = from ? event.clientX - from.x : 0;
      if (!from || !from.moved && Math.abs(far) < 4) return;
      from.moved = true;
      const whole = inputs[k].kind === "int", step = stepOf(from.value, whole) / (whole ? 1 : 4);
      const x = Number((from.value + step * Math.round(far / (whole ? 12 : 1))).toPrecision(12));
      if (x === values[k][j]) return;
      oneState(from.kept, () => set(k, j, x));
      from.kept = true;
    });
    handle.addEventListener("pointerup", () => {
      const done = from;
      from = null;
      if (done && !done.moved) edit(k, j, handle);
    });
    handle.addEventListener("pointercancel", () => { from = null; });
    handle.addEventListener("focus", () => { focus = [k, j]; handle.setAttribute("aria-valuenow", values[k][j]); });
    handle.addEventListener("keydown", event => {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      const count = {ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10}[event.key];
      const side = {ArrowLeft: -1, ArrowRight: 1}[event.key];  // one stop of the Tab key for each array
      if (side) handles[(j + side + handles.length) % handles.length].focus();
      else if (count) nudge(k, j, count);
      else if (event.key === "Enter") edit(k, j, handle);
      else if (/^[-−\d.]$/.test(event.key)) edit(k, j, handle, event.key);
      else return;
      handle.setAttribute("aria-valuenow", values[k][j]);
      event.preventDefault();
      event.stopPropagation();
    });
  });
}

function begin() {
  by("lab").hidden = false;
  picture.setAttribute("role", "group");  // of an image, nothing inside could be reached
  for (const id of Object.keys(live.nodes)) {
    const cell = cellsOf(id, "value"), other = cellsOf(id, "also");
    if (cell) shownValues.set(id, cell);
    if (other) others.set(id, other);
    if (!cells.has(id) && live.nodes[id].g !== null) { const own = cellsOf(id); if (own) cells.set(id, own); }
  }
  for (const [key, rule] of Object.entries(RULES)) by("rule").append(new Option(rule.title, key));
  by("law").textContent = RULES.descent.law;
  by("rule").onchange = () => { memory = []; by("law").textContent = RULES[by("rule").value].law; };
  by("more").onclick = () => by("more").setAttribute("aria-expanded", String(by("lab").classList.toggle("open")));
  by("one").onclick = () => train(1);
  by("ten").onclick = () => train(10);
  by("verify").onclick = verify;
  by("reset").onclick = () => { values = original.map(one => [...one]); memory = []; if (recompute()) { hear("As it was made."); remember(); } };
  by("random").onclick = () => {
    const before = values;
    values = values.map(one => [...one]);
    inputs.forEach(({parameter}, k) => {
      if (parameter) values[k] = values[k].map(() => Number((2 * Math.random() - 1 + (2 * Math.random() - 1)).toFixed(2)));
    });
    memory = [];
    if (recompute()) { hear("New random parameters, between −2 and 2."); remember(); }
    else { values = before; body.classList.remove("refused"); }
  };
  by("past").oninput = event => back(Number(event.target.value));
  for (const id of ["rate", "rule", "past"]) by(id).addEventListener("keydown", event => event.stopPropagation());
  addEventListener("keydown", event => {
    if ((event.ctrlKey || event.metaKey) && event.key === "z" && event.target.tagName !== "INPUT") { event.preventDefault(); back(at - 1); }
  });
  outputs = evaluate();
  [worth] = output(0);
  by("result").textContent = `${live.name} = ${number(worth, 5)}`;
  inputs.forEach(({editable, slider}, k) => { if (editable) handlesOf(k); if (slider) addSlider(k); });
  findTexts();
  rewrite();
  remember();
}
if (live) begin();
