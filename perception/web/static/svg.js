// Elements of SVG: svg("circle", {cx: 1, cy: 2, r: 3}).

const SVG = "http://www.w3.org/2000/svg";

/** Return an element. Properties that begin with "on" are listeners; text is never markup. */
export function svg(tag, properties, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
