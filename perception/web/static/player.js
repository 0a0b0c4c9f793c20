// A camera on the page: its picture by the best way that works, boxes over it.

import { h } from "./dom.js";
import { WAYS } from "./ways.js";
import { draw } from "./overlay.js";
import { Tracks } from "./tracks.js";

const HOLD_MS = 150; // exact mode: a picture waits at most so long for its tracks
const NOTHING_MS = 5000; // a way that shows nothing for so long, while packets come, is given up

/** options: mode "live" or "exact", boxes, zones. */
export class Player {
  constructor(live, camera, options) {
    Object.assign(this, { live, camera, options, tracks: new Tracks(), held: [], shown: null });
    this.canvas = h("canvas", { class: "picture", role: "img", "aria-label": `picture of ${camera.name}` });
    this.video = h("video", { muted: true, playsinline: true, class: "hidden", tabindex: "-1" });
    this.video.muted = true;
    this.over = h("canvas", { class: "over", "aria-hidden": "true" });
    this.element = h("div", { class: "player" }, this.canvas, this.video, this.over);
    // The place has the shape of the picture before the first picture comes, so that nothing moves then.
    if (camera.width && camera.height) this.element.style.aspectRatio = `${camera.width} / ${camera.height}`;
    this.times = [];
    this.reasons = [];
    this.delays = [];
    this.onstate = () => {};
    this.onpicture = () => {};
    this.began = performance.now();
    this.firstMs = null;
    this.visible = true;
    this.observer = new IntersectionObserver(([entry]) => this.look(entry.isIntersecting));
    this.observer.observe(this.element);
    this.step(0);
    this.tick = this.tick.bind(this);
    this.frame = requestAnimationFrame(this.tick);
    this.checks = setInterval(() => this.check(), 1000);
  }

  /** Take the first way from `from` on that this browser has. */
  step(from) {
    this.way?.close();
    for (let i = from; i < WAYS.length; i++) {
      const Way = WAYS[i];
      const why = this.camera.has_packets || Way.feed === "jpeg" ? Way.why() : "no packets of its own";
      if (why) {
        this.reasons.push(`${Way.title}: ${why}`);
        continue;
      }
      this.index = i;
      this.Way = Way;
      this.video.classList.toggle("hidden", Way.title !== "MSE");
      this.canvas.classList.toggle("hidden", Way.title === "MSE");
      const fail = (reason) => {
        if (this.index !== i) return;
        this.reasons.push(`${Way.title}: ${reason}`);
        this.step(i + 1);
      };
      this.way = new Way((picture, t) => this.show(picture, t), fail, this.video);
      this.started = performance.now();
      this.packets = 0;
      this.some = false;
      if (this.visible) this.live.watch(this.camera.name, Way.feed, (head, data) => this.take(head, data));
      return;
    }
  }

  /** Keep the picture that is shown, or go on. */
  freeze(on) {
    this.frozen = on;
    if (this.Way.title !== "MSE") return;
    if (on && this.video.videoWidth) {
      this.canvas.width = this.video.videoWidth;
      this.canvas.height = this.video.videoHeight;
      this.canvas.getContext("2d").drawImage(this.video, 0, 0);
    }
    this.video.classList.toggle("hidden", on);
    this.canvas.classList.toggle("hidden", !on);
  }

  /** Wall time of the picture that is shown, ms UTC; null: there is none. */
  get wallMs() {
    if (!this.shown) return null;
    return this.wall === undefined ? Date.now() : (this.shown.t + this.wall) / 1000;
  }

  /** Off the screen: nothing is sent. */
  look(visible) {
    if (visible === this.visible) return;
    this.visible = visible;
    if (!visible) this.live.unwatch(this.camera.name);
    else this.live.watch(this.camera.name, this.Way.feed, (head, data) => this.take(head, data));
  }

  take(head, data) {
    if (head.kind === "tracks") {
      this.tracks.add(head);
      return;
    }
    if (head.kind === "packet") {
      this.packets += 1;
      this.wall = head.wall - head.t; // media to wall time, us
      this.way.packet?.(head, data);
    } else this.way.jpeg?.(head, data);
  }

  show(picture, t) {
    this.some = true;
    if (this.firstMs === null) this.firstMs = performance.now() - this.began;
    if (this.options.mode === "exact" && this.Way.title === "WebCodecs") {
      // A held VideoFrame would stop the decoder: it has few of them.
      createImageBitmap(picture).then((copy) => {
        picture.close();
        this.held.push({ picture: copy, t, since: performance.now() });
        if (this.held.length > 12) this.held.shift().picture.close();
      });
      return;
    }
    this.held.forEach((one) => one.picture.close?.());
    this.held = [{ picture, t, since: performance.now() }];
  }

  tick() {
    this.frame = requestAnimationFrame(this.tick);
    const exact = this.options.mode === "exact";
    let next = null;
    while (this.held.length) {
      const first = this.held[0];
      const ready = !exact || this.tracks.reaches(first.t) || performance.now() - first.since > HOLD_MS;
      if (!ready) break;
      if (next) next.picture.close?.();
      next = this.held.shift();
    }
    if (!next) return;
    if (this.frozen) {
      next.picture.close?.();
      return;
    }
    const { picture, t } = next;
    if (this.Way.title !== "MSE") {
      const width = picture.displayWidth || picture.width;
      const height = picture.displayHeight || picture.height;
      if (this.canvas.width !== width || this.canvas.height !== height) {
        this.canvas.width = width;
        this.canvas.height = height;
        this.element.style.aspectRatio = `${width} / ${height}`;
      }
      this.canvas.getContext("2d").drawImage(picture, 0, 0);
      picture.close?.();
    } else if (this.video.videoWidth) {
      this.element.style.aspectRatio = `${this.video.videoWidth} / ${this.video.videoHeight}`;
    }
    const found = this.tracks.at(t);
    this.shown = { t, found };
    draw(this.over, this.camera, found, this.options);
    const now = performance.now();
    this.times.push(now);
    while (now - this.times[0] > 2000) this.times.shift();
    if (this.wall !== undefined) {
      this.delays.push((performance.timeOrigin + now) * 1000 - (t + this.wall));
      if (this.delays.length > 600) this.delays.shift();
    }
    this.onpicture(this.shown);
  }

  check() {
    const silent = this.packets > 30 && !this.some && performance.now() - this.started > NOTHING_MS;
    if (silent && this.index < WAYS.length - 1) {
      this.reasons.push(`${this.Way.title}: no picture in ${NOTHING_MS / 1000} s`);
      this.step(this.index + 1);
    }
    const now = performance.now();
    while (this.times.length && now - this.times[0] > 2000) this.times.shift();
    this.onstate({
      way: this.Way.title,
      reasons: this.reasons,
      fps: this.times.length / 2,
      age: this.tracks.newest?.age_ms,
    });
  }

  close() {
    cancelAnimationFrame(this.frame);
    clearInterval(this.checks);
    this.observer.disconnect();
    this.live.unwatch(this.camera.name);
    this.way?.close();
    this.held.forEach((one) => one.picture.close?.());
  }
}
