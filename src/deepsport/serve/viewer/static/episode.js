/* One episode: the video with its timeline, what was said turn by turn, how it came out, and what a person says of it. */

import { get, of } from "./api.js";
import { fill, h, settled } from "./dom.js";
import { GoldWindow } from "./gold.js";
import { Labels } from "./labels.js";
import { dotted, heading, name, outcome, trouble, walk } from "./marks.js";
import { answerPanel, marks, rawPanel } from "./outcome.js";
import { known, Player } from "./player.js";
import { remember, remembered } from "./remembered.js";
import { changed, go, link } from "./router.js";
import { setOf } from "./runs.js";
import { Timeline } from "./timeline.js";
import { turns } from "./turns.js";
import { FAILURES } from "./words.js";

/** @param {import("./router.js").Route} opened @param {HTMLElement} page */
export function episodePage(opened, page) {
  const made = new EpisodePage(opened, page);
  return {
    ready: made.start(),
    update: (/** @type {import("./router.js").Route} */ to) => made.update(to),
    again: () => made.player || made.start(),
    close: () => made.close(),
    keys: made.keys(),
  };
}

class EpisodePage {
  /** @param {import("./router.js").Route} opened @param {HTMLElement} page */
  constructor(opened, page) {
    [, this.set, this.id] = opened.path;
    this.query = opened.query;
    this.page = page;
    this.address = of(this.set, "episodes", this.id);
    this.asking = new AbortController();
    /** Who stands before and after it, once that is known. @type {any} */
    this.beside = null;
    const { signal } = this.asking;
    this.remember = settled((/** @type {number} */ time_s) => this.keep(time_s), 300, signal);
    addEventListener("focus", () => this.hear(), { signal });
  }

  async start() {
    const { signal } = this.asking;
    try {
      const [detail, { runs, labeller: given }] = await Promise.all([get(this.address, undefined, signal), get("/api/runs", undefined, signal)]);
      if (!signal.aborted) this.build(detail, runs, given);
    } catch (error) {
      if (!signal.aborted) this.failed(/** @type {Error} */ (error));
    }
    return this.look();
  }

  close() {
    this.asking.abort();
    this.player?.close();
  }

  /** Asks what was said of the answer meanwhile, elsewhere. */
  async hear() {
    if (!this.labels) return;
    const { sent } = this.labels;
    const told = await get(this.address, undefined, this.asking.signal).catch(() => null);
    if (told) this.labels.heard(told.labels, sent);
  }

  /** @param {Error} error */
  failed(error) {
    name("Episode", [["Runs", "#/"], ["Episodes", this.list()]]);
    fill(this.page, heading("Episode"), trouble(error));
  }

  /** Who stands before and after it under the filters of the list. */
  async look() {
    const query = changed(this.query, { t: null });
    const { signal } = this.asking;
    const found = await get(`${this.address}/neighbours`, query, signal).catch(() => null);
    if (!found || !this.place || signal.aborted) return;
    this.beside = found;
    fill(this.place, walk(found, (which) => this.turn(which)));
  }

  list() {
    return link(["set", this.set], changed(this.query, { t: null }));
  }

  back() {
    const index = this.beside?.position ?? null;
    const state = index === null ? null : { index };
    go(["set", this.set], changed(this.query, { t: null }), { state });
  }

  /** @param {"previous" | "next"} which */
  turn(which) {
    const id = this.beside?.[which];
    if (id) go(["set", this.set, id], changed(this.query, { t: null }));
  }

  /** @param {any} told @param {any[]} runs @param {string} given */
  build(told, runs, given) {
    const detail = { ...told, video: known(told.video, told.episode) };
    const { episode, video, row } = detail;
    const set = setOf(runs, this.set);
    const seek = (/** @type {number} */ time_s) => this.player?.seek(time_s);
    this.player = new Player(video, this.address);
    this.timeline = new Timeline(episode, video, seek);
    this.turns = turns(detail, this.address, seek);
    this.labels = this.labelling(detail, set, given);
    this.gold = this.golden(detail, set, seek);
    name(row.text, [["Runs", "#/"], [set?.title ?? "Episodes", this.list()]]);
    fill(this.page, this.head(detail), this.body(detail));
    this.player.told.push((time_s, index) => this.moved(time_s, index));
    const t = Number.parseFloat(this.query.get("t") ?? "");
    if (Number.isFinite(t)) seek(t);
    else this.timeline.show(0, 0);
  }

  /** @param {any} detail @param {any} set @param {string} who */
  labelling(detail, set, who) {
    const saved = () => this.onward.checked && !this.asking.signal.aborted && this.turn("next");
    const given = { labels: detail.labels, address: `${this.address}/label`, file: set?.labels_file ?? "", given: who };
    return new Labels({ ...given, download: of(this.set, "labels.csv"), saved, renamed: () => this.gold.open || this.gold.stop() });
  }

