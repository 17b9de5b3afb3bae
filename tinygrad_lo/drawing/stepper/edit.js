// Changing a number: by its slider, or where it stands in the picture; and the states that this leaves.
function hear(text, wrong = false) {
  by("heard").textContent = text;
  by("heard").className = wrong ? "wrong" : "";
}
const nameOf = (k, j) => inputs[k].name + placeOf(j, inputs[k].shape);
const isWhole = k => inputs[k].kind === "int";
const rounded = x => Number(x.toPrecision(12));

// The library's sentence about a number that an option does not take.
function refusal(k, x) {
  const [atLeast, above, atMost, below] = (inputs[k].bounds ?? [-Infinity, -Infinity, Infinity, Infinity]).map(Number);
  return atLeast <= x && x <= atMost && above < x && x < below ? "" : inputs[k].words + written(x);
}

function set(k, j, x) {
  if (!Number.isFinite(x)) return hear("Type a number, such as 0.5, −2e-3 or 1/3.", true);
  if (isWhole(k) && !Number.isInteger(x)) return hear(`${nameOf(k, j)} is a whole number.`, true);
  const words = refusal(k, x), before = values[k][j], next = copied(values);
  if (words) return hear(words, true);
  focus = [k, j];
  next[k][j] = x;
  if (!accept(next)) return;
  hear(`${nameOf(k, j)}: ${number(before, DIGITS)} → ${number(x, DIGITS)}`);
  remember();
}
function stepOf(x, whole) { return whole ? 1 : x ? 10 ** (Math.floor(Math.log10(Math.abs(x))) - 1) : .1; }
function nudge(k, j, count) {
  const x = values[k][j];
  set(k, j, rounded(x + count * stepOf(x, isWhole(k))));
}

function remember() {
  past = [...past.slice(0, at + 1), {values: copied(values), worth}].slice(-1000);
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
  memory = [];
  if (accept(copied(past[at].values))) hear(`State ${at} of ${past.length - 1}.`);
  chart();
}
// What moves a number on and on leaves one state behind.
function oneState(goesOn, change) {
  const count = past.length, was = at;
  change();
  if (goesOn && past.length > count) { past.splice(was, 1); at = past.length - 1; chart(); }
}

// The numbers that differ from the picture as it was made, for the address.
function edited() {
  if (!live) return "";
  const parts = values.flatMap((one, k) => one.flatMap((x, j) => x === original[k][j] ? [] : [`${k}.${j}:${x}`]));
  return parts.length && parts.length <= 200 ? `&n=${parts.join(",")}` : "";
}
function restore() {
  if (!live) return;
  const found = /^#step=\d{1,9}&n=([\d.:,e+-]{1,8000})$/.exec(location.hash), next = copied(original);
  for (const part of found ? found[1].split(",") : []) {
    const [, k, j, text] = /^(\d{1,4})\.(\d{1,4}):(-?[\d.]+(?:e[+-]?\d{1,3})?)$/.exec(part) ?? [];
    const x = Number(text), one = inputs[k];
    const fits = one?.editable && j < one.numbers.length && Number.isFinite(x) && (!isWhole(k) || Number.isInteger(x)) && !refusal(k, x);
    if (!fits) return hear("The address names a number that this page does not have; it shows the graph as it was made.", true);
    next[k][j] = x;
  }
  if (next.every((one, k) => one.every((x, j) => x === values[k][j]))) return;
  memory = [];
  if (!accept(next)) { accept(copied(original)); return hear("The numbers of the address are refused.", true); }
  past = [];
  remember();
  hear("The numbers of the address.");
}

// ------------------------------------------------------------------------------------- its controls

function addSlider(k) {
  const [low, high, step] = inputs[k].slider, {name} = inputs[k], label = html(by("options"), "label", {}, `${name} `);
  const range = html(label, "input", {type: "range", min: low, max: high, step, "aria-label": name});
  const typed = html(label, "input", {type: "text", inputmode: "decimal", autocomplete: "off", "aria-label": `${name}, typed`});
  let moved = false;
  range.addEventListener("input", () => { oneState(moved, () => set(k, 0, rounded(Number(range.value)))); moved = true; });
  range.addEventListener("change", () => { moved = false; });
  typed.addEventListener("change", () => {
    if (typed.value.trim() !== String(values[k][0])) set(k, 0, parse(typed.value));
    rewrite();
    typed.value = String(values[k][0]);
  });
  shownSliders.push(k);
}

function edit(k, j, handle, key = null) {
  const editor = html(body, "input", {id: "editor", value: String(values[k][j]), "aria-label": nameOf(k, j)}), box = handle.getBoundingClientRect();
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
  editor.focus();
  if (key === null) editor.select();
  else editor.value = key;  // which has opened it
}

// Over each number that can be edited lies a handle: click to type, drag to change, arrows on the keyboard.
function addHandles(k) {
  const cell = shownValues.get(inputs[k].node), handles = [];
  if (!cell || cell.found.length !== values[k].length) return;
  cell.found.forEach(({part, ground}, j) => {
    const {x, y, width, height} = (ground ?? part).getBBox();
    handles[j] = svg(layer, "rect", {class: "number", x, y, width, height, rx: 3,
      tabindex: j ? -1 : 0, role: "spinbutton", "aria-label": nameOf(k, j), "aria-valuenow": values[k][j]});
    listen(k, j, handles);
  });
}
function listen(k, j, handles) {
  const handle = handles[j], tell = () => handle.setAttribute("aria-valuenow", values[k][j]);
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
    const whole = isWhole(k), step = stepOf(from.value, whole) / (whole ? 1 : 4);
    const x = rounded(from.value + step * Math.round(far / (whole ? 12 : 1)));
    if (x === values[k][j]) return;
    oneState(from.kept, () => set(k, j, x));
    from.kept = true;
  });
  handle.addEventListener("pointerup", () => {
    if (from && !from.moved) edit(k, j, handle);
    from = null;
  });
  handle.addEventListener("pointercancel", () => { from = null; });
  handle.addEventListener("focus", () => { focus = [k, j]; tell(); });
  handle.addEventListener("keydown", event => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const count = {ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10}[event.key];
    const side = {ArrowLeft: -1, ArrowRight: 1}[event.key];  // one stop of the Tab key for each array
    if (side) handles[(j + side + handles.length) % handles.length].focus();
    else if (count) nudge(k, j, count);
    else if (event.key === "Enter") edit(k, j, handle);
    else if (/^[-−\d.]$/.test(event.key)) edit(k, j, handle, event.key);
    else return;
    tell();
    event.preventDefault();
    event.stopPropagation();
  });
}
