// One camera: live, with boxes and zones, and what is in sight as a list.

import { get } from "../api.js";
import { fill, h, notice, words } from "../dom.js";
import { Player } from "../player.js";
import { label } from "../tracks.js";
import { askWhy, pickSpot } from "../why.js";

export async function view(place, context, [name]) {
  const { items } = await get("/cameras");
  const camera = items.find((one) => one.name === name);
  if (!camera) {
    fill(place, notice(`There is no camera ${name} that you may see.`), h("a", { href: "#/live" }, "All cameras"));
    return null;
  }
  const saved = JSON.parse(localStorage.getItem("camera-options") || "{}");
  const options = { mode: "live", boxes: true, zones: true, ...saved };
  const player = new Player(context.live, camera, options);
  const state = h("p", { class: "facts" });
  player.onstate = ({ way, reasons, fps, age }) => {
    const parts = [`${way}`, `${fps.toFixed(0)} fps`];
    if (age !== undefined) parts.push(`boxes ${age.toFixed(0)} ms after the picture`);
    fill(state, h("span", null, parts.join(" · ")),
      reasons.length ? h("span", { class: "why" }, ` ${reasons.join("; ")}`) : null);
  };
  const list = h("ul", { class: "insight", "aria-label": "in sight" });
  let listed = 0;
  player.onpicture = ({ found }) => {
    if (performance.now() - listed < 500) return;
    listed = performance.now();
    const rows = found.rows.filter((track) => track.state !== "lost");
    fill(list, rows.length ? rows.map((track) => h("li", null, label(track),
      h("span", { class: "muted" }, ` ${(track.score * 100).toFixed(0)} %`))) : h("li", { class: "muted" }, "nothing"));
  };
  const toggle = (key, title) => {
    const box = h("input", { type: "checkbox", checked: options[key], onchange: () => {
      options[key] = box.checked;
      keep();
    } });
    return h("label", { class: "check" }, box, title);
  };
  const mode = h("select", { "aria-label": "mode", onchange: () => {
    options.mode = mode.value;
    keep();
  } }, [["live", "Picture at once"], ["exact", "Boxes of this very frame"]].map(([value, title]) =>
    h("option", { value, selected: options.mode === value }, title)));
  const keep = () => localStorage.setItem("camera-options", JSON.stringify(options));
  const full = () => (document.fullscreenElement ? document.exitFullscreen() : player.element.requestFullscreen());
  const answer = h("div", { "aria-live": "polite" });
  const stage = h("div", { class: "picture-of" }, player.element);
  /** Keep the picture, let a spot be chosen in it, and say why there was an alert there, or none. */
  const why = h("button", { onclick: () => {
    const ms = player.wallMs;
    if (ms === null) return;
    player.freeze(true);
    why.disabled = true;
    fill(answer, notice("Click on the spot in the picture; Escape goes on."));
    pickSpot(stage, player.element, () => player.element.getBoundingClientRect(), async (spot) => {
      if (spot) {
        const mark = h("div", { class: "spot" });
        mark.style.left = `${spot[0] * 100}%`;
        mark.style.top = `${spot[1] * 100}%`;
        stage.append(mark);
        answer.scrollIntoView({ block: "nearest" });
        await askWhy(answer, name, ms, spot);
        mark.remove();
      } else fill(answer);
      player.freeze(false);
      why.disabled = false;
    });
  } }, "Why here?");
  const rules = Object.entries(camera.rules).map(([rule, type]) => h("li", null, words(rule),
    h("span", { class: "muted" }, ` ${words(type)}`)));
  fill(place,
    h("h1", null, h("a", { href: "#/live", class: "back", "aria-label": "all cameras" }, "‹"), camera.name),
    h("div", { class: "camera" },
      h("div", { class: "stage" }, stage,
        h("div", { class: "bar" }, mode, toggle("boxes", "Boxes"), toggle("zones", "Zones"),
          camera.records ? why : null, h("button", { onclick: full }, "Full screen")), state),
      h("aside", null, answer, h("h2", null, "In sight"), list, h("h2", null, "Rules"),
        rules.length ? h("ul", null, rules) : h("p", { class: "muted" }, "none"),
        context.may("admin") ? h("p", null, h("a", { href: `#/zones/${encodeURIComponent(name)}` }, "Zones and lines")) : null,
        camera.records ? h("p", null, h("a", { href: `#/recordings/${encodeURIComponent(name)}` }, "Recordings")) : null)));
  place.player = player; // for tests: what is shown, and when
  return () => player.close();
}
