// Everything is worked out again from step 0, so that a jump is as good as a walk.
function show(k, linking = true) {
  now = Math.max(0, Math.min(end, k));
  const step = steps[now], asking = isAsking(), target = nodes.get(step.node);
  const gate = gateOf(step.gate ?? (step.kind === "forward" ? step.node : undefined));
  showCells(step, asking);
  const waits = id => made.get(id) > now;
  for (const [id, node] of nodes) {
    node.classList.toggle("todo", waits(ownerOf(id)));
    for (const kind of ["value", "also"]) by(`a_${kind}-${id}`)?.classList.toggle("none", ready.get(id) > now);
  }
  for (const {group, tail, head, sent} of edges) {
    const back = group.id !== "" && group.id === step.edge;
    group.classList.toggle("todo", waits(tail) || waits(head));
    group.classList.toggle("plain", sent < Infinity && (sent > now || asking && sent === now));
    group.classList.toggle("back", back);
    group.classList.toggle("on", back || step.kind === "forward" && head === step.node);
  }
  surround(rings[view][0], gate === target ? null : gate);
  surround(rings[view][1], target);
  say(step, asking);
  if (asking) play(false);
  reach(target, gate);
  if (!linking) return;
  clearTimeout(show.later);  // browsers stop pages that change their address too often
  show.later = setTimeout(() => {
    try { history.replaceState(null, "", "#step=" + now + edited() + (view ? "&view=" + view : "")); } catch { /* in a notebook */ }
  }, 150);
}

// The gradients that have arrived by now, and a question mark where one is asked.
function showCells(step, asking) {
  const totals = new Map(steps.slice(0, asking ? now : now + 1).flatMap(done => Object.entries(done.totals ?? {})));
  for (const [id, cell] of cells) {
    const asked = asking && id === step.node, total = totals.get(id);
    if (asked) put(cell, cell.found.map((one, j) => j === step.cell ? "?" : total === undefined ? "" : total?.[j] ?? one.text));
    else if (total !== undefined) put(cell, total);
    cell.group.classList.toggle("none", !asked && total === undefined);
    by("a_numeric-" + id)?.classList.toggle("none", total !== null);
    cell.group.classList.toggle("changed", step.kind === "backward" && id === step.node);
  }
}

// The words in the panel.
function say(step, asking) {
  const phase = step.phase ?? step.kind;
  body.className = step.kind + (quizzing ? " quizzing" : "");
  by("phase").textContent = phase;
  by("line").textContent = asking ? step.question : step.line;
  if (asking) asked.add(now);
  const counts = score(), over = now === end && quizzing;
  by("sentence").textContent = over && asked.size ? `${counts.text} ${told(step, false)}` : told(step, asking);
  by("again").hidden = !(over && counts.open);
  by("quiz").classList.toggle("idle", !asking);
  by("answer").value = "";
  tell("");
  by("slider").value = now;
  by("slider").setAttribute("aria-valuetext", `step ${now} of ${end}, ${phase}`);
  by("count").textContent = `${now} / ${end}`;
  // Not disabled, which would take the focus away from whoever walks by keyboard.
  for (const id of ["first", "previous"]) by(id).setAttribute("aria-disabled", now === 0);
  for (const id of ["last", "next"]) by(id).setAttribute("aria-disabled", now === end);
}
function told(step, asking) { return [step.sentence, asking ? "" : step.remark].filter(Boolean).join(" "); }

function surround(ring, node) {
  ring.setAttribute("visibility", node ? "visible" : "hidden");
  if (!node) return;
  const {x, y, width, height} = node.getBBox(), gap = 2;
  setAll(ring, {x: x - gap, y: y - gap, width: width + 2 * gap, height: height + 2 * gap});
}

