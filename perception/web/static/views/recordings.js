// The timeline of recordings, and a player that goes from segment to segment.

import { get, post, PREFIX, query } from "../api.js";
import { bytes, clockTime, dayName, fill, h, minutes, notice, when } from "../dom.js";

const HOUR = 3600e3;
const SPANS = [[0.25, "15 min"], [1, "1 h"], [6, "6 h"], [24, "24 h"], [168, "7 days"]];
const ROW = 34;
const LEFT = 4;

export async function view(place, context, [camera, at]) {
  const stock = await get("/recordings");
  if (stock.state === "none") {
    fill(place, h("h1", null, "Recordings"),
      notice("Nothing is recorded. `record: {}` of a camera in the launch file begins it."));
    return null;
  }
  const age = (Date.now() - stock.from_ms) / HOUR;
  let hours = age < 0.25 ? 0.25 : at || age < 1 ? 1 : age < 6 ? 6 : 24;
  let end = Math.max(Date.now(), 0);
  if (at) end = Number(at) + (hours * HOUR) / 2;
  let timeline = null;
  const canvas = h("canvas", { class: "timeline", tabindex: "0", role: "slider",
    "aria-label": "time", "aria-valuetext": "", "aria-valuenow": "0" });
  const title = h("span", { class: "range" });
  const names = h("div", { class: "names" });
  const video = h("video", { controls: true, playsinline: true, muted: true });
  video.muted = true;
  const stage = h("div", { class: "stage" }, notice("Choose a time: green is recorded, red is lost, dots are alerts."));
  const facts = h("div", { class: "facts" });
  const answer = h("div", { "aria-live": "polite" });
  let segment = null;
  let cursor = at ? Number(at) : null;
  const start = () => end - hours * HOUR;
  const range = h("select", { "aria-label": "length", onchange: () => {
    const middle = cursor || end - (hours * HOUR) / 2;
    hours = Number(range.value);
    end = Math.min(Date.now(), middle + (hours * HOUR) / 2);
    load();
  } }, SPANS.map(([value, text]) => h("option", { value, selected: value === hours }, text)));
  const move = (share) => {
    end = Math.min(Date.now() + 1000, end + share * hours * HOUR);
    load();
  };

  async function load() {
    timeline = await get(query("/recordings/timeline",
      { from_ms: Math.round(start()), to_ms: Math.round(end), steps: 240 }));
    if (camera) timeline.rows.sort((a, b) => (b.camera === camera) - (a.camera === camera));
    fill(names, timeline.rows.map((row) => h("span", null, row.camera)));
    title.textContent = `${dayName(start())} ${minutes(start())} – ${minutes(end)}`;
    paint();
  }

  function paint() {
    if (!timeline) return;
    const scale = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    canvas.style.height = `${timeline.rows.length * ROW + 22}px`;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round((timeline.rows.length * ROW + 22) * scale);
    const pen = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(name).trim();
    pen.scale(scale, scale);
    const x = (ms) => LEFT + ((ms - start()) / (end - start())) * (width - 2 * LEFT);
    timeline.rows.forEach((row, i) => {
      const top = i * ROW + 4;
      const bar = (span, fillStyle, high) => {
        pen.fillStyle = fillStyle;
        const from = Math.max(x(span.from_ms), LEFT);
        pen.fillRect(from, top, Math.max(1, Math.min(x(span.to_ms), width - LEFT) - from), high);
      };
      bar({ from_ms: start(), to_ms: end }, colour("--track"), ROW - 8);
      row.recorded.forEach((span) => bar(span, colour("--recorded"), ROW - 8));
      const most = Math.max(1, ...row.busy);
      pen.fillStyle = colour("--busy");
      row.busy.forEach((count, step) => {
        if (!count) return;
        const from = x(timeline.from_ms + step * timeline.step_ms);
        const wide = Math.max(1, x(timeline.from_ms + (step + 1) * timeline.step_ms) - from);
        const high = (ROW - 14) * (0.25 + 0.75 * (count / most));
        pen.fillRect(from, top + ROW - 8 - high, wide, high);
      });
      row.lost.forEach((span) => bar(span, colour("--lost"), ROW - 8));
      pen.fillStyle = colour("--alert");
      row.alerts.forEach((mark) => {
        pen.beginPath();
        pen.arc(x(mark.at_ms), top + 6, 4, 0, 7);
        pen.fill();
      });
    });
    pen.fillStyle = colour("--muted");
    pen.font = "11px system-ui, sans-serif";
    pen.textAlign = "center";
    const fits = [5, 10, 15, 30, 60, 120, 180, 360, 720, 1440].map((one) => one * 60e3)
      .find((one) => (end - start()) / one <= width / 80) || 1440 * 60e3;
    const zone = new Date(start()).getTimezoneOffset() * 60e3;
    const first = Math.ceil((start() - zone) / fits) * fits + zone;
    for (let ms = first; ms < end; ms += fits) {
      if (x(ms) < 30 || x(ms) > width - 30) continue;
      pen.fillText(hours > 24 ? dayName(ms) : minutes(ms), x(ms), timeline.rows.length * ROW + 16);
    }
    if (cursor && cursor >= start() && cursor <= end) {
      pen.fillStyle = colour("--text");
      pen.fillRect(x(cursor) - 1, 0, 2, timeline.rows.length * ROW);
    }
    canvas.setAttribute("aria-valuetext", cursor ? when(cursor) : "no time chosen");
    canvas.setAttribute("aria-valuenow", String(Math.round(cursor || 0)));
    canvas.setAttribute("aria-valuemin", String(Math.round(start())));
    canvas.setAttribute("aria-valuemax", String(Math.round(end)));
  }

  async function play(name, ms) {
    try {
      segment = await get(query("/recordings/at", { camera: name, at_ms: Math.max(0, Math.round(ms)) }));
    } catch (error) {
      fill(stage, notice(error.message));
      return;
    }
    camera = name;
    const base = `${PREFIX}/recordings/${segment.id}`;
    const offset = segment.offset_s;
    video.src = `${base}/video.mp4`;
    video.onloadedmetadata = () => {
      video.currentTime = offset;
      video.play().catch(() => {});
    };
    video.onerror = () => {
      fill(stage, notice(`This browser does not play ${segment.codec}. Save the segment and use another player.`));
    };
    if (!stage.contains(video)) fill(stage, video);
    describe(base);
  }

  function describe(base) {
    const objects = Object.entries(segment.objects).map(([what, count]) => `${count} ${what}`).join(", ");
    const keep = h("button", { class: "small", onclick: async () => {
      try {
        segment = await post(`/recordings/${segment.id}/protect`, { on: !segment.protected });
        describe(base);
      } catch (error) {
        context.say(error.message);
      }
    } }, segment.protected ? "Do not protect any more" : "Protect");
    fill(facts, h("p", null, h("b", null, segment.camera), ` ${when(segment.from_ms)} – ${clockTime(segment.to_ms)}`,
      ` · ${segment.codec} ${segment.width}×${segment.height} · ${bytes(segment.bytes)}`),
      h("p", { class: "muted" }, objects || "nobody and nothing was seen"),
      h("div", { class: "row" }, context.may("operator") ? keep : null,
        h("button", { class: "small", onclick: () => why(null) }, "Why now?"),
        h("button", { class: "small", onclick: pick }, "Why here?"),
        h("a", { class: "button small", href: `${base}/video.mp4`, download: `${segment.id.split("~").pop()}.mp4` }, "Save"),
        segment.protected ? h("span", { class: "badge" }, "protected") : null));
  }

  /** Ask why there was an alert at the time that is shown, or none. spot: [x, y] in fractions. */
  async function why(spot) {
    video.pause();
    fill(answer, notice("looking"));
    const at_ms = Math.round(segment.from_ms + video.currentTime * 1000);
    try {
      const { lines } = await get(query("/why", { camera: segment.camera, at_ms, x: spot?.[0], y: spot?.[1] }));
      fill(answer, h("pre", { class: "log", tabindex: "0", "aria-label": "why" }, lines.join("\n")));
    } catch (error) {
      fill(answer, notice(error.message, "error"));
    }
  }

  /** Let the next click on the picture choose a spot. */
  function pick() {
    video.pause();
    fill(answer, notice("Click on the spot in the picture."));
    const cover = h("div", { class: "cover", onclick: (event) => {
      const area = video.getBoundingClientRect();
      const scale = Math.min(area.width / video.videoWidth, area.height / video.videoHeight);
      const x = (event.clientX - area.left - (area.width - video.videoWidth * scale) / 2) / (video.videoWidth * scale);
      const y = (event.clientY - area.top - (area.height - video.videoHeight * scale) / 2) / (video.videoHeight * scale);
      cover.remove();
      if (x >= 0 && x <= 1 && y >= 0 && y <= 1) why([x, y]);
    } });
    stage.append(cover);
  }

  video.addEventListener("timeupdate", () => {
    if (!segment) return;
    cursor = segment.from_ms + video.currentTime * 1000;
    paint();
  });
  video.addEventListener("ended", () => segment && play(segment.camera, segment.to_ms + 1));
  canvas.addEventListener("click", (event) => {
    const area = canvas.getBoundingClientRect();
    const row = timeline.rows[Math.floor((event.clientY - area.top) / ROW)] || timeline.rows[0];
    cursor = start() + ((event.clientX - area.left - LEFT) / (area.width - 2 * LEFT)) * (end - start());
    play(row.camera, cursor);
    paint();
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    move(Math.sign(event.deltaY + event.deltaX) * 0.1);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -10e3, ArrowRight: 10e3, PageUp: -HOUR, PageDown: HOUR };
    if (!(event.key in steps) || !timeline.rows.length) return;
    event.preventDefault();
    cursor = (cursor || end - HOUR) + steps[event.key];
    play(camera || timeline.rows[0].camera, cursor);
    paint();
  });
  const resize = new ResizeObserver(paint);
  resize.observe(canvas);
  fill(place,
    h("div", { class: "title" }, h("h1", null, "Recordings"),
      h("span", { class: "muted" }, `${bytes(stock.bytes)} since ${when(stock.from_ms)}`)),
    stage, facts, answer,
    h("div", { class: "bar" }, h("button", { onclick: () => move(-0.5), "aria-label": "earlier" }, "‹"), range,
      h("button", { onclick: () => move(0.5), "aria-label": "later" }, "›"),
      h("button", { onclick: () => {
        end = Date.now();
        load();
      } }, "Now"), title),
    h("div", { class: "strip" }, names, canvas));
  await load();
  if (at && camera) play(camera, Number(at));
  return () => {
    resize.disconnect();
    video.removeAttribute("src");
    video.load();
  };
}
