// The picture and the steps, made again of other numbers.
const shownValues = new Map(), others = new Map();
const copied = all => all.map(one => [...one]);

function evaluate() {
  return liveProgram(...inputs.map(({shape}, k) => shape.length ? Object.assign(Float64Array.from(values[k]), {shape}) : values[k][0]));
}

function recompute() {
  try {
    outputs = evaluate();
  } catch (error) {
    return hear(error.message, true);
  }
  const before = worth;
  [worth] = output(0);
  const change = worth - before;
  by("result").textContent = `${live.name} = ${number(worth, 5)}`;
  by("change").textContent = Number.isFinite(change) && change ? `${change > 0 ? "+" : ""}${number(change, 3)}` : "";
  for (const [id, {v, g}] of Object.entries(live.nodes)) repaint(id, output(v), output(g));
  redrawEdges();
  rewrite();
  retell();
  show(now || end);  // at the start, nothing of what changes would be seen
  return true;
}

// Take these numbers; what a loss refuses is said, and not kept.
function accept(next) {
  const before = values;
  values = next;
  if (recompute()) return true;
  values = before;
  return false;
}

function repaint(id, numbers, gradient) {
  const cell = shownValues.get(id), other = others.get(id), own = cells.get(id);
  if (cell) rebase(cell, wordsOf(id, numbers, true), numbers, "value");
  const powers = other && numbers.map(Math.exp);
  if (other) rebase(other, figures(powers, live.nodes[id].shape, data.summaries.includes(id), "f"), powers, "value");
  if (gradient && own) rebase(own, wordsOf(id, gradient, false), gradient, "gradient");
}

// What a cell says at the end, and how: tinted by its share of the largest.
function rebase(cell, words, numbers, kind) {
  const sizes = words.length === numbers.length ? numbers.map(Math.abs) : [];
  const top = Math.max(0, ...sizes.filter(Number.isFinite));
  cell.found.forEach((one, j) => Object.assign(one, look(cell, words[j] ?? "", top && sizes[j] / top, kind)));
  cell.shown = undefined;
  if (kind === "value") put(cell, null);
}

function redrawEdges() {
  const sizes = new Map(Object.entries(live.edges).map(([id, {p}]) =>
    [id, Math.max(...p.flatMap(place => output(place).map(Math.abs)))]));
  const top = Math.max(0, ...[...sizes.values()].filter(Number.isFinite));
  for (const [id, size] of sizes) {
    const group = edgeOf.get(id)?.group, path = group?.querySelector("path");
    if (!path) continue;
    const share = Number.isFinite(size) && top ? size / top : 1, ink = `var(--${size ? "edge" : "faint"})`;
    const width = size ? (.8 + (live.widest - .8) * Math.sqrt(share)).toFixed(2) : 1.2;
    setAll(path, {stroke: ink, "stroke-width": width, "stroke-dasharray": size ? null : "5,2"});
    const tipOf = group.querySelector("polygon"), word = group.querySelector("text"), about = group.querySelector("a");
    if (tipOf) setAll(tipOf, {fill: ink, stroke: ink});
    const {local} = live.edges[id], slope = local === null ? "" : number(output(local)[0], live.digits);
    const words = about?.getAttribute(TIP)?.replace(/(largest \|gradient\| )\S+/, (_, before) => before + number(size, live.digits));
    if (words) about.setAttribute(TIP, slope ? words.replace(/(local derivative ).*$/, (_, before) => before + slope) : words);
    if (word && slope) word.textContent = `\u00a0×${slope}`;
  }
}

// Numbers inside of gates: in formulas, gates, tips and the legend, and at their sliders.
const rewritten = [], shownSliders = [], TIP = "xlink:title";
function findTexts() {
  for (const [id, was, slots] of live.texts) {
    const group = id ? picture.querySelector(`[id="${id}"]`) : picture;  // without an id, a line of the legend
    if (!was || !group) continue;
    const find = (query, read, write) => {
      for (const part of group.querySelectorAll(query)) {
        const text = read(part) ?? "";
        if (!(id ? text.includes(was) : text === was)) continue;
        const pieces = text.split(was);
        rewritten.push(() => write(part, pieces.join(filled(slots))));
      }
    };
    find("text", part => part.textContent, (part, text) => { part.textContent = text; });
    if (id) find("a", part => part.getAttribute(TIP), (part, text) => part.setAttribute(TIP, text));
  }
}
function rewrite() {
  for (const write of rewritten) write();
  shownSliders.forEach((k, place) => {
    const [range, typed] = by("options").children[place].querySelectorAll("input"), [x] = values[k];
    range.value = x;
    range.setAttribute("aria-valuetext", number(x, DIGITS));
    if (document.activeElement !== typed) typed.value = String(x);
  });
}

// The steps of the numbers as they are now.
const TOLD = ["line", "sentence", "remark", "question", "answer", "sum", "cell"];
function retell() {
  const asMade = values.every((one, k) => one.every((x, j) => Object.is(x, original[k][j])));
  const sound = {forward: true, backward: true};
  for (const step of steps) {
    const told = step.live;
    if (!told) continue;
    told.kept ??= {...Object.fromEntries(TOLD.map(key => [key, step[key]])), totals: {...step.totals}};
    if (asMade) {  // with the elements that it works out
      Object.assign(step, told.kept, step.totals ? {totals: {...told.kept.totals}} : {});
      continue;
    }
    step.line = filled(told.text);
    const isOdd = sound[step.kind] && !output(told.value ?? told.part).every(Number.isFinite);
    if (isOdd) sound[step.kind] = false;
    if (told.part === undefined) {
      const first = told.name + live.first, base = (told.kept.sentence ?? "").replace(first, "").trim();
      step.sentence = [base, isOdd ? first : ""].filter(Boolean).join(" ");
    } else {
      retellProduct(step, told, isOdd);
    }
  }
  known.clear();
  asked.clear();
}
function retellProduct(step, {part: place, arriving, earlier, remarks, target, shape, formula}, isOdd) {
  const part = output(place), sum = total([...earlier, place]), isNone = numbers => numbers.every(x => x === 0);
  const remark = live.remarks[remarks[isNone(output(arriving)) ? 1 : isNone(part) ? 2 : 0]];
  step.remark = remark + (isOdd ? " This is the first gradient that is not finite." : "");
  for (const [id, words] of Object.entries(step.totals ?? {})) if (words) step.totals[id] = wordsOf(id, sum, false);
  if (step.answer === undefined) return;
  const odd = part.findIndex(Number.isNaN), largest = part.reduce((k, x, j) => Math.abs(x) > Math.abs(part[k]) ? j : k, 0);
  const j = odd < 0 ? largest : odd, many = shape.length > 0, sign = earlier.length ? "+=" : "=";
  const at = placeOf(j, shape), product = filled(formula);
  Object.assign(step, {cell: j, answer: String(part[j]).replace("NaN", "nan"),
    question: `∂L/∂${target}${at} ${sign} ${many ? `(${product})` : product}${at} = ?`});
  if (earlier.length) step.sum = String(sum[j]);
}
// The place of an element, such as [0, 2]; of a number by itself, nothing.
function placeOf(j, shape) {
  const place = [...shape].reverse().map(n => { const k = j % n; j = (j - k) / n; return k; }).reverse();
  return place.length ? `[${place.join(", ")}]` : "";
}
