// Users: who may do what, and see which cameras.

import { get, post, put, remove } from "../api.js";
import { field, fill, h, notice } from "../dom.js";

const ROLES = [["viewer", "viewer: looks"], ["operator", "operator: marks as seen, protects"], ["admin", "admin: all, users too"]];

export async function view(place, context) {
  const list = h("div");
  const said = h("div", { "aria-live": "polite" });
  const act = async (work, text) => {
    try {
      await work();
      fill(said, notice(text));
      await load();
    } catch (error) {
      fill(said, notice(error.message, "error"));
    }
  };
  const load = async () => {
    const { items } = await get("/users");
    fill(list, items.map((user) => row(user, context, act)));
  };
  const name = h("input", { required: true, maxlength: 40, autocomplete: "off" });
  const password = h("input", { type: "password", required: true, minlength: 10, maxlength: 256, autocomplete: "new-password" });
  const role = roles("viewer");
  const cameras = choices(context.me.cameras, null);
  const add = (event) => {
    event.preventDefault();
    act(async () => {
      await post("/users", { name: name.value, password: password.value, role: role.value, cameras: cameras.chosen() });
      event.target.reset();
    }, `Added ${name.value}.`);
  };
  fill(place, h("h1", null, "Users"), list, said, h("h2", null, "Add a user"),
    h("form", { class: "panel", onsubmit: add }, field("Name", name), field("Password, 10 characters or more", password),
      field("Role", role), cameras.element, h("button", { class: "primary" }, "Add")));
  await load();
  return null;
}

function row(user, context, act) {
  const role = roles(user.role);
  const cameras = choices(context.me.cameras, user.cameras);
  const me = user.name === context.me.name;
  const save = h("button", { class: "small", onclick: () =>
    act(() => put(`/users/${encodeURIComponent(user.name)}`, { role: role.value, cameras: cameras.chosen() }),
      `Changed ${user.name}; ${user.name} has to log in again.`) }, "Save");
  const gone = h("button", { class: "small danger", onclick: () => {
    if (confirm(`Remove ${user.name}?`)) act(() => remove(`/users/${encodeURIComponent(user.name)}`), `Removed ${user.name}.`);
  } }, "Remove");
  return h("article", { class: "panel" }, h("h2", null, user.name, me ? h("span", { class: "badge" }, "you") : null),
    field("Role", role), cameras.element, h("div", { class: "row" }, save, me ? null : gone));
}

function roles(chosen) {
  return h("select", null, ROLES.map(([value, title]) => h("option", { value, selected: value === chosen }, title)));
}

/** Return check boxes of cameras: all, or those that are chosen. */
function choices(names, chosen) {
  const boxes = names.map((name) => h("input", { type: "checkbox", value: name, checked: chosen !== null && chosen.includes(name) }));
  const all = h("input", { type: "checkbox", checked: chosen === null, onchange: () => change() });
  const some = h("div", { class: "row" }, boxes.map((box) => h("label", { class: "check" }, box, box.value)));
  const change = () => {
    some.hidden = all.checked;
  };
  change();
  return {
    element: h("fieldset", null, h("legend", null, "Cameras"), h("label", { class: "check" }, all, "all, also later ones"), some),
    chosen: () => (all.checked ? null : boxes.filter((box) => box.checked).map((box) => box.value)),
  };
}
