// The points as a table: what a picture shows by place and size, in numbers.

let lines = [];

function buildTable() {
  const body = by("rows");
  body.replaceChildren();
  lines = state.points.map((_, i) => {
    const row = html(body, "tr");
    html(row, "th", {scope: "row"}, String(i + 1));
    row.onclick = () => choose(i);
    return {row, cells: Array.from({length: 7}, (_, k) => html(row, "td", k === 6 ? {class: "secret"} : {}))};
  });
}

function paintTable(e) {
  if (lines.length !== state.points.length) buildTable();
  const top = Math.max(...e.each.map(one => one.loss), 1e-12);
  state.points.forEach((point, i) => {
    const {row, cells} = lines[i], s = scores(point), won = best(s), [a, b, y] = point, {loss} = e.each[i];
    setAll(row, {class: i === state.chosen ? "chosen" : "", "aria-current": i === state.chosen});
    setText(cells[0], show(a));
    setText(cells[1], show(b));
    setText(cells[2], `${SIGNS[y]} ${state.names[y] === NAMES[y] ? y : state.names[y]}`);
    setAll(cells[2], {class: `k${y} name`});
    s.forEach((v, k) => {
      setText(cells[3 + k], show(v));
      setAll(cells[3 + k], {class: k === y ? `k${k}${k === won ? " won" : ""}` : k === won ? "won wrong" : ""});
    });
    setText(cells[6], show(loss));
    cells[6].style.setProperty("--share", `${(100 * loss / top).toFixed(1)}%`);
  });
}

// The chosen row stays in sight, and only its own frame scrolls for it.
function reveal() {
  const row = lines[state.chosen]?.row, frame = by("frame");
  if (!row) return;
  const head = 26, top = row.offsetTop - head, bottom = row.offsetTop + row.offsetHeight;
  if (top < frame.scrollTop) frame.scrollTop = top;
  else if (bottom > frame.scrollTop + frame.clientHeight) frame.scrollTop = bottom - frame.clientHeight;
}
