/* The list of a set's episodes: filters, search, order, rows. While a run goes on it follows, and nobody loses their place. */

import { get, of } from "./api.js";
import { announce, fill, h, inTurn } from "./dom.js";
import { FACETS, filterPanel } from "./filters.js";
import { Listing } from "./listing.js";
import { chip, dotted, heading, label, live, name, outcome } from "./marks.js";
import { changed, link } from "./router.js";
import { MOST_ROWS } from "./rows.js";
import { setOf } from "./runs.js";
import { CAUSES, count, FAILURES, figure, said, some, STOPS } from "./words.js";

const SORTS = {
  order: "as they were played",
  worst: "worst first",
  best: "best first",
  calls: "most calls",
  frames: "most frames",
  reward: "lowest reward",
  question: "by question",
  step: "by step",
};

/** @param {import("./router.js").Route} opened @param {HTMLElement} page */
export function listPage(opened, page) {
  return new List(opened, page).page();
}

class List extends Listing {
  /** @param {import("./router.js").Route} opened @param {HTMLElement} page */
  constructor(opened, page) {
    const [, set] = opened.path;
    super(opened, "Episodes", (query, signal) => get(of(set, "episodes"), query, signal));
    this.set = set;
    this.version = -1;
    this.kept = history.state?.index ?? -1;
    this.names = inTurn(() => get("/api/runs", undefined, this.closing.signal).then(({ runs }) => this.named(runs), () => {}));
    this.build(page);
  }

  /** @param {HTMLElement} page */
  build(page) {
    this.title = heading("Episodes");
    this.problems = h("div");
    this.filters = filterPanel(
      (facet, values) => this.choose({ [facet]: values.length ? values : null }),
      () => this.choose(Object.fromEntries(FACETS.map((facet) => [facet, null]))),
    );
    this.rows.element.addEventListener("click", () => this.keepPlace());
    const side = h("div", { class: "side" }, this.filters.element);
    const body = h("div", {}, this.tools(), this.found, this.problems, this.rows.element);
    fill(page, this.title, h("div", { class: "listing" }, side, body));
    name("Episodes", [["Runs", "#/"]]);
    this.names();
  }

  page() {
    return {
      ...super.page("out of the search; all runs"),
      ready: this.start(),
      change: (/** @type {any} */ news) => this.news(news),
      runs: () => this.names(),
      again: () => (this.names(), this.anew()),
    };
  }

  /** The first rows, and those where the reader was before. */
  async start() {
    await this.paged.start(this.query, Math.max(0, this.kept));
    if (this.kept >= 0) this.rows.focus(this.kept);
  }

  keepPlace() {
    history.replaceState({ index: this.rows.focused() }, "");
  }

  tools() {
    const chosen = this.query.get("sort") ?? "order";
    const options = Object.entries(SORTS).map(([key, words]) => h("option", { value: key, selected: key === chosen }, words));
    this.sort = h("select", { id: "sort", onchange: () => this.choose({ sort: this.sort.value === "order" ? null : this.sort.value }) }, options);
    return h(
      "div",
      { class: "tools", role: "search" },
      this.searchField('words, "a phrase", an id'),
      h("div", { class: "field" }, h("label", { for: "sort" }, "Order"), this.sort),
    );
  }

  /** @param {any[]} runs */
  named(runs) {
    const set = setOf(runs, this.set);
    if (!set) return;
    fill(this.title, set.title, live(set));
    fill(this.problems, set.problems.map((/** @type {string} */ text) => h("p", { class: "note" }, text)));
    name(set.title, [["Runs", "#/"]]);
  }

  /** @param {import("./router.js").Route} to */
  update(to) {
    const isHere = super.update(to);
    if (isHere) this.sort.value = to.query.get("sort") ?? "order";
    return isHere;
  }

  /** @param {{set: string, version: number}} news */
  news({ set, version }) {
    if (set === this.set && version !== this.version) this.anew();
  }

  /** @param {any} answer @param {boolean} anew whether the reader asked for it, rather than the run having gone on */
  took(answer, anew) {
    this.version = answer.version;
    this.filters.show(answer.facets, this.query);
    this.tell(answer, anew);
    this.rows.count(answer.n_found);
  }

  /** @param {any} answer @param {boolean} aloud */
  tell({ n_found, n_total, indexed }, aloud) {
    const all = n_found === n_total ? some(n_total, "episode") : `${count(n_found)} of ${some(n_total, "episode")}`;
    const reading = indexed < 1 && `${Math.floor(100 * indexed)} % of the file read`;
    const cut = n_found > MOST_ROWS && `the first ${count(MOST_ROWS)} are listed`;
    fill(this.found, dotted(all, reading, cut), n_found ? null : h("span", { class: "soft" }, this.why(n_total)));
    if (aloud) announce(n_found ? all : `${all}.${this.why(n_total)}`);
  }

  /** @param {number} n_total */
  why(n_total) {
    return n_total ? " None fits all of the filters." : " None has been written yet. They appear here as they come.";
  }

  /** @param {any} row */
  row(row) {
    if (!row) return h("span", { class: "line soft" }, "…");
    const query = changed(this.query, { t: null });
    const tags = [chip(row.sport && said(row.sport)), chip(row.dimension && said(row.dimension))];
    return h(
      "a",
      { class: "line", href: link(["set", this.set, row.id], query) },
      outcome(row.outcome),
      h("span", { class: "what" }, h("span", { class: "question" }, row.text), h("span", { class: "given" }, given(row))),
      h("ul", { class: "chips" }, tags),
      h("span", { class: "figures" }, figures(row)),
      h("span", { class: "label" }, row.label && h("span", { class: "person" }, label(row.label))),
    );
  }
}

/** @param {any} row */
function given(row) {
  if (row.answer === null) return h("span", {}, said(row.stop, STOPS));
  const reference = row.outcome !== "right" && row.reference !== null && ` · right: ${row.reference}`;
  const why = row.cause ? said(row.cause, CAUSES) : row.failure && said(row.failure, FAILURES);
  return [h("b", {}, row.answer), reference, why && ` · ${why}`];
}

/** @param {any} row */
function figures(row) {
  const sample = row.step !== null && `step ${row.step}, reward ${figure(row.reward)}`;
  const again = row.run > 0 && `run ${row.run + 1}`;
  return [h("span", {}, dotted(sample, again, some(row.n_calls, "call"))), h("span", {}, some(row.n_frames, "frame"))];
}
