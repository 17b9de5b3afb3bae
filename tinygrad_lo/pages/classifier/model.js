// The loss of all points, made of the printed programs of one; and steps down its gradient.

const sumOver = (points, f) => points.reduce((sum, point) => sum + f(point), 0);
const pairwise = (A, B, f) => A.map((row, k) => row.map((v, j) => f(v, B[k][j])));
const score = (k, [a, b], model = state) => model.W[k][0] * a + model.W[k][1] * b + model.b[k];
const scores = (point, model = state) => KS.map(k => score(k, point, model));
const best = s => s.indexOf(Math.max(...s));

// Of one loss: its mean over the points, the gradients of that by W and b, and what each point gives to it.
function evaluate(loss = state.loss, points = state.points) {
  const program = POINT[keyed(loss)], {W, b} = state, n = points.length || 1;
  const dW = KS.map(() => [0, 0]), db = [0, 0, 0];
  const each = points.map(([x1, x2, y]) => program({W, b, x: [x1, x2], y}));
  for (const {gradients} of each) {
    for (const k of KS) {
      dW[k][0] += gradients.W[k][0] / n;
      dW[k][1] += gradients.W[k][1] / n;
      db[k] += gradients.b[k] / n;
    }
  }
  return {data: sumOver(each, one => one.loss) / n, dW, db, each};
}

function penalty() {
  const {loss, gradients} = PENALTY[state.reg]({W: state.W});
  return {value: state.lambda * loss, dW: gradients.W.map(row => row.map(v => state.lambda * v))};
}

// L = data + λR, with its gradients.
function whole(points = state.points) {
  const own = evaluate(state.loss, points), R = penalty();
  return {...own, penalty: R.value, total: own.data + R.value, gW: pairwise(own.dW, R.dW, (a, b) => a + b), gb: own.db};
}

// Where one step takes W and b. The kink of Σ|W| is met exactly: first the data's step, then all weights
// shrink by ηλ and stop at 0, as lo.optim.SGD(l1=...) does it.
function stepped(e, {eta, lambda, reg} = state) {
  const shrink = v => Math.sign(v) * Math.max(0, Math.abs(v) - eta * lambda);
  const W = reg === "l1" ? pairwise(state.W, e.dW, (w, g) => shrink(w - eta * g))
    : pairwise(state.W, e.gW, (w, g) => w - eta * g);
  return {W, b: state.b.map((v, k) => v - eta * e.db[k])};
}

const fits = model => [...model.W.flat(), ...model.b].every(v => Math.abs(v) <= LIMITS.weight);

// The points of the next step: all, or as many as were asked for, taken in turn.
let turn = 0;
function batch(size) {
  const n = state.points.length;
  if (!size || size >= n) return state.points;
  const some = Array.from({length: size}, (_, i) => state.points[(turn + i) % n]);
  turn = (turn + size) % n;
  return some;
}

// Numbers that look random and are the same in every session (mulberry32, Box and Muller).
let seed = 7;
function uniform() {
  seed = (seed + 0x6D2B79F5) | 0;
  let t = Math.imul(seed ^ seed >>> 15, 1 | seed);
  t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
  return ((t ^ t >>> 14) >>> 0) / 4294967296;
}
const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());

// ---------------------------------------------------------- the plane as affine functions [a, b, c] of a point

const line = (k, model = state) => [...model.W[k], model.b[k]];
const minus = (f, g) => f.map((v, i) => v - g[i]);
const shifted = ([a, b, c], by) => [a, b, c + by];
const value = ([a, b, c], [x, y]) => a * x + b * y + c;
const box = half => [[1, 0, half], [-1, 0, half], [0, 1, half], [0, -1, half]];

// The part of the line f = 0 where every other function is at least 0, or null.
function segment([a, b, c], others) {
  const n = a * a + b * b;
  if (!n) return null;
  const p = [-a * c / n, -b * c / n], d = [-b / Math.sqrt(n), a / Math.sqrt(n)];
  let low = -Infinity, high = Infinity;
  for (const f of others) {
    const slope = f[0] * d[0] + f[1] * d[1], at = value(f, p);
    if (slope > 0) low = Math.max(low, -at / slope);
    else if (slope < 0) high = Math.min(high, -at / slope);
    else if (at < 0) return null;
  }
  return low < high ? [low, high].map(t => [p[0] + t * d[0], p[1] + t * d[1]]) : null;
}

// The part of the square where every function is at least 0.
function area(half, functions) {
  let corners = [[-half, -half], [half, -half], [half, half], [-half, half]];
  for (const f of functions) {
    corners = corners.flatMap((p, i) => {
      const q = corners[(i + 1) % corners.length], a = value(f, p), b = value(f, q), t = a / (a - b);
      const cut = a >= 0 !== b >= 0 ? [[p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])]] : [];
      return a >= 0 ? [p, ...cut] : cut;
    });
  }
  return corners;
}

const PAIRS = [[0, 1, 2], [0, 2, 1], [1, 2, 0]];
// Where two classes tie for the highest score.
const borders = (half, model = state) => PAIRS.map(([j, k, other]) =>
  segment(minus(line(j, model), line(k, model)), [...box(half), minus(line(j, model), line(other, model))]));
