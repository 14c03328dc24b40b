/* Small pieces that several pages share: marks of right and wrong, chips, errors, headings, crumbs. */

import { fill, h } from "./dom.js";
import { count, said, OUTCOMES } from "./words.js";

const SIGNS = { right: "✓", partly: "◐", wrong: "✗", unscored: "?" };

/** How an episode came out, as a sign and a word; a sign alone where there is little room.
 * @param {string} kind @param {{brief?: boolean}} [how] */
export function outcome(kind, { brief = false } = {}) {
  const sign = h("span", { "aria-hidden": "true" }, SIGNS[kind]);
  return h("span", { class: `mark ${kind}` }, sign, h("span", { class: brief ? "hidden" : "word" }, OUTCOMES[kind]));
}

/** @param {string | null | undefined | false} text */
export function chip(text) {
  return text ? h("li", { class: "chip" }, text) : null;
}

/** What somebody said of an answer. @param {{right: boolean | null, failure: string | null, points: number | null}} label */
export function label({ right, failure, points }) {
  const word = right === null ? "labelled" : right ? "right" : "wrong";
  return [word, points !== null && `${points}/10`, failure && said(failure)].filter(Boolean).join(", ");
}

/** What went wrong, in the page's place. @param {Error} error */
export function trouble(error) {
  return h("p", { class: "note", role: "alert" }, error.message);
}

/** Names the page for the tab, and where it stands for the reader.
 * @param {string} title @param {[string, string][]} crumbs text and address */
export function name(title, crumbs) {
  document.title = title ? `${title.slice(0, 80)} · DeepSport` : "DeepSport";
  const nav = document.getElementById("crumbs");
  if (nav) fill(nav, h("ol", {}, crumbs.map(([text, address]) => h("li", {}, h("a", { href: address }, text)))));
}

/** Beside the title of a run that is going on. @param {any} run */
export function live(run) {
  return run.live && [" ", h("span", { class: "live" }, "live")];
}

/** The page's heading; it takes the focus when the page is opened. @param {...any} children */
export function heading(...children) {
  return h("h1", { tabindex: "-1" }, children);
}

/** Ways to what stands before and after in the list that something was opened from; null: not known yet.
 * @param {{position: number | null, n_found: number, previous: string | null, next: string | null} | null} beside
 * @param {(which: "previous" | "next") => void} turn */
export function walk(beside, turn) {
  const button = (/** @type {string} */ text, /** @type {"previous" | "next"} */ which, /** @type {string} */ key) =>
    h("button", { type: "button", disabled: !beside?.[which], onclick: () => turn(which), "aria-keyshortcuts": key }, text);
  const place = h("span", { class: "small" }, beside && placeInList(beside));
  return [button("‹ Previous", "previous", "k"), place, button("Next ›", "next", "j")];
}

/** @param {{position: number | null, n_found: number}} found */
function placeInList({ position, n_found }) {
  return position === null ? `${count(n_found)} in the list` : `${count(position + 1)} of ${count(n_found)}`;
}

/** `a · b · c` of what is there. @param {...any} parts */
export function dotted(...parts) {
  return parts.filter((part) => part !== null && part !== undefined && part !== false && part !== "").join(" · ");
}
