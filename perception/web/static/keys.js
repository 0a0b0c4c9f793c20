// Keys: those of every view and those of the view that is shown, and the dialog that lists them.

import { fill, h } from "./dom.js";

const SHORT_S = 10; // that j and l go back and on
let always = [];
let here = [];
const list = h("dl", { class: "keys" });
const dialog = h("dialog", { "aria-labelledby": "keys-title" },
  h("h2", { id: "keys-title" }, "Keys"), list,
  h("form", { method: "dialog" }, h("button", { class: "primary" }, "Close")));

/** Keys that hold in every view: [{keys: ["/"], text: what it does, act}]. */
export function listenAlways(keys) {
  always = [...keys, { keys: ["?"], text: "this list", act: help }];
  document.body.append(dialog);
  document.addEventListener("keydown", heard);
}

/** Keys of the view that is shown; none before it says so. */
export function listenHere(keys) {
  here = keys;
}

/** List all keys that hold now. */
export function help() {
  fill(list, [...here, ...always].map(({ keys, text }) => [
    h("dt", null, keys.map((key) => h("kbd", null, NAMES[key] || key))), h("dd", null, text)]));
  if (!dialog.open) dialog.showModal();
}

const NAMES = { ArrowLeft: "←", ArrowRight: "→", " ": "space" };

function heard(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
  if (event.target.matches("input, select, textarea")) return;
  // Space and arrows of a video or a button are theirs.
  const own = event.target.matches("button, a, summary, video") && event.key === " ";
  const found = [...here, ...always].find(({ keys }) => keys.includes(event.key));
  if (!found || own) return;
  event.preventDefault();
  found.act(event);
}

/** Return the keys of a video: j, k, l and the arrows. seek(s): go by so much. */
export function playerKeys(video, seek) {
  let step = 0.1;
  let last = null;
  const each = (now, { mediaTime }) => {
    // Where a picture is left out, two are further apart: the least is the length of one.
    if (last !== null && mediaTime > last) step = Math.min(step, mediaTime - last);
    last = mediaTime;
    video.requestVideoFrameCallback(each);
  };
  video.requestVideoFrameCallback?.(each);
  const frame = (by) => {
    video.pause();
    video.currentTime += by * step;
  };
  return [
    { keys: ["j"], text: `${SHORT_S} s back`, act: () => seek(-SHORT_S) },
    { keys: ["k"], text: "play or stop", act: () => (video.paused ? video.play().catch(() => {}) : video.pause()) },
    { keys: ["l"], text: `${SHORT_S} s on`, act: () => seek(SHORT_S) },
    { keys: ["ArrowLeft"], text: "a picture back", act: () => frame(-1) },
    { keys: ["ArrowRight"], text: "a picture on", act: () => frame(1) },
  ];
}
