/* The filters beside a list: a group of boxes for each facet, with how many rows each would leave. */

import { fill, h, keepFocus } from "./dom.js";
import { count, CAUSES, FAILURES, OUTCOMES, said, STOPS } from "./words.js";

/** Title of each facet, and the words of its values. */
const GROUPS = {
  outcome: ["Answer", OUTCOMES],
  sport: ["Sport", {}],
  dimension: ["Dimension", {}],
  stop: ["How it ended", STOPS],
  failure: ["Error class", FAILURES],
  cause: ["Cause", CAUSES],
  label: ["Label", { none: "no label", classed: "error class only" }],
  easy: ["Sparse frames enough", {}],
  step: ["Step", {}],
};

/** The names of the facets. */
export const FACETS = Object.keys(GROUPS);

/** Boxes that follow the address; `choose` is told the values chosen of a facet.
 * @param {(facet: string, values: string[]) => void} choose @param {() => void} clear */
export function filterPanel(choose, clear) {
  const groups = h("div", { class: "groups" });
  const summary = h("summary", {}, "Filters");
  const wide = matchMedia("(min-width: 900px)").matches;
  const element = h("details", { class: "filters", open: wide }, summary, groups);

  let shown = "";

  /** @param {Record<string, [string | null, number][]>} facets @param {URLSearchParams} query */
  function show(facets, query) {
    const asked = JSON.stringify([facets, query.toString()]);
    if (asked === shown) return;
    shown = asked;
    const n = FACETS.reduce((sum, facet) => sum + query.getAll(facet).length, 0);
    const drawn = FACETS.map((facet) => group(facet, facets[facet], query.getAll(facet), choose));
    fill(summary, n ? `Filters (${n})` : "Filters");
    inPlace(groups, () => fill(groups, n > 0 && h("button", { type: "button", class: "quiet", id: "clear", onclick: clear }, "Clear all"), drawn));
  }
  return { element, show };
}

/** Draws groups anew; each stays scrolled as far as it was, and the focus stays within them. @param {Element} groups @param {() => void} draw */
function inPlace(groups, draw) {
  const hadFocus = groups.contains(document.activeElement);
  const scrolled = new Map([...groups.querySelectorAll(".boxes")].map((each) => [each.id, each.scrollTop]));
  keepFocus(draw);
  for (const each of groups.querySelectorAll(".boxes")) each.scrollTop = scrolled.get(each.id) ?? 0;
  if (hadFocus && !groups.contains(document.activeElement)) groups.querySelector("input")?.focus({ preventScroll: true });
}

/** @param {string} facet @param {[string | null, number][]} counted @param {string[]} chosen
 * @param {(facet: string, values: string[]) => void} choose */
function group(facet, counted, chosen, choose) {
  const [title, names] = GROUPS[facet];
  const known = counted.map(([value, n]) => /** @type {[string, number]} */ ([value === null ? "none" : String(value), n]));
  const gone = chosen.filter((value) => !known.some(([each]) => each === value));
  const values = [...known, ...gone.map((value) => /** @type {[string, number]} */ ([value, 0]))];
  if (values.length < 2 && !chosen.length) return null;
  const toggle = (/** @type {string} */ value, /** @type {boolean} */ on) =>
    choose(facet, on ? [...chosen, value] : chosen.filter((each) => each !== value));
  return h(
    "fieldset",
    {},
    h("legend", {}, title),
    h("div", { class: "boxes", id: `boxes-${facet}` }, values.map(([value, n]) => box(facet, value, said(value, names), n, chosen.includes(value), toggle))),
  );
}

/** @param {string} facet @param {string} value @param {string} words @param {number} n @param {boolean} checked
 * @param {(value: string, on: boolean) => void} toggle */
function box(facet, value, words, n, checked, toggle) {
  const id = `${facet}=${value}`;
  const onchange = (/** @type {any} */ event) => toggle(value, event.target.checked);
  return h(
    "label",
    { class: n || checked ? null : "nothing" },
    h("input", { type: "checkbox", id, checked, onchange }),
    h("span", { class: "value" }, words),
    h("span", { class: "n" }, count(n)),
  );
}
