/* The video, and a way to any of its frames. To show a frame, time is set to an instant within it, so that rounding never shows its
   neighbour. Where the browser cannot play the file, the frames themselves take its place, as the model was given them. */

import { fill, h } from "./dom.js";
import { framesOf, Times } from "./times.js";
import { exact } from "./words.js";

/** @typedef {{name: string, available: boolean, why: string, duration_s: number, n_frames: number, fps: number, width: number,
 *   height: number, start_s: number, mime: string, times: Times}} Video */

const UNPLAYABLE = "This browser cannot play the file, so its frames are shown one by one, as the model was given them.";
const CUT = "The video stopped coming from the server, so its frames are shown one by one. Reload the page to try again.";
const USUAL_FPS = 25;
const SPEEDS = [0.1, 0.25, 0.5, 1, 2];

/** What is known of the video; of a file that is not there, what the frames on record tell.
 * @param {any} video @param {any} episode @returns {Video} */
export function known(video, episode) {
  const shown = framesOf(episode);
  const last = shown.reduce((latest, frame) => (frame.index > latest.index ? frame : latest), { index: 0, time_s: 0 });
  const fps = video.fps || (last.time_s > 0 && last.index / last.time_s) || USUAL_FPS;
  const n_frames = video.n_frames || last.index + 1;
  const times = new Times(fps, n_frames, shown);
  return { ...video, fps, n_frames, times, start_s: video.start_s ?? 0, width: video.width || 16, height: video.height || 9 };
}

export class Player {
  /** @param {Video} video @param {string} address of the episode, on which `/video` and `/frames` follow */
  constructor(video, address) {
    this.video = video;
    this.address = address;
    /** @type {((time_s: number, index: number) => void)[]} */
    this.told = [];
    this.stage = h("div", { class: "stage" });
    this.why = h("p", { class: "small why" });
    this.readout = h("span", { class: "readout" });
    this.element = h("figure", { class: "player", "aria-label": "Video" }, this.stage, this.controls(), this.why);
    this.show(this.playable() ? new Film(this) : new Stills(this, this.reason(), 0));
  }

  playable() {
    return this.video.available && document.createElement("video").canPlayType(this.video.mime) !== "";
  }

  reason() {
    return this.video.available ? UNPLAYABLE : `No picture: ${this.video.why}`;
  }

  /** @param {Film | Stills} screen */
  show(screen) {
    this.screen = screen;
    fill(this.stage, screen.element);
    fill(this.why, screen.why);
    this.stage.classList.toggle("blank", !this.video.available);
    this.play.hidden = !screen.plays;
    this.speed.parentElement.hidden = !screen.plays;
    this.moved(screen.index);
  }

  controls() {
    const button = (/** @type {string} */ text, /** @type {string} */ label, /** @type {() => void} */ onclick) =>
      h("button", { type: "button", "aria-label": label, title: label, onclick }, text);
    this.play = button("▶", "Play or pause", () => this.toggle());
    const options = SPEEDS.map((speed) => h("option", { value: speed, selected: speed === 1 }, `${speed}×`));
    this.speed = h("select", { id: "speed", onchange: () => (this.screen.speed = Number(this.speed.value)) }, options);
    return h(
      "div",
      { class: "controls", role: "group", "aria-label": "Frame by frame" },
      button("‹", "One frame back", () => this.step(-1)),
      this.play,
      button("›", "One frame on", () => this.step(1)),
      h("span", { class: "field" }, h("label", { for: "speed", class: "hidden" }, "Speed"), this.speed),
      this.readout,
    );
  }

  /** Shows the frame that begins nearest to an instant, in seconds from the first frame. @param {number} time_s */
  seek(time_s) {
    this.screen.seek(this.video.times.nearest(time_s));
  }

  /** @param {number} n frames */
  step(n) {
    this.screen.pause();
    this.screen.seek(this.video.times.bounded(this.screen.index + n));
  }

  toggle() {
    this.screen.toggle();
  }

  isPlaying() {
    return this.screen.plays && !this.screen.element.paused;
  }

  /** @param {number} index */
  moved(index) {
    const { times } = this.video;
    const time_s = times.of(index);
    fill(this.readout, `${exact(time_s)} · ${times.isSure(index) ? "" : "about "}frame ${index}`);
    for (const tell of this.told) tell(time_s, index);
  }

  /** Ends it: nothing is fetched any more. */
  close() {
    this.screen.close();
  }
}

/** The file, played by the browser. Its own controls lie over the picture, so they are there only while they are reached for. */
class Film {
  plays = true;
  why = "";

  /** @param {Player} player */
  constructor(player) {
    this.player = player;
    const { video, address } = player;
    const { width, height } = video;
    const told = () => this.tell();
    const reach = (/** @type {boolean} */ on) => () => (this.element.controls = on);
    this.element = h("video", {
      tabindex: "0", playsinline: true, preload: "auto", src: `${address}/video`, width, height, "aria-label": `Video ${video.name}`,
      onpointerenter: reach(true), onpointerleave: reach(false), onfocus: reach(true), onblur: reach(false),
      ontimeupdate: told, onseeked: told, onplay: () => (this.sign(), this.follow()), onpause: () => this.sign(),
      onerror: () => this.broken(),
    });
    this.element.muted = true;
  }

  get index() {
    const { times, start_s } = this.player.video;
    return times.at(this.element.currentTime - start_s);
  }

  /** @param {number} value */
  set speed(value) {
    this.element.playbackRate = value;
  }

  /** @param {number} index */
  seek(index) {
    const { times, start_s } = this.player.video;
    this.element.currentTime = start_s + times.within(index);
    this.tell();
  }

  /** Stills take its place, at the frame where it stood. */
  broken() {
    const isCut = this.element.error?.code === MediaError.MEDIA_ERR_NETWORK;
    this.player.show(new Stills(this.player, isCut ? CUT : UNPLAYABLE, this.index));
  }

  toggle() {
    if (this.element.paused) this.element.play().catch(() => {});
    else this.element.pause();
  }

  pause() {
    this.element.pause();
  }

  tell() {
    this.player.moved(this.index);
  }

  sign() {
    fill(this.player.play, this.element.paused ? "▶" : "❚❚");
  }

  /** While it plays, each picture of the screen moves the playhead. */
  follow() {
    this.tell();
    if (!this.element.paused && this.element.isConnected) requestAnimationFrame(() => this.follow());
  }

  close() {
    this.element.pause();
    this.element.removeAttribute("src");
    this.element.load();
  }
}

/** Frame after frame, as decoded for the model; without a picture where there is no file. */
class Stills {
  plays = false;
  speed = 1;

  /** @param {Player} player @param {string} why @param {number} index */
  constructor(player, why, index) {
    Object.assign(this, { player, why, index });
    const { width, height, available } = player.video;
    this.element = available ? h("img", { alt: "", width, height }) : h("p", { class: "soft" }, player.video.name);
    this.draw();
  }

  /** @param {number} index */
  seek(index) {
    this.index = index;
    this.draw();
    this.player.moved(index);
  }

  draw() {
    if (!(this.element instanceof HTMLImageElement)) return;
    this.element.src = `${this.player.address}/frames/${this.index}.jpg?width=960`;
    this.element.alt = `frame ${this.index}`;
  }

  toggle() {}
  pause() {}
  close() {}
}
