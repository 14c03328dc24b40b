/* The episode as it went: what was shown at the start, then thought, call, frames and answer of each turn. Frames are pictures
   that are fetched as they come into sight; each leads to its place in the video. */

import { h } from "./dom.js";
import { ofEvent } from "./timeline.js";
import { exact, span } from "./words.js";

/** @typedef {{element: HTMLElement, show: (index: number) => void}} Turns */

/** @param {any} detail @param {string} address of the episode @param {(time_s: number) => void} seek @returns {Turns} */
export function turns(detail, address, seek) {
  const { episode, video } = detail;
  /** Buttons by the index of their frame. @type {Map<number, HTMLElement[]>} */
  const places = new Map();
  const context = { address, seek, video, event: episode.question.window, places };
  const first = episode.first_frames.length > 0 && h("li", {}, h("h3", { class: "who" }, "Shown at the start"), strip(episode.first_frames, context));
  const element = h("ol", { class: "turns" }, first, episode.turns.map((/** @type {any} */ turn, /** @type {number} */ n) => one(turn, n, context)));
  let now = -1;
  return {
    element,
    show(index) {
      if (index === now) return;
      for (const button of places.get(now) ?? []) button.classList.remove("now");
      for (const button of places.get(index) ?? []) button.classList.add("now");
      now = index;
    },
  };
}

/** @param {any} turn @param {number} n @param {any} context */
function one(turn, n, context) {
  return h(
    "li",
    {},
    h("h3", { class: "who" }, `Turn ${n + 1}`),
    turn.thought && h("p", { class: "thought" }, turn.thought),
    turn.call && call(turn.call, context.seek),
    turn.answer !== null && h("p", { class: "answer" }, `Answers: ${turn.answer}`),
    turn.note && h("p", { class: "note" }, turn.note),
    strip(turn.frames, context),
    h("details", { class: "raw" }, h("summary", {}, "as it was said"), h("code", {}, turn.text)),
  );
}

/** @param {any} call @param {(time_s: number) => void} seek */
function call({ start_index, end_index, window }, seek) {
  const frames = `frames ${start_index} to ${end_index}`;
  if (!window) return h("p", { class: "call" }, `Asks for ${frames} (refused)`);
  const go = { type: "button", class: "linklike", onclick: () => seek(window.start_s) };
  return h("p", { class: "call" }, "Asks for ", h("button", go, `${frames} (${span(window)})`));
}

/** @param {any[]} frames @param {any} context */
function strip(frames, context) {
  if (!frames.length) return null;
  return h("ul", { class: "strip" }, frames.map((frame) => h("li", {}, picture(frame, context))));
}

/** @param {{index: number, time_s: number}} frame @param {any} context */
function picture({ index, time_s }, { address, seek, video, event, places }) {
  const inEvent = ofEvent(event, time_s);
  const shown = video.available
    ? h("img", { loading: "lazy", decoding: "async", src: `${address}/frames/${index}.jpg?width=240`, alt: "", width: video.width, height: video.height })
    : h("span", { class: "missing" });
  const label = `Frame ${index}, ${exact(time_s)}${inEvent ? ", of the event" : ""}`;
  const button = h(
    "button",
    { type: "button", class: inEvent ? "frame event" : "frame", "aria-label": label, title: label, onclick: () => seek(time_s) },
    shown,
    h("span", { class: "when" }, `${index} · ${exact(time_s)}`),
  );
  places.set(index, [...(places.get(index) ?? []), button]);
  return button;
}
