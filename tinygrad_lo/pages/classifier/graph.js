// The loss of the chosen point as its graph: value in green, gradient in red, dashed where no gradient flows.

const CELL = {width: 56, height: 32, gap: 4}, ROW = 66, TITLE = 16;
const GRAPH_WIDTH = 3 * CELL.width + 2 * CELL.gap;
const columnX = (lane, cells) => cells === 1 ? GRAPH_WIDTH / 2 : lane * (CELL.width + CELL.gap) + CELL.width / 2;
const LONGEST_FORMULA = 30;

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
  graph.wires = graph.rows.flatMap((row, k) => row.wires.flatMap(({from, product, mixes}) => {
    const before = graph.rows[from];
    return joined(before.cells, row.cells, mixes).map(([p, q]) => {
      const ends = [columnX(p, before.cells), top(from) + CELL.height, columnX(q, row.cells), top(k)];
      return {k, p, q, product, path: svg(below, "path", {d: curve(...ends, k - from > 1)})};
    });
  }));
  graph.boxes = graph.rows.map((row, k) => {
    const full = [row.name, row.formula].filter(Boolean).join(" = ");
    const words = full.length > LONGEST_FORMULA ? row.name : full, wide = 6.4 * words.length + 4;
    svg(below, "rect", {x: (GRAPH_WIDTH - wide) / 2, y: top(k) - 15, width: wide, height: 13, class: "ground"});
    svg(below, "text", {x: GRAPH_WIDTH / 2, y: top(k) - 5, class: "formula"}, words);
    return Array.from({length: row.cells}, (_, lane) => {
      const x = columnX(lane, row.cells), cell = svg(above, "g", {class: row.cells === 1 ? "" : `k${lane}`});
      svg(cell, "rect", {x: x - CELL.width / 2, y: top(k), width: CELL.width, height: CELL.height, rx: 5});
      const value = svg(cell, "text", {x, y: top(k) + 13, class: k ? "value secret" : "value"});
      return {cell, value, gradient: svg(cell, "text", {x, y: top(k) + 27, class: "gradient secret"})};
    });
  });
  graph.boxes.at(-1)[0].cell.classList.add("loss");
  graph.root = root;
}

// A wire from above to below; past the rows between them, not behind their cells.
function curve(x0, y0, x1, y1, aside) {
  const bend = (Math.min(y1 - y0, ROW - CELL.height)) * 0.6, x = aside ? x0 - CELL.width / 2 - CELL.gap / 2 : x0;
  const past = aside ? `C${x0} ${y0 + bend} ${x} ${y0 + bend / 2} ${x} ${y0 + 2 * bend}V${y1 - 2 * bend}` : "";
  return `M${x0} ${y0}${past}C${x} ${aside ? y1 - bend / 2 : y0 + bend} ${x1} ${y1 - bend} ${x1} ${y1}`;
}

// Which cells of one row go into which of another: one to one, or each to each.
function joined(before, after, mixes) {
  const all = n => Array.from({length: n}, (_, k) => k);
  if (before === after && !mixes) return all(after).map(k => [k, k]);
  return all(before).flatMap(p => all(after).map(q => [p, q]));
}

// What a gate hands back through a wire; 0 where no gradient arrives at the gate.
function handed({k, p, q, product}, results, slopes) {
  const parts = results[product];
  return slopes[k][q] === 0 ? 0 : parts.length === 1 ? parts[0] : parts[p];
}

function paintGraph(graph, loss) {
  const key = keyed(loss), point = state.points[state.chosen];
  if (graph.key !== key) {
    buildGraph(graph, loss);
    graph.key = key;
  }
  graph.box.classList.toggle("trained", loss === state.loss);
  graph.root.style.visibility = point ? "" : "hidden";
  if (!point) return;
  const y = point[2], n = graph.rows.length;
  const results = GRAPH[key]({s: scores(point), y}).map(one => [one].flat());
  const values = results.slice(0, n), slopes = results.slice(n, 2 * n);
  graph.boxes.forEach((row, k) => row.forEach((box, lane) => {
    setText(box.value, show(values[k][lane]));
    setText(box.gradient, show(slopes[k][lane]));
    box.cell.classList.toggle("off", slopes[k][lane] === 0);
    box.cell.classList.toggle("target", row.length > 1 && lane === y);
  }));
  const strongest = Math.max(...results.slice(n).flat().map(Math.abs), 1e-12);
  for (const wire of graph.wires) {
    const size = Math.abs(handed(wire, results, slopes));
    setAll(wire.path, {class: size ? "" : "closed", "stroke-width": (1 + 2 * Math.sqrt(size / strongest)).toFixed(2)});
  }
  const words = slopes[0].map((g, k) => `${state.names[k]} ${show(g)}`).join(", ");
  const title = `${DATA.losses[loss].title} of point ${state.chosen + 1}`;
  setAll(graph.root, {"aria-label": `${title}: ${show(values.at(-1)[0])}; gradient by the scores: ${words}`});
}

function paintGraphs(e) {
  beside().forEach((loss, i) => {
    const mean = loss === state.loss ? e.data : evaluate(loss).data;
    paintGraph(graphs[i], loss);
    write({[`graph_title${i}`]: DATA.losses[loss].title, [`graph_mean${i}`]: `mean ${show(mean, 3)}`});
  });
}
