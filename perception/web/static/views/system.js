// Where the time of frames goes, processes, disk, log.

import { get } from "../api.js";
import { bytes, fill, h, notice, words } from "../dom.js";

export async function view(place, context) {
  const head = h("div", { class: "facts" });
  const cameras = h("div");
  const processes = h("div");
  const log = h("pre", { class: "log", tabindex: "0", "aria-label": "log" });
  let stopped = false;
  const load = async () => {
    let state;
    try {
      state = await get("/system");
    } catch (error) {
      fill(head, notice(error.message, "error"));
      return;
    }
    const disk = state.disk ? ` · ${bytes(state.disk.free_bytes)} of ${bytes(state.disk.total_bytes)} free` : "";
    fill(head, `perception ${state.version} · ${state.viewers} connected${disk}`);
    fill(cameras, state.cameras.map(one));
    fill(processes, state.processes.length ? [h("h2", null, "Processes"), table(["process", "state", "cores", "peak", ""],
      state.processes.map((process) => [process.name, process.silent_s > 2 ? "silent" : process.state,
        process.cores === null ? "–" : process.cores.toFixed(2), bytes(process.peak_bytes), process.note]))] : null);
  };
  const loop = async () => {
    while (!stopped) {
      if (!document.hidden) await load();
      await new Promise((done) => setTimeout(done, 1000));
    }
  };
  fill(place, h("h1", null, "System"), head, cameras, processes,
    context.may("admin") ? [h("h2", null, "Log"), log] : null);
  if (context.may("admin")) {
    get("/system/log?lines=60").then(({ lines }) => {
      log.textContent = lines.map(plain).join("\n") || "empty";
    }).catch((error) => {
      log.textContent = error.message;
    });
  }
  await load();
  loop();
  return () => {
    stopped = true;
  };
}

function one(camera) {
  const rates = Object.entries(camera.rates).filter(([, value]) => value > 0)
    .map(([what, value]) => `${what} ${value.toFixed(1)}/s`).join(" · ");
  const dropped = Object.entries(camera.dropped).map(([cause, count]) => `${words(cause)} ${count}`).join(", ");
  return h("section", null, h("h2", null, camera.camera), h("p", { class: "muted" }, rates || "no frames now"),
    camera.steps.length ? table(["step", "p50 ms", "p95 ms", "p99 ms"], camera.steps.map((step) =>
      [step.title, ...[step.p50_ms, step.p95_ms, step.p99_ms].map((ms) => ms.toFixed(1))])) : null,
    dropped ? h("p", { class: "muted" }, `not used since the start: ${dropped}`) : null);
}

function table(names, rows) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": names[0] }, h("table", null,
    h("thead", null, h("tr", null, names.map((name) => h("th", { scope: "col" }, name || "note")))),
    h("tbody", null, rows.map((row) => h("tr", null, row.map((cell) => h("td", null, cell)))))));
}

/** Return a log line as people read it. */
function plain(line) {
  try {
    const { timestamp, process, event, level, ...rest } = JSON.parse(line);
    const more = Object.entries(rest).map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(" ");
    return `${timestamp.slice(11, 19)} ${level} ${process}: ${event} ${more}`;
  } catch {
    return line;
  }
}
