// The timeline of recordings, and a player that goes from segment to segment.

import { get, post, PREFIX, query } from "../api.js";
import { bytes, clockTime, dayName, duration, fill, h, minutes, notice, when } from "../dom.js";
import { playerKeys } from "../keys.js";
import { HOUR, Timeline } from "../timeline.js";
import { askWhy, pickSpot } from "../why.js";

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
  const room = h("section", { class: "room" });
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
    const keep = h("button", { class: "small", "data-act": "protect", onclick: async () => {
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
        context.may("operator") ? exporter : null,
        segment.protected ? h("span", { class: "badge" }, "protected") : null));
  }

  /** Save what was recorded from the time that is shown on. */
  const exporter = h("select", { class: "small", "aria-label": "export", onchange: async () => {
    const seconds = exporter.value;
    exporter.value = "";
    const from_ms = Math.floor(segment.from_ms + video.currentTime * 1000);
    const asked = { camera: segment.camera, from_ms, seconds };
    try {
      const { bytes: size, from_ms: from, to_ms } = await get(query("/recordings/export", asked));
      fill(answer, notice(`Writing ${clockTime(from)} – ${clockTime(to_ms)}, ${bytes(size)} at most.`));
      h("a", { href: PREFIX + query("/recordings/export.mp4", asked), download: "" }).click();
    } catch (error) {
      failed(error);
    }
  } }, [["", "Export from here"], ["60", "1 minute"], ["600", "10 minutes"], ["3600", "1 hour"]].map(([value, text]) =>
    h("option", { value }, text)));

  function why(spot) {
    video.pause();
    askWhy(answer, segment.camera, segment.from_ms + video.currentTime * 1000, spot);
  }

  /** Let the next click on the picture choose a spot. */
  function pick() {
    video.pause();
    fill(answer, notice("Click on the spot in the picture."));
    const size = () => ({ width: video.videoWidth, height: video.videoHeight });
    pickSpot(stage, video, size, (spot) => (spot ? why(spot) : fill(answer)));
  }

  video.addEventListener("timeupdate", () => {
    if (!segment || video.seeking) return;
    timeline.cursor = segment.from_ms + video.currentTime * 1000;
    timeline.soon();
  });
  video.addEventListener("ended", () => segment && play(segment.camera, segment.to_ms + 1));
  const seek = (seconds) => {
    const name = segment?.camera || camera || timeline.rows[0]?.camera;
    if (name) choose(name, (timeline.cursor || timeline.end) + seconds * 1000);
  };
  const far = { ArrowLeft: -10, ArrowRight: 10, PageUp: -3600, PageDown: 3600 };
  timeline.canvas.addEventListener("keydown", (event) => {
    if (event.key in far) seek(far[event.key]);
    else if (event.key === "+" || event.key === "-") timeline.zoom(event.key === "+" ? 0.5 : 2);
    else return;
    event.preventDefault();
  });
  context.keys([
    ...playerKeys(video, seek),
    { keys: ["p"], text: "protect, or not", act: () => place.querySelector('[data-act="protect"]')?.click() },
    { keys: ["PageUp", "PageDown"], text: "an hour back or on, in the timeline", act: () => {} },
    { keys: ["+", "-"], text: "shorter or longer time, in the timeline", act: () => {} },
  ]);
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
    timeline.element, room);
  if (context.may("operator")) get("/recordings/forecast").then((told) => fill(room, roomOf(told))).catch(() => {});
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

const days = (count) => (count >= 10 ? `${Math.round(count)} days` : count >= 1 ? `${count.toFixed(1)} days` : duration(count * 86400));

/** Return how long the room for recordings lasts, and what goes first. */
function roomOf(told) {
  if (told.days === null) return null;
  const limit = told.max_bytes === null ? "" : ` of ${bytes(told.max_bytes)}`;
  const left = told.days_left > 0 ? `nothing has to be deleted for ${days(told.days_left)}` : "the least valuable is deleted now";
  return [h("h2", null, "Room"),
    h("p", null, `${bytes(told.used_bytes)}${limit} used, ${bytes(told.free_bytes)} free on the disk. `,
      `${bytes(told.bytes_per_day)} a day lately: room for ${days(told.days)} in all, ${left}.`),
    told.next.length ? h("details", null, h("summary", null, "What is deleted first"),
      h("ul", null, told.next.map((one) => h("li", null,
        h("a", { href: `#/recordings/${encodeURIComponent(one.camera)}/${one.from_ms}` }, `${one.camera}, ${when(one.from_ms)}`),
        h("span", { class: "muted" }, ` ${one.reason}, ${bytes(one.bytes)}`)))),
      h("p", { class: "muted" }, "Protect a segment to keep it.")) : null];
}
