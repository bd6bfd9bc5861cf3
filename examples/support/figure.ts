/**
 * Pictures of the examples: panels drawn by Observable Plot, put together in one SVG, saved as SVG and PNG.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import * as Plot from '@observablehq/plot';
import { Resvg } from '@resvg/resvg-js';
import { parseHTML } from 'linkedom';

export type Point = readonly [x: number, y: number];

/** How the points of a series are drawn. */
export type SeriesKind = 'line' | 'dashed' | 'dots';

/** A named set of points with a colour. */
export interface Series {
  readonly name: string;
  readonly kind: SeriesKind;
  readonly points: readonly Point[];
  /** A CSS colour. Default: the next of {@link COLOURS}. */
  readonly colour?: string;
}

export interface Axis {
  readonly label: string;
  /** Default linear. */
  readonly scale?: 'linear' | 'log';
  /** From and to. Default: what the points need, rounded to ticks. */
  readonly domain?: readonly [number, number];
  /** How ticks are written, in d3-format's notation. Default Plot's; years want 'd'. */
  readonly format?: string;
}

export interface Panel {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
  /** A vector field, `[dx, dy]` at each of the {@link arrowPlaces}, drawn as arrows below the series, all of one length. */
  readonly arrows?: readonly Point[];
}

export interface FigureLayout {
  /** Panels side by side before the next row starts. Default: all. */
  readonly columns?: number;
  /** Size of one panel in pixels of the SVG. Default 460 and 320. */
  readonly width?: number;
  readonly height?: number;
  readonly title?: string;
}

/** Okabe and Ito's palette for all kinds of colour vision, 2008, darkest first. */
export const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000'] as const;

const INK = '#222222';
const FONT = 'DejaVu Sans';
const FONT_FAMILY = `${FONT}, Verdana, Arial, sans-serif`;
const SIZE = { text: 11, title: 14, heading: 17 };
const MARGIN = { left: 52, right: 18, top: 52, bottom: 42 };
const GAP = 12;
const ARROWS = 15;

/** Width of a text in DejaVu Sans: its letters are 0.6 em wide on average. */
const textWidth = (text: string, size: number): number => text.length * size * 0.6;

const escapeXml = (text: string): string =>
  text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] ?? c);

function svgText(text: string, x: number, y: number, size: number, weight = 'normal'): string {
  return `<text x="${x}" y="${y}" font-family="${FONT_FAMILY}" font-size="${size}" font-weight="${weight}" fill="${INK}" text-anchor="start">${escapeXml(text)}</text>`;
}

const colourOf = (panel: Panel, i: number): string => panel.series[i].colour ?? COLOURS[i % COLOURS.length];

/** One mark of Plot for each kind, and the same drawn small for the legend at (x, y). */
const KINDS: Readonly<
  Record<
    SeriesKind,
    {
      mark: (points: readonly Point[], colour: string) => Plot.Markish;
      sample: (x: number, y: number, colour: string) => string;
    }
  >
> = {
  line: {
    mark: (points, stroke) => Plot.line(points, { stroke, strokeWidth: 2 }),
    sample: (x, y, colour) => `<path d="M${x},${y}h18" stroke="${colour}" stroke-width="2" fill="none"/>`,
  },
  dashed: {
    mark: (points, stroke) => Plot.line(points, { stroke, strokeWidth: 1.5, strokeDasharray: '5 4' }),
    sample: (x, y, colour) =>
      `<path d="M${x},${y}h18" stroke="${colour}" stroke-width="1.5" stroke-dasharray="5 4" fill="none"/>`,
  },
  dots: {
    mark: (points, fill) => Plot.dot(points, { fill, stroke: 'white', strokeWidth: 0.75, r: 3.5 }),
    sample: (x, y, colour) => `<circle cx="${x + 9}" cy="${y}" r="3.5" fill="${colour}"/>`,
  },
};

/** Height of a line of the legend. */
const LEGEND_LINE = 14;

