/* How an episode came out: options, answer, judge, diagnosis, the sum of the reward, what it cost, and the record as stored. */

import { get } from "./api.js";
import { fill, h } from "./dom.js";
import { chip, outcome, trouble } from "./marks.js";
import { framesOf } from "./times.js";
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
  const { episode, options, gold_text, verdict, diagnosis } = detail;
  const right = gold_text !== null && !options.length && h("span", { class: "soft" }, ` · right: ${gold_text}`);
  const stop = episode.detail ? `${said(episode.stop, STOPS)}: ${episode.detail}` : said(episode.stop, STOPS);
  return h(
    "section",
    { class: "panel", "aria-label": "Answer" },
    h("h2", {}, "Answer"),
    options.length > 0 && h("ul", { class: "options" }, options.map(option)),
    h("p", {}, h("b", {}, episode.answer ?? "none"), right, h("span", { class: "soft" }, ` · ${stop}`)),
    verdict && judged(verdict),
    diagnosis && diagnosed(diagnosis),
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
  const head = points === null ? `No verdict: ${said(why)}` : `${points} of 10 points`;
  return h("p", { class: "judged" }, h("b", {}, head), reason && ` · ${reason}`, judge && h("span", { class: "soft" }, ` (${judge})`));
}

/** @param {any} diagnosis */
function diagnosed({ cause, also, evidence }) {
  return h(
    "div",
    { class: "judged" },
    h("p", {}, h("b", {}, said(cause, CAUSES)), also && ` · also ${said(also, CAUSES)}`),
    h("ul", {}, evidence.map((/** @type {string} */ text) => h("li", {}, text))),
  );
}

/** The reward as the sum that it is. @param {any} detail */
function reward({ score, advantage }) {
  const { accuracy, tool, temporal, format_penalty, total } = score.reward;
  const terms = [
    `accuracy ${accuracy === null ? "not scored" : hundredths(accuracy)}`,
    `tool ${hundredths(tool)}`,
    temporal && `windows ${hundredths(temporal)}`,
    `format ${hundredths(format_penalty)}`,
  ];
  const over = advantage !== null && ` · advantage ${figure(advantage)}`;
  return h("p", { class: "sum" }, "reward ", h("b", {}, hundredths(total)), ` = ${terms.filter(Boolean).join(" + ")}`, over);
}

/** @param {any} episode */
function facts(episode) {
  const { policy, seed, usage, turns } = episode;
  const said_of = [
    `policy ${policy}`,
    `seed ${seed}`,
    some(turns.length, "turn"),
    some(framesOf(episode).length, "frame"),
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
