// Boxes, zones and lines over a picture.

import { label } from "./tracks.js";

const COLOURS = ["#4cc9f0", "#f9c74f", "#90be6d", "#f9844a", "#b5a2ff", "#43e0b0", "#ff8fab"];

function colour(track) {
  if (track.who && track.who !== "unknown") return "#43e0b0";
  let sum = 0;
  for (const letter of track.class) sum += letter.charCodeAt(0);
  return COLOURS[sum % COLOURS.length];
}

/** Draw on a canvas that is as large as it is shown. camera: its zones and lines. */
export function draw(canvas, camera, found, options) {
  const scale = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * scale);
  const height = Math.round(canvas.clientHeight * scale);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, width, height);
  pen.lineWidth = 1.5 * scale;
  pen.font = `${11 * scale}px system-ui, sans-serif`;
  if (options.zones) shapes(pen, camera, width, height);
  if (!options.boxes) return;
  for (const track of found.rows) {
    const [x1, y1, x2, y2] = track.box.map((v, i) => v * (i % 2 ? height : width));
    pen.strokeStyle = colour(track);
    pen.globalAlpha = track.state === "lost" ? 0.45 : 1;
    pen.setLineDash(found.exact && track.state !== "lost" ? [] : [5 * scale, 4 * scale]);
    pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
    pen.setLineDash([]);
    if (x2 - x1 > 24 * scale || found.rows.length < 12) text(pen, label(track), x1, y1, scale);
  }
  pen.globalAlpha = 1;
}

function text(pen, words, x, y, scale) {
  const high = 15 * scale;
  const wide = pen.measureText(words).width + 8 * scale;
  const top = Math.max(0, y - high);
  pen.fillStyle = "rgba(8, 14, 18, 0.78)";
  pen.fillRect(x - 0.75 * scale, top, wide, high);
  pen.fillStyle = "#fff";
  pen.fillText(words, x + 3 * scale, top + 11 * scale);
}

function shapes(pen, camera, width, height) {
  const path = (points, close) => {
    pen.beginPath();
    points.forEach(([x, y], i) => pen[i ? "lineTo" : "moveTo"](x * width, y * height));
    if (close) pen.closePath();
  };
  pen.setLineDash([]);
  for (const points of Object.values(camera.zones)) {
    path(points, true);
    pen.fillStyle = "rgba(67, 224, 176, 0.10)";
    pen.fill();
    pen.strokeStyle = "rgba(67, 224, 176, 0.75)";
    pen.stroke();
  }
  for (const points of Object.values(camera.lines)) {
    path(points, false);
    pen.strokeStyle = "rgba(249, 199, 79, 0.9)";
    pen.stroke();
  }
}
