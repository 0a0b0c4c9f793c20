// Elements without a template language: h("p", {class: "x"}, "text").

/** Return an element. Properties that begin with "on" are listeners; text is never markup. */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined));
  return element;
}

/** Replace all that is in an element. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(9).filter((c) => c !== null && c !== undefined));
  return element;
}

const DAY = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

const MINUTES = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

export const minutes = (ms) => MINUTES.format(ms);
export const clockTime = (ms) => CLOCK.format(ms);
export const dayName = (ms) => DAY.format(ms);

/** Return a time with its day where it is not today. */
export function when(ms) {
  const today = new Date().toDateString() === new Date(ms).toDateString();
  return today ? clockTime(ms) : `${dayName(ms)}, ${clockTime(ms)}`;
}

/** Return seconds as people say them. */
export function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

export function bytes(count) {
  if (count < 1e6) return `${(count / 1e3).toFixed(0)} kB`;
  if (count < 1e9) return `${(count / 1e6).toFixed(1)} MB`;
  return `${(count / 1e9).toFixed(1)} GB`;
}

/** Return "in_the_way" as "in the way". */
export const words = (name) => String(name).replaceAll("_", " ").replaceAll("-", " ");

/** Return a field with its label. */
export function field(label, input) {
  return h("label", { class: "field" }, h("span", null, label), input);
}

/** Return a notice: what went wrong or is not there. */
export function notice(text, kind = "") {
  return h("p", { class: `notice ${kind}`, role: kind === "error" ? "alert" : "status" }, text);
}
