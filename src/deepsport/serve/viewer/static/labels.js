/* What a person says of an answer: right or wrong, why, how good. Saved at once, one save after the other, and undone as easily. */

import { change } from "./api.js";
import { announce, fill, h } from "./dom.js";
import { label as words } from "./marks.js";
import { remember, remembered } from "./remembered.js";
import { FAILURES } from "./words.js";

const FULL = 10;
const NOTHING = { right: null, points: null, failure: null };

/** Where the browser keeps the name; another one given at the start of the server begins anew. @param {string} given */
const place = (given) => `labeller ${given}`;

export class Labels {
  /** @param {{labels: any[], address: string, file: string, download: string, given: string, saved: () => void, renamed: () => void}} given
   * `saved` is told of what needs no further word: right, or wrong and why. */
  constructor({ labels, address, file, download, given, saved, renamed }) {
    Object.assign(this, { labels, address, file, download, given, saved });
    /** As the file has them, as far as the page knows. */
    this.stored = labels;
    const name = remembered(place(given)) ?? given;
    /** What was said before each save. @type {any[]} */
    this.before = [];
    this.saving = Promise.resolve();
    this.sent = 0;
    this.who = h("input", { id: "labeller", value: name, autocomplete: "name", maxlength: 80, onchange: () => (this.rename(), renamed()) });
    this.right = this.button("Right", "r", () => this.mark(true));
    this.wrong = this.button("Wrong", "w", () => this.mark(false));
    this.clear = this.button("Clear", "c", () => this.put(NOTHING));
    this.undo = this.button("Undo", "z", () => this.back());
    this.classes = Object.entries(FAILURES).map(([key, text], n) => this.classBox(key, text, n + 1));
    this.points = h("select", { id: "points", onchange: () => this.grade() }, this.grades());
    this.state = h("p", { class: "small state" });
    this.others = h("ul", { class: "chips" });
    this.element = this.form();
    this.draw();
  }

  name() {
    return this.who.value.trim();
  }

  rename() {
    remember(place(this.given), this.name());
    this.before = [];
    this.draw();
  }

  /** What the person with this name says. */
  get mine() {
    return this.labels.find((each) => each.labeller === this.name()) ?? NOTHING;
  }

  form() {
    const field = (/** @type {string} */ id, /** @type {string} */ text, /** @type {Element} */ input) =>
      h("div", { class: "field" }, h("label", { for: id }, text), input);
    return h(
      "section",
      { class: "panel labels", "aria-labelledby": "label-title" },
      h("h2", { id: "label-title" }, "Your label"),
      h("div", { class: "tools" }, this.right, this.wrong, this.clear, this.undo),
      h("fieldset", {}, h("legend", {}, "Why it is wrong"), h("div", { class: "boxes" }, this.classes.map(({ line }) => line))),
      h("div", { class: "tools" }, field("points", "Points", this.points), field("labeller", "Your name", this.who)),
      this.state,
      this.others,
    );
  }

  /** @param {string} text @param {string} key @param {() => void} onclick */
  button(text, key, onclick) {
    return h("button", { type: "button", onclick, "aria-keyshortcuts": key }, `${text} `, h("kbd", { "aria-hidden": "true" }, key));
  }

  /** @param {string} key @param {string} text @param {number} number */
  classBox(key, text, number) {
    const input = h("input", { type: "radio", name: "failure", id: `failure-${key}`, value: key, onchange: () => this.classify(key) });
    return { key, input, line: h("label", {}, input, h("span", { class: "value" }, text), h("kbd", { "aria-hidden": "true" }, number)) };
  }

  grades() {
    return [h("option", { value: "" }, "–"), ...Array.from({ length: FULL + 1 }, (_, n) => h("option", { value: n }, n))];
  }

  /** Points that say the opposite fall away, and so does a reason for being wrong. @param {boolean} right */
  mark(right) {
    const { points, failure } = this.mine;
    const agrees = points !== null && right === 2 * points >= FULL;
    this.put({ right, points: agrees ? points : null, failure: right ? null : failure });
  }

  /** Names why it is wrong, which says that it is. @param {string} failure */
  classify(failure) {
    const { points } = this.mine;
    this.put({ right: false, points: points !== null && 2 * points < FULL ? points : null, failure });
  }

  grade() {
    const points = this.points.value === "" ? null : Number(this.points.value);
    if (points === null) return this.put({ ...this.mine, points });
    const right = 2 * points >= FULL;
    this.put({ right, points, failure: right ? null : this.mine.failure });
  }

  back() {
    const before = this.before.pop();
    if (before) this.send(before, true);
  }

  /** @param {{right: boolean | null, points: number | null, failure: string | null}} said */
  put(said) {
    const { right, points, failure } = this.mine;
    this.before.push({ right, points, failure });
    this.send(said);
  }

  /** @param {{right: boolean | null, points: number | null, failure: string | null}} said @param {boolean} [isUndo] */
  send({ right, points, failure }, isUndo = false) {
    const body = { right, points, failure, labeller: this.name() };
    const others = this.labels.filter((each) => each.labeller !== body.labeller);
    const empty = right === null && points === null && failure === null;
    this.labels = empty ? others : [body, ...others];
    this.draw();
    fill(this.state, "saving …");
    const turn = ++this.sent;
    const isLast = () => turn === this.sent;
    const isWhole = !isUndo && (right === true || failure !== null);
    this.saving = this.saving.then(() => this.store(body, isLast)).then((isStored) => isStored && isWhole && isLast() && this.saved());
  }

  /** Whether it was saved. What could not be is shown no longer.
   * @param {any} body @param {() => boolean} isLast whether nothing else was said meanwhile */
  async store(body, isLast) {
    try {
      this.stored = await change("PUT", this.address, body);
      if (isLast()) this.done(body);
      return true;
    } catch (error) {
      if (isLast()) this.undone(/** @type {Error} */ (error));
      return false;
    }
  }

  /** @param {any} body */
  done(body) {
    this.labels = this.stored;
    this.draw();
    const isEmpty = this.mine === NOTHING;
    const text = isEmpty ? `removed from ${this.file}` : `saved to ${this.file}`;
    fill(this.state, text, " ", h("a", { href: this.download, download: this.file }, "get the file"));
    announce(isEmpty ? `Label ${text}` : `${words(body)}, ${text}`);
  }

  /** @param {Error} error */
  undone(error) {
    this.labels = this.stored;
    this.before = [];
    this.draw();
    fill(this.state, h("span", { class: "note", role: "alert" }, `Not saved: ${error.message}`));
  }

  /** What others said meanwhile, or the same person in another window; unless a save is under way, which answers that itself.
   * @param {any[]} labels @param {number} sent how many had been sent when they were asked for */
  heard(labels, sent) {
    if (sent !== this.sent || JSON.stringify(labels) === JSON.stringify(this.stored)) return;
    this.labels = this.stored = labels;
    this.before = [];
    this.draw();
  }

  draw() {
    const { right, points, failure } = this.mine;
    this.right.setAttribute("aria-pressed", String(right === true));
    this.wrong.setAttribute("aria-pressed", String(right === false));
    this.undo.disabled = !this.before.length;
    this.clear.disabled = this.mine === NOTHING;
    for (const { key, input } of this.classes) input.checked = key === failure;
    this.points.value = points === null ? "" : String(points);
    const others = this.labels.filter((each) => each.labeller !== this.name());
    fill(this.others, others.map((each) => h("li", { class: "chip" }, `${each.labeller || "somebody"}: ${words(each)}`)));
  }
}
