// The page: a list of exercises, a task, a program, and what checks find in it.
import { Editor, make } from "./editor.js";
import { Kept } from "./kept.js";
import { Runner } from "./runner.js";

const by = id => document.getElementById(id);
const config = JSON.parse(by("config").textContent);
const all = [...config.exercises,
  { name: "own", number: "∂", level: "any program", title: "A loss of your own", code: config.own, digest: config.version,
    task: [["p", "Write any program with this library. What it prints stands below, and the graph of loss becomes a page: step through it, change its numbers, answer its questions."]] }];
by("notice").hidden = true;
by("notice").className = "note";
const kept = new Kept(by("notice"));
const editor = new Editor(by("code"), config.assets.filter(asset => asset.use === "editor"));
const runner = new Runner(config, { progress, said, ended });
let current;

function shown(exercise) {
  const tick = kept.solved(exercise.name);
  const button = make("button", { type: "button", className: tick ? "solved" : "" });
  if (exercise === current) button.setAttribute("aria-current", "page");
  const parts = [["number", exercise.number], ["title", exercise.title], ...(tick ? [["tick", "✓"], ["unseen", "solved"]] : [])];
  for (const [kind, text] of parts) {
    const part = make("span", { className: kind, textContent: text });
    if (kind === "tick") part.setAttribute("aria-hidden", "true");
    button.append(part, " ");
  }
  button.addEventListener("click", () => { location.hash = exercise.name; });
  const item = make("li");
  item.append(button);
  return item;
}

function list() {
  const at = [...by("list").children].findIndex(item => item.contains(document.activeElement));
  by("list").replaceChildren(...all.map(shown));
  by("list").children[at]?.firstChild.focus();
  const solved = config.exercises.filter(exercise => kept.solved(exercise.name)).length;
  by("score").textContent = `${solved} of ${config.exercises.length} solved`;
}

function open() {
  const next = all.find(exercise => exercise.name === location.hash.slice(1)) ?? current ?? all[0];
  if (next === current) return;
  if (current && runner.busy) stop();
  current = next;
  const own = current.name === "own";
  by("level").textContent = own ? current.level : `Exercise ${current.number}${current.level && `, ${current.level}`}`;
  by("title").textContent = current.title;
  by("words").replaceChildren(...current.task.map(([kind, text]) => {
    const block = make(kind, { textContent: text });
    if (kind === "pre") block.tabIndex = 0;
    return block;
  }));
  by("go").textContent = own ? "Run and draw" : "Check";
  by("answer").hidden = by("graph").hidden = true;
  const { text, outdated } = kept.program(current);
  editor.show(text, !own);
  by("notice").hidden = !outdated;
  if (outdated) by("notice").textContent = "This exercise has changed since you wrote your program. “Begin anew” brings the new one.";
  document.title = `${current.title} · Gradients by hand`;
  list();
}

function go() {
  if (runner.busy) return;
  const text = editor.text;
  kept.write(current, text);
  by("answer").hidden = false;
  by("answer").dataset.state = "runs";
  by("verdict").textContent = runner.ready ? "Running" : "Waiting for Python";
  by("said").textContent = "";
  by("graph").hidden = true;
  by("graph").replaceChildren();
  buttons(true);
  runner.run(current.name, text);
}

function stop() {
  runner.stop();
  finish("stopped", "Stopped");
}

function said(text) {
  by("said").append(text);
}

function ended({ passed, html, failed }) {
  if (failed) said(`${failed}\n`);
  const own = current.name === "own";
  if (passed && !own) kept.solve(current.name);
  finish(passed ? "passed" : "failed", passed ? (own ? "It ran" : "Solved") : own ? "It did not run" : "Not yet");
  list();
  if (own && passed && !html) said("No tensor is left to draw: name one loss.\n");
  if (html) draw(html);
}

function finish(state, verdict) {
  by("answer").dataset.state = state;
  by("verdict").textContent = verdict;
  by("said").hidden = !by("said").textContent;
  by("answer").scrollIntoView({ block: "nearest" });
  buttons(false);
}

// The page of the graph is a document of its own: it can reach neither this one nor what is kept here.
function draw(html) {
  const frame = make("iframe", { title: "The graph, forward and backward", sandbox: "allow-scripts allow-downloads",
    src: `live.html?${config.version}` });
  addEventListener("message", event => { if (event.source === frame.contentWindow) frame.contentWindow.postMessage(html, "*"); },
    { once: true });
  by("graph").hidden = false;
  by("graph").replaceChildren(frame);
}

function buttons(busy) {
  by("go").disabled = by("anew").disabled = busy;
  by("stop").disabled = !busy;
  if (busy) by("said").hidden = false;
}

function progress({ part, state, failed }) {
  by("state").textContent = state;
  by("bar").hidden = part === null;
  by("bar").value = part ?? 0;
  by("start").hidden = !failed && runner.started;
  if (part === null && runner.busy && !failed) by("verdict").textContent = "Running";
  if (failed) finish("failed", "Python could not be loaded");
}

by("start").addEventListener("click", () => { editor.load(); runner.start(); });
by("go").addEventListener("click", () => { editor.load(); go(); });
by("stop").addEventListener("click", stop);
by("anew").addEventListener("click", () => {
  kept.forget(current);
  editor.show(current.code, current.name !== "own");
  by("notice").hidden = true;
});
editor.changed = () => kept.write(current, editor.text);
addEventListener("hashchange", open);
addEventListener("keydown", event => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || by("go").disabled) return;
  event.preventDefault();
  by("go").click();
}, true);

const megabytes = config.assets.filter(one => one.use === "python").reduce((sum, one) => sum + one.size, 0) / 1e6;
const place = config.cdn ? ` from ${new URL(config.cdn).host}` : "";
progress({ part: null, state: `Python is loaded once, ${megabytes.toFixed(0)} MB${place}` });
open();
if (!config.cdn) editor.load();
