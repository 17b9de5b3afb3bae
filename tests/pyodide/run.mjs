// Runs pytest under Pyodide in node: node tests/pyodide/run.mjs PYODIDE SITE [argument of pytest ...]
// PYODIDE is a folder with a Pyodide and its NumPy, SITE one into which pip has installed pytest and
// hypothesis for it; both as .ci/run makes them.
import { readdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const [pyodide, site, ...asked] = process.argv.slice(2);
const folder = resolve(pyodide), root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const { loadPyodide } = await import(pathToFileURL(resolve(folder, "pyodide.mjs")));
const python = await loadPyodide({ indexURL: folder, env: { HOME: "/home", OMP_NUM_THREADS: "1" } });
const wheel = readdirSync(folder).find(name => /^numpy-.*\.whl$/.test(name));
await python.loadPackage(resolve(folder, wheel), { messageCallback() {} });
for (const [at, place] of [["/root", root], ["/site", resolve(site)]]) {
  python.FS.mkdirTree(at);
  python.FS.mount(python.FS.filesystems.NODEFS, { root: place }, at);
}
python.globals.set("asked", python.toPy(asked));
process.exit(python.runPython(`
import os, sys
sys.dont_write_bytecode = True
sys.path[:0] = ["/root", "/site"]
os.chdir("/root")
import pytest
int(pytest.main(["-p", "no:cacheprovider", "-p", "no:xdist", *asked]))
`));
