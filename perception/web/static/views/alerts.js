// Alerts, newest first: picture, who, what; seen or not.

import { get, post, PREFIX, query, remove } from "../api.js";
import { duration, fill, h, notice, when, words } from "../dom.js";

/** Return who an alert is about. */
export function whoOf(alert) {
  const { who, known } = alert.details;
  if (known) return who;
  return who ? `${alert.class_name}, ${who}` : alert.class_name;
}

/** Return what an alert says besides. */
export function whatOf(alert) {
  const parts = [words(alert.rule)];
  if (alert.details.zone) parts.push(`at ${words(alert.details.zone)}`);
  if (alert.details.direction) parts.push(words(alert.details.direction));
  return parts.join(" ");
}

/** Return the button that says that an alert was wrong, or takes it back. change(alert): it was. */
export function wrongButton(alert, context, change) {
  const button = h("button", { class: "small", "data-act": "wrong", onclick: async () => {
    button.disabled = true;
    try {
      const path = `/alerts/${alert.key}/wrong`;
      change(await (alert.wrong ? remove(path) : post(path)));
    } catch (error) {
      context.say(error.message);
      button.disabled = false;
    }
  } }, alert.wrong ? "Not wrong" : "Wrong");
  return button;
}

export function card(alert, context, change) {
  const lasted = (alert.end_ms - alert.start_ms) / 1000;
  const open = alert.state !== "cleared" && !["line", "count"].includes(alert.kind);
  const href = `#/alert/${alert.key}`;
  const picture = alert.has_picture
    ? h("img", { src: `${PREFIX}/alerts/${alert.key}/picture.jpg`, alt: `${alert.class_name} at ${alert.camera}`,
      loading: "lazy", width: 320, height: 180 })
    : h("div", { class: "nothing" }, "no picture");
  const seen = h("button", { class: "small", "data-act": "seen", onclick: async () => {
    seen.disabled = true;
    try {
      change(await post(`/alerts/${alert.key}/seen`));
    } catch (error) {
      context.say(error.message);
      seen.disabled = false;
    }
  } }, "Seen");
  return h("article", { class: `card ${alert.seen_ms ? "seen" : ""} ${alert.wrong ? "wrong" : ""}`, "data-key": alert.key },
    h("a", { href, class: "shot" }, picture),
    h("div", { class: "text" },
      h("h3", null, h("a", { href }, whoOf(alert)), open ? h("span", { class: "badge" }, "now") : null),
      h("p", null, whatOf(alert)),
      h("p", { class: "muted" }, `${alert.camera} · ${when(alert.start_ms)}`,
        lasted >= 1 ? ` · ${duration(lasted)}` : ""),
      h("div", { class: "row" }, alert.has_clip ? h("a", { class: "button small", href }, "Clip") : null,
        context.may("operator") && !alert.seen_ms ? seen : null,
        context.may("operator") ? wrongButton(alert, context, change) : null,
        h("span", { class: "muted" }, [alert.seen_ms ? "seen" : null,
          alert.wrong ? `wrong, says ${alert.wrong.user}` : null].filter(Boolean).join(" · ")))));
}

export async function view(place, context) {
  const cards = h("div", { class: "cards" });
  const more = h("button", { class: "more", onclick: () => load() }, "Older");
  const camera = h("select", { "aria-label": "camera", onchange: () => load(true) },
    h("option", { value: "" }, "All cameras"), context.me.cameras.map((name) => h("option", { value: name }, name)));
  const which = h("select", { "aria-label": "which", onchange: () => load(true) },
    h("option", { value: "" }, "All alerts"), h("option", { value: "wrong" }, "Wrong ones"));
  let after = null;
  const put = (alert) => {
    const made = card(alert, context, put);
    const old = cards.querySelector(`[data-key="${alert.key}"]`);
    const focused = old?.contains(document.activeElement);
    if (old) old.replaceWith(made);
    if (focused) made.querySelector("h3 a").focus();
    return old ? null : made;
  };
  const load = async (fresh = false) => {
    if (fresh) after = null;
    const page = await get(query("/alerts", { limit: 24, after, camera: camera.value || null,
      wrong: which.value ? true : null }));
    if (fresh) fill(cards);
    cards.append(...page.items.map(put).filter(Boolean));
    after = page.next;
    more.hidden = !after;
    if (!cards.childElementCount) {
      fill(cards, notice(which.value ? "Nobody has called an alert wrong." : "No alerts yet. When a rule of the launch file holds true, it is here within a second."));
    }
  };
  const news = async ({ detail }) => {
    if ((camera.value && camera.value !== detail.camera) || which.value) return;
    try {
      const made = put(await get(`/alerts/${detail.key}`));
      cards.querySelector(".notice")?.remove();
      if (made) cards.prepend(made);
    } catch {
      // It is not in the store any more.
    }
  };
  const links = () => [...cards.querySelectorAll("h3 a")];
  const current = () => document.activeElement?.closest(".card");
  const step = (by) => {
    const all = links();
    const at = all.indexOf(current()?.querySelector("h3 a"));
    all[Math.max(0, Math.min(at + by, all.length - 1))]?.focus();
  };
  /** Press a button of the card that has the focus, which stays on that card. */
  const press = (name) => {
    const key = current()?.dataset.key;
    const button = current()?.querySelector(`[data-act="${name}"]`);
    if (!button) return;
    cards.querySelector(`[data-key="${key}"] h3 a`).focus();
    button.click();
  };
  context.keys([
    { keys: ["j"], text: "next alert", act: () => step(1) },
    { keys: ["k"], text: "alert before", act: () => step(-1) },
    { keys: ["a"], text: "seen", act: () => press("seen") },
    { keys: ["w"], text: "wrong, or not", act: () => press("wrong") },
  ]);
  window.addEventListener("alert-changed", news);
  fill(place, h("div", { class: "title" }, h("h1", null, "Alerts"), camera, which), cards, more);
  await load(true);
  return () => {
    window.removeEventListener("alert-changed", news);
  };
}
