/* Begins everything: opens the page that the address names, and passes on what the server tells, the keys and the theme. */

import { follow } from "./api.js";
import { fill, h } from "./dom.js";
import { listen, showKeys, useKeys } from "./keys.js";
import { heading, name, trouble } from "./marks.js";
import { remember, remembered } from "./remembered.js";
import { go, route } from "./router.js";

/** What a page gives back: what it does at news, and when the server is there again after it was gone; keys, and how it ends. All
 * optional.
 * @typedef {{ready?: Promise<any>, update?: (to: import("./router.js").Route) => boolean, change?: (news: any) => void,
 *   runs?: () => void, again?: () => void, keys?: import("./keys.js").Key[], close?: () => void}} Page */

const page = /** @type {HTMLElement} */ (document.getElementById("page"));
const PAGES = {
  "": async () => (await import("./runs.js")).runsPage,
  set: async (path) => (path.length > 2 ? (await import("./episode.js")).episodePage : (await import("./list.js")).listPage),
  compare: async (path) => (path.length > 3 ? (await import("./pair.js")).pairPage : (await import("./compare.js")).comparePage),
  run: async () => (await import("./curves.js")).curvesPage,
};
const ALWAYS = [
  { key: "?", says: "this list", act: showKeys },
  { key: "/", says: "search", act: () => /** @type {any} */ (document.getElementById("search"))?.focus() },
  { key: "g", says: "all runs", act: () => go([]) },
];
/** @type {Page} */
let open = {};
let drawing = 0;

async function draw() {
  const to = route();
  if (open.update?.(to)) return;
  const turn = ++drawing;
  open.close?.();
  open = {};
  useKeys([]);
  /** @type {HTMLDialogElement | null} */ (document.querySelector("dialog[open]"))?.close();
  const find = PAGES[to.path[0] ?? ""] ?? (async () => nowhere);
  const make = await find(to.path).catch(() => unreached);
  if (turn !== drawing) return;
  scrollTo(0, 0);
  open = make(to, page);
  useKeys(open.keys ?? []);
  await open.ready;
  if (turn === drawing && !page.contains(document.activeElement)) focusHeading();
}

function focusHeading() {
  if (!document.querySelector("dialog[open]")) page.querySelector("h1")?.focus({ preventScroll: true });
}

/** @param {any} _route @param {HTMLElement} into */
function nowhere(_route, into) {
  name("Nothing here", []);
  fill(into, heading("Nothing here"), h("p", {}, "This address names no page. ", h("a", { href: "#/" }, "All runs")));
  return {};
}

/** A browser keeps it in mind that a script could not be fetched, so only a reload helps.
 * @param {any} _route @param {HTMLElement} into */
function unreached(_route, into) {
  name("Not reached", []);
  fill(into, heading("Not reached"), trouble(new Error("A part of this page could not be fetched. Is `deepsport view` still running?")));
  return { again: () => location.reload() };
}

const THEMES = ["system", "light", "dark"];

function theme() {
  const button = /** @type {HTMLElement} */ (document.getElementById("theme"));
  const show = () => {
    const chosen = remembered("theme") ?? THEMES[0];
    document.documentElement.dataset.theme = chosen;
    fill(button, "Colours: ", h("b", {}, chosen));
  };
  button.addEventListener("click", () => {
    const at = THEMES.indexOf(remembered("theme") ?? THEMES[0]);
    remember("theme", THEMES[(at + 1) % THEMES.length]);
    show();
  });
  show();
}

function link() {
  const place = /** @type {HTMLElement} */ (document.getElementById("link"));
  let wasUp = true;
  const link = (/** @type {boolean} */ up) => {
    if (up === wasUp) return;
    wasUp = up;
    fill(place, up ? null : "The server does not answer; trying again.");
    if (up) open.again?.();
  };
  follow({ change: (news) => open.change?.(news), runs: () => open.runs?.(), link });
}

theme();
listen(ALWAYS);
document.getElementById("help")?.addEventListener("click", showKeys);
document.querySelector(".skip")?.addEventListener("click", (event) => {
  event.preventDefault();
  page.focus();
});
window.addEventListener("hashchange", draw);
draw();
link();
