// The lecture's questions: predict, then see. What is right is worked out from the page's own numbers.

const MOVED = ["rises", "stays", "falls"], CHANGED = ["changes", "stays"], MANY = ["all", "some", "none"];
const same = (a, b) => Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(a), Math.abs(b));
const moved = (a, b) => same(a, b) ? 1 : b > a ? 0 : 2;
const changed = (a, b) => same(a, b) ? 1 : 0;
const share = (some, of) => some === of ? 0 : some ? 1 : 2;

// What a question may be judged by.
function measure() {
  const svm = evaluate("svm"), softmax = evaluate(SOFTMAX), own = evaluate(), R = penalty(), i = state.chosen;
  const at = e => e.each[i]?.loss ?? 0, pulls = e => e.each.filter(one => one.gradients.b.some(g => g !== 0)).length;
  return {
    svm: svm.data, softmax: softmax.data, data: own.data, penalty: R.value, total: own.data + R.value,
    svmHere: at(svm), softmaxHere: at(softmax), ownHere: at(own), pulls: {svm: pulls(svm), softmax: pulls(softmax)},
    right: state.points.filter(point => best(scores(point)) === point[2]).length,
    zeros: state.W.flat().filter(v => v === 0).length,
  };
}

function walk(steps) {
  let e = whole();
  restart(e);
  for (let k = 0; k < steps; k++) {
    Object.assign(state, stepped(e));
    e = whole();
    remember(e, "step");
  }
}

// Scores of a point, met by b alone.
function setScores(wanted) {
  const [a, b] = state.points[state.chosen] ?? [0, 0];
  state.b = KS.map(k => tidy(wanted[k] - state.W[k][0] * a - state.W[k][1] * b));
}
// The slide's three images: three points whose scores under this W and b are the slide's table.
function useSlide() {
  const [first, second, third] = DATA.tables.slide;
  Object.assign(state, fresh(), {lambda: 0, b: [...first], W: KS.map(k => [tidy(second[k] - first[k]), tidy(third[k] - first[k])])});
  useDataset("slide");
}
function useBlobs(key = "blobs", more = {}) {
  Object.assign(state, fresh(), more);
  useDataset(key);
}
function scale(factor) {
  state.W = state.W.map(row => row.map(v => tidy(factor * v)));
  state.b = state.b.map(v => tidy(factor * v));
}
const factorFits = factor => [...state.W.flat(), ...state.b].every(v => Math.abs(factor * v) <= LIMITS.weight);
const told = v => show(v, 2);

// Of each: what it asks (choices, or a number), what it does, and what is then right, from before and after.
const QUESTIONS = {
  jiggle: {
    title: "Jiggle a point",
    text: "The chosen point moves a little, and its scores with it. What happens to its loss?",
    ask: [["Under the SVM it", CHANGED], ["Under softmax it", CHANGED]],
    act() {
      const point = state.points[state.chosen];
      if (!point) return;
      for (const j of [0, 1]) point[j] = round2(clamp(point[j] + (point[j] > 0 ? -0.03 : 0.03), -LIMITS.coordinate, LIMITS.coordinate));
    },
    right: (a, b) => [changed(a.svmHere, b.svmHere), changed(a.softmaxHere, b.softmaxHere)],
    told: (a, b) => `SVM ${told(a.svmHere)} → ${told(b.svmHere)}, softmax ${show(a.softmaxHere, 4)} → ${show(b.softmaxHere, 4)}. A hinge is flat once its margin is met; softmax always wants more.`,
  },
  double: {
    title: "W × 2",
    text: "W and b are doubled, and so is every score. What happens?",
    ask: [["The mean SVM loss", MOVED], ["Points that are classified right", ["more", "as many", "fewer"]]],
    act() { if (factorFits(2)) scale(2); else say("W and b are too large to be doubled."); },
    right: (a, b) => [moved(a.svm, b.svm), moved(a.right, b.right)],
    told: (a, b) => `SVM ${told(a.svm)} → ${told(b.svm)}, right ${a.right} → ${b.right}. Have we done anything useful? Which class wins has not changed anywhere in the plane.`,
  },
  tie: {
    title: "Scores 10, 9, 9",
    text: "b is chosen so that the point's own class scores 10 and the two others 9. Which of its losses is then above 0?",
    ask: [["Above 0 is", ["the SVM's", "softmax's", "both", "neither"]]],
    act() { const y = state.points[state.chosen]?.[2] ?? 0; state.margin = 1; setScores(KS.map(k => k === y ? 10 : 9)); },
    right: (a, b) => { const s = b.svmHere > 1e-9, t = b.softmaxHere > 1e-9; return [s && t ? 2 : s ? 0 : t ? 1 : 3]; },
    told: (a, b) => `SVM ${told(b.svmHere)}, softmax ${told(b.softmaxHere)}. Each margin is exactly met, so the hinge is content; to softmax the class has probability ${told(Math.exp(-b.softmaxHere))}.`,
  },
};

