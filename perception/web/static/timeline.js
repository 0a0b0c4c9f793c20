// The timeline of recordings on a canvas. Dragging moves it, wheel and pinch change its length. More
// than what is in sight is loaded, so that it can be moved before the server has answered.

import { get, PREFIX, query } from "./api.js";
import { dayName, fill, h, minutes, when } from "./dom.js";

export const HOUR = 3600e3;
const ROW = 34;
const FOOT = 22;
const LEFT = 4;
const STEPS = 240; // of what is in sight, for the number of objects
const SHORTEST = 120e3;
const LONGEST = 30 * 24 * HOUR;
const MOST = 32 * 24 * HOUR; // that the server tells at once
const TICKS = [1, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7200].map((one) => one * 60e3);

/** first: the camera whose row stands first. onchoose(camera, ms): a time was chosen; onmove(): other
 * times are in sight. Times are ms UTC. */
export class Timeline {
  constructor(first, { onchoose, onmove }) {
    Object.assign(this, { first, onchoose, onmove, data: null, loading: false, cursor: null, painted: 0, drawn: 0 });
    this.end = Date.now();
    this.start = this.end - HOUR;
    this.canvas = h("canvas", { class: "timeline", tabindex: "0", role: "slider",
      "aria-label": "time", "aria-valuetext": "", "aria-valuenow": "0" });
    this.names = h("div", { class: "names" });
    this.tip = h("div", { class: "tip", hidden: true });
    this.element = h("div", { class: "strip" }, this.names, h("div", { class: "times" }, this.canvas, this.tip));
    this.segments = []; // that were asked for, for thumbnails
    this.canvas.addEventListener("pointerleave", () => this.hover(null));
    this.pointers = new Map();
    this.moved = false;
    this.canvas.addEventListener("pointerdown", (event) => this.down(event));
    this.canvas.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"]) this.canvas.addEventListener(name, (event) => this.up(event));
    this.canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.resized = new ResizeObserver(() => this.paint());
    this.resized.observe(this.canvas);
  }

  get span() {
    return this.end - this.start;
  }

  get rows() {
    return this.data ? this.data.rows : [];
  }

  /** Show `hours` around a time, or up to now. */
  async show(hours, middle) {
    const span = hours * HOUR;
    this.end = middle === undefined ? Date.now() : Math.min(Date.now(), middle + span / 2);
    this.start = this.end - span;
    await this.load();
  }

  /** Move by a share of what is in sight. */
  move(share) {
    const by = Math.min(share * this.span, Date.now() + this.span / 2 - this.end);
    this.start += by;
    this.end += by;
    this.changed();
  }

  /** Make what is in sight `factor` times as long; the time `at` stays where it is. */
  zoom(factor, at = (this.start + this.end) / 2) {
    const span = Math.min(LONGEST, Math.max(SHORTEST, this.span * factor));
    this.start = at - ((at - this.start) / this.span) * span;
    this.end = this.start + span;
    this.changed();
  }

  changed() {
    this.onmove();
    this.soon();
    if (this.needs()) this.load();
  }