// Scroll only where the step would be out of sight, to the gate and the value if there is room for both.
function reach(...wanted) {
  const view = stage.getBoundingClientRect();
  const boxes = wanted.filter(Boolean).map(node => node.getBoundingClientRect());
  for (const some of [boxes, boxes.slice(0, 1)]) {
    const left = Math.min(...some.map(box => box.left)), right = Math.max(...some.map(box => box.right));
    const top = Math.min(...some.map(box => box.top)), bottom = Math.max(...some.map(box => box.bottom));
    if (!some.length || some.length > 1 && (right - left > view.width || bottom - top > view.height)) continue;
    if (top < view.top || bottom > view.bottom) stage.scrollTop += (top + bottom - view.top - view.bottom) / 2;
    if (left < view.left || right > view.right) stage.scrollLeft += (left + right - view.left - view.right) / 2;
    return;
  }
}

function play(on) {
  clearInterval(timer);
  timer = 0;
  if (on) {
    if (now === end) show(0);
    timer = setInterval(() => { if (now >= end - 1) go(end); else show(now + 1); }, data.pace);
  }
  by("play").setAttribute("aria-pressed", String(timer !== 0));
}
function go(k) { play(false); show(k); }

// --------------------------------------------------------------------------------------- the quiz

// How the quiz went: a question that was passed by without an answer is skipped.
function score() {
  const how = [...asked].map(k => known.get(k) ?? "skipped"), count = word => how.filter(one => one === word).length;
  const open = count("helped") + count("skipped");
  return {open, text: `Quiz: ${count("right")} right, ${count("helped")} helped, ${count("skipped")} skipped.`};
}
function isAsking() { return quizzing && steps[now].answer !== undefined && !known.has(now); }

// A number as people type it: −2, 0,5, 1/3, 2e-3, nan, ∞.
function parse(written) {
  const text = written.trim().toLowerCase().replace(/[−–]/g, "-").replace(/\s+/g, "").replace(",", ".");
  const sides = text.split("/");
  return sides.length === 2 && sides[0] && sides[1] ? plain(sides[0]) / plain(sides[1]) : plain(text);
}
function plain(text) {
  const infinite = /^([+-]?)(∞|inf|infinity)$/.exec(text);
  if (infinite) return infinite[1] === "-" ? -Infinity : Infinity;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/.test(text) ? Number(text) : NaN;
}
function near(a, b) { return a === b || Math.abs(a - b) <= .005 * Math.abs(b); }

function tell(text, right) {
  by("verdict").textContent = text;
  by("verdict").className = right ? "right" : "";
}
function check() {
  const step = steps[now], written = by("answer").value, a = parse(written);
  if (!isAsking()) return;
  if (!written.trim()) return tell("Type a number, such as 0.5, −2e-3 or 1/3.");
  const wanted = parse(step.answer), isNan = step.answer === "nan", saidNan = /^\s*nan\s*$/i.test(written);
  if (Number.isNaN(a) && !saidNan) return tell(`“${written.trim()}” is not a number I can read. Try 0.5, −2e-3 or 1/3.`);
  if (isNan ? saidNan : near(a, wanted)) {
    answered("right");
    return tell("✓ Right.", true);
  }
  let hint = "Not yet. Take the local derivative times the gradient that arrives; both are in the picture.";
  if (wanted !== 0 && near(a, -wanted)) hint = "Almost: the size is right. Look at the sign again.";
  else if (step.sum !== undefined && near(a, parse(step.sum))) hint = "Almost: that is the total. Asked is only what is added now.";
  else if (wanted === 0) hint = "Not yet. Does any gradient get through here?";
  tell(hint);
  by("answer").select();
}
function answered(how) {
  known.set(now, how);
  show(now);
  by(now < end ? "next" : "previous").focus();
}
function quiz(on) {
  quizzing = on;
  by("ask").setAttribute("aria-pressed", String(on));
  measure();
  show(now, false);
  if (on && steps[now].answer === undefined) tell("Go on with →: each gradient is asked before it is shown.");
}
