/* What the browser keeps of a person's choices. Where it keeps nothing (storage forbidden or full), choices last as long as the page. */

/** @type {Map<string, string>} */
const unkept = new Map();

/** @param {string} name @returns {string | null} */
export function remembered(name) {
  try {
    return unkept.get(name) ?? localStorage.getItem(name);
  } catch {
    return null;
  }
}

/** @param {string} name @param {string} value */
export function remember(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    unkept.set(name, value);
  }
}
