// Search by words: how each was understood, what fits.

import { get, query } from "../api.js";
import { duration, fill, h, notice, when, words as spaced } from "../dom.js";

export async function view(place, context, [given]) {
  const input = h("input", { type: "search", value: given || "", maxlength: 300, "aria-label": "words",
    placeholder: "person at porch after 22:00 yesterday" });
  const said = h("div", { class: "understood" });
  const rows = h("div", { "aria-live": "polite" });
  const run = async (event) => {
    event?.preventDefault();
    const text = input.value.trim();
    if (!text) return;
    history.replaceState(null, "", `#/search/${encodeURIComponent(text)}`);
    try {
      const { understood, ignored, items } = await get(query("/search", { words: text, limit: 100 }));
      fill(said, understood.map(([word, meaning]) => h("span", { class: "chip" }, h("b", null, word), ` ${meaning}`)),
        ignored.map((word) => h("span", { class: "chip bad" }, h("b", null, word), " not understood")));
      fill(rows, items.length ? table(items) : notice("Nothing like that is recorded."));
    } catch (error) {
      fill(rows, notice(error.message, "error"));
    }
  };
  fill(place, h("h1", null, "Search"),
    h("form", { class: "search", onsubmit: run, role: "search" }, input, h("button", { class: "primary" }, "Search")),
    h("p", { class: "muted" }, "Classes, cameras, zones, names, “alert”, and times: ",
      "yesterday, last hour, monday, after 22:00, 2026-11-27."), said, rows);
  if (given) await run();
  else input.focus();
  return null;
}

function table(items) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "found" }, h("table", null,
    h("thead", null, h("tr", null, ["when", "camera", "what", "for", "zones"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", null, items.map((one) => h("tr", null,
      h("td", null, h("a", { href: `#/recordings/${encodeURIComponent(one.camera)}/${one.from_ms}` }, when(one.from_ms))),
      h("td", null, one.camera),
      h("td", null, one.who ? `${one.who} (${one.what})` : one.what, one.alert ? h("span", { class: "badge" }, "alert") : null),
      h("td", null, duration((one.to_ms - one.from_ms) / 1000)),
      h("td", null, one.zones.map(spaced).join(", ")))))));
}
