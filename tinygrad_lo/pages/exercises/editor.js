// The program: a plain text field, and CodeMirror in its place once that is loaded.
const tail = /^HINTS\b/m;
export const make = (name, about) => Object.assign(document.createElement(name), about);

export class Editor {
  changed = () => {};

  constructor(field, assets) {
    this.field = field;
    this.assets = assets;
    this.folds = false;
    field.addEventListener("input", () => this.changed());
  }

  get text() { return this.mirror ? this.mirror.getValue() : this.field.value; }

  // With folds, what the task says above, and what checks it below, stand behind a line.
  show(text, folds) {
    this.folds = folds;
    this.field.value = text;
    if (!this.mirror) return;
    this.silent = true;
    this.mirror.setValue(text);
    this.silent = false;
    this.mirror.clearHistory();
    if (folds) this.fold();
  }

  async load() {
    if (this.loading) return;
    this.loading = true;
    try {
      for (const asset of this.assets) await linked(asset);
    } catch { // the text field does without
      this.loading = false;
      return;
    }
    const had = document.activeElement === this.field;
    this.mirror = CodeMirror.fromTextArea(this.field, {
      mode: "python", theme: "lo", lineNumbers: true, lineWrapping: true, indentUnit: 4, matchBrackets: true,
      autoCloseBrackets: true, viewportMargin: Infinity, inputStyle: "contenteditable",
      screenReaderLabel: "Your program",
    });
    const input = this.mirror.getInputField();
    input.setAttribute("role", "textbox");
    input.setAttribute("aria-multiline", "true");
    const keys = { Tab: cm => cm.execCommand(cm.somethingSelected() ? "indentMore" : "insertSoftTab"), "Shift-Tab": "indentLess" };
    keys.Esc = cm => cm.setOption("extraKeys", { Tab: false, "Shift-Tab": false });
    this.mirror.on("focus", cm => cm.setOption("extraKeys", keys));
    this.mirror.setOption("extraKeys", keys);
    this.mirror.on("change", () => { if (!this.silent) this.changed(); });
    if (this.folds) this.fold();
    if (had) this.mirror.focus();
  }

  fold() {
    const text = this.text, end = /^"""[^]*?"""\n+/.exec(text), from = tail.exec(text);
    if (end) this.hide(0, end[0].trimEnd().length, "the task");
    if (from) this.hide(from.index, text.length, "hints and checks");
  }

  hide(from, to, what) {
    const button = make("button", { type: "button", className: "fold", textContent: `⋯ ${what}` });
    const at = index => this.mirror.posFromIndex(index);
    const mark = this.mirror.markText(at(from), at(to), { collapsed: true, replacedWith: button, clearOnEnter: true });
    button.addEventListener("click", () => mark.clear());
  }
}

// A style sheet or a script, whose digest the browser compares.
function linked({ name, url, integrity }) {
  const about = { integrity, crossOrigin: "anonymous" };
  const element = name.endsWith(".css") ? make("link", { rel: "stylesheet", href: url, ...about }) : make("script", { src: url, ...about });
  return new Promise((done, failed) => {
    element.addEventListener("load", done);
    element.addEventListener("error", failed);
    document.head.prepend(element);
  });
}
