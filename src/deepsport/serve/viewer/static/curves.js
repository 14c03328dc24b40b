/* The curves of a training run, and what was sampled at a step. One step is read off all panels at once, by pointer or by arrow
   keys; a click or Enter chooses it. */

import { get } from "./api.js";
import { announce, drawn, fill, h } from "./dom.js";
import { heading, name, outcome, trouble } from "./marks.js";
import { changed, go, link } from "./router.js";
import { count, figure, said, some, STOPS } from "./words.js";

const MOST_SAMPLED = 200;
const MARGIN = 0.06;

/** @param {import("./router.js").Route} opened @param {HTMLElement} page */
export function curvesPage(opened, page) {
  return new Curves(opened, page).page();
}

class Curves {
  /** @param {import("./router.js").Route} opened @param {HTMLElement} page */
  constructor(opened, page) {
    this.run = opened.path[1];
    this.query = opened.query;
    this.stages = h("div", { class: "tools", role: "group", "aria-label": "Stage" });
    this.panels = h("div", { class: "charts" });
    this.problem = h("div");
    this.samples = h("section", { "aria-label": "Sampled episodes", class: "samples" });
    this.title = heading("Curves");
    fill(page, this.title, this.problem, this.stages, this.samples, this.panels);
    name("Curves", [["Runs", "#/"]]);
    get("/api/runs").then(({ runs }) => this.named(runs.find((run) => run.id === this.run)), () => {});
  }

  page() {
    return {
      ready: this.read(),
      runs: () => this.read(),
      update: (/** @type {import("./router.js").Route} */ to) => this.update(to),
      keys: [{ key: "Escape", says: "all runs", act: () => go([]), group: "Curves" }],
    };
  }

  /** @param {any} run */
  named(run) {
    if (!run) return;
    const title = `Curves of ${run.title || run.name}`;
    fill(this.title, title, run.live && [" ", h("span", { class: "live" }, "live")]);
    name(title, [["Runs", "#/"]]);
  }

  read() {
    return get(`/api/runs/${encodeURIComponent(this.run)}/curves`).then(
      ({ stages, problem }) => ((this.known = stages), fill(this.problem, problem && h("p", { class: "note" }, problem)), this.draw()),
      (error) => fill(this.panels, trouble(error)),
    );
  }

  /** @param {import("./router.js").Route} to */
  update({ path, query }) {
    if (path[0] !== "run" || path[1] !== this.run) return false;
    this.query = query;
    if (this.known) this.draw();
    return true;
  }

  stage() {
    return this.known.find((each) => each.name === this.query.get("stage")) ?? this.known[this.known.length - 1];
  }

  draw() {
    const stage = this.stage();
    if (!stage) return fill(this.panels, h("p", { class: "soft" }, "No step has been logged yet."));
    const focused = document.activeElement?.id;
    const choose = (/** @type {string} */ each) => go(["run", this.run, "curves"], new URLSearchParams({ stage: each }));
    const button = (/** @type {any} */ each) =>
      h("button", { type: "button", id: `stage-${each.name}`, "aria-pressed": String(each === stage), onclick: () => choose(each.name) }, `${said(each.name)}, ${some(each.n_steps, "step")}`);
    fill(this.stages, this.known.map(button));
    this.charts = stage.panels.map((panel, n) => new Chart(panel, n, this));
    fill(this.panels, this.charts.map((chart) => chart.element));
    const step = Number.parseInt(this.query.get("step") ?? "", 10);
    this.point(Number.isFinite(step) ? step : null);
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    return this.sampled(stage, Number.isFinite(step) ? step : null);
  }

  /** Reads a step off every panel. @param {number | null} step */
  point(step) {
    for (const chart of this.charts) chart.point(step);
  }

  /** @param {number} step */
  choose(step) {
    go(["run", this.run, "curves"], changed(this.query, { stage: this.stage().name, step: String(step) }));
  }

  /** What was sampled at a step, question by question. @param {any} stage @param {number | null} step */
  async sampled(stage, step) {
    if (!stage.sampled_set) return fill(this.samples);
    if (step === null) return fill(this.samples, h("p", { class: "soft" }, "Choose a step on a curve to see what was sampled then."));
    const query = new URLSearchParams({ step: String(step), sort: "question", limit: String(MOST_SAMPLED) });
    const found = await get(`/api/sets/${encodeURIComponent(stage.sampled_set)}/episodes`, query).catch((error) => error);
    const title = h("h2", {}, `Sampled at step ${step}`);
    if (found instanceof Error) return fill(this.samples, title, trouble(found));
    announce(`${some(found.n_found, "episode")} sampled at step ${step}`);
    const none = h("p", { class: "soft" }, "Nothing was kept of this step.");
    fill(this.samples, title, found.rows.length ? grouped(found.rows).map((rows) => group(stage.sampled_set, rows, step)) : none);
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
      h("span", { class: "facts" }, h("span", {}, some(row.n_calls, "call")), h("span", {}, "reward ", h("b", {}, row.reward.toFixed(2))), advantage(row)),
    );
  return h(
    "section",
    { class: "panel" },
    h("h3", {}, rows[0].text),
    reference !== null && h("p", { class: "small" }, `right: ${reference}`),
    h("ul", { class: "elsewhere" }, rows.map(line)),
  );
}

/** @param {any} row */
function advantage(row) {
  const value = row.advantage;
  if (value === undefined) return null;
  return h("span", {}, value === null ? "taught nothing" : ["advantage ", h("b", {}, `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`)]);
}

