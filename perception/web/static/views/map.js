// The map of a drone: flight, footprints, targets with their 95 % ellipses. No picture of the ground is
// fetched from anywhere.

import { get } from "../api.js";
import { fill, h, notice } from "../dom.js";
import { svg } from "../svg.js";

const M_PER_DEG = 111320;
const KINDS = { flight: "flight", footprint: "footprint", path: "way", ellipse: "ellipse" };

/** Return the lines of a geometry of GeoJSON. */
function lines({ type, coordinates }) {
  if (type === "LineString") return [coordinates];
  if (type === "MultiLineString" || type === "Polygon") return coordinates;
  return type === "MultiPolygon" ? coordinates.flat() : [];
}

const number = (value, digits = 1) => (value === null || value === undefined ? "–" : value.toFixed(digits));

export async function view(place, context, [name]) {
  const cameras = context.me.maps;
  const camera = cameras.includes(name) ? name : cameras[0];
  if (!camera) {
    fill(place, h("h1", null, "Map"), notice("No camera that you may see has telemetry."));
    return null;
  }
  const drawing = svg("svg", { class: "map", role: "img", "aria-label": `map of ${camera}`, tabindex: "0" });
  const facts = h("p", { class: "facts" });
  const list = h("div");
  let origin = null; // [lon, lat] of 0, 0 m
  let box = null; // {x, y, width} in m, north up; null: all
  let chosen = null;
  let data = null;

  const east = ([lon, lat]) => [
    ((((lon - origin[0] + 540) % 360) + 360) % 360 - 180) * M_PER_DEG * Math.cos((origin[1] * Math.PI) / 180),
    -(lat - origin[1]) * M_PER_DEG];

  /** Return what holds all that is drawn, with the shape of the drawing. */
  function all() {
    const points = data.features.flatMap(({ geometry, properties }) => {
      if (geometry.type === "Point") return [east(geometry.coordinates)];
      return properties.kind === "footprint" ? [] : lines(geometry).flat().map(east);
    });
    const x = points.map((point) => point[0]);
    const y = points.map((point) => point[1]);
    const [left, right] = points.length ? [Math.min(...x), Math.max(...x)] : [0, 0];
    const [top, bottom] = points.length ? [Math.min(...y), Math.max(...y)] : [0, 0];
    const shape = drawing.clientHeight / Math.max(1, drawing.clientWidth);
    const width = 1.25 * Math.max(right - left, (bottom - top) / shape, 40);
    return { x: (left + right) / 2, y: (top + bottom) / 2, width };
  }

  function paint() {
    if (!data || !origin || !drawing.clientWidth) return;
    const { x, y, width } = box || all();
    const pixel = width / drawing.clientWidth; // m
    const height = pixel * drawing.clientHeight;
    drawing.setAttribute("viewBox", `${x - width / 2} ${y - height / 2} ${width} ${height}`);
    const path = (points) => points.map((point) => east(point).map((v) => v.toFixed(2)).join(",")).join(" ");
    const parts = [];
    const order = ["footprint", "flight", "path", "ellipse"];
    for (const kind of order) {
      for (const { geometry, properties } of data.features) {
        if (properties.kind !== kind) continue;
        const on = properties.track !== undefined && properties.track === chosen ? " on" : "";
        const shape = geometry.type.includes("Polygon") ? "polygon" : "polyline";
        for (const line of lines(geometry)) parts.push(svg(shape, { points: path(line), class: KINDS[kind] + on }));
      }
    }
    for (const { geometry, properties } of data.features) {
      if (geometry.type !== "Point") continue;
      const [px, py] = east(geometry.coordinates);
      if (properties.kind === "target") {
        const on = properties.track === chosen ? " on" : "";
        parts.push(svg("circle", { cx: px, cy: py, r: 5 * pixel, class: `target${on}`, "data-track": properties.track,
          onclick: () => choose(properties.track) }));
        if (targets().length < 40 || on) {
          parts.push(svg("text", { x: px + 9 * pixel, y: py - 7 * pixel, "font-size": 12 * pixel }, `${properties.class} ${properties.track}`));
        }
      } else if (properties.kind === "camera") {
        parts.push(svg("path", { d: "M0,-14 9,10 0,5 -9,10Z", class: "drone",
          transform: `translate(${px} ${py}) scale(${pixel}) rotate(${properties.yaw_deg})` }));
      } else if (properties.kind === "alert") {
        parts.push(svg("circle", { cx: px, cy: py, r: 11 * pixel, class: "alarm" }));
      }
    }
    parts.push(...scale(x, y, width, height, pixel));
    drawing.replaceChildren(...parts);
  }

  /** Return the scale at the upper right, and where north is. */
  function scale(x, y, width, height, pixel) {
    const most = 140 * pixel;
    const power = 10 ** Math.floor(Math.log10(most));
    const step = [5, 2, 1].map((k) => k * power).find((k) => k <= most);
    const right = x + width / 2 - 16 * pixel;
    const top = y - height / 2 + 30 * pixel;
    const text = step >= 1000 ? `${step / 1000} km` : `${step} m`;
    return [
      svg("polyline", { class: "scale", points: `${right - step},${top - 4 * pixel} ${right - step},${top} ${right},${top} ${right},${top - 4 * pixel}` }),
      svg("text", { x: right - step / 2, y: top - 8 * pixel, "font-size": 12 * pixel, "text-anchor": "middle" }, text),
      svg("text", { x: right, y: top + 22 * pixel, "font-size": 13 * pixel, "text-anchor": "end" }, "N ↑"),
    ];
  }

  const targets = () => data.features.filter(({ properties }) => properties.kind === "target").map((one) => one.properties);

  function choose(track) {
    chosen = track === chosen ? null : track;
    tell();
    paint();
  }

  function tell() {
    const rows = targets().sort((a, b) => b.last_s - a.last_s).slice(0, 50);
    fill(list, rows.length ? rows.map((one) => h("button", { class: "choice", "aria-pressed": String(one.track === chosen), onclick: () => choose(one.track) },
      `${one.class} ${one.track}`, h("span", { class: "muted" },
        ` ± ${number(one.ellipse_major_m)} m · ${one.speed_m_s === null ? "speed not known" : `${number(one.speed_m_s)} m/s`}${one.reservation ? ` · ${one.reservation}` : ""}`))) : h("p", { class: "muted" }, "none yet"));
    const now = data.features.find(({ properties }) => properties.kind === "camera")?.properties;
    facts.textContent = [now ? `${number(now.above_m, 0)} m above ground, looks to ${number(now.yaw_deg, 0)}°` : data.reason || "no place yet",
      `place known in ${data.frames_placed} of ${data.frames} frames`, data.targets === 1 ? "1 target" : `${data.targets} targets`].join(" · ");
  }

  let stopped = false;
  async function load() {
    try {
      data = await get(`/cameras/${encodeURIComponent(camera)}/map`);
    } catch (error) {
      facts.textContent = error.message;
      return;
    }
    const first = data.features.find(({ geometry }) => geometry.type === "Point") || data.features[0];
    if (first && !origin) origin = first.geometry.type === "Point" ? first.geometry.coordinates : lines(first.geometry)[0][0];
    tell();
    paint();
  }
  const loop = async () => {
    while (!stopped) {
      if (!document.hidden) await load();
      await new Promise((done) => setTimeout(done, 1000));
    }
  };

  let held = null;
  const zoom = (factor) => {
    const now = box || all();
    box = { ...now, width: Math.min(1e6, Math.max(5, now.width * factor)) };
    paint();
  };
  drawing.addEventListener("pointerdown", (event) => {
    held = [event.clientX, event.clientY];
  });
  drawing.addEventListener("pointermove", (event) => {
    if (!held || !data || event.buttons === 0) return;
    const now = box || all();
    const pixel = now.width / drawing.clientWidth;
    box = { ...now, x: now.x - (event.clientX - held[0]) * pixel, y: now.y - (event.clientY - held[1]) * pixel };
    held = [event.clientX, event.clientY];
    paint();
  });
  drawing.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (data) zoom(1.0015 ** event.deltaY);
  }, { passive: false });
  const choice = h("select", { "aria-label": "camera", onchange: () => context.go(`#/map/${encodeURIComponent(choice.value)}`) },
    cameras.map((one) => h("option", { value: one, selected: one === camera }, one)));
  fill(place, h("div", { class: "title" }, h("h1", null, "Map"), choice), facts,
    h("div", { class: "camera" }, h("div", { class: "stage" }, drawing, h("div", { class: "bar" },
      h("button", { "aria-label": "nearer", onclick: () => data && zoom(0.6) }, "+"),
      h("button", { "aria-label": "further", onclick: () => data && zoom(1 / 0.6) }, "−"),
      h("button", { onclick: () => {
        box = null;
        paint();
      } }, "All"))),
    h("aside", null, h("h2", null, "Targets"), list)));
  const resized = new ResizeObserver(paint);
  resized.observe(drawing);
  await load();
  loop();
  return () => {
    stopped = true;
    resized.disconnect();
  };
}
