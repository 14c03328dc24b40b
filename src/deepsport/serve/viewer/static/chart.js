/* One panel of curves, raw and smooth, on one scale. It is a slider of steps: by pointer or by arrow keys a step is read off. */

import { drawn, fill, h } from "./dom.js";
import { count, figure } from "./words.js";

const MARGIN = 0.06;
/** How many kinds of line the style sheet has. */
const N_STYLES = 5;

export class Chart {
  /** @param {any} panel @param {number} n @param {import("./curves.js").Curves} page */
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
    this.readout = h("p", { class: "small readout" });
    this.plot = this.drawing(`chart-${n}`);
    this.element = this.panelOf(n, low, high);
  }

  /** @param {number} n @param {number} low @param {number} high */
  panelOf(n, low, high) {
    const { panel, range } = this;
    const key = (/** @type {any} */ curve, /** @type {number} */ each) => h("li", {}, sample(each), curve.label);
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
      onpointerleave: () => this.page.point(this.page.chosen()),
      onclick: (/** @type {any} */ event) => this.page.choose(this.nearest(event)),
      onkeydown: (/** @type {any} */ event) => this.key(event),
    };
    const lines = this.panel.curves.map((curve, n) => [
      drawn("polyline", { class: `raw c${n % N_STYLES}`, points: this.path(curve.points) }),
      drawn("polyline", { class: `smooth c${n % N_STYLES}`, points: this.path(curve.smooth) }),
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

/** A piece of the line that a curve is drawn with. @param {number} n */
function sample(n) {
  return drawn("svg", { class: "key", "aria-hidden": "true" }, drawn("line", { class: `smooth c${n % N_STYLES}`, x1: 0, x2: 28, y1: 5, y2: 5 }));
}
