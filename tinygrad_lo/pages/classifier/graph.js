// The loss of the chosen point as its graph: value in green, gradient in red, dashed where no gradient flows.

const CELL = {width: 56, height: 32, gap: 4}, ROW = 66, TITLE = 16;
const GRAPH_WIDTH = 3 * CELL.width + 2 * CELL.gap;
const columnX = (lane, cells) => cells === 1 ? GRAPH_WIDTH / 2 : lane * (CELL.width + CELL.gap) + CELL.width / 2;
const laneOf = (row, lane) => row.cells === 1 ? 0 : lane;

// One drawing of one loss; the loss may change, and is then drawn anew.
function makeGraph(id) {
  return {box: by(id), key: "", rows: [], boxes: [], wires: []};
}
const graphs = ["graph0", "graph1"].map(makeGraph);

function buildGraph(graph, loss) {
  const place = DATA.losses[loss].margin ? DATA.margins.indexOf(state.margin) : 0;
  graph.rows = DATA.losses[loss].graphs[place];
  graph.box.replaceChildren();
  const tall = graph.rows.length * ROW;
  const root = svg(graph.box, "svg", {viewBox: `-2 0 ${GRAPH_WIDTH + 4} ${tall}`, role: "img"});
  const below = svg(root, "g"), above = svg(root, "g", {class: "cells"});
  const top = k => k * ROW + TITLE;
  graph.wires = graph.rows.flatMap((row, k) => row.from.flatMap(from => joined(graph.rows[from], row).map(([p, q]) => {
    const x = columnX(p, graph.rows[from].cells), to = columnX(q, row.cells), y0 = top(from) + CELL.height, y1 = top(k);
    const bend = (y1 - y0) * 0.6;
    return {from, p, k, q, path: svg(below, "path", {d: `M${x} ${y0}C${x} ${y0 + bend} ${to} ${y1 - bend} ${to} ${y1}`})};
  })));
  graph.boxes = graph.rows.map((row, k) => {
    const words = [row.name, row.formula].filter(Boolean).join(" = ");
    const wide = 6.4 * words.length + 4;
    svg(below, "rect", {x: (GRAPH_WIDTH - wide) / 2, y: top(k) - 15, width: wide, height: 13, class: "ground"});
    svg(below, "text", {x: GRAPH_WIDTH / 2, y: top(k) - 5, class: "formula"}, words);
    return Array.from({length: row.cells}, (_, lane) => {
      const x = columnX(lane, row.cells), cell = svg(above, "g", {class: row.cells === 1 ? "" : `k${lane}`});
      svg(cell, "rect", {x: x - CELL.width / 2, y: top(k), width: CELL.width, height: CELL.height, rx: 5});
      return {cell, value: svg(cell, "text", {x, y: top(k) + 13, class: k ? "value secret" : "value"}), gradient: svg(cell, "text", {x, y: top(k) + 27, class: "gradient secret"})};
    });
  });
  graph.boxes.at(-1)[0].cell.classList.add("loss");
  graph.root = root;
}

// Which lanes of one row go into which of another: one to one, one to all, or all to one.
function joined(from, row) {
  if (from.cells === row.cells && !row.mixes) return Array.from({length: row.cells}, (_, k) => [k, k]);
  return Array.from({length: from.cells}, (_, p) => Array.from({length: row.cells}, (_, q) => [p, q])).flat();
}

// What arrives through a wire is 0 where nothing arrives at its gate, where the gate does not look, or
// where a value with one use has no gradient.
function flows({from, p, k, q}, graph, gradients, y) {
  const uses = graph.rows.filter(row => row.from.includes(from)).length;
  if (graph.rows[k].picks) return p === y && gradients[k][q] !== 0;
  const single = uses === 1 && graph.rows[from].cells >= graph.rows[k].cells && !graph.rows[k].mixes;
  return gradients[k][q] !== 0 && (!single && !(uses === 1 && graph.rows[k].cells === 1) || gradients[from][p] !== 0);
}

function paintGraph(graph, loss) {
  const key = keyed(loss), point = state.points[state.chosen];
  if (graph.key !== key) {
    buildGraph(graph, loss);
    graph.key = key;
  }
  graph.box.classList.toggle("trained", loss === state.loss);
  graph.root.style.visibility = point ? "" : "hidden";
  if (!point) return null;
  const y = point[2], {gradients: all} = GRAPH[key]({s: scores(point), y, ...graph.probes ?? (graph.probes = {})});
  const rowOf = (kind, k) => [all[`${kind}${k}`]].flat();
  const values = graph.rows.map((_, k) => rowOf("value", k)), slopes = graph.rows.map((_, k) => rowOf("gradient", k));
  graph.boxes.forEach((row, k) => row.forEach((box, lane) => {
    setText(box.value, show(values[k][lane]));
    setText(box.gradient, show(slopes[k][lane]));
    box.cell.classList.toggle("off", slopes[k][lane] === 0);
    box.cell.classList.toggle("target", row.length > 1 && lane === y);
  }));
  const strongest = Math.max(...slopes.flat().map(Math.abs), 1e-12);
  for (const wire of graph.wires) {
    const open = flows(wire, graph, slopes, y);
    const width = open ? 1 + 2 * Math.sqrt(Math.abs(slopes[wire.k][wire.q]) / strongest) : 1;
    setAll(wire.path, {class: open ? "" : "closed", "stroke-width": width.toFixed(2)});
  }
  const words = slopes[0].map((g, k) => `${state.names[k]} ${show(g)}`).join(", ");
  setAll(graph.root, {"aria-label": `${DATA.losses[loss].title} of point ${state.chosen + 1}: ${show(values.at(-1)[0])}; gradient by the scores: ${words}`});
  return all;
}

function paintGraphs(e) {
  beside().forEach((loss, i) => {
    const all = paintGraph(graphs[i], loss), mean = loss === state.loss ? e.data : e.other.data;
    setText(by(`graph_title${i}`), DATA.losses[loss].title);
    setText(by(`graph_mean${i}`), `mean ${show(mean, 3)}`);
    if (loss === "softmax") setText(by("softmax_note"), all ? `p = softmax(s) = (${all.p.map(v => show(v)).join(", ")}), and ∂Lᵢ/∂s is p, less 1 at the right class.` : "");
  });
}
