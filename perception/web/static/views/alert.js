// One alert: clip, picture, all that the rule said.

import { get, post, PREFIX } from "../api.js";
import { duration, fill, h, notice, when, words } from "../dom.js";
import { playerKeys } from "../keys.js";
import { whatOf, whoOf, wrongButton } from "./alerts.js";

const LONGEST_MS = 120e3; // a clip is there by then, or will never be

export async function view(place, context, [key]) {
  const alert = await get(`/alerts/${encodeURIComponent(key)}`);
  const base = `${PREFIX}/alerts/${alert.key}`;
  const media = h("div", { class: "stage" });
  const picture = () => (alert.has_picture
    ? h("img", { src: `${base}/picture.jpg`, alt: `${alert.class_name} at ${alert.camera}` })
    : notice("There is no picture of this alert."));
  const press = (name) => place.querySelector(`[data-act="${name}"]`)?.click();
  const keys = (video) => context.keys([
    ...(video ? playerKeys(video, (by) => {
      video.currentTime += by;
    }) : []),
    { keys: ["a"], text: "seen", act: () => press("seen") },
    { keys: ["w"], text: "wrong, or not", act: () => press("wrong") },
  ]);
  keys(null);
  const clip = (from) => {
    const video = h("video", { controls: true, autoplay: true, muted: true, playsinline: true,
      src: `${base}/clip.mp4`, poster: alert.has_picture ? `${base}/picture.jpg` : null });
    video.muted = true;
    // A clip begins at a key frame, which may be seconds before what is wanted.
    video.addEventListener("loadedmetadata", () => {
      video.currentTime = from;
    });
    video.addEventListener("error", () => fill(media, picture(), notice("This browser does not play the clip.")));
    fill(media, video);
    keys(video);
  };
  let waits = null;
  let closed = false;
  const wait = async () => {
    const now = await get(`/alerts/${alert.key}`).catch(() => alert);
    if (closed) return;
    if (now.clip_from_s !== null) clip(now.clip_from_s);
    else if (Date.now() - alert.end_ms < LONGEST_MS) waits = setTimeout(wait, 1000);
    else fill(media, picture(), notice("There is no clip of this alert."));
  };
  if (alert.clip_from_s !== null) clip(alert.clip_from_s);
  else {
    fill(media, picture(), alert.has_clip ? notice("The clip is being written; it plays here when it is complete.") : null);
    if (alert.has_clip) waits = setTimeout(wait, 1000);
  }
  const name = h("input", { maxlength: 64, required: true, placeholder: "name", "aria-label": "name" });
  const answer = h("div", { "aria-live": "polite" });
  const enroll = h("form", { class: "search", onsubmit: async (event) => {
    event.preventDefault();
    fill(answer, notice("looking at the face"));
    try {
      fill(answer, notice((await post(`/alerts/${alert.key}/enroll`, { name: name.value })).text));
    } catch (error) {
      fill(answer, notice(error.message, "error"));
    }
  } }, name, h("button", null, "This is"));
  const asks = alert.class_name === "person" && "who" in alert.details && alert.has_picture && context.may("operator");
  const said = h("dl");
  const acts = h("div", { class: "row" });
  /** Show what is known of the alert. */
  const tell = (now) => {
    const lasted = (now.end_ms - now.start_ms) / 1000;
    const rows = [
      ["when", when(now.start_ms)],
      ["lasted", now.state === "cleared" ? duration(lasted) : `${duration(lasted)} so far`],
      ["camera", now.camera],
      ["rule", `${words(now.rule)} (${words(now.kind)})`],
      ...Object.entries(now.details).map(([name, value]) => [words(name), String(value)]),
      ["seen", now.seen_ms ? when(now.seen_ms) : "not yet"],
      ["wrong", now.wrong ? `says ${now.wrong.user}, ${when(now.wrong.at_ms)}` : "nobody says so"],
    ];
    fill(said, rows.map(([name, value]) => [h("dt", null, name), h("dd", null, value)]));
    const seen = h("button", { class: "small", "data-act": "seen", onclick: async () => {
      try {
        tell(await post(`/alerts/${now.key}/seen`));
      } catch (error) {
        context.say(error.message);
      }
    } }, "Seen");
    const recording = `#/recordings/${encodeURIComponent(now.camera)}/${now.start_ms - 3000}`;
    fill(acts, context.may("operator") && !now.seen_ms ? seen : null,
      context.may("operator") ? wrongButton(now, context, tell) : null,
      now.has_clip ? h("a", { class: "button small", href: `${base}/clip.mp4`, download: `${now.camera}-${now.key.slice(0, 8)}.mp4` }, "Save clip") : null,
      h("a", { class: "button small", href: recording }, "Recording"));
  };
  tell(alert);
  fill(place,
    h("h1", null, h("a", { href: "#/alerts", class: "back", "aria-label": "all alerts" }, "‹"), whoOf(alert)),
    h("p", { class: "muted" }, whatOf(alert)),
    h("div", { class: "camera" }, media,
      h("aside", null, said, asks ? [h("h2", null, "Who is it?"), enroll, answer] : null, acts)));
  return () => {
    closed = true;
    clearTimeout(waits);
  };
}
