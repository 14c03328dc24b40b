/* Two sets on the same questions: what was gained and lost, counted and listed; a row leads to both answers side by side. */

import { get } from "./api.js";
import { announce, fill, h, settled } from "./dom.js";
import { heading, name, outcome, trouble } from "./marks.js";
import { Paged } from "./paged.js";
import { changed, go, link, route } from "./router.js";
import { Rows } from "./rows.js";
import { count, FLIPS, percent, said, some, STOPS } from "./words.js";

/** @param {import("./router.js").Route} opened @param {HTMLElement} page */
export function comparePage(opened, page) {
  return new Compare(opened, page).page();
}

class Compare {
  /** @param {import("./router.js").Route} opened @param {HTMLElement} page */
  constructor(opened, page) {
    [, this.left, this.right] = opened.path;
    this.query = opened.query;
    this.title = heading("Comparison");
    this.counts = h("div", { class: "flips", role: "group", "aria-label": "Which questions" });
    this.facets = h("div", { class: "tools" });
    this.found = h("p", { class: "found" });
    this.closing = new AbortController();
    this.paged = new Paged({
      ask: (query, signal) => get("/api/compare", changed(query, { left: this.left, right: this.right }), signal),
      took: (answer, anew) => this.took(answer, anew),
      failed: (error) => fill(this.found, trouble(error)),
    });
    this.rows = new Rows("Questions", {
      at: (index) => this.paged.at(index),
      draw: (row) => this.row(row),
      wanted: (first, last) => this.paged.want(first, last),
    });
    this.rows.element.classList.add("pairs");
    const words = h("div", { class: "two soft" }, (this.names = h("p")));
    fill(page, this.title, words, this.counts, this.tools(), this.found, this.rows.element);
    name("Comparison", [["Runs", "#/"]]);
  }

  page() {
    const group = "List";
    return {
      ready: this.paged.start(this.query),
      update: (/** @type {import("./router.js").Route} */ to) => this.update(to),
      change: (/** @type {{set: string}} */ { set }) => this.news(set),
      again: () => this.anew(),
      close: () => (this.closing.abort(), this.paged.close(), this.rows.close()),
      keys: [
        { key: "j", says: "next row", act: () => this.rows.move(1), group },
        { key: "k", says: "row before", act: () => this.rows.move(-1), group },
        { key: "Enter", says: "open the row", act: () => {}, group },
        { key: "Escape", says: "all runs", act: () => go([]), group },
      ],
    };
  }

  /** @param {string} set */
  news(set) {
    if (set === this.left || set === this.right) this.anew();
  }

  /** Fetches what is on the screen once more. */
  anew() {
    this.paged.doubt();
    this.paged.want(...this.rows.range());
  }

  tools() {
    const typed = settled((/** @type {string} */ text) => this.choose({ text: text || null }, true), 200, this.closing.signal);
    const oninput = (/** @type {any} */ event) => typed(event.target.value.trim());
    this.search = h("input", { type: "search", id: "search", value: this.query.get("text") ?? "", oninput });
    const field = h("div", { class: "field grow" }, h("label", { for: "search" }, "Search"), this.search);
    return h("div", { class: "tools", role: "search" }, field, this.facets);
  }

  /** @param {Record<string, string | string[] | null>} parts @param {boolean} [quietly] */
  choose(parts, quietly = false) {
    const query = changed(this.query, parts);
    if (query.toString() === this.query.toString()) return;
    go(["compare", this.left, this.right], query, { quietly });
    if (quietly) this.update(route());
  }

  /** @param {import("./router.js").Route} to */
  update({ path, query }) {
    if (path.length !== 3 || path[0] !== "compare" || path[1] !== this.left || path[2] !== this.right) return false;
    this.query = query;
    if (document.activeElement !== this.search) this.search.value = query.get("text") ?? "";
    this.paged.start(query);
    return true;
  }

