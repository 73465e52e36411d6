// A small box beside the pointer, for drawings. It is built from elements: nothing in it is ever read as HTML.
const box = document.createElement("div");
box.className = "tip";
box.hidden = true;
box.setAttribute("role", "tooltip");
const GAP = 14;

/** An element with a class and children, each an element or text. */
export function made(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** Shows elements beside a point of the window. */
export function showTip(x, y, ...children) {
  if (!box.isConnected) document.body.append(box);
  box.replaceChildren(...children);
  box.hidden = false;
  const { width, height } = box.getBoundingClientRect();
  const left = x + GAP + width > innerWidth ? x - GAP - width : x + GAP;
  const top = y + GAP + height > innerHeight ? y - GAP - height : y + GAP;
  box.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, top)}px)`;
}

/** Takes the box away. */
export function hideTip() {
  box.hidden = true;
}