const LESSON = [
  {
    title: "The hinge, by hand", hides: true,
    text: "The cat of the slide scores 3.2 for cat, 5.1 for car and −1.7 for frog. Lᵢ = Σⱼ≠y max(0, sⱼ − s_y + 1).",
    start: useSlide,
    ask: [["Lᵢ of the cat is", "number"]],
    act() {},
    right: (a, b) => [b.svmHere],
    told: (a, b) => `max(0, 5.1 − 3.2 + 1) + max(0, −1.7 − 3.2 + 1) = ${brief(b.svmHere)}. In the graph, the frog's margin is off: its wires are dashed, and no gradient passes.`,
  },
  {
    title: "What if the hinge is squared?",
    text: "The same three images under Lᵢ = Σⱼ≠y max(0, sⱼ − s_y + 1)².",
    start: useSlide,
    ask: [["The cat's loss", MOVED], ["The mean of the three", MOVED]],
    act() { state.loss = "squared"; },
    right: (a, b) => [moved(a.ownHere, b.ownHere), moved(a.data, b.data)],
    told: (a, b) => `The cat: ${told(a.ownHere)} → ${told(b.ownHere)}; the mean: ${told(a.data)} → ${told(b.data)}. A margin missed by more than 1 costs more now, one missed by less costs less; one that is met still costs 0.`,
  },
  {
    title: "The loss at the start",
    text: "At initialization W is small, so all scores are near 0. Here W = 0 and b = 0, with three classes.",
    start: () => useBlobs("blobs", {lambda: 0}),
    ask: [["The mean SVM loss is", "number"], ["The mean softmax loss is", "number"]],
    act() { scale(0); },
    right: (a, b) => [b.svm, b.softmax],
    told: (a, b) => `SVM ${brief(b.svm)} = C − 1: each wrong class misses its margin by 1. Softmax ${brief(b.softmax)} = ln C: each class has probability 1/C. A first check of any training.`,
  },
  {
    ...QUESTIONS.jiggle,
    text: "The car of the slide: scores 1.3, 4.9, 2.0, every margin met. It moves a little, and its scores with it. What happens to its loss?",
    start() { useSlide(); state.chosen = 1; },
  },
  {...QUESTIONS.tie, start: useSlide, hides: true},
  {
    ...QUESTIONS.double,
    text: "One image, a car, scores 1.3, 2.5, 2.0. W and b are doubled. What happens?",
    start() {
      useSlide();
      Object.assign(state, {points: [[1, 0, 1]], W: [[1.3, 0], [2.5, 0], [2, 0]], b: [0, 0, 0], chosen: 0});
    },
  },
  {
    title: "Is that W the only one?",
    text: "Here the data loss is 0, so 2 W has data loss 0, too. Now L = data + λΣW², with λ = 0.01, and W is doubled. Which W does L prefer?",
    start: () => useBlobs("blobs", {lambda: 0.01, W: [[4, 0], [-2, 3.46], [-2, -3.46]], b: [0, 0, 0]}),
    ask: [["The data loss", MOVED], ["λR(W) is multiplied by", "number"], ["L", MOVED]],
    act() { scale(2); },
    right: (a, b) => [moved(a.data, b.data), b.penalty / a.penalty, moved(a.total, b.total)],
    told: (a, b) => `Data ${told(a.data)} → ${told(b.data)}, λR ${told(a.penalty)} → ${told(b.penalty)}, L ${told(a.total)} → ${told(b.total)}. Of all W with no data loss, the regularizer picks small ones.`,
  },
  {
    title: "Who still pulls?", walks: true,
    text: "Overlapping points; 200 steps down the SVM's loss. Some points have met their margins by then. At how many points is ∂Lᵢ/∂s not 0?",
    start: () => useBlobs("overlap", {lambda: 0.01, eta: 0.2}),
    ask: [["Under the SVM", MANY], ["With the same W, under softmax", MANY]],
    act() { walk(200); },
    right: (a, b) => [share(b.pulls.svm, state.points.length), share(b.pulls.softmax, state.points.length)],
    told: (a, b) => `SVM: ${b.pulls.svm} of ${state.points.length}, the support vectors; softmax: ${b.pulls.softmax}. Walk through the points: behind the bands the hinge is off.`,
  },
  {
    title: "Too large a step", walks: true,
    text: "The dashed lines show where the next step takes the borders. λ = 0.1. One step with η = 10, and instead of it one with η = 0.01: what does L do?",
    start: () => { useBlobs("overlap", {lambda: 0.1, eta: 10}); state.eta = 0.2; walk(60); state.eta = 10; },
    ask: [["With η = 10 it", MOVED], ["With η = 0.01 it", MOVED]],
    act() {
      const from = {W: structuredClone(state.W), b: [...state.b]};
      state.eta = 0.01;
      walk(1);
      const small = measure().total;
      Object.assign(state, from, {eta: 10});
      walk(1);
      return {small};
    },
    right: (a, b) => [moved(a.total, b.total), moved(a.total, b.small)],
    told: (a, b) => `L = ${show(a.total, 3)}; after η = 10 it is ${show(b.total, 3)}, after η = 0.01 ${show(b.small, 4)}. The gradient only knows the slope here: far away it promises nothing.`,
  },
  {
    title: "ΣW² or Σ|W|?", walks: true,
    text: "300 steps with λ = 0.1. How many of the six weights are then exactly 0?",
    start: () => useBlobs("blobs", {loss: SOFTMAX, lambda: 0.1, eta: 0.2}),
    ask: [["With R = ΣW²", MANY], ["With R = Σ|W|", MANY]],
    act() {
      const from = {W: structuredClone(state.W), b: [...state.b]};
      walk(300);
      const squares = measure().zeros;
      Object.assign(state, from, {reg: "l1"});
      walk(300);
      return {squares};
    },
    right: (a, b) => [share(b.squares, 6), share(b.zeros, 6)],
    told: (a, b) => `ΣW²: ${b.squares}; Σ|W|: ${b.zeros}. The pull of W² fades as a weight gets small; that of |W| stays the same until the weight is 0, and there the step stops.`,
  },
];
