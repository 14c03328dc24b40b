/* Talks to the server, and to nobody else. A refusal becomes an error with the server's own words. */

const AGAIN_MS = 2000;

/** @param {string} path @param {URLSearchParams} [query] @param {AbortSignal} [signal] @returns {Promise<any>} */
export function get(path, query, signal) {
  const asked = query?.toString();
  return ask(asked ? `${path}?${asked}` : path, { signal });
}

/** Changes something; the server wants to know that its own page asks.
 * @param {"PUT" | "DELETE"} method @param {string} path @param {object} [body] @returns {Promise<any>} */
export function change(method, path, body) {
  const headers = { "x-deepsport": "1", "content-type": "application/json" };
  return ask(path, { method, headers, body: body && JSON.stringify(body) });
}

/** Address of what belongs to a set: of("1f", "episodes", "2e"). @param {...string} path */
export function of(...path) {
  return `/api/sets/${path.map(encodeURIComponent).join("/")}`;
}

/** Follows what changes on the server. A browser tries again by itself after a broken line, but not after a refusal; then we do.
 * @param {{change: (news: {set: string, n: number, indexed: number, version: number}) => void, runs: () => void,
 *   link: (up: boolean) => void}} told */
export function follow(told) {
  const events = new EventSource("/api/events");
  events.addEventListener("change", (event) => told.change(JSON.parse(event.data)));
  events.addEventListener("runs", () => told.runs());
  events.addEventListener("open", () => told.link(true));
  events.addEventListener("error", () => {
    told.link(false);
    if (events.readyState === EventSource.CLOSED) setTimeout(() => follow(told), AGAIN_MS);
  });
}

/** @param {string} address @param {RequestInit} how */
async function ask(address, how) {
  const response = await fetch(address, { cache: "no-store", ...how }).catch((error) => {
    throw error.name === "AbortError" ? error : new Error("The server does not answer. Is `deepsport view` still running?");
  });
  const said = await response.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    if (response.ok) throw new Error("The server's answer broke off. Is `deepsport view` still running?");
  });
  if (response.ok) return said;
  throw new Error(said?.error?.message ?? `The server answered ${response.status}.`);
}
