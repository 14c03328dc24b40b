/* The keyboard: one table of keys for the whole page, another for the page that is open, and the dialog that lists both. */

import { h } from "./dom.js";

/** @typedef {{key: string, says: string, act: (event: KeyboardEvent) => void, group?: string}} Key */

const NAMES = { " ": "space", Escape: "esc", Enter: "enter", ArrowLeft: "←", ArrowRight: "→" };
/** @type {Key[]} */
let open = [];

/** Sets the keys of the page that is open. @param {Key[]} keys */
export function useKeys(keys) {
  open = keys;
}

/** Listens; `always` hold on every page. @param {Key[]} always */
export function listen(always) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTaken(event)) return;
    const meant = [...open, ...always].find((each) => each.key === event.key);
    if (!meant) return;
    event.preventDefault();
    meant.act(event);
  });
}

/** Opens the list of keys. @param {Key[]} always */
export function showKeys(always) {
  if (document.querySelector("dialog[open]")) return;
  const groups = [...new Set([...open, ...always].map(({ group }) => group ?? "Everywhere"))];
  const dialog = h(
    "dialog",
    { class: "help", "aria-labelledby": "keys-title", onclose: () => dialog.remove() },
    h("h2", { id: "keys-title" }, "Keys"),
    groups.map((group) => [h("h3", {}, group), table([...open, ...always].filter((key) => (key.group ?? "Everywhere") === group))]),
    h("p", { class: "small" }, "On a timeline or a curve: arrows go one frame or step, with shift ten, Home and End to the ends."),
    h("button", { type: "button", autofocus: true, onclick: () => dialog.close() }, "Close"),
  );
  document.body.append(dialog);
  dialog.showModal();
}

/** @param {Key[]} keys */
function table(keys) {
  return h("dl", { class: "keys" }, keys.map(({ key, says }) => [h("dt", {}, h("kbd", {}, NAMES[key] ?? key)), h("dd", {}, says)]));
}

/** Whether the element with the focus means something else by the key. @param {KeyboardEvent} event */
function isTaken({ key, target }) {
  if (document.querySelector("dialog[open]")) return true;
  if (!(target instanceof Element)) return false;
  if (key === "Escape") return false;
  if (target.closest("select, textarea, input:not([type=checkbox]):not([type=radio])")) return true;
  const own = key === " " || key === "Enter" || key.startsWith("Arrow");
  return own && target.closest("a, button, input, summary, video, [role=slider]") !== null;
}
