/* Where the model looked, row by row, against when the event was. A click goes to that instant, and to a frame that was shown if
   one is near. Horizontal places are percentages, so one drawing fits a phone and a desk. */

import { drawn, fill, h } from "./dom.js";
import { framesOf } from "./times.js";
import { clock, exact, span } from "./words.js";

const ROW_PX = 34;
const AXIS_PX = 22;
const N_TICKS = 5;
const NEAR_PX = 7;
/** An event annotated as an instant falls between two frames, and either shows it. */
const INSTANT_REACH_S = 0.2;

/** @typedef {{start_s: number, end_s: number}} Window */
/** @typedef {import("./times.js").Frame} Frame */
/** @typedef {{label: string, frames: Frame[], window: Window | null}} Look */

/** One look after another: the frames shown, and the window asked for. @param {any} episode @returns {Look[]} */
function looks(episode) {
  const first = { label: `${episode.first_frames.length} sparse frames`, frames: episode.first_frames, window: null };
  const asked = episode.turns.flatMap((/** @type {any} */ turn, /** @type {number} */ n) => {
    if (!turn.call) return [];
    const words = `turn ${n + 1}: frames ${turn.call.start_index} to ${turn.call.end_index}`;
    return [{ label: turn.frames.length ? words : `${words} (refused)`, frames: turn.frames, window: turn.call.window }];
  });
  return [first, ...asked];
}

/** Whether an instant is of the event.
 * @param {Window | null} event @param {number} time_s */
export function ofEvent(event, time_s) {
  if (!event) return false;
  const reach = event.end_s > event.start_s ? 1e-3 : INSTANT_REACH_S;
  return time_s >= event.start_s - reach && time_s <= event.end_s + reach;
}

export class Timeline {
  /** @param {any} episode @param {import("./player.js").Video} video @param {(time_s: number) => void} seek */
  constructor(episode, video, seek) {
    this.looks = looks(episode);
    this.event = episode.question.window;
    this.times = video.times;
    this.end_s = lastInstant(episode, video);
    this.seek = seek;
    this.now_s = 0;
    this.height = ROW_PX * this.looks.length + AXIS_PX;
    this.head = drawn("line", { class: "head", y1: 0, y2: this.height - AXIS_PX });
    this.under = drawn("line", { class: "under", y1: 0, y2: this.height - AXIS_PX, visibility: "hidden" });
    this.corrections = drawn("g");
    this.svg = this.drawing();
    this.over = h("div", { class: "over" });
    this.hint = h("p", { class: "small hint", "aria-hidden": "true" });
    const box = h("div", { class: "box" }, this.svg, this.over);
    this.element = h("div", { class: "timeline" }, h("div", { class: "many" }, box), this.hint, this.legend());
    this.point(null);
  }

  drawing() {
    const label = `Timeline of ${exact(this.end_s)} with ${this.looks.length} looks`;
    return drawn(
      "svg",
      {
        role: "slider", tabindex: "0", width: "100%", height: this.height, "aria-label": label, "aria-valuemin": 0,
        "aria-valuemax": this.end_s.toFixed(2), "aria-valuenow": 0, onkeydown: (/** @type {any} */ event) => this.key(event),
        onpointermove: (/** @type {any} */ event) => this.point(event), onpointerleave: () => this.point(null),
        onclick: (/** @type {any} */ event) => this.seek(this.meant(event).time_s),
      },
      this.event && this.span("event", this.event, 0, this.height - AXIS_PX, `event, ${span(this.event)}`),
      this.corrections,
      this.axis(),
      this.looks.map((look, n) => this.row(look, ROW_PX * n)),
      this.under,
      this.head,
    );
  }

  /** Place of an instant; a margin of 1 % at both ends keeps marks whole. @param {number} time_s */
  x(time_s) {
    return `${(1 + this.percentOf(time_s)).toFixed(3)}%`;
  }

  /** How much of the drawing's width so many seconds take. @param {number} length_s */
  percentOf(length_s) {
    return (98 * length_s) / this.end_s;
  }

  /** The instant at a place on the screen. @param {number} x_px */
  at(x_px) {
    const { left, width } = this.svg.getBoundingClientRect();
    const share = ((100 * (x_px - left)) / width - 1) / 98;
    return Math.min(1, Math.max(0, share)) * this.end_s;
  }

  /** @param {string} kind @param {Window} window @param {number} y @param {number} height @param {string} [title] */
  span(kind, window, y, height, title) {
    const width = `${Math.max(0.4, this.percentOf(window.end_s - window.start_s)).toFixed(3)}%`;
    const rx = kind === "event" ? 0 : 3;
    return drawn("rect", { class: kind, x: this.x(window.start_s), y, width, height, rx }, title && drawn("title", {}, title));
  }

