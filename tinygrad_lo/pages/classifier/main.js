// What happens when: one way to draw everything, and the controls.

let current = null, updates = 0, waiting = 0;

// kind: "model" when W or b changed, "problem" when what is minimized did, "scrub" and "look" when neither.
function refresh(kind, what = "") {
  cancelAnimationFrame(waiting);
  waiting = 0;
  const e = current = whole();
  if (kind === "problem" || !past.length) restart(e);
  else if (kind === "model") remember(e, what);
  paintPlane(e);
  paintEquation(e);
  paintLoss(e);
  paintControls();
  paintGraphs(e);
  paintTable(e);
  paintHistory();
  paintShare();
  if (!dragging) reveal();
  later("announce", announce, 1000);
  if (number < 0) link();
  updates += 1;
}

// Many changes between two frames are drawn once; if W or b is among them with the problem, the problem counts.
let wanted = [];
function schedule(kind, what = "") {
  if (!waiting || kind === "problem") wanted = [kind, what];
  if (!waiting) waiting = requestAnimationFrame(() => refresh(...wanted));
}

const timers = new Map();
function later(name, work, wait = 300) {
  if (timers.has(name)) return;
  timers.set(name, setTimeout(() => { timers.delete(name); work(); }, wait));
}

// For those who hear the page: at most once a second, and only what is new.
function announce() {
  const right = by("right").textContent, e = current;
  if (document.body.classList.contains("asking")) return;
  write({live: `Loss ${show(e.total, 3)}, data ${show(e.data, 3)}, regularization ${show(e.penalty, 3)}; ${right}.`});
}

function restore(hash) {
  const [read, problem] = readAddress(hash);
  state = read;
  refresh("problem");
  if (problem) say(problem);
}

// ------------------------------------------------------------------------------------------- steps

function step() {
  const some = batch(Number(by("batch").value));
  const next = stepped(some === state.points ? current : whole(some));
  if (!fits(next)) {
    run(false);
    say(`This step would take a weight beyond a million: η = ${brief(state.eta)} is too large here. Take a smaller one, or go back.`);
    return;
  }
  Object.assign(state, next);
  refresh("model", "step");
}

let running = 0;
function run(on) {
  cancelAnimationFrame(running);
  running = on ? requestAnimationFrame(() => { running = requestAnimationFrame(tick); }) : 0;
  setAll(by("run"), {"aria-pressed": on});
  write({run: on ? "Pause" : "Run"});
}
function tick() {
  running = requestAnimationFrame(tick);
  step();
}

// ---------------------------------------------------------------------------------------- controls

for (const [key, {title}] of Object.entries(DATA.losses)) {
  const button = html(by("losses"), "button", {type: "button", id: `loss_${key}`}, title);
  button.onclick = () => { state.loss = key; refresh("problem"); };
}
for (const [key, title] of Object.entries(DATA.regularizers)) html(by("reg"), "option", {value: key}, title);
for (const margin of DATA.margins) html(by("margin"), "option", {value: margin}, brief(margin));
html(by("dataset"), "option", {value: ""}, "take other points …");
for (const [key, {title}] of Object.entries(DATA.datasets)) html(by("dataset"), "option", {value: key}, title);
KS.forEach(k => {
  const button = html(by("classes"), "button", {type: "button", id: `class${k}`, class: `k${k}`}, SIGNS[k]);
  button.onclick = () => pressedClass(k);
});

for (const key of ["lambda", "eta"])
  by(key).oninput = () => { state[key] = readSlider(key); refresh(key === "eta" ? "look" : "problem"); };
by("reg").onchange = () => { state.reg = by("reg").value; refresh("problem"); };
by("margin").onchange = () => { state.margin = Number(by("margin").value); refresh("problem"); };
by("dataset").onchange = () => {
  const key = by("dataset").value;
  if (!Object.hasOwn(DATA.datasets, key)) return;
  useDataset(key);
  by("dataset").value = "";
  refresh("problem");
};
for (const name of ["zeros", "bands", "ghosts", "halos"]) by(`show_${name}`).onchange = () => refresh("look");
by("step").onclick = step;
by("run").onclick = () => run(!running);
by("random").onclick = () => {
  state.W = state.W.map(row => row.map(() => round2(2 * normal())));
  state.b = state.b.map(() => round2(normal()));
  refresh("model", "random W");
};
by("reset").onclick = () => { run(false); say(""); Object.assign(state, structuredClone(START)); refresh("problem"); };
by("add").onclick = () => addPoint();
by("remove").onclick = removePoint;
by("scrub").oninput = () => { run(false); goTo(Number(by("scrub").value)); };
by("back").onclick = () => { run(false); goTo(here - 1); };
by("forth").onclick = () => { run(false); goTo(here + 1); };
by("skip").onclick = event => { event.preventDefault(); by("after_plane").focus(); };  // the address is the state's
by("notice_close").onclick = () => { say(""); by("losses").querySelector("button").focus(); };
addEventListener("hashchange", () => restore(location.hash));
document.addEventListener("keydown", event => { if (event.key === "Escape" && !by("card").hidden) shut(); });

buildEquation();
pressedClass(0);
restore(location.hash);
