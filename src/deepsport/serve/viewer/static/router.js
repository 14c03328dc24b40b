/* Which page is open is written in the address after `#`, filters and instant included: what can be seen can be linked to. */

/** @typedef {{path: string[], query: URLSearchParams}} Route */

/** @returns {Route} */
export function route() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?", 2);
  return { path: path.split("/").filter(Boolean).map(decoded), query: new URLSearchParams(query ?? "") };
}

/** The address of a page.
 * @param {string[]} path @param {URLSearchParams} [query] */
export function link(path, query) {
  const asked = query?.toString();
  return `#/${path.map(encodeURIComponent).join("/")}${asked ? `?${asked}` : ""}`;
}

/** Goes to a page. `quietly`: in the place of the present one, without drawing it anew; `state` is kept with the entry.
 * @param {string[]} path @param {URLSearchParams} [query] @param {{quietly?: boolean, state?: object | null}} [how] */
export function go(path, query, { quietly = false, state = null } = {}) {
  const address = link(path, query);
  if (quietly) return history.replaceState(state, "", address);
  if (address === location.hash) return;
  history.pushState(state, "", address);
  window.dispatchEvent(new Event("hashchange"));
}

/** The same query with some parts set, or left out where null.
 * @param {URLSearchParams} query @param {Record<string, string | string[] | null>} parts */
export function changed(query, parts) {
  const made = new URLSearchParams(query);
  for (const [name, value] of Object.entries(parts)) {
    made.delete(name);
    for (const each of value === null ? [] : [value].flat()) made.append(name, each);
  }
  return made;
}

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
