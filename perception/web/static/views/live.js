// All cameras, live.

import { get } from "../api.js";
import { fill, h, notice } from "../dom.js";
import { Player } from "../player.js";

export async function view(place, context) {
  const { items } = await get("/cameras");
  if (!items.length) {
    fill(place, h("h1", null, "Live"), notice("There is no camera that you may see. An admin can change that."));
    return null;
  }
  const players = [];
  const tiles = items.map((camera) => {
    const player = new Player(context.live, camera, { mode: "live", boxes: true, zones: false });
    const state = h("span", { class: "state" }, "…");
    const way = h("span", { class: "way" });
    player.onstate = ({ way: title, reasons, fps, age }) => {
      const online = fps > 0;
      state.textContent = online ? `${fps.toFixed(0)} fps` : "no picture";
      state.classList.toggle("bad", !online);
      way.textContent = age === undefined ? title : `${title} · ${age.toFixed(0)} ms`;
      way.title = reasons.join("; ") || "the best way there is";
    };
    players.push(player);
    const caption = h("span", { class: "caption" }, h("b", null, camera.name), state, way);
    return h("a", { class: "tile", href: `#/camera/${encodeURIComponent(camera.name)}` }, player.element, caption);
  });
  fill(place, h("h1", { class: "quiet" }, "Live"), h("div", { class: `grid of-${Math.min(items.length, 5)}` }, tiles));
  return () => players.forEach((player) => player.close());
}
