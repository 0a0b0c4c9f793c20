// People of the gallery.

import { get, remove } from "../api.js";
import { fill, h, notice, when } from "../dom.js";

export async function view(place, context) {
  const list = h("div");
  const said = h("div", { "aria-live": "polite" });
  const load = async () => {
    const { enabled, items } = await get("/people");
    if (!enabled) {
      fill(list, notice("This line does not ask who people are: `identity:` in the launch file begins it."));
      return;
    }
    fill(list, items.length ? items.map(row) : notice("Nobody is enrolled. Open an alert that shows a face and say who it is, or: perception enroll NAME PHOTO PHOTO PHOTO"));
  };
  const row = (person) => {
    const gone = h("button", { class: "small danger", onclick: async () => {
      if (!confirm(`Erase ${person.name}, with all pictures?`)) return;
      try {
        await remove(`/people/${encodeURIComponent(person.name)}`);
        fill(said, notice(`Erased ${person.name}.`));
        await load();
      } catch (error) {
        fill(said, notice(error.message, "error"));
      }
    } }, "Erase");
    return h("article", { class: "panel line" }, h("span", null, h("b", null, person.name),
      h("span", { class: "muted" }, ` ${person.pictures} ${person.pictures === 1 ? "picture" : "pictures"} since ${when(person.since_ms)}`)),
    context.may("admin") ? gone : null);
  };
  fill(place, h("h1", null, "People"), said, list,
    h("p", { class: "muted" }, "A name needs three good faces that agree. Ask the people you enroll. Pictures stay on this host, encrypted."));
  await load();
  return null;
}
