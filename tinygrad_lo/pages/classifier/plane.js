// The plane: points, which class wins where, and the lines that decide it.

const SIDE = 480, NEAR = 0.05, FAR = 0.5, WORST = 10;
const PATHS = ["M0-8a8 8 0 1 0 .01 0z", "M-7-7h14v14h-14z", "M0-9.5L9 6.5h-18z"];
const layer = name => svg(by("plane"), "g", {class: name});
const ORDER = ["regions", "grid", "bands", "zeros", "ghosts", "borders", "halos", "points"];
const LAYERS = Object.fromEntries(ORDER.map(name => [name, layer(name)]));
setAll(LAYERS.points, {role: "group", "aria-label": "The points"});

// How far the plane reaches in each direction: 2, 5, 10, 20, … as the points need it.
function reach(points = state.points) {
  const far = Math.max(1.9, ...points.flatMap(([a, b]) => [Math.abs(a), Math.abs(b)]));
  for (let size = 1; ; size *= 10) for (const step of [2, 3, 5, 10]) if (step * size >= far) return step * size;
}
let half = 2;
const toX = a => SIDE / 2 * (1 + a / half), toY = b => SIDE / 2 * (1 - b / half);
const corner = ([a, b]) => `${toX(a).toFixed(1)} ${toY(b).toFixed(1)}`;
const pathOf = corners => corners.length ? `M${corners.map(corner).join("L")}Z` : "";

const regions = KS.map(k => svg(LAYERS.regions, "path", {class: `k${k}`}));
const bands = PAIRS.map(() => svg(LAYERS.bands, "path"));
const zeros = KS.map(k => svg(LAYERS.zeros, "line", {class: `k${k}`}));
const arrows = KS.map(k => svg(LAYERS.zeros, "line", {class: `k${k} arrow`, "marker-end": `url(#tip${k})`}));
const edges = PAIRS.map(() => svg(LAYERS.borders, "line"));
const ghosts = PAIRS.map(() => svg(LAYERS.ghosts, "line"));
const halos = Array.from({length: WORST}, () => svg(LAYERS.halos, "circle"));
const BESIDE = {x: {y: SIDE - 6, "text-anchor": "middle"}, y: {x: 6}};
const ticks = [-1, 0, 1].flatMap(k => ["x", "y"].map(axis => ({
  k, axis, line: svg(LAYERS.grid, "line"), text: k ? svg(LAYERS.grid, "text", BESIDE[axis]) : null,
})));

svg(LAYERS.grid, "text", {x: SIDE - 6, y: SIDE / 2 - 6, "text-anchor": "end"}, "x₁");
svg(LAYERS.grid, "text", {x: SIDE / 2 + 6, y: 14}, "x₂");

function lay(node, ends) {
  node.style.display = ends ? "" : "none";
  if (ends) setAll(node, {x1: toX(ends[0][0]), y1: toY(ends[0][1]), x2: toX(ends[1][0]), y2: toY(ends[1][1])});
}

function paintGrid() {
  for (const {k, axis, line, text} of ticks) {
    const at = k * half / 2;
    if (axis === "x") lay(line, [[at, -half], [at, half]]);
    else lay(line, [[-half, at], [half, at]]);
    if (!text) continue;
    setText(text, brief(at));
    setAll(text, axis === "x" ? {x: toX(at)} : {y: toY(at) - 4});
  }
}

// A short arrow from the zero line to the side where the score grows.
function arrow([a, b, c]) {
  const n = Math.hypot(a, b);
  if (!n) return null;
  const foot = [-a * c / n / n, -b * c / n / n], long = 0.14 * half;
  const inside = foot.every(v => Math.abs(v) < half * 0.98);
  return inside ? [foot, [foot[0] + long * a / n, foot[1] + long * b / n]] : null;
}

// In a band two classes lead, and their scores are closer than Δ: even a right point costs there.
function band([j, k, other]) {
  const f = minus(line(j), line(k)), back = f.map(v => -v);
  return area(half, [shifted(f, state.margin), shifted(back, state.margin), ...[j, k].map(i => minus(line(i), line(other)))]);
}

function paintPlane(e) {
  if (!dragging) half = reach();
  paintGrid();
  const shows = name => by(`show_${name}`).checked;
  const hasBands = DATA.losses[state.loss].margin && shows("bands");
  KS.forEach(k => {
    setAll(regions[k], {d: pathOf(area(half, KS.filter(j => j !== k).map(j => minus(line(k), line(j)))))});
    lay(zeros[k], shows("zeros") ? segment(line(k), box(half)) : null);
    lay(arrows[k], shows("zeros") ? arrow(line(k)) : null);
  });
  PAIRS.forEach((pair, i) => setAll(bands[i], {d: hasBands ? pathOf(band(pair)) : ""}));
  borders(half).forEach((ends, i) => lay(edges[i], ends));
  const next = shows("ghosts") ? stepped(e) : null;
  (next && fits(next) ? borders(half, next) : PAIRS.map(() => null)).forEach((ends, i) => lay(ghosts[i], ends));
  paintPoints(e);
}

// ----------------------------------------------------------------------------------------- points

let marks = [], dragging = null;

