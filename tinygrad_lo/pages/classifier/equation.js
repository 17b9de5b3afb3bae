// W x + b = s, each number in its place and its gradient below it; the loss of all points under it.

const matrix = (parent, label, columns) =>
  html(parent, "div", {class: "matrix", role: "group", "aria-label": label, "data-columns": columns});
const sign = (parent, text) => html(parent, "span", {class: "sign", "aria-hidden": "true"}, text);
const AXES = ["x₁", "x₂"];
const fields = [];

// A number that can be typed over. Of it: its name, how it is read and written, what follows, its gradient,
// and what that is the gradient of.
function field(parent, classes, number) {
  const cell = html(parent, "div", {class: `cell ${classes}`});
  const input = html(cell, "input", {inputmode: "decimal", autocomplete: "off", spellcheck: "false"});
  const {get, put, changed, most} = number;
  input.oninput = () => {
    const v = readNumber(input.value), bad = v === null || Math.abs(v) > most;
    setAll(input, {"aria-invalid": bad});
    if (bad) return;
    fields.typing = input;
    put(v);
    changed();
  };
  input.onfocus = () => { input.value = brief(get(), 6); refresh("look"); };
  input.onblur = () => {
    if (input.getAttribute("aria-invalid") === "true")
      say(`${quoted(input.value)} is no number up to ${most}; ${brief(get())} stays.`);
    setAll(input, {"aria-invalid": false});
    fields.typing = null;
    refresh("look");
  };
  input.onkeydown = event => {
    const d = {ArrowUp: 0.1, ArrowDown: -0.1}[event.key];
    if (!d || event.ctrlKey || event.altKey) return;
    event.preventDefault();
    fields.typing = null;
    put(clamp(tidy(get() + d * (event.shiftKey ? 10 : 1), 9), -most, most));
    changed();
  };
  fields.push({...number, input, gradient: html(cell, "span", {class: "gradient secret"})});
}

function buildEquation() {
  const root = by("equation"), most = LIMITS.weight;
  const edited = name => () => schedule("model", `edit of ${name}`);
  const W = matrix(root, "W", 2);
  for (const k of KS) for (const j of [0, 1]) field(W, `k${k}`, {
    label: () => `W, ${state.names[k]}, ${AXES[j]}`, get: () => state.W[k][j], put: v => { state.W[k][j] = v; },
    changed: edited("W"), most, slope: e => e.gW[k][j], of: e => e.total, kind: "∂L",
  });
  const x = matrix(root, "x, the chosen point", 1), chosen = () => state.points[state.chosen];
  for (const j of [0, 1]) field(x, "data", {
    label: () => `${AXES[j]} of the chosen point`, get: () => chosen()?.[j] ?? 0,
    put: v => { if (chosen()) chosen()[j] = v; }, changed: () => schedule("problem"), most: LIMITS.coordinate,
    slope: e => e.each[state.chosen]?.gradients.x[j], of: e => e.each[state.chosen]?.loss, kind: "∂Lᵢ",
  });
  sign(root, "+");
  const b = matrix(root, "b", 1);
  for (const k of KS) field(b, `k${k}`, {
    label: () => `b, ${state.names[k]}`, get: () => state.b[k], put: v => { state.b[k] = v; },
    changed: edited("b"), most, slope: e => e.gb[k], of: e => e.total, kind: "∂L",
  });
  sign(root, "=");
  const s = matrix(root, "s, the scores", 1);
  for (const k of KS) {
    const cell = html(s, "div", {class: `cell k${k}`});
    fields.push({output: html(cell, "output", {}), gradient: html(cell, "span", {class: "gradient secret"}), k});
  }
}