  /** @param {any} answer @param {boolean} anew whether the reader asked for it */
  took(answer, anew) {
    const { left, right } = answer;
    const change = left.score !== null && right.score !== null && right.score - left.score;
    const points = change !== false && ` (${change >= 0 ? "+" : "−"}${Math.abs(change).toFixed(1)} points)`;
    fill(this.title, `${left.name} and ${right.name}`);
    name(`${left.name} and ${right.name}`, [["Runs", "#/"]]);
    fill(this.names, "score: ", h("b", {}, percent(left.score, 1)), " and ", h("b", {}, percent(right.score, 1)), points);
    this.flips(answer.counts);
    this.choices(answer.facets);
    this.tell(answer, anew);
    this.rows.count(answer.n_found ?? this.among(answer.counts));
  }

  /** Rows under the flips that are chosen. @param {Record<string, number>} counts */
  among(counts) {
    const chosen = this.query.getAll("flip");
    return Object.entries(counts).reduce((sum, [flip, n]) => (!chosen.length || chosen.includes(flip) ? sum + n : sum), 0);
  }

  /** @param {any} answer @param {boolean} aloud */
  tell({ n_both, n_only_left, n_only_right, n_differ, left, right }, aloud) {
    const missing = [
      n_only_left > 0 && `${count(n_only_left)} only in ${left.name}`,
      n_only_right > 0 && `${count(n_only_right)} only in ${right.name}`,
      n_differ > 0 && `${some(n_differ, "question")} asked otherwise in the other, left out`,
    ];
    const text = [`${some(n_both, "question")} answered in both`, ...missing].filter(Boolean).join(" · ");
    fill(this.found, text);
    if (aloud) announce(text);
  }

  /** @param {Record<string, number>} counts */
  flips(counts) {
    const chosen = this.query.getAll("flip");
    const toggle = (/** @type {string} */ flip) => chosen.includes(flip) ? chosen.filter((each) => each !== flip) : [...chosen, flip];
    const focused = document.activeElement?.id;
    const button = (/** @type {string} */ flip) =>
      h(
        "button",
        { type: "button", id: `flip=${flip}`, class: `flip ${flip}`, "aria-pressed": String(chosen.includes(flip)), onclick: () => this.choose({ flip: toggle(flip) }) },
        h("b", {}, count(counts[flip] ?? 0)),
        ` ${FLIPS[flip]}`,
      );
    fill(this.counts, Object.keys(FLIPS).map(button));
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  /** @param {Record<string, [string | null, number][]>} facets */
  choices(facets) {
    if (this.facets.contains(document.activeElement)) return;
    fill(this.facets, Object.entries(facets).map(([facet, values]) => this.choice(facet, values)));
  }

  /** @param {string} facet @param {[string | null, number][]} values */
  choice(facet, values) {
    const chosen = this.query.get(facet);
    const option = ([value, n]) => h("option", { value: value ?? "none", selected: (value ?? "none") === chosen }, `${said(value)} (${count(n)})`);
    const select = h("select", { id: facet, onchange: () => this.choose({ [facet]: select.value || null }) }, h("option", { value: "" }, "all"), values.map(option));
    return h("div", { class: "field" }, h("label", { for: facet }, said(facet)), select);
  }

  /** @param {any} row */
  row(row) {
    if (!row) return h("span", { class: "line soft" }, "…");
    const query = changed(this.query, { t: null });
    return h(
      "a",
      { class: "line pair", href: link(["compare", this.left, this.right, row.key], query) },
      h("span", { class: `flip-word ${row.flip}` }, FLIPS[row.flip] ?? row.flip),
      h("span", { class: "what" }, h("span", { class: "question" }, row.text), h("span", { class: "given" }, both(row))),
    );
  }
}

/** @param {any} row */
function both({ left, right }) {
  const one = (/** @type {any} */ row) => [outcome(row.outcome, { brief: true }), " ", row.answer ?? said(row.stop, STOPS)];
  return [h("span", {}, one(left)), " → ", h("span", {}, one(right))];
}