function buildPoints() {
  const focused = marks.findIndex(({group}) => group === document.activeElement);
  LAYERS.points.replaceChildren();
  marks = state.points.map((_, i) => {
    const group = svg(LAYERS.points, "g", {tabindex: 0, role: "button"});
    const ring = svg(group, "circle", {r: 14, class: "ring"}), mark = svg(group, "path", {class: "mark"});
    const cross = svg(group, "path", {d: "M-4-4L4 4M4-4L-4 4", class: "cross"});
    group.onpointerdown = event => grab(event, i);
    group.onfocus = () => { if (!dragging) choose(i); };
    return {group, ring, mark, cross};
  });
  if (focused >= 0) marks[Math.min(focused, marks.length - 1)]?.group.focus();
}

function paintPoints(e) {
  const anew = marks.length !== state.points.length;
  if (anew) buildPoints();
  state.points.forEach(([a, b, y], i) => {
    const {group, mark, cross} = marks[i], wrong = best(scores([a, b])) !== y;
    setAll(group, {class: `k${y}${i === state.chosen ? " chosen" : ""}`});
    setAll(group, {transform: `translate(${toX(a).toFixed(2)} ${toY(b).toFixed(2)})`});
    setAll(mark, {d: PATHS[y]});
    cross.style.display = wrong ? "" : "none";
  });
  const worst = e.each.map((one, i) => [one.loss, i]).filter(([loss]) => loss > 0).sort((p, q) => q[0] - p[0] || p[1] - q[1]);
  halos.forEach((halo, rank) => {
    const one = by("show_halos").checked ? worst[rank] : undefined;
    halo.style.display = one ? "" : "none";
    if (!one) return;
    const [a, b, y] = state.points[one[1]];
    const r = Math.min(60, 11 + 7 * Math.sqrt(one[0]));
    setAll(halo, {cx: toX(a).toFixed(1), cy: toY(b).toFixed(1), r: r.toFixed(1), class: `k${y}`});
  });
  if (anew) describe();
  else later("describe", describe);
}

// What a screen reader hears of each point; not at every move, which would cost more than the picture.
function describe() {
  state.points.forEach(([a, b, y], i) => {
    const won = best(scores([a, b]));
    const right = won === y ? "right" : `wrong, scored as ${state.names[won]}`;
    setAll(marks[i].group, {"aria-label": `Point ${i + 1}, ${state.names[y]}, at ${show(a)}, ${show(b)}, ${right}`});
  });
}

function under(event) {
  const frame = by("plane").getBoundingClientRect();
  const at = [(event.clientX - frame.x) / frame.width * 2 - 1, 1 - (event.clientY - frame.y) / frame.height * 2];
  return at.map(v => round2(clamp(v, -1, 1) * half));
}

function choose(i) {
  if (i === state.chosen) return;
  state.chosen = i;
  refresh("look");
}

function grab(event, i) {
  if (event.button) return;
  event.stopPropagation();
  event.preventDefault();
  const {group} = marks[i];
  dragging = group;
  state.chosen = i;
  group.focus({preventScroll: true});
  group.setPointerCapture(event.pointerId);
  group.onpointermove = move => { movePoint(i, under(move)); };
  group.onpointerup = group.onpointercancel = () => {
    dragging = group.onpointermove = null;
    refresh("problem");
  };
  refresh("look");
}

function movePoint(i, [a, b]) {
  state.points[i][0] = a;
  state.points[i][1] = b;
  schedule("problem");
}

function nudge(dx, dy) {
  const [a, b] = state.points[state.chosen], most = LIMITS.coordinate;
  movePoint(state.chosen, [round2(clamp(a + dx * half / 2, -most, most)), round2(clamp(b + dy * half / 2, -most, most))]);
}

function addPoint(at = [0, 0]) {
  if (state.points.length >= LIMITS.points) return say(`There can be ${LIMITS.points} points; remove one first.`);
  state.points.push([...at, adding]);
  state.chosen = state.points.length - 1;
  refresh("problem");
  marks[state.chosen].group.focus({preventScroll: true});
}

function removePoint() {
  if (!state.points.length) return say("There is no point to remove.");
  const had = marks[state.chosen].group === document.activeElement;
  state.points.splice(state.chosen, 1);
  state.chosen = clamp(state.chosen, 0, Math.max(0, state.points.length - 1));
  refresh("problem");
  if (had) (marks[state.chosen]?.group ?? by("add")).focus({preventScroll: true});
}

let adding = 0;
function pressedClass(k) {
  adding = k;
  KS.forEach(i => setAll(by(`class${i}`), {"aria-pressed": i === k}));
}

const MOVES = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};
LAYERS.points.onkeydown = event => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (Object.hasOwn(MOVES, event.key)) nudge(...MOVES[event.key].map(d => d * (event.shiftKey ? FAR : NEAR)));
  else if (event.key === "Delete" || event.key === "Backspace") removePoint();
  else if (["0", "1", "2"].includes(event.key)) { state.points[state.chosen][2] = Number(event.key); refresh("problem"); }
  else return;
  event.preventDefault();
};
// A click, not a press, so that a finger can scroll the page here.
by("plane").onclick = event => { if (!LAYERS.points.contains(event.target)) addPoint(under(event)); };
