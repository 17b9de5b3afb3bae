// Numbers as people write and read them.

const DATA = JSON.parse(document.getElementById("data").textContent);
const CLASSES = 3;
const KS = [0, 1, 2];
const SIGNS = "●■▲";
const tidy = (v, digits = 12) => Number(v.toPrecision(digits));
const round2 = v => Math.round(v * 100) / 100;
const clamp = (v, low, high) => Math.min(high, Math.max(low, v));

// 2.50, −0.33, 1.2e+7; an exact zero is 0, so that a zero that was rounded can be told apart.
function show(v, digits = 2) {
  if (Number.isNaN(v)) return "nan";
  if (!Number.isFinite(v)) return v > 0 ? "∞" : "−∞";
  if (v === 0) return "0";
  const text = Math.abs(v) >= 1e5 ? v.toExponential(1) : v.toFixed(digits);
  return (Number(text) === 0 ? Math.abs(Number(text)).toFixed(digits) : text).replace("-", "−");
}
// As few digits as say it: 0.1, 3, 1.25.
const brief = (v, digits = 4) => String(tidy(v, digits)).replace("-", "−");

// At most three decimals, or as much as a large number needs.
const shortly = v => Math.abs(v) < 1e4 ? String(Number(v.toFixed(3))).replace("-", "−") : brief(v, 3);

// A number as people type it, or null: −2, 0,5, 2e-3.
function readNumber(text, comma = true) {
  const plain = text.trim().replace(/[−–]/g, "-").replace(comma ? "," : "\0", ".");
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?$/i.test(plain)) return null;
  const value = Number(plain);
  return Number.isFinite(value) ? value : null;
}

// Text that came from outside, as a sentence quotes it.
const quoted = text => `“${text.length > 30 ? text.slice(0, 30) + "…" : text}”`;
const counted = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

function setText(node, text) {
  if (node.shown !== text) node.textContent = node.shown = text;
}
// Texts by the ids of what shows them.
function write(texts) {
  for (const [id, text] of Object.entries(texts)) setText(by(id), text);
}

// Words for people: what went wrong, or what came of an action.
function say(text) {
  write({said: text});
  by("notice").hidden = !text;
}
