// Log in, or make the first user by the link that the line printed.

import { post } from "../api.js";
import { field, fill, h, notice } from "../dom.js";

/** Return the form. state: "login", "first" or "offline". done: called when logged in. */
export function view(state, done) {
  const invite = location.hash.startsWith("#first=") ? location.hash.slice(7) : "";
  const first = state === "first";
  const name = h("input", { name: "name", autocomplete: "username", required: true, maxlength: 40 });
  const password = h("input", { name: "password", type: "password", required: true, maxlength: 256,
    minlength: first ? 10 : null, autocomplete: first ? "new-password" : "current-password" });
  const said = h("div", { "aria-live": "assertive" });
  const button = h("button", { class: "primary" }, first ? "Make the first user" : "Log in");
  const send = async (event) => {
    event.preventDefault();
    button.disabled = true;
    fill(said);
    const given = { name: name.value, password: password.value };
    try {
      await (first ? post("/account/first", { ...given, invite }) : post("/account/login", given));
      if (invite) history.replaceState(null, "", "#/live");
      done();
    } catch (error) {
      fill(said, notice(error.message, "error"));
      password.select();
    }
    button.disabled = false;
  };
  const body = [field("Name", name), field(first ? "Password, 10 characters or more" : "Password", password),
    button, said];
  const title = first ? "The first user" : "Log in";
  if (state === "offline") {
    return box("No connection", notice("The line that serves this page has ended, or cannot be reached."),
      h("button", { onclick: done }, "Try again"));
  }
  if (first && !invite) {
    return box(title, notice("There is no user yet. Open the link that the line printed when it started, " +
      "on the same host, or run: perception users add NAME --role admin"),
      h("button", { onclick: done }, "Try again"));
  }
  setTimeout(() => name.focus());
  return box(title, h("form", { onsubmit: send }, body));
}

function box(title, ...children) {
  return h("main", { class: "login" },
    h("img", { src: "icon.svg", alt: "", width: 48, height: 48 }), h("h1", null, title), children);
}
