// Elements. Text goes in as text nodes only: nothing of the data is ever read as markup.

const SVG = "http://www.w3.org/2000/svg";

function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

/** An element: properties beginning with `on` are listeners, the others attributes. */
function element(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  return append(node, children);
}

function el(name, properties = {}, ...children) {
  return element(document.createElement(name), properties, children);
}

function svg(name, properties = {}, ...children) {
  return element(document.createElementNS(SVG, name), properties, children);
}

function byId(id) {
  return document.getElementById(id);
}

function replace(node, ...children) {
  node.replaceChildren();
  return append(node, children);
}

/** What is known, as terms and what they are; pairs whose second is undefined are left out. */
function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== undefined && value !== "");
  if (known.length === 0) return null;
  return el("dl", { class: "facts" }, known.map(([term, value]) =>
    el("div", {}, el("dt", {}, term), el("dd", {}, value))));
}

/** A part of a view under a heading. */
function section(title, ...content) {
  return el("section", {}, el("h3", {}, title), ...content);
}

/** Text of the target's: kept from turning the direction of what stands around it. */
function foreign(text, properties = {}) {
  return el("bdi", { ...properties, dir: "ltr" }, text);
}

