// Why there was an alert at a moment, or none: asked for a moment and, where one is chosen, a spot.

import { get, query } from "./api.js";
import { fill, h, notice } from "./dom.js";

const WRITTEN_MS = 3500; // a second is on the server's disk so much later

/** Ask and show the answer in `place`. spot: [x, y] in fractions of the picture, or null. */
export async function askWhy(place, camera, ms, spot) {
  fill(place, notice("looking"));
  await new Promise((done) => setTimeout(done, Math.max(0, ms + WRITTEN_MS - Date.now())));
  try {
    const { lines } = await get(query("/why", { camera, at_ms: Math.round(ms), x: spot?.[0], y: spot?.[1] }));
    fill(place, h("pre", { class: "log", tabindex: "0", "aria-label": "why" }, lines.join("\n")));
  } catch (error) {
    fill(place, notice(error.message, "error"));
  }
}

/** Let the next click on a picture choose a spot. picture(): {width, height} of what `shown` shows.
 * chosen(spot): the spot, or null where Escape ended it. */
export function pickSpot(stage, shown, picture, chosen) {
  const end = (spot) => {
    cover.remove();
    document.removeEventListener("keydown", key);
    chosen(spot);
  };
  const key = (event) => event.key === "Escape" && end(null);
  const cover = h("div", { class: "cover", onclick: (event) => {
    const { width, height } = picture();
    const area = shown.getBoundingClientRect();
    const scale = Math.min(area.width / width, area.height / height);
    const x = (event.clientX - area.left - (area.width - width * scale) / 2) / (width * scale);
    const y = (event.clientY - area.top - (area.height - height * scale) / 2) / (height * scale);
    if (x >= 0 && x <= 1 && y >= 0 && y <= 1) end([x, y]);
  } });
  document.addEventListener("keydown", key);
  stage.append(cover);
}
