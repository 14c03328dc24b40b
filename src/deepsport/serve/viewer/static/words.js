/* The words and figures of the page: what a record calls by a key, said as the reports of this project say it. */

export const OUTCOMES = { right: "right", partly: "partly right", wrong: "wrong", unscored: "not scored" };
export const STOPS = {
  answered: "answered",
  format_error: "a turn out of form",
  max_turns: "out of turns",
  max_tokens: "reply too long",
  context_overflow: "context too small",
  policy_error: "lost: model not reached",
  video_error: "lost: video not read",
};
export const FAILURES = {
  tool_grounding: "did not see it",
  visual_hallucination: "saw it and misread it",
  other: "other",
};
export const CAUSES = {
  wrong_window: "looked in the wrong place",
  window_refused: "asked only for windows that were refused",
  window_met_but_unseen: "its window met the event, its frames did not",
  saw_too_little: "saw too little of the event",
  misread: "misread what it saw",
  format: "a turn out of form",
  turn_limit: "out of turns",
  token_limit: "a reply too long",
  context_overflow: "context too small",
  no_call: "never looked, though a look was needed",
  not_shown: "no tool, and the frames did not hold the answer",
  knowledge: "saw rightly, concluded wrongly",
  judge: "right, and judged wrong",
  unknown_window: "nobody knows when the event is",
  unknown_sight: "imported: nobody knows what was shown",
};
export const FLIPS = {
  gained: "gained",
  lost: "lost",
  both_right: "both right",
  both_wrong: "both wrong",
  unscored: "not scored",
};

/** A figure to the hundredth; a dash for none. @param {number | null | undefined} value */
export function hundredths(value) {
  return value === null || value === undefined ? "–" : value.toFixed(2);
}

/** A key in words: those of `names`, else the key itself with spaces.
 * @param {string | null | undefined} key @param {Record<string, string>} [names] */
export function said(key, names = {}) {
  if (key === null || key === undefined) return "none";
  return Object.hasOwn(names, key) ? names[key] : key.replaceAll("_", " ");
}

/** An instant as a reader of a video of `end_s` seconds says it.
 * @param {number} time_s @param {number} end_s */
export function clock(time_s, end_s) {
  if (end_s < 120) return `${time_s.toFixed(1)} s`;
  const whole = Math.round(time_s);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** An instant to the hundredth. @param {number} time_s */
export function exact(time_s) {
  return time_s < 120 ? `${time_s.toFixed(2)} s` : `${Math.floor(time_s / 60)}:${(time_s % 60).toFixed(2).padStart(5, "0")}`;
}

/** A span to the hundredth. @param {{start_s: number, end_s: number}} window */
export function span({ start_s, end_s }) {
  return end_s < 120 ? `${start_s.toFixed(2)} to ${exact(end_s)}` : `${exact(start_s)} to ${exact(end_s)}`;
}

/** `1,234`. @param {number} n */
export function count(n) {
  return n.toLocaleString("en");
}

/** `3 calls`, `1 call`. @param {number} n @param {string} one @param {string} [many] */
export function some(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** `42.9 %`; a dash for nothing. @param {number | null | undefined} share @param {number} [by] 1 if it is in percent already */
export function percent(share, by = 100) {
  return share === null || share === undefined ? "–" : `${(by * share).toFixed(1)} %`;
}

/** A figure of unknown size, short; a dash for none, as for what was no number. @param {number | null} value */
export function figure(value) {
  if (value === null) return "–";
  const size = Math.abs(value);
  if (value === 0 || (size >= 1e-3 && size < 1e5)) return String(Number(value.toPrecision(4)));
  return value.toExponential(2);
}