  /** @param {any} detail @param {any} set @param {(time_s: number) => void} seek */
  golden(detail, set, seek) {
    return new GoldWindow({
      window: detail.window,
      windows: detail.windows,
      file: set?.windows_file ?? "",
      address: `${this.address}/window`,
      timeline: this.timeline,
      name: () => this.labels.name(),
      seek,
    });
  }

  /** @param {any} detail */
  head(detail) {
    this.place = h("nav", { class: "walk", "aria-label": "Episodes of the list" }, walk(null, (which) => this.turn(which)));
    return h("header", { class: "head" }, h("div", {}, heading(detail.row.text), marks(detail)), this.place);
  }

  /** @param {any} detail */
  body(detail) {
    const look = h("div", { class: "look" }, this.player.element, this.timeline.element, this.gold.element);
    this.onward = h("input", { type: "checkbox", id: "onward", checked: remembered("onward") === "yes" });
    this.onward.addEventListener("change", () => remember("onward", this.onward.checked ? "yes" : "no"));
    const words = " go on to the next after “right” or a reason";
    this.labels.element.append(h("p", { class: "small" }, h("label", { for: "onward" }, this.onward, words)));
    const course = h("section", { "aria-labelledby": "course-title" }, h("h2", { id: "course-title" }, "Turn by turn"), this.turns.element);
    const told = h("div", { class: "told" }, answerPanel(detail), this.labels.element, course, elsewhere(detail, this.set), rawPanel(this.address));
    return h("div", { class: "episode" }, look, told);
  }

  /** @param {number} time_s @param {number} index */
  moved(time_s, index) {
    if (this.asking.signal.aborted) return;
    this.timeline.show(time_s, index);
    this.turns.show(index);
    this.remember(time_s);
  }

  /** Writes the instant into the address. @param {number} time_s */
  keep(time_s) {
    if (this.player.isPlaying()) return;
    this.query = changed(this.query, { t: time_s > 0 ? String(Number(time_s.toFixed(3))) : null });
    go(["set", this.set, this.id], this.query, { quietly: true });
  }

  /** @param {import("./router.js").Route} to */
  update(to) {
    if (link(to.path) !== link(["set", this.set, this.id]) || changed(to.query, { t: null }).toString() !== changed(this.query, { t: null }).toString()) return false;
    this.query = to.query;
    this.player?.seek(Number.parseFloat(to.query.get("t") ?? "0") || 0);
    return true;
  }

  keys() {
    const group = "Episode";
    const video = "Video";
    const label = "Label";
    return [
      { key: "j", says: "next episode", act: () => this.turn("next"), group },
      { key: "k", says: "episode before", act: () => this.turn("previous"), group },
      { key: "Escape", says: "back to the list", act: () => (this.gold?.open ? this.gold.leave() : this.back()), group },
      { key: " ", says: "play or pause", act: () => this.player?.toggle(), group: video, once: true },
      { key: ",", says: "one frame back", act: () => this.player?.step(-1), group: video },
      { key: ".", says: "one frame on", act: () => this.player?.step(1), group: video },
      { key: "[", says: "frame shown before", act: () => this.timeline?.nextShown(-1), group: video },
      { key: "]", says: "next frame shown", act: () => this.timeline?.nextShown(1), group: video },
      { key: "e", says: "set the event's window right", act: () => this.gold?.begin(), group: label },
      { key: "r", says: "right", act: () => this.labels?.mark(true), group: label, once: true },
      { key: "w", says: "wrong", act: () => this.labels?.mark(false), group: label, once: true },
      { key: "c", says: "clear the label", act: () => this.labels?.clear.click(), group: label, once: true },
      { key: "z", says: "undo", act: () => this.labels?.undo.click(), group: label, once: true },
      ...Object.entries(FAILURES).map(([key, text], n) => ({ key: String(n + 1), says: text, act: () => this.labels?.classify(key), group: label, once: true })),
    ];
  }
}

/** The same question in other sets. @param {any} detail @param {string} set */
function elsewhere({ elsewhere: others }, set) {
  if (!others.length) return null;
  const lines = others.map((/** @type {any} */ other) =>
    h(
      "li",
      {},
      outcome(other.outcome, { brief: true }),
      h("a", { href: link(["set", other.set, other.id]) }, dotted(other.run_name, other.set_name !== other.run_name && other.set_name)),
      h("span", { class: "soft" }, other.answer ?? "no answer"),
      other.key && h("a", { class: "small", href: link(["compare", set, other.set, other.key]) }, "side by side"),
    ),
  );
  return h("section", { class: "panel", "aria-labelledby": "else-title" }, h("h2", { id: "else-title" }, "The same question elsewhere"), h("ul", { class: "elsewhere" }, lines));
}
