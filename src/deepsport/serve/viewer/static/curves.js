/* The curves of a training run, and what was sampled at a step. One step is read off all panels at once; a click or Enter chooses
   it. While the run goes on the curves grow, and what is being read or has the focus stays. */

import { get, of } from "./api.js";
import { Chart } from "./chart.js";
import { announce, fill, h, inTurn, keepFocus } from "./dom.js";
import { heading, live, name, outcome, trouble } from "./marks.js";
import { changed, go, link } from "./router.js";
import { hundredths, said, some, STOPS } from "./words.js";

const MOST_SAMPLED = 200;

/** @param {import("./router.js").Route} opened @param {HTMLElement} page */
export function curvesPage(opened, page) {
  return new Curves(opened, page).page();
}

export class Curves {
  /** @param {import("./router.js").Route} opened @param {HTMLElement} page */
  constructor(opened, page) {
    this.run = opened.path[1];
    this.query = opened.query;
    this.stages = h("div", { class: "tools", role: "group", "aria-label": "Stage" });
    this.panels = h("div", { class: "charts" });
    this.problem = h("div");
    this.samples = h("section", { "aria-label": "Sampled episodes", class: "samples" });
    this.title = heading("Curves");
    this.closing = new AbortController();
    this.read = inTurn(() => Promise.all([this.readName(), this.readCurves()]));
    /** What stands in `samples`, and what stands in `panels`: neither is drawn anew for nothing. */
    this.shown = { samples: "", panels: "" };
    fill(page, this.title, this.problem, this.stages, this.samples, this.panels);
    name("Curves", [["Runs", "#/"]]);
  }

  page() {
    return {
      ready: this.read(),
      runs: () => this.read(),
      change: (/** @type {{set: string}} */ { set }) => this.known && set === this.stage()?.sampled_set && this.read(),
      again: () => this.read(),
      close: () => this.closing.abort(),
      update: (/** @type {import("./router.js").Route} */ to) => this.update(to),
      keys: [{ key: "Escape", says: "all runs", act: () => go([]), group: "Curves" }],
    };
  }

  /** @param {any} run */
  named(run) {
    if (!run) return;
    const title = `Curves of ${run.title}`;
    fill(this.title, title, live(run));
    name(title, [["Runs", "#/"]]);
  }

  readName() {
    const { signal } = this.closing;
    return get("/api/runs", undefined, signal).then(({ runs }) => this.named(runs.find((run) => run.id === this.run)), () => {});
  }

  async readCurves() {
    const { signal } = this.closing;
    try {
      const { stages, problem } = await get(`/api/runs/${encodeURIComponent(this.run)}/curves`, undefined, signal);
      this.known = stages;
      fill(this.problem, problem && h("p", { class: "note" }, problem));
      await this.draw();
    } catch (error) {
      if (!signal.aborted) fill(this.problem, trouble(/** @type {Error} */ (error)));
    }
  }

  /** @param {import("./router.js").Route} to */
  update({ path, query }) {
    if (path[0] !== "run" || path[1] !== this.run) return false;
    this.query = query;
    this.now = null;
    if (this.known) this.draw();
    return true;
  }

  stage() {
    return this.known.find((each) => each.name === this.query.get("stage")) ?? this.known[this.known.length - 1];
  }

  async draw() {
    const stage = this.stage();
    if (!stage) return fill(this.panels, h("p", { class: "soft" }, "No step has been logged yet."));
    keepFocus(() => (this.drawStages(stage), this.drawPanels(stage)));
    return this.sampled(stage, this.chosen());
  }

  /** @param {any} stage */
  drawStages(stage) {
    const choose = (/** @type {string} */ each) => go(["run", this.run, "curves"], new URLSearchParams({ stage: each }));
    const button = (/** @type {any} */ each) =>
      h("button", { type: "button", id: `stage-${each.name}`, "aria-pressed": String(each === stage), onclick: () => choose(each.name) }, `${said(each.name)}, ${some(each.n_steps, "step")}`);
    fill(this.stages, this.known.map(button));
  }

  /** Curves that grew keep the step that is being read off. @param {any} stage */
  drawPanels(stage) {
    const shown = JSON.stringify(stage);
    if (shown !== this.shown.panels) {
      this.charts = stage.panels.map((panel, n) => new Chart(panel, n, this));
      fill(this.panels, this.charts.map((chart) => chart.element));
    }
    this.shown.panels = shown;
    this.point(this.now ?? this.chosen());
  }

  /** The step in the address. @returns {number | null} */
  chosen() {
    const step = Number.parseInt(this.query.get("step") ?? "", 10);
    return Number.isFinite(step) ? step : null;
  }

  /** Reads a step off every panel. @param {number | null} step */
  point(step) {
    this.now = step;
    for (const chart of this.charts) chart.point(step);
  }

  /** @param {number} step */
  choose(step) {
    go(["run", this.run, "curves"], changed(this.query, { stage: this.stage().name, step: String(step) }));
  }

  /** What was sampled at a step, question by question. @param {any} stage @param {number | null} step */
  async sampled(stage, step) {
    this.asking?.abort();
    const { signal } = (this.asking = new AbortController());
    const none = stage.sampled_set ? h("p", { class: "soft" }, "Choose a step on a curve to see what was sampled then.") : null;
    if (!stage.sampled_set || step === null) return this.drawSamples("", none);
    const query = new URLSearchParams({ step: String(step), sort: "question", limit: String(MOST_SAMPLED) });
    const found = await get(of(stage.sampled_set, "episodes"), query, signal).catch((error) => error);
    if (signal.aborted || this.closing.signal.aborted) return;
    const title = h("h2", {}, `Sampled at step ${step}`);
    if (found instanceof Error) return this.drawSamples("", title, trouble(found));
    announce(`${some(found.n_found, "episode")} sampled at step ${step}`);
    const groups = grouped(found.rows).map((rows) => group(stage.sampled_set, rows, step));
    this.drawSamples(JSON.stringify([step, found.rows]), title, groups.length ? groups : h("p", { class: "soft" }, "Nothing was kept of this step."));
  }

  /** @param {string} said what they say; the same need not be drawn anew @param {...import("./dom.js").Children} parts */
  drawSamples(said, ...parts) {
    if (said && said === this.shown.samples) return;
    this.shown.samples = said;
    fill(this.samples, ...parts);
  }
}

/** @param {any[]} rows @returns {any[][]} */
function grouped(rows) {
  const groups = new Map();
  for (const row of rows) groups.set(row.question_id, [...(groups.get(row.question_id) ?? []), row]);
  return [...groups.values()];
}

/** @param {string} set @param {any[]} rows @param {number} step */
function group(set, rows, step) {
  const query = new URLSearchParams({ step: String(step), sort: "question" });
  const reference = rows[0].reference;
  const line = (/** @type {any} */ row) =>
    h(
      "li",
      {},
      outcome(row.outcome, { brief: true }),
      h("a", { href: link(["set", set, row.id], query) }, row.answer ?? said(row.stop, STOPS)),
      h("span", { class: "facts" }, h("span", {}, some(row.n_calls, "call")), h("span", {}, "reward ", h("b", {}, hundredths(row.reward))), advantage(row.advantage)),
    );
  return h(
    "section",
    { class: "panel" },
    h("h3", {}, rows[0].text),
    reference !== null && h("p", { class: "small" }, `right: ${reference}`),
    h("ul", { class: "elsewhere" }, rows.map(line)),
  );
}

/** @param {number | null} value */
function advantage(value) {
  return h("span", {}, value === null ? "taught nothing" : ["advantage ", h("b", {}, `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`)]);
}
