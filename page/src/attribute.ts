// Sets attributes only where they change: a browser styles and paints again what was set, even to the same value.

/** Gives an attribute a value, unless it has it. */
export function put(element: Element, name: string, value: string): void {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Gives an element a text, unless it has it. */
export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}
