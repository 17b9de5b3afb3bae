// The panel is as high as its longest text, so that the picture stays where it is.
function measure() {
  const longest = [...steps].sort((a, b) => cost(b) - cost(a)).slice(0, 24);
  const line = by("line"), sentence = by("sentence"), before = [line.textContent, sentence.textContent];
  let tall = 0;
  by("words").style.setProperty("--tall", "0px");
  for (const step of longest) {
    line.textContent = step.line;
    sentence.textContent = told(step, false);
    tall = Math.max(tall, by("words").scrollHeight);
  }
  [line.textContent, sentence.textContent] = before;
  by("words").style.setProperty("--tall", Math.min(tall, innerHeight * .3) + "px");
}
function cost(step) { return 1.2 * step.line.length + told(step, false).length; }

// The picture as wide as the window, or larger and smaller; what the step is about stays in sight.
let zoomed = 1;
function fit(on) { scale(1, "", on); }
function zoom(factor) {
  const size = Math.max(.25, Math.min(4, zoomed * factor));
  scale(size, `${natural * size}px`, false);
}
function scale(size, width, fits) {
  zoomed = size;
  picture.style.width = width;
  stage.classList.toggle("fit", fits);
  by("fit").setAttribute("aria-pressed", String(fits));
  reach(nodes.get(steps[now].node));
}

take(0);
by("ask").hidden = !steps.some(step => step.answer !== undefined);
by("first").onclick = () => go(0);
by("previous").onclick = () => go(now - 1);
by("next").onclick = () => go(now + 1);
by("last").onclick = () => go(end);
by("play").onclick = () => play(!timer);
by("slider").oninput = event => go(Number(event.target.value));
by("ask").onclick = () => quiz(!quizzing);
by("nearer").onclick = () => zoom(1.25);
by("farther").onclick = () => zoom(.8);
by("fit").onclick = () => fit(!stage.classList.contains("fit"));
by("quiz").onsubmit = event => { event.preventDefault(); check(); };
by("reveal").onclick = () => answered("helped");
by("again").onclick = () => {
  for (const [k, how] of known) if (how === "helped") known.delete(k);
  go([...asked].sort((a, b) => a - b).find(k => !known.has(k)) ?? 0);
};
stage.addEventListener("click", event => {
  const node = event.target.closest("g.node"), own = node && visits.get(ownerOf(titleOf(node)));
  if (own) go(own.find(k => k > now) ?? own[0]);
  const why = node && views[view].boxes[titleOf(node)];
  if (typeof why === "string") by("sentence").textContent = `${told(steps[now], isAsking())} ${why}`;
});
const KEYS = {ArrowRight: "next", ArrowLeft: "previous", Home: "first", End: "last", " ": "play", q: "ask", f: "fit",
  "+": "nearer", "-": "farther"};
addEventListener("keydown", event => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  if (event.target.matches("#lab input, #lab select")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key, at = event.target;
  if (at.id === "answer") {
    if (key === "Escape") return stage.focus();
    // In an empty field the arrows have nothing else to do.
    if (at.value || !key.startsWith("Arrow")) return;
  }
  if (at.tagName === "BUTTON" && key === " ") return;
  if (at.id === "slider" && /^(Arrow|Home|End)/.test(key)) return;
  if (key === "Escape" && view) open_(views[view].parent);
  const control = by(KEYS[key]);
  if (!control || control.hidden) return;
  event.preventDefault();
  control.click();
  if (isAsking() && !matchMedia("(pointer: coarse)").matches) by("answer").focus({preventScroll: true});
});

function linked() { return Number(/^#step=(\d{1,9})(?:&|$)/.exec(location.hash)?.[1] ?? 0); }
function seen() {
  const k = Number(/&view=(\d{1,3})$/.exec(location.hash)?.[1] ?? 0);
  if (k !== view && k < views.length) { take(k); crumbs(); measure(); }
}
addEventListener("hashchange", () => { seen(); restore(); go(linked()); });
addEventListener("resize", measure);

if (live) begin();
const share = stage.clientWidth / (picture.getBoundingClientRect().width + 16);
if (share < 1 && share > .5) fit(true);
measure();
seen();
restore();
show(linked(), false);
