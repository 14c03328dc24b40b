/* One question and two answers to it: one video, and for each side its timeline, its turns and how it came out. */

import { get, of } from "./api.js";
import { fill, h } from "./dom.js";
import { heading, name, trouble, walk } from "./marks.js";
import { answerPanel, marks } from "./outcome.js";
import { known, Player } from "./player.js";
import { changed, go, link } from "./router.js";
import { Timeline } from "./timeline.js";
import { turns } from "./turns.js";
import { FLIPS } from "./words.js";

/** @param {import("./router.js").Route} opened @param {HTMLElement} page */
export function pairPage(opened, page) {
  const made = new Pair(opened, page);
  return { ready: made.start(), again: () => made.player || made.start(), close: () => made.close(), keys: made.keys() };
}

class Pair {
  /** @param {import("./router.js").Route} opened @param {HTMLElement} page */
  constructor(opened, page) {
    [, this.left, this.right, this.key] = opened.path;
    this.query = opened.query;
    this.page = page;
    this.asking = new AbortController();
  }

  async start() {
    const { signal } = this.asking;
    const query = changed(this.query, { left: this.left, right: this.right, key: this.key, t: null });
    try {
      this.told = await get("/api/compare", query, signal);
      const [row] = this.told.rows;
      if (!row) throw new Error("This question is not in both sets.");
      const sides = [of(this.left, "episodes", row.left.id), of(this.right, "episodes", row.right.id)];
      const told = await Promise.all(sides.map((address) => get(address, undefined, signal)));
      const details = told.map((detail) => ({ ...detail, video: known(detail.video, detail.episode) }));
      if (!signal.aborted) this.build(row, details, sides);
    } catch (error) {
      if (!signal.aborted) this.failed(/** @type {Error} */ (error));
    }
  }

  close() {
    this.asking.abort();
    this.player?.close();
  }

  /** @param {Error} error */
  failed(error) {
    name("Side by side", [["Runs", "#/"], ["Comparison", this.list()]]);
    fill(this.page, heading("Side by side"), trouble(error));
  }

  list() {
    return link(["compare", this.left, this.right], changed(this.query, { t: null }));
  }

  back() {
    go(["compare", this.left, this.right], changed(this.query, { t: null }));
  }

  /** @param {"previous" | "next"} which */
  turn(which) {
    const key = this.told?.[which];
    if (key) go(["compare", this.left, this.right, key], changed(this.query, { t: null }));
  }

  /** @param {any} row @param {any[]} details @param {string[]} sides */
  build(row, details, sides) {
    const played = details[0].video.available ? 0 : 1;
    const seek = (/** @type {number} */ time_s) => this.player?.seek(time_s);
    this.player = new Player(details[played].video, sides[played]);
    const names = [this.told.left.name, this.told.right.name];
    const ids = [[this.left, row.left.id], [this.right, row.right.id]];
    const walking = h("nav", { class: "walk", "aria-label": "Questions of the list" }, walk(this.told, (which) => this.turn(which)));
    const made = details.map((detail, n) => side(detail, sides[n], names[n], link(["set", ...ids[n]]), seek));
    name(row.text, [["Runs", "#/"], [names.join(" and "), this.list()]]);
    fill(
      this.page,
      h("header", { class: "head" }, h("div", {}, heading(row.text), h("p", { class: "soft" }, FLIPS[row.flip])), walking),
      h("div", { class: "shared" }, this.player.element),
      h("div", { class: "pair-sides" }, made.map(({ element }) => element)),
    );
    this.player.told.push((time_s, index) => made.forEach((each) => each.show(time_s, index)));
    this.player.seek(Number.parseFloat(this.query.get("t") ?? "0") || 0);
  }

  keys() {
    const group = "Side by side";
    return [
      { key: "j", says: "next question", act: () => this.turn("next"), group },
      { key: "k", says: "question before", act: () => this.turn("previous"), group },
      { key: "Escape", says: "back to the list", act: () => this.back(), group },
      { key: " ", says: "play or pause", act: () => this.player?.toggle(), group, once: true },
      { key: ",", says: "one frame back", act: () => this.player?.step(-1), group },
      { key: ".", says: "one frame on", act: () => this.player?.step(1), group },
    ];
  }
}

/** @param {any} detail @param {string} address @param {string} title @param {string} page @param {(time_s: number) => void} seek */
function side(detail, address, title, page, seek) {
  const timeline = new Timeline(detail.episode, detail.video, seek);
  const course = turns(detail, address, seek);
  timeline.correct(detail.windows);
  const element = h(
    "section",
    { class: "one-side", "aria-label": title },
    h("h2", {}, h("a", { href: page }, title)),
    marks(detail),
    timeline.element,
    answerPanel(detail),
    course.element,
  );
  /** @param {number} time_s @param {number} index */
  function show(time_s, index) {
    timeline.show(time_s, index);
    course.show(index);
  }
  return { element, show };
}
