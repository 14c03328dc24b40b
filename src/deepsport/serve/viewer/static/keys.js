/* The keyboard: one table of keys for the whole page, another for the page that is open, and the dialog that lists both. */

import { h } from "./dom.js";
import { remember, remembered } from "./remembered.js";

/** `once`: not again and again while the key is held down.
 * @typedef {{key: string, says: string, act: () => void, group?: string, once?: boolean}} Key */

const NAMES = { " ": "space", Escape: "esc", Enter: "enter", ArrowLeft: "←", ArrowRight: "→" };
/** Fields that take any key. */
const TYPED = "select, textarea, input:not([type=checkbox]):not([type=radio])";
/** What is pressed, moved or scrolled by keys. */
const PRESSED = 'a, button, input, summary, video, [role=slider], [tabindex="0"]';
/** Those of the page that is open. @type {Key[]} */
let open = [];
/** Those of every page. @type {Key[]} */
let always = [];

/** Sets the keys of the page that is open. @param {Key[]} keys */
export function useKeys(keys) {
  open = keys;
}

/** Listens. @param {Key[]} keys those of every page */
export function listen(keys) {
  always = keys;
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Escape" && leavesField(event)) return;
    if (isTaken(event) || (event.key.length === 1 && !charactersAct())) return;
    const meant = [...open, ...always].find((each) => each.key === event.key);
    if (!meant) return;
    event.preventDefault();
    if (!(meant.once && event.repeat)) meant.act();
  });
}

/** Opens the list of keys. */
export function showKeys() {
  if (document.querySelector("dialog[open]")) return;
  const keys = [...open, ...always].map((key) => ({ group: "Everywhere", ...key }));
  const groups = [...new Set(keys.map(({ group }) => group))];
  const dialog = h(
    "dialog",
    { "aria-labelledby": "keys-title", onclose: () => dialog.remove() },
    h("h2", { id: "keys-title" }, "Keys"),
    groups.map((group) => [h("h3", {}, group), table(keys.filter((key) => key.group === group))]),
    charactersBox(),
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

/** Whether letters and the like are keys; speech input types them, and then they are in the way. */
function charactersAct() {
  return remembered("keys") !== "off";
}

function charactersBox() {
  const box = h("input", { type: "checkbox", id: "characters", checked: charactersAct() });
  box.addEventListener("change", () => remember("keys", box.checked ? "on" : "off"));
  return h("p", {}, h("label", { class: "choice", for: "characters" }, box, "letters, digits and signs are keys"));
}

/** Escape in a field leaves the field and nothing else. @param {KeyboardEvent} event */
function leavesField(event) {
  const field = event.target instanceof HTMLElement && event.target.closest(TYPED);
  if (!(field instanceof HTMLElement)) return false;
  event.preventDefault();
  field.blur();
  return true;
}

/** Whether the element with the focus means something else by the key. @param {KeyboardEvent} event */
function isTaken({ key, target }) {
  if (document.querySelector("dialog[open]")) return true;
  if (!(target instanceof Element)) return false;
  if (target.closest(TYPED)) return true;
  const own = key === " " || key === "Enter" || key.startsWith("Arrow");
  return own && target.closest(PRESSED) !== null;
}
