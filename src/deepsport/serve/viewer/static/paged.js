/* Rows that are fetched a hundred at a time, as they come into sight. After news what is on the screen is fetched anew, and until
   it is here what was there before stays. `took` is told whether an answer is the first under other filters. */

import { changed } from "./router.js";

const PAGE = 100;

/** @typedef {(query: URLSearchParams, signal: AbortSignal) => Promise<any>} Ask */

export class Paged {
  /** @param {{ask: Ask, took: (answer: any, anew: boolean) => void, failed: (error: Error) => void}} given */
  constructor({ ask, took, failed }) {
    Object.assign(this, { ask, took, failed });
    this.query = new URLSearchParams();
    /** Rows by the number of their page. @type {Map<number, any[]>} */
    this.pages = new Map();
    /** @type {Set<number>} */
    this.asked = new Set();
    /** Pages that were fetched before the last news. @type {Set<number>} */
    this.stale = new Set();
    this.asking = new AbortController();
  }

  /** The row at a place, if it is known. @param {number} index */
  at(index) {
    return this.pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  /** Begins anew under other filters; ends once the row at `index` is here. @param {URLSearchParams} query @param {number} [index] */
  async start(query, index = 0) {
    this.close();
    this.asking = new AbortController();
    this.asked.clear();
    this.query = query;
    await this.fetch(0, true);
    if (index >= PAGE) await this.fetch(Math.floor(index / PAGE));
  }

  /** Everything may have changed. */
  doubt() {
    this.stale = new Set([...this.pages.keys(), ...this.asked]);
  }

  /** Sees to it that rows come. @param {number} first @param {number} last */
  want(first, last) {
    for (let page = Math.floor(first / PAGE); page <= Math.floor(Math.max(0, last) / PAGE); page++)
      if (!this.asked.has(page) && (!this.pages.has(page) || this.stale.has(page))) this.fetch(page);
  }

  close() {
    this.asking.abort();
  }

  /** @param {number} page @param {boolean} [anew] what was found before is forgotten once this is here */
  async fetch(page, anew = false) {
    const { signal } = this.asking;
    this.asked.add(page);
    this.stale.delete(page);
    try {
      const answer = await this.ask(changed(this.query, { offset: String(page * PAGE), limit: String(PAGE), t: null }), signal);
      if (signal.aborted) return;
      this.asked.delete(page);
      if (anew) this.pages.clear();
      this.pages.set(page, same(this.pages.get(page), answer.rows));
      this.took(answer, anew);
    } catch (error) {
      if (signal.aborted) return;
      this.asked.delete(page);
      this.failed(/** @type {Error} */ (error));
    }
  }
}

/** New rows, with those that say the same as before kept as they were, so that they need not be drawn anew.
 * @param {any[] | undefined} before @param {any[]} rows */
function same(before, rows) {
  return rows.map((row, index) => (before?.[index] && JSON.stringify(before[index]) === JSON.stringify(row) ? before[index] : row));
}
