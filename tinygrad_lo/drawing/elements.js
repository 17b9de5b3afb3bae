// The few words for making elements. What users wrote is written with textContent only.
const by = id => document.getElementById(id);

// Set attributes, or with null take them away, but for what is so already: browsers lay out anew what is touched.
function setAll(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null) node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
  }
  return node;
}
function appended(parent, made, attributes, text) {
  if (text !== undefined) made.textContent = text;
  parent.append(setAll(made, attributes));
  return made;
}
const html = (parent, name, attributes = {}, text = undefined) => appended(parent, document.createElement(name), attributes, text);
const svg = (parent, name, attributes = {}, text = undefined) =>
  appended(parent, document.createElementNS("http://www.w3.org/2000/svg", name), attributes, text);
