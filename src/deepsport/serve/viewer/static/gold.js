/* Setting the window of the event right: two handles over the timeline, by pointer or by arrow keys, from frame to frame. What is
   recorded stays as it is; the correction is kept beside it, under the name of whoever made it. */

import { change } from "./api.js";
import { announce, fill, h } from "./dom.js";
import { moved } from "./timeline.js";
import { exact, span } from "./words.js";

const WIDTH_S = 0.5;

export class GoldWindow {
  /** @param {{window: any, windows: any[], file: string, address: string, timeline: import("./timeline.js").Timeline,
   *   name: () => string, seek: (time_s: number) => void}} given */
  constructor({ window, windows, file, address, timeline, name, seek }) {
    Object.assign(this, { recorded: window, windows, file, address, timeline, name, seek });
    this.start = this.handle("start_s", "Start of the event");
    this.end = this.handle("end_s", "End of the event");
    this.band = h("div", { class: "band" });
    this.state = h("p", { class: "small state" });
    this.tools = h("div", { class: "tools" });
    this.element = h("section", { class: "gold-window", "aria-label": "Window of the event" }, this.tools, this.state);
    this.stop();
  }

  mine() {
    return this.windows.find((window) => window.labeller === this.name()) ?? null;
  }

  /** Shows what stands, and the way to change it. */
  stop() {
    this.open = false;
    fill(this.timeline.over);
    this.timeline.correct(this.windows);
    const mine = this.mine();
    const text = this.recorded || mine ? "Correct the event's window" : "Mark when the event is";
    fill(
      this.tools,
      this.button(text, () => this.begin()),
      mine && this.button("Remove my correction", () => this.remove()),
    );
    fill(this.state, this.windows.map((window) => h("span", { class: "correction" }, `${window.labeller || "somebody"}: ${span(window)}`)));
  }

  /** Puts the handles away; the focus goes to what brought them. */
  leave() {
    this.stop();
    this.tools.querySelector("button")?.focus();
  }

  begin() {
    if (this.open) return;
    const now = this.timeline.now_s;
    const from = this.mine() ?? this.recorded ?? { start_s: now, end_s: Math.min(this.timeline.end_s, now + WIDTH_S) };
    this.chosen = { start_s: from.start_s, end_s: from.end_s };
    this.open = true;
    fill(this.timeline.over, this.band, this.start, this.end);
    fill(
      this.tools,
      this.button("Save the window", () => this.save(), "strong"),
      this.button("Leave it as it was", () => this.leave()),
    );
    this.draw();
    this.start.focus();
  }

  /** @param {string} text @param {() => void} onclick @param {string} [kind] */
  button(text, onclick, kind) {
    return h("button", { type: "button", class: kind, onclick }, text);
  }

  /** @param {"start_s" | "end_s"} edge @param {string} label */
  handle(edge, label) {
    const drag = (/** @type {PointerEvent} */ event) => handle.hasPointerCapture(event.pointerId) && this.set(edge, this.timeline.at(event.clientX));
    const handle = h("div", {
      class: "handle", role: "slider", tabindex: "0", "aria-label": label, "aria-orientation": "horizontal",
      onpointerdown: (/** @type {PointerEvent} */ event) => (event.preventDefault(), handle.focus(), handle.setPointerCapture(event.pointerId)),
      onpointermove: drag,
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.key(event, edge),
    });
    return handle;
  }

  /** @param {KeyboardEvent} event @param {"start_s" | "end_s"} edge */
  key(event, edge) {
    const to = moved(event, this.chosen[edge], this.timeline.times, this.timeline.end_s);
    if (to === null) return;
    event.preventDefault();
    this.set(edge, to);
  }

  /** Moves an edge to the nearest frame; the start never passes the end. @param {"start_s" | "end_s"} edge @param {number} time_s */
  set(edge, time_s) {
    const { times } = this.timeline;
    const at = times.of(times.nearest(time_s));
    const bounded = edge === "start_s" ? Math.min(at, this.chosen.end_s) : Math.max(at, this.chosen.start_s);
    this.chosen = { ...this.chosen, [edge]: bounded };
    this.draw();
    this.seek(bounded);
  }

  draw() {
    const { chosen, timeline } = this;
    for (const [handle, edge] of [[this.start, "start_s"], [this.end, "end_s"]]) {
      handle.style.setProperty("left", timeline.x(chosen[edge]));
      handle.setAttribute("aria-valuemin", edge === "start_s" ? 0 : chosen.start_s.toFixed(2));
      handle.setAttribute("aria-valuemax", (edge === "start_s" ? chosen.end_s : timeline.end_s).toFixed(2));
      handle.setAttribute("aria-valuenow", chosen[edge].toFixed(2));
      handle.setAttribute("aria-valuetext", `${exact(chosen[edge])}, frame ${timeline.times.nearest(chosen[edge])}`);
    }
    this.band.style.setProperty("left", timeline.x(chosen.start_s));
    this.band.style.setProperty("width", `${timeline.percentOf(chosen.end_s - chosen.start_s)}%`);
    fill(this.state, `${span(chosen)}, not saved yet`);
  }

  save() {
    return this.send("PUT", this.address, { ...this.chosen, labeller: this.name() }, `saved to ${this.file}`);
  }

  remove() {
    return this.send("DELETE", `${this.address}?${new URLSearchParams({ labeller: this.name() })}`, undefined, `removed from ${this.file}`);
  }

  /** @param {"PUT" | "DELETE"} method @param {string} address @param {object | undefined} body @param {string} done */
  async send(method, address, body, done) {
    const before = this.mine();
    try {
      this.windows = await change(method, address, body);
    } catch (error) {
      fill(this.state, h("span", { class: "note", role: "alert" }, `Not saved: ${/** @type {Error} */ (error).message}`));
      return;
    }
    this.stop();
    this.state.append(` ${done}`);
    announce(`Window ${done}`);
    this.tools.append(this.button("Undo", () => this.restore(before)));
    this.tools.querySelector("button")?.focus();
  }

  /** @param {any} before */
  restore(before) {
    if (!before) return this.remove();
    this.chosen = { start_s: before.start_s, end_s: before.end_s };
    return this.save();
  }
}
