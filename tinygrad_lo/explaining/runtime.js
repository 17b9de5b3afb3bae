// What a program printed by lo.javascript needs beside JavaScript's own arithmetic.
//
// An array is a Float64Array with its shape, its rows one after the other; a number stands for itself.
// Only the functions that a program calls, and those that these call, are printed with it.

function array(shape, data) {
  const made = data ?? new Float64Array(count(shape));
  made.shape = shape;
  return shape.length ? made : made[0];
}

function count(shape) {
  return shape.reduce((a, b) => a * b, 1);
}

function shapeOf(x) {
  return x.shape ?? [];
}

function flat(x) {
  return x.shape ? x : [x];
}

// A number, or an array of numbers in lists, of the shape that the program was printed for.
function read(x, name, shape, whole = false) {
  const numbers = shape.length ? [x].flat(shape.length + 1) : [x];
  const fits = (part, k) => k === shape.length ? ["number", "boolean"].includes(typeof part)
    : Array.isArray(part) && part.length === shape[k] && part.every(inner => fits(inner, k + 1));
  if (!fits(x, 0)) throw new TypeError(`${name}: expected ${shape.length ? `lists of numbers of shape (${shape.join(", ")})` : "a number"}`);
  if (whole && !numbers.every(Number.isInteger)) throw new TypeError(`${name}: expected whole numbers`);
  return array(shape, Float64Array.from(numbers, Number));
}

// The array as lists of lists of numbers.
function nested(x, k = 0, start = 0) {
  if (!x.shape) return Number(x);
  const step = count(x.shape.slice(k + 1));
  const places = Array.from({ length: x.shape[k] }, (_, i) => start + i * step);
  return places.map(place => k === x.shape.length - 1 ? x[place] : nested(x, k + 1, place));
}

// Raises the library's own sentence for the first element that does not fit.
function require(mask, x, words, float) {
  const bad = flat(mask).findIndex(good => !good);
  if (bad < 0) return;
  const shape = shapeOf(mask);
  let rest = bad;
  const place = [...shape].reverse().map(n => { const at = rest % n; rest = (rest - at) / n; return at; }).reverse();
  const where = place.length > 1 ? ` at (${place.join(", ")})` : place.length ? ` at row ${place[0]}` : "";
  const value = flat(x)[bad];
  const short = String(Number.isFinite(value) ? Number(value.toPrecision(6)) : value).replace("NaN", "nan").replace("Infinity", "inf");
  const long = float && Number.isInteger(value) ? value.toFixed(1) : short.length < 7 ? short : String(value);
  throw new RangeError(words.replace("\u0001", long).replace("\u0002", where).replace("\u0003", short));
}

function branch(condition, expected) {
  if (flat(condition).every(Boolean) !== expected)
    throw new RangeError("with these numbers Python would take another branch; print the program anew");
}

// Each element of an array as NumPy repeats it along new axes and axes of size 1.
function spread(x, shape) {
  const size = count(shape);
  if (x.shape === undefined) return new Float64Array(size).fill(x);
  if (x.length === size) return x;
  const out = new Float64Array(size), lead = shape.length - x.shape.length;
  for (let i = 0; i < size; i++) {
    let rest = i, place = 0, step = 1;
    for (let k = shape.length - 1; k >= lead; k--) {
      const at = rest % shape[k], n = x.shape[k - lead];
      rest = (rest - at) / shape[k];
      if (n > 1) place += at * step;
      step *= n;
    }
    out[i] = x[place];
  }
  return out;
}

function joint(shapes) {
  const longest = Math.max(...shapes.map(shape => shape.length));
  return Array.from({ length: longest }, (_, k) => {
    const sizes = shapes.map(shape => shape[k - longest + shape.length] ?? 1);
    return sizes.find(n => n !== 1) ?? 1;
  });
}