/** Where each entry of the legend stands: in a row, wrapped when the panel is too narrow. */
function legendPlaces(panel: Panel, width: number): { x: number; y: number }[] {
  let x = MARGIN.left;
  let y = 34;
  return panel.series.map((series) => {
    const needed = 24 + textWidth(series.name, SIZE.text);
    if (x > MARGIN.left && x + needed > width - MARGIN.right) [x, y] = [MARGIN.left, y + LEGEND_LINE];
    const place = { x, y };
    x += needed + 14;
    return place;
  });
}

const legend = (panel: Panel, width: number): string =>
  legendPlaces(panel, width)
    .map(({ x, y }, i) => {
      const { kind, name } = panel.series[i];
      return KINDS[kind].sample(x, y - 4, colourOf(panel, i)) + svgText(name, x + 24, y, SIZE.text);
    })
    .join('');

/** From the least to the greatest coordinate, with a margin of 5 % so that no point sits on the frame. */
function extent(panel: Panel, coordinate: 0 | 1, axis: Axis): [number, number] {
  if (axis.domain !== undefined) return [axis.domain[0], axis.domain[1]];
  const values = panel.series.flatMap(({ points }) => points.map((point) => point[coordinate])).filter(Number.isFinite);
  if (values.length === 0)
    throw new RangeError(`panel "${panel.title}": no finite point, so axis "${axis.label}" needs a domain`);
  const [low, high] = values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
  if (axis.scale === 'log') {
    if (low <= 0)
      throw new RangeError(`panel "${panel.title}": axis "${axis.label}" is logarithmic, but a value is ${low}`);
    return low === high ? [low / 2, high * 2] : [low / (high / low) ** 0.05, high * (high / low) ** 0.05];
  }
  const margin = low === high ? Math.max(1, Math.abs(low)) / 2 : 0.05 * (high - low);
  // Amounts start at zero: a margin must not make room for negative ones.
  return [low >= 0 && low < margin * 4 ? 0 : low - margin, high + margin];
}

/** The points of a grid over a panel at which a vector field is drawn. */
export function arrowPlaces(panel: Panel): Point[] {
  const [across, up] = [extent(panel, 0, panel.x), extent(panel, 1, panel.y)];
  const at = (i: number, [from, to]: Point): number => from + ((i + 0.5) / ARROWS) * (to - from);
  return Array.from({ length: ARROWS * ARROWS }, (_, k) => [at(k % ARROWS, across), at(Math.floor(k / ARROWS), up)]);
}

/** Arrows turned as the field goes on the paper: both axes have their own scale. */
function arrows(panel: Panel, [x0, x1]: Point, [y0, y1]: Point, width: number, height: number): Plot.Markish[] {
  const directions = panel.arrows;
  if (directions === undefined) return [];
  const samples = arrowPlaces(panel)
    .map(([x, y], k) => {
      const [dx, dy] = directions[k];
      return { x, y, rotate: (Math.atan2((dx * width) / (x1 - x0), (dy * height) / (y1 - y0)) * 180) / Math.PI };
    })
    .filter(({ rotate }) => Number.isFinite(rotate));
  return [Plot.vector(samples, { x: 'x', y: 'y', rotate: 'rotate', length: 11, stroke: '#b8b8b8', strokeWidth: 1, anchor: 'middle' })]; // prettier-ignore
}

/** A logarithmic axis marks every multiple of a power of ten; only the powers get a number, or all where there is no power. */
const logarithmic = ([low, high]: readonly [number, number]): ((x: number) => string) => {
  const all = Math.ceil(Math.log10(low)) > Math.floor(Math.log10(high));
  return (x) => (all || Number.isInteger(Number(Math.log10(x).toFixed(9))) ? String(Number(x.toPrecision(6))) : '');
};

/** Plot's options for an axis. */
const scaleOptions = (axis: Axis, domain: [number, number]): Plot.ScaleOptions => ({
  label: axis.label,
  domain,
  type: axis.scale ?? 'linear',
  grid: true,
  ...(axis.format === undefined ? {} : { tickFormat: axis.format }),
  // Plot would write 0.1 as '100m'.
  ...(axis.scale === 'log' ? { ticks: 4, tickFormat: axis.format ?? logarithmic(domain) } : {}),
});

