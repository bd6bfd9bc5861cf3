/**
 * A picture in a cell: Observable Plot drawn without a browser.
 */
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { display } from 'tslab';

export { Plot };

/** Okabe and Ito's colours (2008), which all kinds of colour vision tell apart. */
export const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];

/** Options of `Plot.plot`, and what the names of the lines are, with their colours. */
export function draw(options: object, names: Record<string, string> = {}): void {
  const { document } = parseHTML('<!doctype html><html><body></body></html>') as unknown as { document: object };
  const size = { width: 640, height: 320, marginTop: 44, marginLeft: 55 };
  const plot = Plot.plot as unknown as (options: object) => { outerHTML: string };
  const svg = plot({ ...size, grid: true, ...options, document }).outerHTML;
  let x = 60;
  const legend = Object.entries(names).map(([name, colour]) => {
    const entry = `<text x="${x}" y="30" text-anchor="start" fill="${colour}" font-weight="bold">${name}</text>`;
    x += 8 * name.length + 18;
    return entry;
  });
  const background = '<rect width="100%" height="100%" fill="white"></rect>';
  display.svg(
    svg
      .replace(/<svg /, '<svg xmlns="http://www.w3.org/2000/svg" ')
      .replace(/(<svg [^>]*>)/, `$1${background}`)
      .replace(/<\/svg>$/, `${legend.join('')}</svg>`)
      .replaceAll('currentColor', '#222222'),
  );
}