/** One panel: its curves, raw and smooth, on one scale. */
class Chart {
  /** @param {any} panel @param {number} n @param {Curves} page */
  constructor(panel, n, page) {
    this.panel = panel;
    this.page = page;
    this.steps = [...new Set(panel.curves.flatMap((curve) => curve.points.map(([step]) => step)))].sort((a, b) => a - b);
    const values = panel.curves.flatMap((curve) => curve.points.map(([, value]) => value));
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const room = (high - low || Math.abs(high) || 1) * MARGIN;
    this.range = { first: this.steps[0] ?? 0, last: this.steps.at(-1) ?? 1, low: low - room, high: high + room };
    this.now = null;
    this.head = drawn("line", { class: "head", y1: 0, y2: 100, visibility: "hidden" });
    this.readout = h("output", { class: "small readout" });
    this.plot = this.drawing(`chart-${n}`);
    this.element = this.panelOf(n, low, high);
  }

  /** @param {number} n @param {number} low @param {number} high */
  panelOf(n, low, high) {
    const { panel, range } = this;
    const key = (/** @type {any} */ curve, /** @type {number} */ each) => h("li", {}, h("span", { class: `key c${each % 5}`, "aria-hidden": "true" }), curve.label);
    return h(
      "figure",
      { class: "panel", "aria-labelledby": `chart-title-${n}` },
      h("figcaption", { id: `chart-title-${n}` }, h("b", {}, panel.title), panel.about && ` ${panel.about}`),
      h("div", { class: "plot" }, h("span", { class: "most" }, figure(high)), h("span", { class: "least" }, figure(low)), this.plot),
      h("p", { class: "ends small" }, h("span", {}, `step ${count(range.first)}`), h("span", {}, count(range.last))),
      panel.curves.length > 1 && h("ul", { class: "legend" }, panel.curves.map(key)),
      this.readout,
    );
  }

  /** @param {string} id */
  drawing(id) {
    const on = {
      onpointermove: (/** @type {any} */ event) => this.page.point(this.nearest(event)),
      onpointerleave: () => this.page.point(this.chosen()),
      onclick: (/** @type {any} */ event) => this.page.choose(this.nearest(event)),
      onkeydown: (/** @type {any} */ event) => this.key(event),
    };
    const lines = this.panel.curves.map((curve, n) => [
      drawn("polyline", { class: `raw c${n % 5}`, points: this.path(curve.points) }),
      drawn("polyline", { class: `smooth c${n % 5}`, points: this.path(curve.smooth?.length ? curve.smooth : curve.points) }),
    ]);
    return drawn(
      "svg",
      {
        id, viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "slider", tabindex: "0", "aria-label": `${this.panel.title}, step`,
        "aria-valuemin": this.range.first, "aria-valuemax": this.range.last, "aria-valuenow": this.range.first, ...on,
      },
      lines,
      this.head,
    );
  }

  chosen() {
    const step = Number.parseInt(this.page.query.get("step") ?? "", 10);
    return Number.isFinite(step) ? step : null;
  }

  /** @param {number} step */
  x(step) {
    const { first, last } = this.range;
    return last > first ? (100 * (step - first)) / (last - first) : 50;
  }

  /** @param {[number, number][]} points */
  path(points) {
    const { low, high } = this.range;
    const y = (/** @type {number} */ value) => 100 - (100 * (value - low)) / (high - low || 1);
    return points.map(([step, value]) => `${this.x(step).toFixed(2)},${y(value).toFixed(2)}`).join(" ");
  }

  /** @param {PointerEvent} event */
  nearest({ clientX }) {
    const { left, width } = this.plot.getBoundingClientRect();
    const { first, last } = this.range;
    const meant = first + ((clientX - left) / width) * (last - first);
    return this.steps.reduce((best, step) => (Math.abs(step - meant) < Math.abs(best - meant) ? step : best), this.steps[0] ?? 0);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.key === "Enter" && this.now !== null) return event.preventDefault(), this.page.choose(this.now);
    const at = this.now === null ? 0 : Math.max(0, this.steps.indexOf(this.now));
    const by = (event.shiftKey ? 10 : 1) * ({ ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key] ?? 0);
    const to = event.key === "Home" ? 0 : event.key === "End" ? this.steps.length - 1 : by ? at + by : null;
    if (to === null) return;
    event.preventDefault();
    this.page.point(this.steps[Math.min(this.steps.length - 1, Math.max(0, to))]);
  }

  /** @param {number | null} step */
  point(step) {
    this.now = step;
    const known = step !== null && step >= this.range.first && step <= this.range.last;
    this.head.setAttribute("visibility", known ? "visible" : "hidden");
    const values = this.panel.curves.map((curve) => [curve.label, curve.points.find(([each]) => each === step)?.[1]]);
    const texts = values.filter(([, value]) => value !== undefined).map(([label, value]) => `${label} ${figure(value)}`);
    fill(this.readout, known && texts.length ? `step ${step}: ${texts.join(", ")}` : "\u00a0");
    if (!known) return;
    for (const end of ["x1", "x2"]) this.head.setAttribute(end, String(this.x(step)));
    this.plot.setAttribute("aria-valuenow", String(step));
    this.plot.setAttribute("aria-valuetext", `step ${step}: ${texts.join(", ")}`);
  }
}
