/* Which frame stands at which instant, both counted from the first frame. At an even rate that is arithmetic. At a varying one only
   the frames on record are sure; between two of them time is taken as even, and whoever tells a frame there says "about". */

/** @typedef {{index: number, time_s: number}} Frame */

/** In frames: how far a recorded frame stands from its place at an even rate before the rate counts as varying. */
const EVEN = 0.2;
/** In seconds: enough to be past a frame's first instant despite rounding, and within the frame at any rate. */
const PAST_S = 0.0015;

export class Times {
  /** @param {number} fps @param {number} n_frames @param {Frame[]} shown frames on record */
  constructor(fps, n_frames, shown) {
    this.fps = fps;
    this.last = Math.max(0, n_frames - 1);
    this.varies = shown.some(({ index, time_s }) => Math.abs(time_s * fps - index) > EVEN);
    this.sure = this.varies ? rising(shown) : [{ index: 0, time_s: 0 }];
  }

  /** First instant of a frame. @param {number} index */
  of(index) {
    return drawnOut(this.sure, "index", "time_s", index, 1 / this.fps);
  }

  /** The frame that stands at an instant. @param {number} time_s */
  at(time_s) {
    return this.bounded(Math.floor(this.place(time_s) + 1e-3));
  }

  /** The frame that begins nearest to an instant. @param {number} time_s */
  nearest(time_s) {
    return this.bounded(Math.round(this.place(time_s)));
  }

  /** An instant well within a frame: its middle, or where the rate varies and nobody knows that, shortly after its beginning.
   * @param {number} index */
  within(index) {
    return this.of(index) + (this.varies ? PAST_S : 0.5 / this.fps);
  }

  /** Whether the instant of a frame is known rather than drawn out between others. @param {number} index */
  isSure(index) {
    return !this.varies || this.sure.some((frame) => frame.index === index);
  }

  /** @param {number} time_s */
  place(time_s) {
    return drawnOut(this.sure, "time_s", "index", time_s, this.fps);
  }

  /** @param {number} index */
  bounded(index) {
    return Math.min(this.last, Math.max(0, index));
  }
}

/** Every frame that an episode was shown, in the order of its turns. @param {any} episode @returns {Frame[]} */
export function framesOf({ first_frames, turns }) {
  return [...first_frames, ...turns.flatMap((/** @type {any} */ turn) => turn.frames)];
}

/** The frames in order, each later than the one before, the first frame of the video among them. @param {Frame[]} shown */
function rising(shown) {
  const kept = [{ index: 0, time_s: 0 }];
  for (const frame of [...shown].sort((a, b) => a.index - b.index)) {
    const before = kept[kept.length - 1];
    if (frame.index > before.index && frame.time_s > before.time_s) kept.push(frame);
  }
  return kept;
}

/** The value of `to` where `from` has a value, on a line through `sure`; after the last of them it rises by `slope`.
 * @param {Frame[]} sure @param {"index" | "time_s"} from @param {"index" | "time_s"} to @param {number} value @param {number} slope */
function drawnOut(sure, from, to, value, slope) {
  const after = sure.findIndex((frame) => frame[from] > value);
  const low = sure[Math.max(0, (after < 0 ? sure.length : after) - 1)];
  const high = after > 0 ? sure[after] : null;
  const rate = high ? (high[to] - low[to]) / (high[from] - low[from]) : slope;
  return low[to] + (value - low[from]) * rate;
}
