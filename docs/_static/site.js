// Live graphs follow the theme of the page.
"use strict";
function follow() {
  const theme = document.documentElement.dataset.theme === "dark" ? "dark" : "light";
  for (const frame of document.querySelectorAll("iframe[data-live]")) {
    const page = `${frame.dataset.live}.${theme}.html`;
    if (!frame.getAttribute("src").startsWith(page)) frame.setAttribute("src", `${page}#step=999`);
  }
}
new MutationObserver(follow).observe(document.documentElement, { attributeFilter: ["data-theme"] });
follow();

// Names that the theme leaves out, or that differ from what is read.
for (const button of document.querySelectorAll(".search-button__button")) button.removeAttribute("aria-label");
for (const summary of document.querySelectorAll("summary:has(.toctree-toggle)")) {
  summary.setAttribute("aria-label", "pages below");
}

// ------------------------------------------------------------------------------------------ blocks that run

// In a block: a page has a `stop` and a `name` of its own.
{
  const root = document.documentElement.dataset.content_root ?? "./";
  const blocks = []; // of a tutorial, in order
  let runner = null, queue = [];

  // What a reader would type: the lines behind the prompts.
  function code(pre) {
    return pre.textContent.split("\n").filter(line => /^(>>>|\.\.\.)( |$)/.test(line)).map(line => line.slice(4)).join("\n");
  }
  function made(tag, properties, parent) {
    return parent.appendChild(Object.assign(document.createElement(tag), properties));
  }
  function equip(pre) {
    const text = code(pre);
    if (!text) return;
    const box = document.createElement("div");
    box.className = "run";
    pre.closest("div[class^=highlight-]").after(box);
    const one = { text, done: false, button: made("button", { type: "button", textContent: "Run" }, box) };
    one.bar = made("progress", { hidden: true, max: 1 }, box);
    one.bar.setAttribute("aria-label", "Loading Python");
    one.state = made("span", { role: "status" }, box);
    one.output = made("output", {}, box);
    one.button.onclick = () => one.button.textContent === "Stop" ? stop() : start(one);
    blocks.push(one);
  }
  function state(text) {
    for (const one of queue.slice(0, 1)) one.state.textContent = text;
  }
  async function start(one) {
    if (location.protocol === "file:") {
      one.state.textContent = "From a disk a browser starts no Python: python -m http.server -d docs/_build/html, then open localhost:8000.";
      return;
    }
    queue = blocks.slice(0, blocks.indexOf(one) + 1).filter(each => each === one || !each.done);
    try {
      runner ??= await python();
      next();
    } catch (problem) {
      one.state.textContent = String(problem.message ?? problem);
    }
  }
  // One Python for the page, that of the exercises.
  async function python() {
    const home = new URL(`${root}exercises/index.html`, location.href);
    const { Runner } = await import(new URL("runner.js", home).href);
    const page = new DOMParser().parseFromString(await (await fetch(home)).text(), "text/html");
    return new Runner(JSON.parse(page.getElementById("config").textContent), {
      progress({ part, state: text }) {
        state(text);
        for (const one of queue.slice(0, 1)) [one.bar.hidden, one.bar.value] = [part === null, part ?? 1];
      },
      said(text) { if (queue.length) queue[0].output.textContent += text; },
      ended({ passed, failed }) {
        const one = queue.shift();
        if (!one) return;
        one.done = passed === true;
        one.button.textContent = "Run again";
        one.state.textContent = failed ?? (one.output.textContent ? "" : "Done.");
        if (passed) next();
        else { for (const rest of queue) rest.state.textContent = "A block above has failed."; queue = []; }
      },
    }, home.href);
  }
  function next() {
    const [one] = queue;
    if (!one) return;
    one.output.textContent = "";
    one.button.textContent = "Stop";
    runner.run("block", one.text);
  }
  function stop() {
    const [one] = queue;
    queue = [];
    runner.stop();
    for (const each of blocks) each.done = false;  // a new Python knows nothing
    if (one) [one.button.textContent, one.state.textContent] = ["Run", "Stopped."];
  }
  if (/\/tutorials\/\w+\.html$/.test(location.pathname)) document.querySelectorAll(".bd-article div[class^=highlight-] pre").forEach(equip);
}