// The gradient check of the number that has the focus: its gradient, and the same by central differences.
const STEP = 1e-5;
function checked({get, put, slope, of, kind}, e) {
  const v = get();
  put(v + STEP);
  const up = of(whole());
  put(v - STEP);
  const down = of(whole());
  put(v);
  const digits = g => g.toPrecision(7).replace("-", "−");
  return up === undefined ? "" : `${kind} is ${digits(slope(e))}; by differences, h = 1e−5: ${digits((up - down) / (2 * STEP))}.`;
}

function paintEquation(e) {
  const point = state.points[state.chosen], s = point ? scores(point) : null, won = s ? best(s) : -1;
  const biggest = Math.max(...e.gW.flat().map(Math.abs), ...e.gb.map(Math.abs), 1e-12);
  for (const {input, output, gradient, label, get, slope, k} of fields) {
    if (input) {
      const text = input === document.activeElement ? brief(get(), 6) : shortly(get());
      if (input !== fields.typing && input.value !== text) input.value = text;
      setAll(input, {"aria-label": label()});
    } else {
      setText(output, s ? show(s[k]) : "–");
      setAll(output, {class: k === won ? "won" : "", "aria-label": `score of ${state.names[k]}`});
    }
    const g = output ? e.each[state.chosen]?.gradients.b[k] : slope(e);
    setText(gradient, g === undefined ? "–" : show(g, 3));
    const heat = input && !input.parentNode.classList.contains("data") ? 28 * Math.abs(g) / biggest : 0;
    gradient.style.setProperty("--heat", `${heat.toFixed(0)}%`);
  }
  const here = fields.find(({input}) => input && input === document.activeElement);
  const whose = point && `x is point ${state.chosen + 1}, ${state.names[point[2]]}. Under W and b: ∂L; under x and s: ∂Lᵢ.`;
  write({whose: here ? checked(here, e) : whose ?? "There is no point."});
}

// ------------------------------------------------------------------------------- L = data + λR(W)

let shownTotal = null;

function paintLoss(e) {
  const right = state.points.filter(point => best(scores(point)) === point[2]).length;
  const change = shownTotal === null ? 0 : e.total - shownTotal;
  write({
    total: show(e.total, 3), sum: `= ${show(e.data, 3)} + ${show(e.penalty, 3)}`,
    change: change ? `${change > 0 ? "▲" : "▼"} ${show(Math.abs(change), 3)}` : "",
    right: `${right} of ${counted(state.points.length, "point")} right`, formula: `Lᵢ = ${DATA.losses[state.loss].formula}`,
  });
  setAll(by("change"), {class: `secret ${change > 0 ? "up" : "down"}`});
  shownTotal = e.total;
  const scale = Math.max(...past.map(one => one.total).filter(Number.isFinite), e.total, 1e-9);
  by("bar_data").style.setProperty("--share", `${(100 * e.data / scale).toFixed(2)}%`);
  by("bar_penalty").style.setProperty("--share", `${(100 * e.penalty / scale).toFixed(2)}%`);
}

// --------------------------------------------------------------------------------------- controls

// λ and η on a scale of powers of ten; the left end of λ is 0.
const SCALES = {lambda: [-3, 1], eta: [-3, 1]};
function readSlider(key) {
  const v = Number(by(key).value);
  return key === "lambda" && v <= SCALES[key][0] ? 0 : tidy(clamp(10 ** v, ...LIMITS[key]), 2);
}
function paintControls() {
  for (const key of ["lambda", "eta"]) {
    const slider = by(key), v = state[key];
    const at = clamp(v > 0 ? Math.log10(v) : -Infinity, ...SCALES[key]);
    if (readSlider(key) !== v) slider.value = at;
    setAll(slider, {"aria-valuetext": brief(v)});
    write({[`${key}_out`]: brief(v)});
  }
  for (const loss of Object.keys(DATA.losses)) setAll(by(`loss_${loss}`), {"aria-pressed": loss === state.loss});
  by("reg").value = state.reg;
  by("margin").value = String(state.margin);
  by("margin").disabled = !DATA.losses[state.loss].margin;
}
