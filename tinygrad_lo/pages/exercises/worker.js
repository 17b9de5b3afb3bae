// Python: Pyodide with NumPy and this library. Each file is compared with its digest before it is used.
const held = new Map(); // by name: the address of a file that is here
const most = 200_000; // characters that a program may print
let python, inside, viz;

// In one piece or none; `note` hears of each part on its way.
async function fetched({ name, url, integrity }, note) {
  const answer = await fetch(url).catch(() => null);
  if (!answer?.ok) throw new Error(`${url} cannot be reached. Is there a network? Then press Start Python again.`);
  const parts = [];
  for (const reader = answer.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    note(value.length);
  }
  const type = { wasm: "application/wasm", mjs: "text/javascript", js: "text/javascript" }[name.split(".").at(-1)];
  const local = URL.createObjectURL(new Blob(parts, { type }));
  await fetch(local, { integrity }).catch(() => { throw new Error(`${url} is not the file that this page was made for.`); });
  held.set(name, local);
}

async function start({ assets, numpy }) {
  const wanted = assets.filter(asset => asset.use === "python");
  const total = wanted.reduce((sum, { size }) => sum + size, 0);
  let loaded = 0, told = 0;
  const note = count => {
    loaded += count;
    if (loaded - told > total / 200) postMessage({ part: Math.min(0.999, (told = loaded) / total) });
  };
  await Promise.all(wanted.map(asset => fetched(asset, note)));
  postMessage({ part: 1 });
  const beyond = self.fetch; // Pyodide asks by name for what is here already
  self.fetch = (what, options) => beyond(held.get(String(what.url ?? what).split("/").at(-1)) ?? what, options);
  const { loadPyodide } = await import(held.get("pyodide.mjs"));
  const { default: createPyodideModule } = await import(held.get("pyodide.asm.mjs"));
  const here = new URL(".", location.href).href;
  const wheel = wanted.find(asset => asset.name === numpy);
  const sha256 = [...atob(wheel.integrity.slice(7))].map(one => one.charCodeAt(0).toString(16).padStart(2, "0")).join("");
  python = await loadPyodide({
    indexURL: here, packageBaseUrl: here, createPyodideModule, packages: ["numpy"],
    lockFileContents: {
      info: { abi_version: "2026_0", arch: "wasm32", platform: "emscripten_5_0_3", python: "3.14.0" },
      packages: { numpy: {
        name: "numpy", version: numpy.split("-")[1], file_name: numpy, sha256, depends: [], imports: ["numpy"],
        install_dir: "site", package_type: "package", unvendored_tests: false,
      } },
    },
  });
  const sources = await (await beyond(held.get("tinygrad_lo.zip"))).arrayBuffer();
  python.unpackArchive(sources, "zip", { extractDir: python.runPython("import sysconfig; sysconfig.get_path('purelib')") });
  inside = python.pyimport("tinygrad_lo.pages.inside");
  pictures = assets.find(asset => asset.use === "pictures");
  postMessage({ ready: true });
}

// Graphviz is loaded with the first picture.
let pictures;
async function draws() {
  if (viz) return;
  await fetched(pictures, () => {});
  viz = await (await import(held.get(pictures.name))).instance();
  inside.draw_by(dot => viz.renderString(dot, { format: "svg" }));
}

// Hands on what is printed: at once at first, then not so often that the page stops.
function voice() {
  let text = "", count = 0, sent = performance.now();
  const send = () => {
    if (text) postMessage({ said: text });
    text = "";
    sent = performance.now();
  };
  return { send, say(more) {
    if (count > most) return;
    count += more.length;
    text += count > most ? `${more}\n… and more: only ${most.toLocaleString("en")} characters are shown.\n` : more;
    if (count < 2000 || count > most || performance.now() - sent > 100) send();
  } };
}

async function run({ name, text }) {
  const { say, send } = voice();
  const answer = {};
  if (name === "own") {
    await draws();
    answer.html = inside.own(text, say) ?? null;
    answer.passed = answer.html !== null;
  } else if (name === "block") answer.passed = inside.run_block(text, say);
  else answer.passed = inside.check_exercise(name, text, say);
  send();
  postMessage({ ended: answer });
}

addEventListener("message", async ({ data }) => {
  try { await (data.assets ? start(data) : run(data)); } catch (problem) {
    // What a program raises is told by Python itself: this is the end of Python.
    postMessage(data.assets ? { failed: problem.message } : { died: problem.message });
  }
});
