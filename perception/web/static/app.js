// The page: which view is shown, who is logged in.

import { get, post } from "./api.js";
import { fill, h, words } from "./dom.js";
import { help, listenAlways, listenHere } from "./keys.js";
import { Live } from "./live.js";

const VIEWS = {
  live: { title: "Live", load: () => import("./views/live.js"), may: "viewer" },
  alerts: { title: "Alerts", load: () => import("./views/alerts.js"), may: "viewer" },
  recordings: { title: "Recordings", load: () => import("./views/recordings.js"), may: "viewer" },
  map: { title: "Map", load: () => import("./views/map.js"), may: "viewer", there: () => context.me.maps.length > 0 },
  search: { title: "Search", load: () => import("./views/search.js"), may: "viewer" },
  people: { title: "People", load: () => import("./views/people.js"), may: "operator" },
  system: { title: "System", load: () => import("./views/system.js"), may: "viewer" },
  users: { title: "Users", load: () => import("./views/users.js"), may: "admin" },
};
const HIDDEN = {
  camera: () => import("./views/camera.js"),
  zones: () => import("./views/zones.js"),
  alert: () => import("./views/alert.js"),
  account: () => import("./views/account.js"),
};
const ROLES = ["viewer", "operator", "admin"];
const root = document.getElementById("app");

/** What every view gets. */
const context = {
  me: null,
  live: null,
  may: (role) => ROLES.indexOf(context.me.role) >= ROLES.indexOf(role),
  say: () => {},
  keys: listenHere,
  go: (hash) => {
    location.hash = hash;
  },
};
let leave = () => {};
let turn = 0;

async function start() {
  const { state, me } = await get("/account").catch(() => ({ state: "offline" }));
  if (state !== "in") return showLogin(state);
  context.me = me;
  context.live = new Live();
  frame();
  await route();
}

async function showLogin(state) {
  leave();
  leave = () => {};
  listenHere([]);
  context.live?.close();
  context.live = null;
  context.me = null;
  const { view } = await import("./views/login.js");
  fill(root, view(state, start));
}

/** Say something at the corner of the page for 6 s; the same again is counted. */
function say(text, href) {
  const before = [...spoken.children].find((one) => one.dataset.text === text);
  const count = before ? Number(before.dataset.count) + 1 : 1;
  before?.remove();
  const shown = count > 1 ? `${text} (${count})` : text;
  const toast = h(href ? "a" : "div", { class: "toast", href, "data-text": text, "data-count": count }, shown);
  spoken.append(toast);
  while (spoken.children.length > 3) spoken.firstChild.remove();
  setTimeout(() => toast.remove(), 6000);
}

let main;
let nav;
let spoken;
let link;

function frame() {
  main = h("main", { id: "main", tabindex: "-1" });
  spoken = h("div", { class: "toasts", role: "status", "aria-live": "polite" });
  link = h("span", { class: "link", role: "status" });
  const items = Object.entries(VIEWS).filter(([, one]) => context.may(one.may) && (one.there?.() ?? true));
  nav = h("nav", { "aria-label": "views" },
    items.map(([name, { title }]) => h("a", { href: `#/${name}`, "data-view": name }, title)));
  const skip = h("a", { class: "skip", href: "#main", onclick: (event) => {
    event.preventDefault();
    main.focus();
  } }, "Skip to the view");
  const head = h("header", null, skip,
    h("a", { class: "brand", href: "#/live" }, h("img", { src: "icon.svg", alt: "", width: 24, height: 24 }),
      h("span", null, context.me.run)),
    nav, link,
    h("button", { class: "help", "aria-label": "keys", onclick: help }, "?"),
    h("a", { class: "me", href: "#/account", "data-view": "account" }, context.me.name));
  fill(root, head, main, spoken);
  context.say = say;
  context.live.onalert = (alert) => {
    window.dispatchEvent(new CustomEvent("alert-changed", { detail: alert }));
    if (alert.state === "raised" && !location.hash.startsWith("#/alerts")) {
      context.say(`${alert.camera}: ${words(alert.rule)}, ${alert.class_name}`, `#/alert/${alert.key}`);
    }
  };
  context.live.onstate = (open) => {
    link.textContent = open ? "" : "connection lost, trying again";
    link.classList.toggle("bad", !open);
  };
  context.live.open();
}

async function route() {
  if (!context.me) return;
  const mine = ++turn;
  const [, name = "live", ...rest] = location.hash.split("/");
  const one = VIEWS[name];
  const load = one && context.may(one.may) ? one.load : HIDDEN[name] || VIEWS.live.load;
  leave();
  leave = () => {};
  listenHere([]);
  for (const item of root.querySelectorAll("[data-view]")) {
    if (item.dataset.view === name) item.setAttribute("aria-current", "page");
    else item.removeAttribute("aria-current");
  }
  fill(main, h("p", { class: "loading", role: "status" }, "loading"));
  try {
    const { view } = await load();
    if (mine !== turn) return;
    const place = h("div", { class: `view view-${name}` });
    fill(main, place);
    const close = await view(place, context, rest.map(decodeURIComponent));
    if (mine !== turn) close?.();
    else leave = close || (() => {});
  } catch (error) {
    if (mine === turn) fill(main, h("p", { class: "notice error", role: "alert" }, error.message));
  }
}

window.addEventListener("hashchange", route);
listenAlways([{ keys: ["/"], text: "search", act: () => {
  if (!context.me) return;
  const field = document.querySelector(".view-search input");
  if (field) field.select();
  else context.go("#/search");
} }]);
window.addEventListener("logged-out", () => showLogin("login"));
context.logOut = async () => {
  await post("/account/logout").catch(() => {});
  await showLogin("login");
};
start();
