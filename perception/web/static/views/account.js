// One's own account: password, sessions, tokens for programs.

import { get, post, remove } from "../api.js";
import { field, fill, h, notice, when } from "../dom.js";

export async function view(place, context) {
  const said = h("div", { "aria-live": "polite" });
  const sessions = h("div");
  const tokens = h("div");
  const old = h("input", { type: "password", required: true, autocomplete: "current-password" });
  const fresh = h("input", { type: "password", required: true, minlength: 10, autocomplete: "new-password" });
  const change = async (event) => {
    event.preventDefault();
    try {
      await post("/account/password", { old: old.value, new: fresh.value });
      window.dispatchEvent(new Event("logged-out"));
    } catch (error) {
      fill(said, notice(error.message, "error"));
    }
  };
  const title = h("input", { required: true, maxlength: 80, placeholder: "what it is for" });
  const make = async (event) => {
    event.preventDefault();
    try {
      const { token } = await post("/tokens", { title: title.value, role: "viewer", cameras: context.me.cameras, days: 365 });
      fill(said, notice("The token. It is shown this once: copy it now."), h("code", { class: "token" }, token));
      await load();
    } catch (error) {
      fill(said, notice(error.message, "error"));
    }
  };
  const end = (path) => async () => {
    await remove(path).catch((error) => fill(said, notice(error.message, "error")));
    load();
  };
  const load = async () => {
    const [open, made] = await Promise.all([get("/account/sessions"), get("/tokens")]);
    fill(sessions, open.items.map((one) => h("div", { class: "line" },
      h("span", null, one.is_this ? "this browser" : browser(one.agent), h("span", { class: "muted" }, ` ${when(one.seen_ms)}`)),
      one.is_this ? null : h("button", { class: "small", onclick: end(`/account/sessions/${one.key}`) }, "End"))));
    fill(tokens, made.items.length ? made.items.map((one) => h("div", { class: "line" },
      h("span", null, one.title, h("span", { class: "muted" }, ` ${one.user}, until ${when(one.end_ms)}`)),
      h("button", { class: "small", onclick: end(`/tokens/${one.key}`) }, "End"))) : h("p", { class: "muted" }, "none"));
  };
  fill(place, h("div", { class: "title" }, h("h1", null, context.me.name), h("span", { class: "badge" }, context.me.role),
    h("button", { onclick: () => context.logOut() }, "Log out")), said,
    h("section", { class: "panel" }, h("h2", null, "Password"), h("form", { onsubmit: change },
      field("The old one", old), field("The new one, 10 characters or more", fresh),
      h("button", { class: "primary" }, "Change"), h("p", { class: "muted" }, "All your sessions and tokens end."))),
    h("section", { class: "panel" }, h("h2", null, "Logged in"), sessions),
    h("section", { class: "panel" }, h("h2", null, "Tokens for programs"), tokens,
      h("form", { class: "search", onsubmit: make }, title, h("button", null, "Make one, to look only"))));
  await load();
  return null;
}

function browser(agent) {
  const found = /(Firefox|Edg|Chrome|Safari|python|curl)[/ ]?[\d.]*/.exec(agent);
  return found ? found[0].replace("Edg", "Edge") : agent.slice(0, 40) || "unknown";
}
