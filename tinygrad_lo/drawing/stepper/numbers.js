// A graph as a program: `liveProgram(...inputs)` returns every value, gradient and product. All that the page
// then shows is made of these. `data.live` says which output goes where.
const live = data.live;
const inputs = live?.inputs ?? [];
let values = inputs.map(one => one.numbers.map(Number));
const original = values.map(numbers => [...numbers]);
let past = [], at = 0, focus = null, worth = NaN;
let memory = [];  // of the optimizer, for each input: velocities, or moments

const DIGITS = 4;  // of numbers in lines
const flatOf = x => x?.shape ? [...x] : [Number(x)];
const output = place => place === null || place === undefined ? null : flatOf(outputs[place]);
const total = places => places.map(output).reduce((sum, part) => sum.map((x, j) => x + part[j]));

// As Python's f"{x:.3g}" prints it: halves go to the even digit, a real minus sign, a loud nan.
function number(x, digits) {
  if (x === true || x === false) return String(x);
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "nan" : x > 0 ? "∞" : "−∞";
  if (x === 0) return "0";
  let text = x.toExponential(digits - 1);
  const longer = x.toExponential(Math.min(digits + 25, 100));
  const [mantissa, power] = longer.split("e"), rest = mantissa.replace(/^-?\d\.?/, "").slice(digits - 1);
  if (/^50*$/.test(rest) && Number(longer) === x) {
    const kept = longer.slice(0, longer.indexOf("e") - rest.length).replace(/\.$/, "");
    if (/[02468]$/.test(kept)) text = `${kept}e${power}`;
  }
  const exponent = Number(text.split("e")[1]);
  const rounded = Number(text);
  if (exponent >= -4 && exponent < digits) text = String(rounded);
  else if (Math.abs(x) < 10 ** (digits + 2) && Number.isInteger(rounded)) text = String(halfEven(x));
  else text = `${String(Number(text.split("e")[0]))}e${exponent}`;
  return text.replaceAll("-", "−");
}
function halfEven(x) {
  const low = Math.floor(x), over = x - low;
  return over > .5 || over === .5 && low % 2 ? low + 1 : low;
}

// Mean, standard deviation, smallest, largest; what rounding alone leaves of the first two is 0.
function summary(numbers) {
  const n = numbers.length, top = Math.max(...numbers.map(Math.abs)), mean = numbers.reduce((a, b) => a + b, 0) / n;
  const std = Math.sqrt(numbers.reduce((sum, x) => sum + (x - mean) ** 2, 0) / n);
  const noise = Number.EPSILON * top * (1 + Math.log2(n)), quiet = x => Math.abs(x) <= noise && noise < Infinity ? 0 : x;
  return [quiet(mean), quiet(std), Math.min(...numbers), Math.max(...numbers)];
}

// What the picture shows of an array.
function figures(numbers, shape, summarized, kind) {
  if (shape.includes(0)) return ["empty"];
  const words = summarized ? summary(numbers) : kind === "b" ? numbers.map(Boolean) : numbers;
  return words.map(x => number(x, live.digits + (shape.length ? 0 : 1)));
}
function onWire(numbers, shape, isValue) {
  const top = numbers.find(Number.isNaN) ?? numbers.reduce((a, b) => Math.abs(b) > Math.abs(a) ? b : a), many = shape.length > 0;
  const word = number(top, live.digits + (many ? 0 : 1)), which = numbers.every(x => x === top) ? "all" : "largest";
  const said = Number.isFinite(top) ? many ? `${which} ${word}` : word : `⚠ ${word}`;
  return isValue && many ? `${shape.join("×")} · ${said}` : said;
}
function wordsOf(id, numbers, isValue) {
  const {shape, kind} = live.nodes[id];
  return live.circuit ? [onWire(numbers, shape, isValue)]
    : figures(numbers, shape, data.summaries.includes(id), isValue ? kind : "f");
}

// As Python's repr prints a float.
function written(x) {
  const power = x ? Math.floor(Math.log10(Math.abs(x))) : 0;
  if (power < -4 || power > 15) return x.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
  return Number.isInteger(x) ? x.toFixed(1) : String(x);
}

// The slots of a line: s a number as it is shown, t one as a term of a product; of numbers inside gates g and p
// as terms of a formula in text and in the picture, r as Python writes them.
function filled(text) {
  return text.replace(/\ue000([stbgpqr])([\d,]+)\ue001/g, (_, kind, places) => {
    if (kind === "b") return String(Boolean(output(Number(places))[0]));
    const [x] = total(places.split(",").map(Number));
    if (kind === "r") return written(x);
    const word = number(x, kind === "p" || kind === "q" ? live.digits + 1 : kind === "g" ? DIGITS + 1 : DIGITS);
    return kind !== "s" && kind !== "q" && x < 0 ? `(${word})` : word;
  });
}