/** Plot's drawing as text. Its types speak of the browser's DOM, which this project does not compile with. */
function plotSvg(options: Omit<Plot.PlotOptions, 'document'>): string {
  const { document } = parseHTML('<!doctype html><html><body></body></html>') as unknown as { document: object };
  const plot = Plot.plot as unknown as (options: object) => { readonly outerHTML: string };
  return plot({ ...options, document })
    .outerHTML.replace(/font-family="[^"]*"/, `font-family="${FONT_FAMILY}"`)
    .replace(/font-size="[^"]*"/, `font-size="${SIZE.text}"`)
    .replaceAll('currentColor', INK);
}

/** One panel as an `<svg>` element. */
function drawPanel(panel: Panel, width: number, height: number, top: number): string {
  const [xs, ys] = [extent(panel, 0, panel.x), extent(panel, 1, panel.y)];
  const [innerWidth, innerHeight] = [width - MARGIN.left - MARGIN.right, height - top - MARGIN.bottom];
  const body = plotSvg({
    width,
    height,
    marginLeft: MARGIN.left,
    marginRight: MARGIN.right,
    marginTop: top,
    marginBottom: MARGIN.bottom,
    x: { ...scaleOptions(panel.x, xs), labelAnchor: 'center', labelArrow: 'none' },
    y: { ...scaleOptions(panel.y, ys), labelAnchor: 'center', labelArrow: 'none' },
    marks: [
      Plot.frame({ stroke: '#cccccc' }),
      ...arrows(panel, xs, ys, innerWidth, innerHeight),
      ...panel.series.map(({ kind, points }, i) => KINDS[kind].mark(points, colourOf(panel, i))),
    ],
  });
  return body.replace(
    /<\/svg>$/,
    `${svgText(panel.title, MARGIN.left, 16, SIZE.title, 'bold')}${legend(panel, width)}</svg>`,
  );
}

/**
 * Panels in rows, as one SVG document.
 *
 * @throws RangeError when a panel has no finite point and no domain, or a value of at most 0 on a logarithmic axis.
 */
export function figure(panels: readonly Panel[], layout: FigureLayout = {}): string {
  const { columns = panels.length, width = 460, height = 320, title } = layout;
  const top = GAP + (title === undefined ? 0 : 28);
  const across = Math.min(columns, panels.length);
  const total = {
    width: across * (width + GAP) + GAP,
    height: top + Math.ceil(panels.length / columns) * (height + GAP),
  };
  // All frames start at one height, below the longest legend.
  const lines = panels.map((panel) => Math.max(34, ...legendPlaces(panel, width).map(({ y }) => y)));
  const inner = MARGIN.top + Math.max(0, ...lines) - 34;
  const placed = panels.map((panel, i) => {
    const x = GAP + (i % columns) * (width + GAP);
    const y = top + Math.floor(i / columns) * (height + GAP);
    return drawPanel(panel, width, height, inner).replace('<svg ', `<svg x="${x}" y="${y}" `);
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${total.width}" height="${total.height}" viewBox="0 0 ${total.width} ${total.height}">`,
    `<rect width="100%" height="100%" fill="white"/>`,
    title === undefined ? '' : svgText(title, GAP + MARGIN.left, 26, SIZE.heading, 'bold'),
    ...placed,
    '</svg>',
    '',
  ].join('\n');
}

/** An SVG as PNG bytes, `scale` pixels for each of its own; the font comes with the repository, not from the system. */
export function toPng(svg: string, scale = 2): Uint8Array {
  const { resolve } = createRequire(import.meta.url);
  const font = {
    loadSystemFonts: false,
    fontFiles: ['DejaVuSans', 'DejaVuSans-Bold'].map((name) => resolve(`dejavu-fonts-ttf/ttf/${name}.ttf`)),
    defaultFontFamily: FONT,
  };
  return new Resvg(svg, { font, fitTo: { mode: 'zoom', value: scale } }).render().asPng();
}

/** Write `path.svg` and `path.png`, making the folder if need be; both paths come back. */
export function saveFigure(svg: string, path: string): string[] {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.svg`, svg);
  writeFileSync(`${path}.png`, toPng(svg));
  return [`${path}.svg`, `${path}.png`];
}
