// What W and b have been since the loss last became another one; any of it can be gone back to.

const LONGEST = 600;
let past = [], here = 0;

const entry = (e, what) => ({W: structuredClone(state.W), b: [...state.b], data: e.data, penalty: e.penalty, total: e.total, what});

function restart(e) {
  past = [entry(e, "start")];
  here = 0;
}

// A new entry behind the one that is shown; edits of one number in a row are one entry.
function remember(e, what) {
  past.length = here + 1;
  if (what === past[here].what && what.startsWith("edit")) past[here] = entry(e, what);
  else past.push(entry(e, what));
  if (past.length > LONGEST) past.splice(0, past.length - LONGEST);
  here = past.length - 1;
}

function goTo(k) {
  here = clamp(k, 0, past.length - 1);
  Object.assign(state, structuredClone({W: past[here].W, b: past[here].b}));
  refresh("scrub");
}

const WIDTH = 400, HEIGHT = 84;
const lineFor = (values, top) => values.map((v, k) => {
  const x = WIDTH * k / Math.max(1, values.length - 1), y = HEIGHT - 4 - (HEIGHT - 10) * Math.min(1, v / top);
  return `${x.toFixed(1)},${y.toFixed(1)}`;
}).join(" ");

function paintHistory() {
  const top = Math.max(...past.map(one => one.total).filter(Number.isFinite), 1e-9);
  setAll(by("curve_total"), {points: lineFor(past.map(one => one.total), top)});
  setAll(by("curve_penalty"), {points: lineFor(past.map(one => one.penalty), top)});
  const x = WIDTH * here / Math.max(1, past.length - 1);
  setAll(by("curve_here"), {x1: x, x2: x, visibility: past.length > 1 ? "visible" : "hidden"});
  const slider = by("scrub");
  const {what, total} = past[here], end = past.length - 1;
  setAll(slider, {max: end, "aria-valuetext": `${here} of ${end}, ${what}, loss ${show(total, 3)}`});
  slider.value = here;
  write({curve_top: show(top), scrubbed: `${here} of ${end} · ${what}`});
  by("hint").hidden = past.length > 1;
  by("back").setAttribute("aria-disabled", here === 0);
  by("forth").setAttribute("aria-disabled", here === past.length - 1);
}