// A function of numbers, element by element.
function each(f, ...inputs) {
  const shape = joint(inputs.map(shapeOf)), y = array(shape);
  if (!shape.length) return f(...inputs);
  const [a, b, c] = inputs.map(x => spread(x, shape));
  if (c) for (let i = 0; i < y.length; i++) y[i] = f(a[i], b[i], c[i]);
  else if (b) for (let i = 0; i < y.length; i++) y[i] = f(a[i], b[i]);
  else for (let i = 0; i < y.length; i++) y[i] = f(a[i]);
  return y;
}

function full(x, shape) {
  return array(shape, Float64Array.from(spread(x, shape)));
}

function reshape(x, shape) {
  return array(shape, Float64Array.from(flat(x)));
}

// Elements from their places; from place -1 comes the filler.
function taken(x, places, shape, filler = 0) {
  const parts = Array.isArray(x) ? x.flatMap(part => [...flat(part)]) : flat(x);
  return array(shape, Float64Array.from(places, place => place < 0 ? filler : parts[place]));
}

// Zeros with elements added at their places.
function add_at(x, places, shape) {
  const sums = new Float64Array(count(shape));
  flat(x).forEach((value, i) => { sums[places[i]] += value; });
  return array(shape, sums);
}

// Where elements lie that indices name, each along an axis of n elements with a step between two of them.
function places(base, ...indices) {
  return base.map((place, i) => indices.reduce((sum, [index, uses, step, n]) => {
    const at = flat(index)[uses[i]], from0 = at < 0 ? at + n : at;
    if (!(from0 >= 0 && from0 < n && Number.isInteger(from0)))
      throw new RangeError(`index ${at} is out of range for ${n} elements`);
    return sum + from0 * step;
  }, place));
}

function axes(x, axis) {
  const n = shapeOf(x).length;
  return axis === null ? [...shapeOf(x).keys()] : [axis].flat().map(k => (k + n) % n);
}

// Many numbers to one along axes: rows(x, axis) lists, for each result, the elements that go into it.
function rows(x, axis) {
  const shape = shapeOf(x), along = axes(x, axis), kept = shape.map((n, k) => along.includes(k) ? 1 : n);
  const lists = Array.from({ length: count(kept) }, () => []);
  const place = spread(array(kept, Float64Array.from(lists.keys())), shape);
  flat(x).forEach((value, i) => lists[place[i]].push(value));
  return [lists, kept, shape.filter((_, k) => !along.includes(k))];
}

function reduced(x, axis, keepdims, f) {
  const [lists, kept, dropped] = rows(x, axis);
  return array(keepdims ? kept : dropped, Float64Array.from(lists, f));
}

function sum(x, axis = null, keepdims = false) {
  return reduced(x, axis, keepdims, list => list.reduce((a, b) => a + b, 0));
}

function prod(x, axis = null, keepdims = false) {
  return reduced(x, axis, keepdims, list => list.reduce((a, b) => a * b, 1));
}

function max(x, axis = null, keepdims = false) {
  return reduced(x, axis, keepdims, list => list.reduce((a, b) => a >= b || a !== a ? a : b));
}

function min(x, axis = null, keepdims = false) {
  return reduced(x, axis, keepdims, list => list.reduce((a, b) => a <= b || a !== a ? a : b));
}

function all(x, axis = null, keepdims = false) {
  return reduced(x, axis, keepdims, list => list.every(Boolean));
}

function any(x, axis = null, keepdims = false) {
  return reduced(x, axis, keepdims, list => list.some(Boolean));
}

function argmax(x, axis = null) {
  return reduced(x, axis, false, list => list.indexOf(list.reduce((a, b) => a >= b || a !== a ? a : b)));
}

function argmin(x, axis = null) {
  return reduced(x, axis, false, list => list.indexOf(list.reduce((a, b) => a <= b || a !== a ? a : b)));
}

