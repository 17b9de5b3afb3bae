const data = JSON.parse(document.getElementById("data").textContent);
const views = data.views;  // pictures of the same graph, with other boxes open
const body = document.body, stage = by("stage"), svgs = [stage.querySelector("svg"),
  ...[...stage.querySelectorAll("template")].map(template => template.content.querySelector("svg"))];
const ALARM = /nan|∞/;

let view = 0, picture = svgs[0], steps = [], end = 0;
let now = 0;          // the step that is shown
let timer = 0;        // of playing; 0 when it rests
let quizzing = false;
let outputs = null;   // of a live page, what its program returned after the last edit
const known = new Map();  // the steps whose question was answered: to right, or helped
const asked = new Set();  // those that were asked

// ------------------------------------------------------------------------ the parts of the picture

// A value is node n5, its gate in a circuit g5; where a scope is one box, both are that box, such as b2.
let nodes = new Map(), edges = [], edgeOf = new Map();
const titleOf = group => group.querySelector("title")?.textContent ?? "";
const ownerOf = id => id.replace(/^g(?=\d)/, "n");
const gateOf = id => nodes.get(id?.replace(/^n/, "g")) ?? nodes.get(id);

// A gradient, or a value, in a card: its numbers and their grounds, and how both looked when Graphviz had drawn them.
function cellsOf(id, kind = "gradient") {
  const group = by(`a_${kind}-${id}`), isSummary = summaries.includes(id);
  if (!group) return null;
  const found = [];
  let ground = null;
  for (const part of group.querySelectorAll("polygon, text")) {
    if (part.tagName === "polygon") { ground = part; continue; }
    if (isSummary && ["mean", "std", "min", "max"].includes(part.textContent.trim())) continue;
    const box = (ground ?? part).getBBox();
    setAll(part, {"text-anchor": "middle", x: box.x + box.width / 2});
    found.push({part, ground, room: (ground ? box.width - 3 : box.width + 12) * .92, text: part.textContent,
      ink: part.getAttribute("fill"), fill: ground?.getAttribute("fill"), opacity: 1});
    ground = null;
  }
  if (data.live?.circuit) found.splice(0, found.length - 1);  // before it, on the same wire, stands the name
  return {group, found, tinted: found.length > 1 && found.every(one => one.ground) && !isSummary, shown: null};
}

// How a number looks in a cell: tinted by its share of the largest, loud if it is not finite.
function look(cell, text, share, kind) {
  const alarm = ALARM.test(text), tint = cell.tinted && !alarm && share ? .3 * share : 0;
  return {text, ink: `var(--${alarm ? "alarm_ink" : cell.tinted && text === "0" ? "muted" : kind})`,
    fill: `var(--${alarm ? "alarm" : tint ? `${kind}_heat` : "card"})`, opacity: tint ? tint.toFixed(3) : 1};
}

// Numbers for the cells, or null for what the picture says, which is where every gradient ends.
function put(cell, numbers) {
  const key = JSON.stringify(numbers);
  if (key === cell.shown) return;
  cell.shown = key;
  const sizes = numbers?.map(text => Math.abs(parse(text))).map(size => Number.isFinite(size) ? size : 0) ?? [];
  const top = Math.max(...sizes);
  cell.found.forEach((one, j) => {
    const {part, ground, room} = one;
    const {text, ink, fill, opacity} = numbers ? look(cell, numbers[j] ?? "", sizes[j] / top, "gradient") : one;
    if (part.textContent !== text) part.textContent = text;
    // Measuring each number would take longer than all else; after an edit its length is guessed.
    if (!outputs) part.removeAttribute("textLength");
    const isLong = outputs ? text.length * 6.2 > room : numbers && part.getComputedTextLength() > room;
    setAll(part, {fill: ink, textLength: isLong ? room : null, lengthAdjust: isLong ? "spacingAndGlyphs" : null});
    if (ground) setAll(ground, {fill, "fill-opacity": opacity});
  });
}

// ----------------------------------------------------------------------------- what each step does

let made = new Map();    // from a node to the step that computes it; of a box, to the first such step
let ready = new Map();   // and to the last
let visits = new Map();  // from a node to its steps, to go to by a click
let cells = new Map(), summaries = [], layer = null, rings = [], natural = 0;

