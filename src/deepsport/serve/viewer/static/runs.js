/* The first page: the runs, their sets of episodes, their settings, and two sets to compare. */

import { get } from "./api.js";
import { announce, fill, h, inTurn, keepFocus } from "./dom.js";
import { heading, live, name, trouble } from "./marks.js";
import { go, link } from "./router.js";
import { count, percent, some } from "./words.js";

const KINDS = { bench: "benchmark", demo: "demo", training: "training", records: "records" };

/** @param {import("./router.js").Route} _route @param {HTMLElement} page */
export function runsPage(_route, page) {
  const cards = h("div", { class: "cards" });
  const comparing = h("div");
  name("", []);
  fill(page, heading("Runs"), comparing, cards);
  const closing = new AbortController();
  /** Only the first time somebody waits for it. */
  let aloud = true;
  const show = (/** @type {any[]} */ runs) => {
    redraw(cards, runs);
    offer(comparing, runs);
    if (aloud) announce(some(runs.length, "run"));
    aloud = false;
  };
  const draw = inTurn(() =>
    get("/api/runs", undefined, closing.signal).then(
      ({ runs }) => show(runs),
      (error) => closing.signal.aborted || fill(cards, trouble(error)),
    ),
  );
  return { ready: draw(), runs: draw, change: draw, again: draw, close: () => closing.abort() };
}

/** Draws the cards anew; what was unfolded stays so. @param {Element} cards @param {any[]} runs */
function redraw(cards, runs) {
  const opened = new Set([...cards.querySelectorAll("details[open]")].map((each) => each.id));
  keepFocus(() => fill(cards, runs.length ? runs.map((run) => card(run, opened)) : empty()));
}

function empty() {
  return h("p", { class: "soft" }, "No run yet. This page shows what appears in the folders that it was started with.");
}

/** @param {any} run @param {Set<string>} opened */
function card(run, opened) {
  return h(
    "section",
    { class: "panel run", "aria-labelledby": `run-${run.id}` },
    h("h2", { id: `run-${run.id}` }, run.title, live(run)),
    h("p", { class: "small" }, KINDS[run.kind] ?? run.kind, run.title !== run.name && ` · ${run.name}`),
    run.sets.length
      ? h("ul", { class: "sets" }, run.sets.map(setLine))
      : h("p", { class: "soft" }, run.has_curves ? "Curves only." : "No episodes yet."),
    run.has_curves && h("p", {}, h("a", { class: "button", id: `curves-${run.id}`, href: link(["run", run.id, "curves"]) }, "Curves")),
    run.settings.length > 0 && settings(run, opened),
  );
}

/** @param {any} set */
function setLine(set) {
  const share = set.n_scored ? set.n_right / set.n_scored : null;
  const figures = [
    h("b", {}, some(set.n, set.kind === "samples" ? "sample" : "episode")),
    set.n_scored > 0 && h("span", {}, `${percent(share)} right`),
    set.n > set.n_scored && set.n_scored > 0 && h("span", {}, `${count(set.n - set.n_scored)} not scored`),
    set.indexed < 1 && h("span", {}, `${Math.floor(100 * set.indexed)} % read`),
  ];
  return h(
    "li",
    {},
    h("a", { id: `set-${set.id}`, href: link(["set", set.id]) }, set.name),
    h("span", { class: "facts" }, figures),
    share !== null && h("meter", { min: "0", max: "1", value: share, "aria-label": `right in ${set.name}` }),
    set.problems.map((/** @type {string} */ text) => h("p", { class: "note" }, text)),
  );
}

/** @param {any} run @param {Set<string>} opened */
function settings(run, opened) {
  const seconds = Object.entries(run.seconds_per_stage ?? {}).map(([stage, value]) => [stage, `${Math.round(Number(value))} s`]);
  const rows = [...run.settings, ...seconds];
  const id = `settings-${run.id}`;
  return h(
    "details",
    { id, open: opened.has(id) },
    h("summary", { id: `unfold-${id}` }, "Settings"),
    h("dl", { class: "settings" }, rows.map(([key, value]) => [h("dt", {}, key), h("dd", {}, value)])),
  );
}

/** Offers sets to compare, unless these are offered already: what was chosen stays chosen. @param {HTMLElement} into @param {any[]} runs */
function offer(into, runs) {
  const sets = runs.flatMap((run) => run.sets.filter((set) => set.kind === "episodes").map((set) => ({ run, set })));
  const offered = sets.map(({ set }) => set.id).join(" ");
  if (into.dataset.offered === offered) return;
  into.dataset.offered = offered;
  fill(into, sets.length > 1 && chooser(sets));
}

/** Two lists to choose from, and a way to their comparison. @param {{run: any, set: any}[]} sets */
function chooser(sets) {
  const options = () => sets.map(({ run, set }) => h("option", { value: set.id }, setTitle(run, set)));
  const left = h("select", { id: "left" }, options());
  const right = h("select", { id: "right" }, options());
  right.selectedIndex = 1;
  const form = { class: "chooser panel", onsubmit: submit };
  /** @param {Event} event */
  function submit(event) {
    event.preventDefault();
    go(["compare", left.value, right.value]);
  }
  return h(
    "form",
    form,
    h("div", { class: "field" }, h("label", { for: "left" }, "Compare"), left),
    h("div", { class: "field" }, h("label", { for: "right" }, "with"), right),
    h("button", { type: "submit" }, "Side by side"),
  );
}

/** A set, its title and whether its run is going on. @param {any[]} runs @param {string} id @returns {any} undefined if it is gone */
export function setOf(runs, id) {
  for (const run of runs) for (const set of run.sets) if (set.id === id) return { ...set, live: run.live, title: setTitle(run, set) };
}

/** @param {any} run @param {any} set */
function setTitle({ title, sets }, set) {
  return sets.length > 1 || set.name !== title ? `${title}: ${set.name}` : title;
}