// Sums of products over the letters that the result does not have.
function einsum(...inputs) {
  const operands = inputs.slice(0, -1), [left, out] = inputs.at(-1).split("->"), terms = left.split(","), sizes = {};
  terms.forEach((term, t) => [...term].forEach((letter, k) => {
    if ((sizes[letter] ?? 1) === 1) sizes[letter] = operands[t].shape[k];
  }));
  const letters = [...out, ...Object.keys(sizes).filter(letter => !out.includes(letter))];
  const steps = [...terms, out].map((term, t) => {
    const shape = t < terms.length ? shapeOf(operands[t]) : [...out].map(letter => sizes[letter]);
    return letters.map(letter => [...term].reduce((sum, c, k) =>
      c === letter && shape[k] > 1 ? sum + count(shape.slice(k + 1)) : sum, 0));
  });
  const y = new Float64Array(count([...out].map(letter => sizes[letter]))), data = operands.map(flat);
  const at = letters.map(() => 0), place = steps.map(() => 0), total = count(letters.map(letter => sizes[letter]));
  for (let i = 0; i < total; i++) {
    let product = data[0][place[0]];
    for (let t = 1; t < data.length; t++) product *= data[t][place[t]];
    y[place[data.length]] += product;
    for (let k = letters.length - 1; k >= 0; k--) {
      at[k]++;
      for (let t = 0; t < place.length; t++) place[t] += steps[t][k];
      if (at[k] < sizes[letters[k]]) break;
      for (let t = 0; t < place.length; t++) place[t] -= steps[t][k] * at[k];
      at[k] = 0;
    }
  }
  return array([...out].map(letter => sizes[letter]), y);
}

function matmul(a, b) {
  const lead = "abcdefgh", n = Math.max(a.shape.length, b.shape.length, 2) - 2;
  const term = (x, inner) => x.shape.length === 1 ? "k" : lead.slice(n - x.shape.length + 2, n) + inner;
  const left = term(a, "ik"), right = term(b, "kj");
  const rows = left.includes("i") ? "i" : "", columns = right.includes("j") ? "j" : "";
  return einsum(a, b, `${left},${right}->${lead.slice(0, n)}${rows}${columns}`);
}

function transpose(x, axes = null) {
  const letters = "abcdefghij".slice(0, x.shape.length), order = axes ?? [...letters].map((_, k) => -1 - k);
  return einsum(x, `${letters}->${order.map(k => letters.at(k)).join("")}`);
}

// Along one axis: f gets each row and returns it anew.
function along(x, axis, f, ...others) {
  const shape = x.shape, k = axes(x, axis)[0], step = count(shape.slice(k + 1)), y = array(shape);
  for (let i = 0; i < x.length; i++) {
    if (Math.floor(i / step) % shape[k]) continue;
    const row = z => Array.from({ length: shape[k] }, (_, j) => z[i + j * step]);
    f(row(x), ...others.map(row)).forEach((value, j) => { y[i + j * step] = value; });
  }
  return y;
}

function cumsum(x, axis) {
  let sum = 0;
  return along(x, axis, row => row.map((value, i) => { sum = i ? sum + value : value; return sum; }));
}

function cumprod(x, axis) {
  let product = 1;
  return along(x, axis, row => row.map((value, i) => { product = i ? product * value : value; return product; }));
}

function order(by) {
  const odd = i => Number(by[i] !== by[i]);  // nan comes last
  return [...by.keys()].sort((i, j) => odd(i) - odd(j) || (by[i] < by[j] ? -1 : Number(by[i] > by[j])));
}

function sort_by(x, by, axis) {
  return along(x, axis, (row, keys) => order(keys).map(i => row[i]), by);
}

function unsort(x, by, axis) {
  return along(x, axis, (row, keys) => {
    const out = [];
    order(keys).forEach((i, j) => { out[i] = row[j]; });
    return out;
  }, by);
}

function pick(x, labels) {
  const n = x.shape.at(-1);
  return array([...shapeOf(labels), 1], Float64Array.from(flat(labels), (label, i) => x[i * n + label]));
}

function put(g, labels, classes) {
  const y = array([...shapeOf(labels), classes]), values = spread(g, [...shapeOf(labels), 1]);
  flat(labels).forEach((label, i) => { y[i * classes + label] = values[i]; });
  return y;
}