  /** Paint with the next frame of the screen. */
  soon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.paint();
    });
  }

  get margin() {
    return Math.min(this.span, MOST - this.span) / 2;
  }

  needs() {
    if (!this.data) return true;
    const near = this.margin / 2;
    const { from_ms, to_ms, span } = this.data;
    const before = from_ms > this.start - near;
    const after = to_ms < Math.min(this.end + near, Date.now());
    return before || after || span > this.span * 2 || span < this.span / 2;
  }

  /** Load what is in sight and half as much on both sides; one request at a time. */
  async load() {
    if (this.loading) return;
    this.loading = true;
    const { span, margin } = this;
    const from_ms = Math.max(0, Math.round(this.start - margin));
    const to_ms = Math.round(this.end + margin);
    try {
      const steps = Math.round((STEPS * (to_ms - from_ms)) / span);
      const data = await get(query("/recordings/timeline", { from_ms, to_ms, steps }));
      data.rows.sort((a, b) => (b.camera === this.first) - (a.camera === this.first));
      data.rows.forEach((row) => {
        row.most = Math.max(1, ...row.busy);
      });
      this.data = { ...data, span };
      fill(this.names, data.rows.map((row) => h("span", null, row.camera)));
    } finally {
      this.loading = false;
    }
    this.paint();
    if (this.needs() && this.end <= Date.now() + this.span) setTimeout(() => this.needs() && this.load(), 100);
  }

  /** Return where a time is, px from the left. */
  x(ms) {
    return LEFT + ((ms - this.start) / this.span) * (this.width - 2 * LEFT);
  }

  /** Return the camera and the time of a place of the canvas. */
  at(event) {
    const area = this.canvas.getBoundingClientRect();
    const row = this.rows[Math.floor((event.clientY - area.top) / ROW)];
    const share = (event.clientX - area.left - LEFT) / (area.width - 2 * LEFT);
    return { row, ms: this.start + share * this.span, left: event.clientX - area.left };
  }

  paint() {
    if (!this.data) return;
    const { canvas, rows } = this;
    const scale = window.devicePixelRatio || 1;
    this.width = canvas.clientWidth;
    const height = rows.length * ROW + FOOT;
    const size = [Math.round(this.width * scale), Math.round(height * scale)];
    if (canvas.width !== size[0] || canvas.height !== size[1]) {
      canvas.style.height = `${height}px`;
      [canvas.width, canvas.height] = size;
    }
    const pen = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(name).trim();
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, this.width, height);
    this.drawn = 0;
    const bars = (spans, name, top, high) => {
      pen.fillStyle = colour(name);
      pen.beginPath();
      for (const span of spans) {
        if (span.to_ms < this.start || span.from_ms > this.end) continue;
        const from = Math.max(this.x(span.from_ms), LEFT);
        const to = Math.min(this.x(span.to_ms), this.width - LEFT);
        pen.rect(from, top, Math.max(1, to - from), high);
        this.drawn += 1;
      }
      pen.fill();
    };
    rows.forEach((row, i) => {
      const top = i * ROW + 4;
      bars([{ from_ms: this.start, to_ms: this.end }], "--track", top, ROW - 8);
      bars(row.recorded, "--recorded", top, ROW - 8);
      pen.fillStyle = colour("--busy");
      this.busy(pen, row, top);
      bars(row.lost, "--lost", top, ROW - 8);
      pen.fillStyle = colour("--alert");
      this.marks(pen, row, top);
    });
    pen.fillStyle = colour("--muted");
    this.ticks(pen, rows.length * ROW + 16);
    if (this.cursor && this.cursor >= this.start && this.cursor <= this.end) {
      pen.fillStyle = colour("--text");
      pen.fillRect(this.x(this.cursor) - 1, 0, 2, rows.length * ROW);
    }
    this.painted += 1;
    canvas.setAttribute("aria-valuetext", this.cursor ? when(this.cursor) : "no time chosen");
    canvas.setAttribute("aria-valuenow", String(Math.round(this.cursor || 0)));
    canvas.setAttribute("aria-valuemin", String(Math.round(this.start)));
    canvas.setAttribute("aria-valuemax", String(Math.round(this.end)));
  }

  busy(pen, row, top) {
    const { from_ms, step_ms } = this.data;
    const first = Math.max(0, Math.floor((this.start - from_ms) / step_ms));
    const last = Math.min(row.busy.length, Math.ceil((this.end - from_ms) / step_ms));
    pen.beginPath();
    for (let step = first; step < last; step++) {
      if (!row.busy[step]) continue;
      const from = Math.max(LEFT, this.x(from_ms + step * step_ms));
      const wide = Math.max(1, Math.min(this.width - LEFT, this.x(from_ms + (step + 1) * step_ms)) - from);
      const high = (ROW - 14) * (0.25 + 0.75 * (row.busy[step] / row.most));
      pen.rect(from, top + ROW - 8 - high, wide, high);
      this.drawn += 1;
    }
    pen.fill();
  }

  marks(pen, row, top) {
    for (const mark of row.alerts) {
      if (mark.at_ms < this.start || mark.at_ms > this.end) continue;
      pen.beginPath();
      pen.arc(this.x(mark.at_ms), top + 6, mark.count > 1 ? 5 : 4, 0, 7);
      pen.fill();
      this.drawn += 1;
    }
  }

  ticks(pen, y) {
    pen.font = "11px system-ui, sans-serif";
    pen.textAlign = "center";
    const days = this.span > 26 * HOUR;
    const step = TICKS.find((one) => this.span / one <= this.width / (days ? 95 : 80)) || TICKS.at(-1);
    const zone = new Date(this.start).getTimezoneOffset() * 60e3;
    for (let ms = Math.ceil((this.start - zone) / step) * step + zone; ms < this.end; ms += step) {
      if (this.x(ms) < 30 || this.x(ms) > this.width - 30) continue;
      pen.fillText(days && step >= 24 * HOUR ? dayName(ms) : minutes(ms), this.x(ms), y);
    }
  }

  down(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, event.clientX);
    if (this.pointers.size === 1) this.moved = false;
    this.from = event.clientX;
  }

  drag(event) {
    if (!this.pointers.has(event.pointerId)) {
      if (event.pointerType === "mouse") this.hover(event);
      return;
    }
    this.hover(null);
    const before = [...this.pointers.values()];
    const by = event.clientX - this.pointers.get(event.pointerId);
    if (!this.moved && before.length === 1 && Math.abs(event.clientX - this.from) < 5) return;
    this.moved = true;
    this.pointers.set(event.pointerId, event.clientX);
    if (before.length === 1) {
      this.move(-by / (this.width - 2 * LEFT));
      return;
    }
    const [a, b] = [...this.pointers.values()];
    const factor = Math.abs(before[0] - before[1]) / Math.max(1, Math.abs(a - b));
    this.zoom(factor, this.at({ clientX: (a + b) / 2, clientY: event.clientY }).ms);
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId) || this.moved || event.type !== "pointerup") return;
    const { row = this.rows[0], ms } = this.at(event);
    if (row) this.onchoose(row.camera, ms);
  }

  /** Show the picture of the recording under the pointer; null: none. */
  async hover(event) {
    clearTimeout(this.waits);
    const { row, ms, left } = event ? this.at(event) : {};
    const is = (one) => one.camera === row?.camera && one.from_ms <= ms && ms <= one.to_ms;
    const recorded = row?.recorded.some((span) => span.from_ms <= ms && ms <= span.to_ms);
    if (!recorded) {
      this.tip.hidden = true;
      this.under = null;
      return;
    }
    this.under = { camera: row.camera, ms };
    const found = this.segments.find(is);
    if (found) {
      this.tell(found, ms, left, (this.rows.indexOf(row) + 1) * ROW);
      return;
    }
    this.waits = setTimeout(async () => {
      const one = await get(query("/recordings/at", { camera: row.camera, at_ms: Math.round(ms) })).catch(() => null);
      if (one) this.segments = [one, ...this.segments].slice(0, 200);
      if (one && is(one) && this.under?.ms === ms) this.tell(one, ms, left, (this.rows.indexOf(row) + 1) * ROW);
    }, 80);
  }

  tell(segment, ms, left, top) {
    const objects = Object.entries(segment.objects).map(([what, count]) => `${count} ${what}`).join(", ");
    if (this.tip.dataset.id !== segment.id) {
      this.tip.dataset.id = segment.id;
      fill(this.tip, segment.has_picture ? h("img", { src: `${PREFIX}/recordings/${segment.id}/picture.jpg`,
        alt: `${segment.camera}, ${when(segment.from_ms)}`, width: 192, height: 108 }) : null, h("b"), h("span"));
    }
    this.tip.querySelector("b").textContent = when(ms);
    this.tip.querySelector("span").textContent = objects || "nobody and nothing";
    this.tip.hidden = false;
    this.tip.style.left = `${Math.max(0, Math.min(left - 100, this.width - 206))}px`;
    this.tip.style.top = `${top}px`;
  }

  wheel(event) {
    event.preventDefault();
    this.hover(null);
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.move(sideways / this.width);
    else this.zoom(1.0015 ** event.deltaY, this.at(event).ms);
  }

  close() {
    this.resized.disconnect();
    clearTimeout(this.waits);
    if (this.frame) cancelAnimationFrame(this.frame);
  }
}
