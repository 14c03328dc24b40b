/* What a list of episodes and a comparison share: rows that are fetched as they come into sight, a search, and choices that stand in
   the address. Whoever extends it says what a row looks like and what is told of an answer (`row`, `took`). */

import { fill, h, settled } from "./dom.js";
import { trouble } from "./marks.js";
import { Paged } from "./paged.js";
import { changed, go, link, route } from "./router.js";
import { Rows } from "./rows.js";

export class Listing {
  /** @param {import("./router.js").Route} opened @param {string} label @param {import("./paged.js").Ask} ask */
  constructor({ path, query }, label, ask) {
    this.path = path;
    this.query = query;
    this.closing = new AbortController();
    this.found = h("p", { class: "found" });
    this.paged = new Paged({
      ask,
      took: (answer, anew) => this.took(answer, anew),
      failed: (error) => fill(this.found, trouble(error)),
    });
    this.rows = new Rows(label, {
      at: (index) => this.paged.at(index),
      draw: (row) => this.row(row),
      wanted: (first, last) => this.paged.want(first, last),
    });
  }

  /** @param {string} escape what the key does */
  page(escape) {
    const group = "List";
    return {
      update: (/** @type {import("./router.js").Route} */ to) => this.update(to),
      again: () => this.anew(),
      close: () => (this.closing.abort(), this.paged.close(), this.rows.close()),
      keys: [
        { key: "j", says: "next row", act: () => this.rows.move(1), group },
        { key: "k", says: "row before", act: () => this.rows.move(-1), group },
        { key: "Enter", says: "open the row", act: () => {}, group },
        { key: "Escape", says: escape, act: () => go([]), group },
      ],
    };
  }

  /** @param {string} [placeholder] */
  searchField(placeholder) {
    const typed = settled((/** @type {string} */ text) => this.choose({ text: text || null }, true), 200, this.closing.signal);
    const oninput = (/** @type {any} */ event) => typed(event.target.value.trim());
    this.search = h("input", { type: "search", id: "search", value: this.query.get("text") ?? "", placeholder, oninput });
    return h("div", { class: "field grow" }, h("label", { for: "search" }, "Search"), this.search);
  }

  /** @param {Record<string, string | string[] | null>} parts @param {boolean} [quietly] */
  choose(parts, quietly = false) {
    const query = changed(this.query, parts);
    if (query.toString() === this.query.toString()) return;
    go(this.path, query, { quietly });
    if (quietly) this.update(route());
  }

  /** @param {import("./router.js").Route} to */
  update({ path, query }) {
    if (link(path) !== link(this.path)) return false;
    this.query = query;
    if (document.activeElement !== this.search) this.search.value = query.get("text") ?? "";
    this.paged.start(query);
    return true;
  }

  /** Fetches what is on the screen once more. */
  anew() {
    this.paged.doubt();
    this.paged.want(...this.rows.range());
  }
}
