// The timeline of recordings, and a player that goes from segment to segment.

import { get, post, PREFIX, query } from "../api.js";
import { bytes, clockTime, dayName, fill, h, minutes, notice, when } from "../dom.js";
import { HOUR, Timeline } from "../timeline.js";

const SPANS = [[0.25, "15 min"], [1, "1 h"], [6, "6 h"], [24, "24 h"], [168, "7 days"], [720, "30 days"]];

export async function view(place, context, [camera, at]) {
  const stock = await get("/recordings");
  if (stock.state === "none") {
    fill(place, h("h1", null, "Recordings"),
      notice("Nothing is recorded. `record: {}` of a camera in the launch file begins it."));
    return null;
  }
  const age = (Date.now() - stock.from_ms) / HOUR;
  const hours = age < 0.25 ? 0.25 : at || age < 1 ? 1 : age < 6 ? 6 : 24;
  const timeline = new Timeline(camera, { onchoose: choose, onmove: told });
  place.timeline = timeline; // for tests: what is painted
  const title = h("span", { class: "range" });
  const video = h("video", { controls: true, playsinline: true, muted: true });
  video.muted = true;
  const stage = h("div", { class: "stage" }, notice("Choose a time: green is recorded, red is lost, dots are alerts."));
  const facts = h("div", { class: "facts" });
  const answer = h("div", { "aria-live": "polite" });
  let segment = null;
  let turn = 0;
  const range = h("select", { "aria-label": "length", onchange: () => {
    timeline.show(Number(range.value), timeline.cursor || (timeline.start + timeline.end) / 2).catch(failed);
    told();
  } }, SPANS.map(([value, text]) => h("option", { value, selected: value === hours }, text)));

  function failed(error) {
    fill(answer, notice(error.message, "error"));
  }

  /** Say which times are in sight. */
  function told() {
    const { start, end, span } = timeline;
    const until = span > 24 * HOUR ? `${dayName(end)} ${minutes(end)}` : minutes(end);
    title.textContent = `${dayName(start)} ${minutes(start)} – ${until}`;
    range.value = String(SPANS.map(([value]) => value).reduce((best, value) =>
      Math.abs(Math.log(value * HOUR / span)) < Math.abs(Math.log(best * HOUR / span)) ? value : best));
  }

  function choose(name, ms) {
    timeline.cursor = ms;
    timeline.paint();
    play(name, ms);
  }

  async function play(name, ms) {
    const before = segment;
    const mine = ++turn;
    try {
      const found = await get(query("/recordings/at", { camera: name, at_ms: Math.max(0, Math.round(ms)) }));
      if (mine !== turn) return;
      segment = found;
    } catch (error) {
      if (mine === turn) fill(stage, notice(error.message));
      return;
    }
    const base = `${PREFIX}/recordings/${segment.id}`;
    const offset = segment.offset_s;
    if (before?.id === segment.id && stage.contains(video) && video.readyState) {
      video.currentTime = offset;
      video.play().catch(() => {});
      return;
    }
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
    if (!segment || video.seeking) return;
    timeline.cursor = segment.from_ms + video.currentTime * 1000;
    timeline.soon();
  });
  video.addEventListener("ended", () => segment && play(segment.camera, segment.to_ms + 1));
  timeline.canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -10e3, ArrowRight: 10e3, PageUp: -HOUR, PageDown: HOUR };
    if (!(event.key in steps) || !timeline.rows.length) return;
    event.preventDefault();
    choose(segment?.camera || camera || timeline.rows[0].camera, (timeline.cursor || timeline.end) + steps[event.key]);
  });
  fill(place,
    h("div", { class: "title" }, h("h1", null, "Recordings"),
      h("span", { class: "muted" }, `${bytes(stock.bytes)} since ${when(stock.from_ms)}`)),
    stage, facts, answer,
    h("div", { class: "bar" }, h("button", { onclick: () => timeline.move(-0.5), "aria-label": "earlier" }, "‹"), range,
      h("button", { onclick: () => timeline.move(0.5), "aria-label": "later" }, "›"),
      h("button", { onclick: () => {
        timeline.show(timeline.span / HOUR).catch(failed);
        told();
      } }, "Now"), title),
    timeline.element);
  const first = at && camera ? Number(at) : null;
  timeline.cursor = first;
  const shown = timeline.show(hours, first ?? undefined);
  told();
  if (first) play(camera, first);
  await shown;
  return () => {
    timeline.close();
    video.removeAttribute("src");
    video.load();
  };
}
