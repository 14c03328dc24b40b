/* How an episode came out: options, answer, judge, diagnosis, the sum of the reward, what it cost, and the record as stored. */

import { get } from "./api.js";
import { fill, h } from "./dom.js";
import { chip, outcome, trouble } from "./marks.js";
import { CAUSES, count, figure, hundredths, said, some, STOPS } from "./words.js";

/** The line of marks under the question. @param {any} detail */
export function marks({ row, episode }) {
  return h(
    "ul",
    { class: "chips" },
    h("li", {}, outcome(row.outcome)),
    row.outcome === "partly" && chip(`${Math.round(100 * row.accuracy)} %`),
    chip(row.sport && said(row.sport)),
    chip(row.dimension && said(row.dimension)),
    row.easy && chip("sparse frames are enough"),
    !episode.with_tool && chip("without the tool"),
    row.step !== null && chip(`step ${row.step}`),
    chip(row.video),
  );
}

/** @param {any} detail */
export function answerPanel(detail) {
  const { episode, options, gold_text, verdict } = detail;
  const right = gold_text !== null && !options.length && h("span", { class: "soft" }, ` · right: ${gold_text}`);
  const stop = episode.detail ? `${said(episode.stop, STOPS)}: ${episode.detail}` : said(episode.stop, STOPS);
  return h(
    "section",
    { class: "panel", "aria-label": "Answer" },
    h("h2", {}, "Answer"),
    options.length > 0 && h("ul", { class: "options" }, options.map(option)),
    h("p", {}, h("b", {}, episode.answer ?? "none"), right, h("span", { class: "soft" }, ` · ${stop}`)),
    verdict && judged(verdict),
    detail.diagnosis && diagnosed(detail),
    reward(detail),
    facts(episode),
  );
}

/** @param {any} option */
function option({ letter, text, is_right, is_given }) {
  const mark = is_right && is_given ? "given, right" : is_right ? "right" : is_given ? "given" : "";
  const kind = [is_right && "gold", is_given && "given"].filter(Boolean).join(" ");
  return h("li", { class: kind }, h("b", {}, letter), " ", text, mark && h("span", { class: "sign" }, mark));
}

/** @param {any} verdict */
function judged({ points, reason, judge, why }) {
  const head = points === null || points === undefined ? `No verdict: ${said(why)}` : `${points} of 10 points`;
  return h("p", { class: "judged" }, h("b", {}, head), reason && ` · ${reason}`, judge && h("span", { class: "soft" }, ` (${judge})`));
}

/** @param {any} detail */
function diagnosed({ diagnosis, diagnosis_text }) {
  const texts = diagnosis_text?.length ? diagnosis_text : diagnosis.evidence;
  return h(
    "div",
    { class: "judged" },
    h("p", {}, h("b", {}, said(diagnosis.cause, CAUSES)), diagnosis.also && ` · also ${said(diagnosis.also, CAUSES)}`),
    h("ul", {}, texts.map((/** @type {string} */ text) => h("li", {}, text))),
  );
}

/** The reward as the sum that it is. @param {any} detail */
function reward({ score, row, advantage }) {
  const parts = score?.reward;
  const sum = parts && [
    ["accuracy", parts.accuracy === null ? "not scored" : hundredths(parts.accuracy)],
    ["tool", hundredths(parts.tool)],
    parts.temporal ? ["windows", hundredths(parts.temporal)] : null,
    ["format", hundredths(parts.format_penalty)],
  ];
  const total = parts ? parts.total : row.reward;
  if (total === null || total === undefined) return null;
  const terms = sum?.filter(Boolean).map(([name, value], n) => [n ? " + " : " = ", h("span", { class: "term" }, `${name} ${value}`)]);
  const over = advantage !== null && advantage !== undefined && ` · advantage ${figure(advantage)}`;
  return h("p", { class: "sum" }, "reward ", h("b", {}, hundredths(total)), terms, over);
}

/** @param {any} episode */
function facts({ policy, seed, usage, turns, first_frames }) {
  const n_frames = turns.reduce((sum, turn) => sum + turn.frames.length, first_frames.length);
  const said_of = [
    `policy ${policy}`,
    `seed ${seed}`,
    some(turns.length, "turn"),
    some(n_frames, "frame"),
    usage.prompt_tokens > 0 && `${count(usage.prompt_tokens)} prompt tokens`,
    usage.reply_tokens > 0 && `${count(usage.reply_tokens)} tokens of replies`,
    usage.seconds > 0 && `${usage.seconds.toFixed(1)} s`,
  ];
  return h("p", { class: "facts" }, said_of.filter(Boolean).map((text) => h("span", {}, text)));
}

/** The stored record, fetched when it is opened. @param {string} address */
export function rawPanel(address) {
  const code = h("code", { tabindex: "0", "aria-label": "Record" });
  const copied = h("span", { role: "status", class: "small" });
  const copy = h("button", { type: "button", onclick: () => take() }, "Copy");
  const take = async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      fill(copied, "copied");
    } catch {
      fill(copied, "The browser does not allow it."); // nor has it a clipboard for a page that others reach without TLS
    }
  };
  const open = async () => {
    if (!details.open || code.textContent) return;
    const record = await get(`${address}/raw`).catch((error) => fill(copied, trouble(error)));
    if (record) fill(code, JSON.stringify(record, null, 2));
  };
  const details = h("details", { class: "panel record", ontoggle: open }, h("summary", {}, "Record as stored"), h("p", { class: "tools" }, copy, copied), h("pre", {}, code));
  return details;
}