  /** @param {Look} look @param {number} top */
  row(look, top) {
    const y = top + 23;
    return drawn(
      "g",
      {},
      drawn("text", { x: "1%", y: top + 11 }, look.label),
      drawn("line", { class: "track", x1: "1%", x2: "99%", y1: y, y2: y }),
      look.window && this.span("window", look.window, y - 6, 12),
      look.frames.map((frame) => drawn("circle", { class: "seen", cx: this.x(frame.time_s), cy: y, r: 3.5 })),
    );
  }

  axis() {
    return Array.from({ length: N_TICKS }, (_, n) => {
      const time_s = (this.end_s * n) / (N_TICKS - 1);
      const anchor = n === 0 ? "start" : n === N_TICKS - 1 ? "end" : "middle";
      return drawn("text", { x: this.x(time_s), y: this.height - 5, "text-anchor": anchor }, clock(time_s, this.end_s));
    });
  }

  legend() {
    const gold = this.event && h("button", { type: "button", class: "gold", onclick: () => this.seek(this.event.start_s) }, `▮ the event, ${span(this.event)}`);
    return h(
      "ul",
      { class: "legend" },
      h("li", {}, "● frame shown"),
      this.looks.length > 1 && h("li", { class: "asked" }, "▬ window asked for"),
      gold && h("li", {}, gold),
    );
  }

  /** Draws windows that people set right. @param {Window[]} windows */
  correct(windows) {
    fill(this.corrections, windows.map((window) => this.span("corrected", window, 1, this.height - AXIS_PX - 2, `corrected: ${span(window)}`)));
  }

  /** Moves the playhead. @param {number} time_s @param {number} index */
  show(time_s, index) {
    this.now_s = time_s;
    for (const end of ["x1", "x2"]) this.head.setAttribute(end, this.x(Math.min(time_s, this.end_s)));
    const shown = this.looks.findIndex((look) => look.frames.some((frame) => frame.index === index));
    const where = shown < 0 ? "not shown to the model" : this.looks[shown].label;
    this.svg.setAttribute("aria-valuenow", time_s.toFixed(2));
    this.svg.setAttribute("aria-valuetext", `${exact(time_s)}, frame ${index}, ${where}`);
  }

  /** The frame that a pointer means: one that was shown if it is near, else any. @param {PointerEvent} event @returns {Frame} */
  meant(event) {
    const { left, top, width } = this.svg.getBoundingClientRect();
    const look = this.looks[Math.floor((event.clientY - top) / ROW_PX)];
    const px = (/** @type {Frame} */ frame) => Math.abs(left + (width * Number.parseFloat(this.x(frame.time_s))) / 100 - event.clientX);
    const near = look?.frames.filter((frame) => px(frame) <= NEAR_PX).sort((a, b) => px(a) - px(b))[0];
    const index = this.times.nearest(this.at(event.clientX));
    return near ?? { index, time_s: this.times.of(index) };
  }

  /** @param {PointerEvent | null} event */
  point(event) {
    this.under.setAttribute("visibility", event ? "visible" : "hidden");
    if (!event) return fill(this.hint, "Click anywhere to go there; arrows go frame by frame.");
    const { index, time_s } = this.meant(event);
    for (const end of ["x1", "x2"]) this.under.setAttribute(end, this.x(time_s));
    fill(this.hint, `frame ${index} · ${exact(time_s)}`);
  }

  /** The next frame that was shown, or the one before. @param {number} by 1 or -1 */
  nextShown(by) {
    const times = [...new Set(this.looks.flatMap((look) => look.frames.map((frame) => frame.time_s)))].sort((a, b) => by * (a - b));
    const now = this.times.nearest(this.now_s);
    const next = times.find((time_s) => by * (this.times.nearest(time_s) - now) > 0);
    if (next !== undefined) this.seek(next);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const to = moved(event, this.now_s, this.times, this.end_s);
    if (to === null) return;
    event.preventDefault();
    this.seek(to);
  }
}

/** Where a key takes a slider of instants; null if it means nothing to one.
 * @param {KeyboardEvent} event @param {number} now_s @param {import("./times.js").Times} times @param {number} end_s */
export function moved(event, now_s, times, end_s) {
  const frames = event.shiftKey ? 10 : 1;
  const second = Math.round(times.fps);
  const by = { ArrowLeft: -frames, ArrowDown: -frames, ArrowRight: frames, ArrowUp: frames, PageDown: -second, PageUp: second }[event.key];
  if (event.key === "Home") return 0;
  if (event.key === "End") return end_s;
  if (by === undefined) return null;
  return Math.min(end_s, times.of(times.bounded(times.nearest(now_s) + by)));
}

/** @param {any} episode @param {import("./player.js").Video} video */
function lastInstant(episode, video) {
  const windows = [episode.question.window, ...episode.turns.map((/** @type {any} */ turn) => turn.call?.window)];
  const last = video.times.of(video.n_frames - 1);
  return Math.max(last, ...framesOf(episode).map((frame) => frame.time_s), ...windows.map((window) => window?.end_s ?? 0)) || 1;
}
