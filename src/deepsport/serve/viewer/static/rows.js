/* A long list of which only what is on the screen exists. Rows are equally high, so that the place of each is known without the
   others; the page itself scrolls, as on any other page. */

import { h } from "./dom.js";

const SPARE = 8;
/** Browsers cut an element that is some 17 million pixels high. */
export const MOST_ROWS = 150_000;

/** @template T
 * @typedef {{at: (index: number) => T | undefined, draw: (row: T | undefined, index: number) => HTMLElement,
 *   wanted: (first: number, last: number) => void}} Source
 * `at` gives a row if it is known, `draw` makes what stands in it, `wanted` is told what is on the screen. */

/** @template T */
export class Rows {
  /** @param {string} label @param {Source<T>} source */
  constructor(label, source) {
    this.source = source;
    this.n = 0;
    /** @type {Map<number, {node: HTMLElement, row: T | undefined}>} */
    this.shown = new Map();
    this.element = h("div", { class: "rows", role: "list", "aria-label": label });
    this.listening = new AbortController();
    const options = { signal: this.listening.signal, passive: true };
    let waiting = 0;
    const later = () => (waiting ||= requestAnimationFrame(() => ((waiting = 0), this.draw())));
    addEventListener("scroll", later, options);
    addEventListener("resize", later, options);
  }

  close() {
    this.listening.abort();
  }

  /** @param {number} n */
  count(n) {
    this.n = Math.min(n, MOST_ROWS);
    this.element.style.setProperty("height", `${this.n * this.height()}px`);
    this.draw();
  }

  height() {
    return Number.parseFloat(getComputedStyle(this.element).getPropertyValue("--row")) || 64;
  }

  /** First and last row on the screen. @returns {[number, number]} */
  range() {
    const height = this.height();
    const above = -this.element.getBoundingClientRect().top;
    const first = Math.floor(above / height);
    const last = Math.ceil((above + innerHeight) / height);
    return [Math.min(Math.max(0, first), Math.max(0, this.n - 1)), Math.min(this.n - 1, Math.max(0, last))];
  }

  /** Draws what is on the screen and a little around it, and keeps the row that has the focus. */
  draw() {
    const [first, last] = this.range();
    if (this.n > 0) this.source.wanted(first, last);
    const [from, to] = [Math.max(0, first - SPARE), Math.min(this.n - 1, last + SPARE)];
    const focused = this.focused();
    for (const index of this.shown.keys()) if (index >= this.n || ((index < from || index > to) && index !== focused)) this.drop(index);
    for (let index = from; index <= to; index++) this.put(index);
  }

  /** The row that has the focus; -1 if none has. */
  focused() {
    const item = document.activeElement?.closest("[role=listitem]");
    return item && this.element.contains(item) ? Number(item.getAttribute("aria-posinset")) - 1 : -1;
  }

  /** Goes from the row that has the focus to another; from none to the first on the screen. @param {number} by */
  move(by) {
    const focused = this.focused();
    this.focus(focused < 0 ? this.range()[0] : Math.min(this.n - 1, Math.max(0, focused + by)));
  }

  /** Brings a row on the screen and gives it the focus. @param {number} index */
  focus(index) {
    if (index < 0 || index >= this.n) return;
    const height = this.height();
    const top = this.element.getBoundingClientRect().top + scrollY + index * height;
    const bar = document.querySelector("header.bar")?.getBoundingClientRect().height ?? 0;
    if (top < scrollY + bar) scrollTo(0, top - bar);
    else if (top + height > scrollY + innerHeight) scrollTo(0, top + height - innerHeight);
    this.draw();
    this.shown.get(index)?.node.querySelector("a")?.focus({ preventScroll: true });
  }

  /** @param {number} index */
  drop(index) {
    this.shown.get(index)?.node.remove();
    this.shown.delete(index);
  }

  /** Draws a row unless it stands there already; the focus stays where it was. @param {number} index */
  put(index) {
    const row = this.source.at(index);
    const before = this.shown.get(index);
    if (before && before.row === row) {
      before.node.setAttribute("aria-setsize", String(this.n));
      return;
    }
    const node = this.item(row, index);
    this.shown.set(index, { node, row });
    const next = [...this.shown].filter(([each]) => each > index).sort(([a], [b]) => a - b)[0];
    const had = before?.node.contains(document.activeElement);
    if (before) before.node.replaceWith(node);
    else this.element.insertBefore(node, next ? next[1].node : null);
    if (had) node.querySelector("a")?.focus({ preventScroll: true });
  }

  /** @param {T | undefined} row @param {number} index */
  item(row, index) {
    const place = { "aria-setsize": this.n, "aria-posinset": index + 1 };
    const style = { transform: `translateY(${index * this.height()}px)` };
    return h("div", { class: "row", role: "listitem", style, ...place }, this.source.draw(row, index));
  }
}
