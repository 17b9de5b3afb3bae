// The card that asks: first the prediction, then the deed, then whether it was right.

let asked = null;    // the question in the card
let number = -1;     // of the lesson's step; -1 outside of the lesson
let judged = [];     // of the lesson, for each prediction whether it was right
let kept = "";       // the address from before the lesson

function pose(question, k = -1) {
  run(false);
  asked = question;
  number = k;
  question.start?.();
  refresh("problem");
  document.body.classList.toggle("asking", Boolean(question.hides));
  const card = by("card");
  card.hidden = false;
  card.classList.remove("seen");
  const step = k >= 0 ? `Question ${k + 1} of ${LESSON.length}` : "Predict first";
  write({card_step: step, card_title: question.title, card_text: question.text, card_told: "", card_see: "See"});
  by("asks").replaceChildren();
  question.ask.forEach(buildAsk);
  if (k >= 0) by("card_title").focus();
  else by("asks").querySelector("input").focus();
}

function buildAsk([words, options], i) {
  const numeric = options === "number";
  const set = html(by("asks"), "fieldset");
  html(set, "legend", {}, words);
  if (numeric) {
    html(set, "input", {name: `ask${i}`, inputmode: "decimal", autocomplete: "off", "aria-label": words, size: 6});
  } else {
    options.forEach((option, k) => {
      const label = html(set, "label");
      html(label, "input", {type: "radio", name: `ask${i}`, value: k});
      html(label, "span", {}, option);
    });
  }
  html(set, "output", {});
}

function answers() {
  return asked.ask.map(([, options], i) => {
    if (options === "number") return readNumber(by("asks").querySelector(`[name=ask${i}]`).value);
    const chosen = by("asks").querySelector(`[name=ask${i}]:checked`);
    return chosen ? Number(chosen.value) : null;
  });
}

const agrees = (guess, right) => Math.abs(guess - right) <= 0.006 + 0.005 * Math.abs(right);

function see() {
  const given = answers();
  if (given.includes(null)) {
    write({card_told: "Predict first: each of these needs an answer."});
    by("asks").querySelectorAll("fieldset")[given.indexOf(null)].querySelector("input").focus();
    return;
  }
  document.body.classList.remove("asking");
  const before = measure(), extra = asked.act();
  refresh(asked.walks ? "look" : "problem");  // where it went down step by step, these can be gone back to
  const after = {...measure(), ...extra}, right = asked.right(before, after);
  by("asks").querySelectorAll("fieldset").forEach((set, i) => {
    const options = asked.ask[i][1], numeric = options === "number";
    const good = numeric ? agrees(given[i], right[i]) : given[i] === right[i];
    if (number >= 0) judged.push(good);
    setAll(set, {class: good ? "good" : "bad", disabled: ""});
    const truth = numeric ? `is ${brief(right[i])}` : `was: ${options[right[i]]}`;
    setText(set.querySelector("output"), good ? "✓ right" : `✗ it ${truth}`);
  });
  by("card").classList.add("seen");
  const next = number < 0 ? "Done" : number + 1 < LESSON.length ? "Next" : "Finish";
  write({card_told: asked.told(before, after), card_see: next});
  by("card_see").focus();
}

function forward() {
  if (!by("card").classList.contains("seen")) return see();
  if (number < 0) return shut();
  if (number + 1 < LESSON.length) return pose(LESSON[number + 1], number + 1);
  const right = judged.filter(Boolean).length;
  shut(`The lesson is done: ${right} of ${judged.length} predictions were right. The page is as it was before.`);
}

function shut(words = "") {
  by("card").hidden = true;
  document.body.classList.remove("asking");
  if (number >= 0) restore(kept);
  say(words);
  by(number >= 0 ? "lesson" : "questions").focus();
  asked = null;
  number = -1;
}

function startLesson() {
  if (number < 0) kept = address();
  judged = [];
  say("");
  pose(LESSON[0], 0);
}

by("lesson").onclick = startLesson;
by("card_form").onsubmit = event => { event.preventDefault(); forward(); };
by("card_close").onclick = () => shut();
for (const [key, question] of Object.entries(QUESTIONS))
  html(by("questions"), "button", {type: "button", id: `question_${key}`}, question.title).onclick = () => {
    if (number >= 0) shut();  // leaves the lesson, and brings back what was there before
    pose(question);
  };
