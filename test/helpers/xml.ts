// SPDX-License-Identifier: MIT
/** What a picture in SVG must not get wrong: tags, entities, and what it would load or run. */

const NAME = '[A-Za-z_][\\w.:-]*';
const ATTRIBUTE = new RegExp(`^\\s+(${NAME})="([^"<]*)"`);

export interface Element {
  name: string;
  attributes: Readonly<Record<string, string>>;
}

/** The elements of a document, or an error that says where it is not well formed. Knows what a drawing needs. */
export function elementsOf(xml: string): Element[] {
  const elements: Element[] = [];
  const open: string[] = [];
  const fail = (at: number, what: string): never => {
    throw new Error(`${what}: ${xml.slice(at, at + 60)}`);
  };
  let at = 0;
  while (at < xml.length) {
    const next = xml.indexOf('<', at);
    const text = xml.slice(at, next < 0 ? undefined : next);
    if (/&(?!(amp|lt|gt|quot|apos|#\d+|#x[0-9a-f]+);)/i.test(text)) fail(at, 'an & that is no entity');
    if (open.length === 0 && text.trim() !== '') fail(at, 'text outside of the document');
    if (next < 0) break;
    const end = new RegExp(`^</(${NAME})\\s*>`).exec(xml.slice(next));
    const begin = new RegExp(`^<(${NAME})`).exec(xml.slice(next));
    if (end) {
      if (open.pop() !== end[1]) fail(next, 'ends what is not open');
      at = next + end[0].length;
      continue;
    }
    if (!begin) throw new Error(`neither a tag nor text: ${xml.slice(next, next + 60)}`);
    at = next + begin[0].length;
    const attributes: Record<string, string> = {};
    for (let found = ATTRIBUTE.exec(xml.slice(at)); found; found = ATTRIBUTE.exec(xml.slice(at))) {
      const [all, name = '', value = ''] = found;
      if (name in attributes) fail(at, 'an attribute twice');
      attributes[name] = value;
      at += all.length;
    }
    elements.push({ name: begin[1] ?? '', attributes });
    const close = /^\s*(\/?)>/.exec(xml.slice(at));
    if (!close) throw new Error(`not an attribute: ${xml.slice(at, at + 60)}`);
    if (close[1] === '') open.push(begin[1] ?? '');
    at += close[0].length;
  }
  if (open.length > 0) throw new Error(`not closed: ${open.join(', ')}`);
  return elements;
}

/** Parts of a picture that would run, or load something: a page shows it as an image, where neither works. */
export function foreignParts(xml: string): string[] {
  const elements = elementsOf(xml);
  return [
    ...elements.filter(({ name }) => /^(script|foreignObject|image|use|iframe|a)$/.test(name)).map(({ name }) => name),
    ...elements.flatMap(({ attributes }) =>
      Object.entries(attributes)
        .filter(([name, value]) => /^on|href$/.test(name) || /url\((?!#)|javascript:/.test(value))
        .map(([name, value]) => `${name}="${value}"`),
    ),
    ...[...xml.matchAll(/@import[^;]*|url\((?!#)[^)]*\)/g)].map(([rule]) => rule),
  ];
}

const channel = (value: number): number => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);

function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((i) => channel(parseInt(colour.slice(i, i + 2), 16) / 255));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** The contrast of two colours `#rrggbb`, from 1 to 21, as WCAG defines it; 4.5 is enough for text, 3 for areas. */
export function contrast(one: string, other: string): number {
  const [low = 0, high = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}
