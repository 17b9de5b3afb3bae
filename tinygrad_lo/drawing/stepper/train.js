// Optimizers, the gradient check, and what begins the page's life.
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
    const next = inputs.map(({parameter, gradient}, k) => {
      const g = parameter ? output(gradient) : null;
      return g ? values[k].map((w, j) => rule.step(w, g[j], rate, (memory[k] ??= [])[j] ??= {})) : [...values[k]];
    });
    if (!next.flat().every(Number.isFinite)) return hear("A parameter would be no number any more: the steps are too large.", true);
    if (!accept(next)) return;
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
    const slope = (high - low) / (2 * h), gradient = output(inputs[k].gradient)?.[j];
    const said = `(${number(high, 9)} − ${number(low, 9)}) ÷ ${number(2 * h, 3)} = ${number(slope, 6)}`;
    if (gradient === undefined) return hear(`Finite difference by ${nameOf(k, j)}: ${said}. The backward pass does not compute it: it is no parameter.`);
    const isNear = Math.abs(slope - gradient) <= 1e-4 * Math.max(1e-3, Math.abs(slope), Math.abs(gradient));
    hear(`∂L/∂${nameOf(k, j)}: the backward pass says ${number(gradient, 6)}, the finite difference ${said} ${isNear ? "✓" : "✗ (at a kink, the two can differ)"}`);
  } catch (error) {
    hear(`There is no difference to take here: ${error.message}`, true);
  } finally {
    values[k][j] = x;
  }
}

function anew(next, words) {
  memory = [];
  if (accept(next)) { hear(words); remember(); }
}
const random = () => Number((2 * Math.random() - 1 + (2 * Math.random() - 1)).toFixed(2));

function begin() {
  by("lab").hidden = false;
  picture.setAttribute("role", "group");  // of an image, nothing inside could be reached
  for (const [id, {g}] of Object.entries(live.nodes)) {
    const find = (found, kind) => { const cell = cellsOf(id, kind); if (cell) found.set(id, cell); };
    find(shownValues, "value");
    find(others, "also");
    if (!cells.has(id) && g !== null) find(cells, "gradient");
  }
  for (const [key, rule] of Object.entries(RULES)) by("rule").append(new Option(rule.title, key));
  by("rule").onchange = () => { memory = []; by("law").textContent = RULES[by("rule").value].law; };
  by("rule").onchange();
  by("more").onclick = () => by("more").setAttribute("aria-expanded", String(by("lab").classList.toggle("open")));
  by("one").onclick = () => train(1);
  by("ten").onclick = () => train(10);
  by("verify").onclick = verify;
  by("reset").onclick = () => anew(copied(original), "As it was made.");
  by("random").onclick = () => anew(values.map((one, k) => one.map(x => inputs[k].parameter ? random() : x)),
    "New random parameters, between −2 and 2.");
  by("past").oninput = event => back(Number(event.target.value));
  addEventListener("keydown", event => {
    if ((event.ctrlKey || event.metaKey) && event.key === "z" && event.target.tagName !== "INPUT") { event.preventDefault(); back(at - 1); }
  });
  outputs = evaluate();
  [worth] = output(0);
  by("result").textContent = `${live.name} = ${number(worth, 5)}`;
  inputs.forEach(({editable, slider}, k) => { if (editable) addHandles(k); if (slider) addSlider(k); });
  findTexts();
  rewrite();
  remember();
}