// Gauss and Jordan, with the largest pivot, on matrices one after the other: [x with a x = b, det a].
function eliminated(a, b) {
  const n = a.shape.at(-1), m = b.length / (a.length / n), solved = Float64Array.from(b), dets = [];
  for (let start = 0; start < a.length; start += n * n) {
    const row = i => Array.from(a.slice(start + i * n, start + (i + 1) * n));
    const rights = i => Array.from(solved.slice((start / n + i) * m, (start / n + i + 1) * m));
    const lines = Array.from({ length: n }, (_, i) => [...row(i), ...rights(i)]);
    let det = 1;
    for (let k = 0; k < n; k++) {
      let best = k;
      for (let i = k; i < n; i++) if (Math.abs(lines[i][k]) > Math.abs(lines[best][k])) best = i;
      if (best !== k) { [lines[k], lines[best]] = [lines[best], lines[k]]; det = -det; }
      const pivot = lines[k][k];
      det *= pivot;
      for (let i = 0; i < n && pivot; i++) {
        if (i === k) continue;
        const factor = lines[i][k] / pivot;
        for (let j = k; j < n + m; j++) lines[i][j] -= factor * lines[k][j];
      }
    }
    dets.push(det);
    lines.forEach((line, i) => { for (let j = 0; j < m; j++) solved[(start / n + i) * m + j] = line[n + j] / line[i]; });
  }
  return [solved, dets];
}

function regular(dets) {
  if (dets.some(value => value === 0)) throw new RangeError("a matrix is singular");
}

function det(a) {
  return array(a.shape.slice(0, -2), Float64Array.from(eliminated(a, a)[1]));
}

function log_det(a) {
  regular(flat(det(a)));
  return each(x => Math.log(Math.abs(x)), det(a));
}

function det_sign(a) {
  return each(Math.sign, det(a));
}

function inv(a) {
  const n = a.shape.at(-1), one = array(a.shape, Float64Array.from(a, (_, i) => Number(i % n === Math.floor(i / n) % n)));
  const [solved, dets] = eliminated(a, one);
  regular(dets);
  return array(a.shape, solved);
}

function solve(a, b) {
  const n = a.shape.at(-1), vector = b.shape.length === 1, lead = vector ? a.shape.slice(0, -2) : joint([a.shape.slice(0, -2), b.shape.slice(0, -2)]);
  const right = vector ? [n] : b.shape.slice(-2), wide = [...lead, n, n], tall = [...lead, ...right];
  const known = array([...lead, n, vector ? 1 : right[1]], Float64Array.from(spread(b, tall)));
  const [solved, dets] = eliminated(array(wide, spread(a, wide)), known);
  regular(dets);
  return array(tall, solved);
}

function power(base, exponent) {
  return base === 1 || exponent === 0 ? 1 : base ** exponent;  // there, 1 to nan is nan
}

function exp2(x) {
  return 2 ** x;
}

function radians(x) {
  return x * (Math.PI / 180);
}

function degrees(x) {
  return x * (180 / Math.PI);
}

function logaddexp(a, b) {
  if (a === b) return a + Math.LN2;
  return Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
}

function logaddexp2(a, b) {
  if (a === b) return a + 1;
  return Math.max(a, b) + Math.log1p(2 ** -Math.abs(a - b)) / Math.LN2;
}

function fmax(a, b) {
  return a >= b || b !== b ? a : b;
}

function fmin(a, b) {
  return a <= b || b !== b ? a : b;
}

function clip(x, low = null, high = null) {
  const above = low === null ? x : each((a, b) => a >= b || a !== a ? a : b, x, low);
  return high === null ? above : each((a, b) => a <= b || a !== a ? a : b, above, high);
}

function nan_to_num(x, nan, posinf = null, neginf = null) {
  return each(a => a !== a ? nan : a === Infinity ? posinf ?? Number.MAX_VALUE : a === -Infinity ? neginf ?? -Number.MAX_VALUE : a, x);
}

function isfinite(x) {
  return Number.isFinite(x);
}

function isnan(x) {
  return x !== x;
}

function isinf(x) {
  return Math.abs(x) === Infinity;
}

function floor(x) {
  return Math.floor(x);
}

function ceil(x) {
  return Math.ceil(x);
}
