/* Builds elements. What a record says only ever becomes a text node or an attribute of ours: it cannot become markup, and no
   address is made of it. Styles are set one property at a time, as the page's content policy has it. */

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Child | Child[]} Children */

const SVG = "http://www.w3.org/2000/svg";

/** An element; `onclick` and the like are listeners, `style` an object of properties.
 * @param {string} name @param {Record<string, any>} [props] @param {...Children} children @returns {any} */
export function h(name, props = {}, ...children) {
  return filled(document.createElement(name), props, children);
}

/** An element of a drawing.
 * @param {string} name @param {Record<string, any>} [props] @param {...Children} children @returns {any} */
export function drawn(name, props = {}, ...children) {
  return filled(document.createElementNS(SVG, name), props, children);
}

/** Puts `children` in the place of what an element holds.
 * @param {Element} element @param {...Children} children */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
}

/** Says something to those who cannot see it change.
 * @param {string} text */
export function announce(text) {
  const said = document.getElementById("said");
  if (said && said.textContent !== text) said.textContent = text;
}

/** Draws something anew; what had the focus keeps it, if it is there again under its id. @param {() => void} draw */
export function keepFocus(draw) {
  const id = document.activeElement?.id;
  draw();
  if (id) document.getElementById(id)?.focus({ preventScroll: true });
}

/** Waits until calls have stopped for a while, then makes the last one, unless `signal` says that nobody waits for it any more.
 * @param {(...given: any[]) => void} act @param {number} wait_ms @param {AbortSignal} signal */
export function settled(act, wait_ms, signal) {
  let timer = 0;
  return (/** @type {any[]} */ ...given) => {
    clearTimeout(timer);
    timer = window.setTimeout(() => signal.aborted || act(...given), wait_ms);
  };
}

/** One call after the other; of those that come during one, a single one follows it.
 * @param {() => Promise<any>} act @returns {() => Promise<any>} ends with the last call */
export function inTurn(act) {
  /** @type {Promise<any> | null} */
  let going = null;
  let again = false;
  const run = async () => {
    do {
      again = false;
      await act();
    } while (again);
  };
  return () => {
    again = going !== null;
    going ??= run().finally(() => (going = null));
    return going;
  };
}

/** @template {Element} E @param {E} element @param {Record<string, any>} props @param {Children[]} children @returns {E} */
function filled(element, props, children) {
  for (const [name, value] of Object.entries(props)) assign(element, name, value);
  element.append(...nodes(children));
  return element;
}

/** @param {any} element @param {string} name @param {any} value */
function assign(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name === "style") for (const [key, each] of Object.entries(value)) element.style.setProperty(key, each);
  else element.setAttribute(name, value === true ? "" : String(value));
}

/** @param {Children[]} children @returns {(Node | string)[]} */
function nodes(children) {
  const given = children.flat(4).filter((child) => child !== null && child !== undefined && child !== false);
  return given.map((child) => (child instanceof Node ? child : String(child)));
}
