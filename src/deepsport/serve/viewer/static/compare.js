/* Two sets on the same questions: what was gained and lost, counted and listed; a row leads to both answers side by side. */

import { get } from "./api.js";
import { announce, fill, h, keepFocus } from "./dom.js";
import { Listing } from "./listing.js";
import { heading, name, outcome } from "./marks.js";
import { changed, link } from "./router.js";
import { count, FLIPS, percent, said, some, STOPS } from "./words.js";

/** @param {import("./router.js").Route} opened @param {HTMLElement} page */
export function comparePage(opened, page) {
  return new Compare(opened, page).page();
}

class Compare extends Listing {
  /** @param {import("./router.js").Route} opened @param {HTMLElement} page */
  constructor(opened, page) {
    const [, left, right] = opened.path;
    super(opened, "Questions", (query, signal) => get("/api/compare", changed(query, { left, right }), signal));
    Object.assign(this, { left, right });
    this.title = heading("Comparison");
    this.counts = h("div", { class: "flips", role: "group", "aria-label": "Which questions" });
    this.facets = h("div", { class: "tools" });
    this.rows.element.classList.add("pairs");
    this.names = h("p", { class: "soft" });
    const tools = h("div", { class: "tools", role: "search" }, this.searchField(), this.facets);
    fill(page, this.title, this.names, this.counts, tools, this.found, this.rows.element);
    name("Comparison", [["Runs", "#/"]]);
  }

  page() {
    return {
      ...super.page("all runs"),
      ready: this.paged.start(this.query),
      change: (/** @type {{set: string}} */ { set }) => this.news(set),
    };
  }

  /** @param {string} set */
  news(set) {
    if (set === this.left || set === this.right) this.anew();
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
    this.rows.count(answer.n_found);
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
    const button = (/** @type {string} */ flip) =>
      h(
        "button",
        { type: "button", id: `flip=${flip}`, class: `flip ${flip}`, "aria-pressed": String(chosen.includes(flip)), onclick: () => this.choose({ flip: toggle(flip) }) },
        h("b", {}, count(counts[flip])),
        ` ${FLIPS[flip]}`,
      );
    keepFocus(() => fill(this.counts, Object.keys(FLIPS).map(button)));
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
      h("span", { class: `flip-word ${row.flip}` }, FLIPS[row.flip]),
      h("span", { class: "what" }, h("span", { class: "question" }, row.text), h("span", { class: "given" }, both(row))),
    );
  }
}

/** @param {any} row */
function both({ left, right }) {
  const one = (/** @type {any} */ row) => [outcome(row.outcome, { brief: true }), " ", row.answer ?? said(row.stop, STOPS)];
  return [h("span", {}, one(left)), " → ", h("span", {}, one(right))];
}