// Take one of the pictures, with its steps.
function take(k) {
  const told = k ? views[k] : {...data, ...views[0]};
  svgs[view].replaceWith(svgs[k]);
  [view, picture, summaries] = [k, svgs[k], told.summaries];
  steps = told.steps.map(step => typeof step === "number" ? data.steps[step] : step);  // as it is in the whole graph
  end = steps.length - 1;
  if (data.texts) for (const step of steps) {
    for (const key of ["line", "sentence", "remark", "question"]) if (typeof step[key] === "number") step[key] = data.texts[step[key]];
  }
  nodes = new Map([...picture.querySelectorAll("g.node")].map(group => [titleOf(group), group]));
  edges = [...picture.querySelectorAll("g.edge")].map(group => {
    const [tail, head] = titleOf(group).split("->").map(side => ownerOf(side.split(":")[0]));
    return {group, tail, head, sent: Infinity};
  });
  edgeOf = new Map(edges.map(edge => [edge.group.id, edge]));
  [made, ready, visits, cells] = [new Map(), new Map(), new Map(), new Map()];
  steps.forEach(index);
  for (const [id, cell] of cells) if (!cell) cells.delete(id);
  for (const [id, group] of nodes) if (visits.has(ownerOf(id))) group.classList.add("goes");
  layer = picture.querySelector("g.graph") ?? picture;
  if (!rings[k]) decorate(k, told);
  natural = picture.getBoundingClientRect().width;
  by("slider").max = end;
  const turn = steps.findIndex(step => step.kind === "backward");
  const shares = turn < 0 ? [end, 0] : [turn - 1, end - turn + 1];
  shares.forEach((share, j) => { by("parts").children[j].style.flexGrow = Math.max(share, 0); });
  by("note").hidden = !told.note;
  by("note").textContent = told.note;
}

// What a step does to the picture.
function index(step, k) {
  for (const id of step.kind === "forward" ? [step.node] : step.computed ?? []) {
    if (!made.has(id)) made.set(id, k);
    ready.set(id, k);
  }
  for (const id of Object.keys(step.totals ?? {})) if (!cells.has(id)) cells.set(id, cellsOf(id));
  for (const id of [step.edge, ...step.edges ?? []]) {
    const edge = edgeOf.get(id);
    if (edge) edge.sent = Math.min(edge.sent, k);
  }
  if (step.node) visits.set(step.node, [...visits.get(step.node) ?? [], k]);
}

// What lies over a picture: the rings, the tips of arrows that go back, the boxes' handles.
function decorate(k, told) {
  const tip = svg(layer, "marker", {id: "lo-back", viewBox: "0 0 10 8", refX: 1, refY: 4, markerWidth: 11, markerHeight: 9,
    markerUnits: "userSpaceOnUse", orient: "auto"});
  svg(tip, "path", {d: "M10 0L0 4L10 8z", fill: "var(--accent)", stroke: "none"});
  rings[k] = ["ring from", "ring"].map(name => svg(layer, "rect", {class: name, rx: 5}));
  for (const [id, inner] of Object.entries(told.boxes)) {
    const group = nodes.get(id), opens = typeof inner === "number";
    if (!group) continue;
    setAll(group, {tabindex: 0, role: opens ? "button" : "img", "aria-label": opens ? `Open ${views[inner].title}` : inner});
    if (!opens) {  // it says why not; so it does after a click, once the step there is told
      group.addEventListener("focus", () => { by("sentence").textContent = inner; });
      continue;
    }
    group.classList.add("opens");
    const act = event => {
      if (event.type === "keydown" && event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      event.stopPropagation();
      open_(inner);
    };
    for (const kind of ["click", "keydown"]) group.addEventListener(kind, act);
  }
  if (Object.keys(told.boxes).length) picture.setAttribute("role", "group");  // of an image, nothing inside could be reached
}

// Show another picture, at the step that was told.
function open_(k) {
  const at = steps[now]?.at ?? (now ? Infinity : -1);
  take(k);
  crumbs();
  known.clear();
  asked.clear();
  measure();
  const found = steps.findIndex(step => (step.at ?? -1) >= at);
  go(at < 0 ? 0 : found < 0 ? end : found);
  (k ? by("where").lastElementChild : stage).focus({preventScroll: true});
}
function crumbs() {
  const chain = [view];
  while (chain[0]) chain.unshift(views[chain[0]].parent);
  by("where").hidden = !view;
  by("where").replaceChildren();
  for (const k of chain) {
    if (k) html(by("where"), "span", {}, "›");
    const button = html(by("where"), "button", {type: "button", "aria-current": k === view ? "page" : null}, views[k].title);
    if (k !== view) button.onclick = () => open_(k);
  }
}
