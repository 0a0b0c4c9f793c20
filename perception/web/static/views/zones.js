// Zones and lines of a camera, drawn over its live picture; saved into the launch file.

import { get, put, query, remove } from "../api.js";
import { fill, h, notice, words } from "../dom.js";
import { Player } from "../player.js";
import { svg } from "../svg.js";

const STEP = 0.005;

/** Whether a point is inside a polygon. */
export function inside([x, y], points) {
  let odd = false;
  points.forEach(([x1, y1], i) => {
    const [x2, y2] = points[(i + 1) % points.length];
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) odd = !odd;
  });
  return odd;
}

export async function view(place, context, [name]) {
  const { items } = await get("/cameras");
  const camera = items.find((one) => one.name === name);
  if (!camera) {
    fill(place, notice(`There is no camera ${name} that you may see.`));
    return null;
  }
  let file = await get(`/cameras/${encodeURIComponent(name)}/shapes`);
  const player = new Player(context.live, camera, { mode: "live", boxes: true, zones: false });
  const drawing = svg("svg", { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", class: "drawing" });
  player.element.append(drawing);
  const list = h("div", { class: "shapes" });
  const said = h("div", { "aria-live": "polite" });
  const bar = h("div", { class: "bar" });
  let chosen = null; // {kind, shape, points, history, isNew}
  let point = null;
  let held = false; // whether a point is dragged
  const feet = [];
  const places = svg("g", {});

  const choose = (kind, shape, points, isNew = false) => {
    chosen = { kind, shape, points: points.map((one) => [...one]), history: [], isNew };
    point = null;
    fill(said);
    show();
  };
  const remember = () => chosen.history.push(chosen.points.map((one) => [...one]));
  const least = () => (chosen.kind === "zones" ? 3 : 2);

  function show() {
    const others = [...Object.entries(file.zones).map(([shape, points]) => ["zones", shape, points]),
      ...Object.entries(file.lines).map(([shape, points]) => ["lines", shape, points])];
    fill(list, others.map(([kind, shape, points]) => h("button", {
      class: "choice", "aria-pressed": String(chosen?.kind === kind && chosen?.shape === shape),
      onclick: () => choose(kind, shape, points),
    }, words(shape), h("span", { class: "muted" }, kind === "zones" ? " zone" : " line"))),
    others.length ? null : h("p", { class: "muted" }, "none yet"));
    const can = !file.why_not && context.may("admin");
    fill(bar, chosen ? [
      h("button", { class: "primary", disabled: !can, onclick: save }, "Save"),
      h("button", { disabled: !chosen.history.length, onclick: undo }, "Undo"),
      h("button", { disabled: point === null || chosen.points.length <= least(), onclick: dropPoint }, "Remove point"),
      h("button", { class: "danger", disabled: !can || chosen.isNew, onclick: drop }, "Remove"),
    ] : null, h("button", { disabled: !can, onclick: () => add("zones") }, "New zone"),
    h("button", { disabled: !can, onclick: () => add("lines") }, "New line"));
    paint();
  }

  function paint() {
    drawing.replaceChildren();
    const path = (points) => points.map(([x, y]) => `${x * 1000},${y * 1000}`).join(" ");
    for (const [shape, points] of [...Object.entries(file.zones), ...Object.entries(file.lines)]) {
      if (shape === chosen?.shape) continue;
      drawing.append(svg(file.zones[shape] ? "polygon" : "polyline", { points: path(points), class: "other" }));
    }
    if (!chosen) return;
    drawing.append(svg(chosen.kind === "zones" ? "polygon" : "polyline", { points: path(chosen.points), class: "mine" }));
    drawing.append(places);
    stand();
    const area = player.element.getBoundingClientRect();
    const rx = (9 / area.width) * 1000;
    const ry = (9 / area.height) * 1000;
    const ends = chosen.kind === "zones" ? chosen.points.length : chosen.points.length - 1;
    for (let i = 0; i < ends; i++) {
      const [x1, y1] = chosen.points[i];
      const [x2, y2] = chosen.points[(i + 1) % chosen.points.length];
      drawing.append(svg("ellipse", { cx: (x1 + x2) * 500, cy: (y1 + y2) * 500, rx: rx * 0.6, ry: ry * 0.6, class: "add",
        onpointerdown: (event) => {
          remember();
          chosen.points.splice(i + 1, 0, [(x1 + x2) / 2, (y1 + y2) / 2]);
          grab(event, i + 1, false);
        } }));
    }
    chosen.points.forEach(([x, y], i) => {
      const handle = svg("ellipse", { cx: x * 1000, cy: y * 1000, rx, ry, class: i === point ? "point on" : "point",
        tabindex: "0", role: "button", "aria-label": `point ${i + 1} of ${chosen.points.length}`,
        onpointerdown: (event) => grab(event, i, true),
        onfocus: () => {
          if (point !== i) {
            point = i;
            show();
            drawing.querySelectorAll(".point")[i]?.focus();
          }
        },
        onkeydown: (event) => keys(event, i) });
      drawing.append(handle);
    });
  }

  /** Mark where the last objects stood. The points are not touched: one may be held just now. */
  function stand() {
    places.replaceChildren(...feet.map(([foot, seen]) => {
      const hit = chosen.kind === "zones" && inside(foot, chosen.points);
      return svg("ellipse", { cx: foot[0] * 1000, cy: foot[1] * 1000, rx: 4, ry: 7,
        class: hit ? "foot hit" : "foot", opacity: Math.max(0.2, 1 - (performance.now() - seen) / 20000) });
    }));
  }

  function at(event) {
    const area = drawing.getBoundingClientRect();
    const bound = (value) => Math.min(1, Math.max(0, Math.round(value * 1000) / 1000));
    return [bound((event.clientX - area.left) / area.width), bound((event.clientY - area.top) / area.height)];
  }

  function grab(event, i, keep) {
    event.preventDefault();
    if (keep) remember();
    point = i;
    held = true;
    const move = (next) => {
      chosen.points[i] = at(next);
      paint();
    };
    const end = () => {
      window.removeEventListener("pointermove", move);
      window.removeEventListener("pointerup", end);
      held = false;
      show();
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", end);
    show();
  }

  function keys(event, i) {
    const steps = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
    if (event.key in steps) {
      remember();
      const [dx, dy] = steps[event.key];
      const [x, y] = chosen.points[i];
      const bound = (value) => Math.min(1, Math.max(0, Math.round(value * 1000) / 1000));
      chosen.points[i] = [bound(x + dx), bound(y + dy)];
    } else if (event.key === "Delete" || event.key === "Backspace") dropPoint();
    else return;
    event.preventDefault();
    show();
    drawing.querySelectorAll(".point")[Math.min(i, chosen.points.length - 1)]?.focus();
  }

  function undo() {
    chosen.points = chosen.history.pop();
    point = null;
    show();
  }

  function dropPoint() {
    if (point === null || chosen.points.length <= least()) return;
    remember();
    chosen.points.splice(point, 1);
    point = null;
    show();
  }

  function add(kind) {
    const shape = prompt(kind === "zones" ? "Name of the zone" : "Name of the line")?.trim();
    if (!shape) return;
    if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/.test(shape) || file.zones[shape] || file.lines[shape]) {
      fill(said, notice("A name has letters, digits, - and _, at most 40, and is new.", "error"));
      return;
    }
    choose(kind, shape, kind === "zones" ? [[0.3, 0.4], [0.7, 0.4], [0.7, 0.9], [0.3, 0.9]] : [[0.2, 0.6], [0.8, 0.6]], true);
  }

  async function act(work) {
    try {
      const done = await work();
      file = done;
      const left = chosen && (file.zones[chosen.shape] || file.lines[chosen.shape]);
      if (left) choose(chosen.kind, chosen.shape, left);
      else chosen = null;
      fill(said, notice(done.said === "taken" ? "Saved. The running line has taken it." : done.said));
      const hint = chosen && !used(chosen.shape);
      if (hint) said.append(notice("No rule names it yet: rules are written in the launch file."));
    } catch (error) {
      fill(said, notice(error.message, "error"));
      if (error.message.includes("changed meanwhile")) file = await get(`/cameras/${encodeURIComponent(name)}/shapes`);
    }
    show();
  }

  const used = (shape) => camera.used.includes(shape);
  const path = () => `/cameras/${encodeURIComponent(name)}/${chosen.kind}/${encodeURIComponent(chosen.shape)}`;
  const save = () => act(() => put(path(), { tag: file.tag, points: chosen.points }));
  const drop = () => {
    if (confirm(`Remove ${chosen.shape} from the launch file?`)) act(() => remove(query(path(), { tag: file.tag })));
  };

  let last = 0;
  player.onpicture = ({ found }) => {
    if (performance.now() - last < 400) return;
    last = performance.now();
    for (const track of found.rows) {
      if (track.state === "lost") continue;
      feet.push([[(track.box[0] + track.box[2]) / 2, track.box[3]], last]);
    }
    feet.splice(0, Math.max(0, feet.length - 50));
    if (chosen) stand();
  };
  fill(place,
    h("h1", null, h("a", { href: `#/camera/${encodeURIComponent(name)}`, class: "back", "aria-label": "back to the camera" }, "‹"), `Zones of ${name}`),
    file.why_not ? notice(file.why_not) : null,
    h("div", { class: "camera" }, h("div", { class: "stage" }, player.element, bar, said),
      h("aside", null, h("h2", null, "Zones and lines"), list,
        h("p", { class: "muted" }, "Drag a point; drag a small dot to add one. With the keyboard: Tab to a point, arrows move it, Delete removes it. Green dots: where the last objects stood inside."))));
  show();
  // Points are round at every size of the picture.
  const resized = new ResizeObserver(() => {
    if (!held) paint();
  });
  resized.observe(player.element);
  return () => {
    resized.disconnect();
    player.close();
  };
}
