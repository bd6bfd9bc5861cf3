/**
 * Digits drawn by strokes, so that the examples run without any file: each glyph is slanted, turned, stretched, shifted, drawn with a
 * pen of its own width, its points displaced a little, and has noise in it.
 */
import * as tf from '@tensorflow/tfjs';
import { uniform, split, type Key } from 'nullcline';
import type { DigitSet } from './digits.js';

type Place = readonly [x: number, y: number];

/** Points on an ellipse, from one angle to another: in turns, clockwise from the right, for y points down. */
const arc = (x: number, y: number, rx: number, ry: number, from: number, to: number): Place[] =>
  Array.from({ length: 13 }, (_, i) => {
    const angle = 2 * Math.PI * (from + (i / 12) * (to - from));
    return [x + rx * Math.cos(angle), y + ry * Math.sin(angle)];
  });

/** The strokes of each digit, in a box from (-1, -1) at the top left to (1, 1). */
export const STROKES: readonly (readonly (readonly Place[])[])[] = [
  [arc(0, 0, 0.62, 0.95, 0, 1)],
  [
    [
      [-0.35, -0.6],
      [0.1, -0.95],
      [0.1, 0.95],
    ],
  ],
  [[...arc(0, -0.42, 0.55, 0.52, 0.55, 1.1), [-0.6, 0.92], [0.65, 0.92]]],
  [[...arc(-0.05, -0.47, 0.55, 0.47, 0.6, 1.25), ...arc(-0.05, 0.45, 0.62, 0.5, 0.75, 1.4)]],
  [
    [
      [0.2, -0.95],
      [-0.65, 0.3],
      [0.7, 0.3],
    ],
    [
      [0.3, -0.25],
      [0.3, 0.95],
    ],
  ],
  [[[0.55, -0.92], [-0.4, -0.92], [-0.48, -0.15], ...arc(-0.05, 0.35, 0.6, 0.58, 0.66, 1.38)]],
  [[...arc(0.45, 0.3, 0.98, 1.28, 0.72, 0.5), ...arc(0, 0.4, 0.53, 0.54, 0.5, 1.5)]],
  [
    [
      [-0.6, -0.92],
      [0.62, -0.92],
      [-0.1, 0.95],
    ],
  ],
  [arc(0, -0.47, 0.48, 0.46, 0.25, 1.25), arc(0, 0.47, 0.58, 0.48, -0.25, 0.75)],
  [[...arc(0, -0.4, 0.53, 0.54, 0, -1), [0.45, 0.95]]],
];

/** How far each property of a glyph may vary, evenly about its middle. */
const VARIETY = {
  slant: { middle: 0.1, spread: 0.3 },
  turn: { middle: 0, spread: 0.2 },
  width: { middle: 0.62, spread: 0.12 },
  height: { middle: 0.7, spread: 0.1 },
  shiftX: { middle: 0, spread: 0.12 },
  shiftY: { middle: 0, spread: 0.1 },
  pen: { middle: 0.13, spread: 0.05 },
  ink: { middle: 0.9, spread: 0.1 },
} as const;
type Property = keyof typeof VARIETY;
const PROPERTIES = Object.keys(VARIETY) as Property[];

/** How far a point of a stroke may go, and how strong the noise of a pixel is. */
const [DISPLACEMENT, NOISE] = [0.08, 0.08];
/** No digit has more points. */
const POINTS = Math.max(...STROKES.map((strokes) => strokes.flat().length));
const NUMBERS = PROPERTIES.length + 2 * POINTS;

function toSegment([x, y]: Place, [ax, ay]: Place, [bx, by]: Place): number {
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / length));
  return Math.hypot(x - ax - along * dx, y - ay - along * dy);
}

/** One digit into `pixels` from `at` on; `random` has {@link NUMBERS} numbers in [0, 1) for it. */
function draw(digit: number, size: number, random: ArrayLike<number>, pixels: Float32Array, at: number): void {
  const [slant, turn, width, height, shiftX, shiftY, pen, ink] = PROPERTIES.map(
    (name, i) => VARIETY[name].middle + VARIETY[name].spread * (2 * random[i] - 1),
  );
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
  let used = PROPERTIES.length;
  const displaced = (): number => DISPLACEMENT * (2 * random[used++] - 1);
  // Neighbours on a curve move together, as a hand moves: every fourth displacement is drawn, those between are blends.
  const placed = STROKES[digit].map((stroke) => {
    const anchors = Array.from({ length: Math.ceil(stroke.length / 4) + 1 }, (): Place => [displaced(), displaced()]);
    return stroke.map(([x0, y0], i): Place => {
      const [k, part] = [Math.floor(i / 4), (i % 4) / 4];
      const [x, y] = ([0, 1] as const).map((c) => anchors[k][c] * (1 - part) + anchors[k + 1][c] * part);
      const [px, py] = [(x0 + x - slant * (y0 + y)) * width, (y0 + y) * height];
      return [px * cos - py * sin + shiftX, px * sin + py * cos + shiftY];
    });
  });
  const half = 1 / size; // of a pixel, in the box from -1 to 1
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const place: Place = [(2 * column + 1) * half - 1, (2 * row + 1) * half - 1];
      let distance = Infinity;
      for (const stroke of placed)
        for (let i = 1; i < stroke.length; i++)
          distance = Math.min(distance, toSegment(place, stroke[i - 1], stroke[i]));
      // How much of the pixel lies under the pen, were the edge straight.
      pixels[at + row * size + column] = ink * Math.min(1, Math.max(0, (pen - distance) / (2 * half) + 0.5));
    }
  }
}

/**
 * `count` drawn digits of `size` by `size` pixels with grey values in [0, 1], the ten digits in turn: a function of the key.
 */
export async function drawGlyphs(key: Key, count: number, size: number): Promise<DigitSet> {
  const [forShapes, forNoise] = split(key, 2);
  const [shapes, noise] = [uniform(forShapes, [count, NUMBERS]), uniform(forNoise, [count, size * size])];
  const [drawn, specks] = await Promise.all([shapes.data(), noise.data()]);
  tf.dispose([shapes, noise, forShapes, forNoise]);
  const each = size * size;
  const pixels = new Float32Array(count * each);
  const labels = Int32Array.from({ length: count }, (_, i) => i % STROKES.length);
  for (let i = 0; i < count; i++) {
    draw(labels[i], size, drawn.subarray(i * NUMBERS, (i + 1) * NUMBERS), pixels, i * each);
  }
  for (let i = 0; i < pixels.length; i++) {
    pixels[i] = Math.min(1, Math.max(0, pixels[i] + NOISE * (2 * specks[i] - 1)));
  }
  return { count, size, pixels, labels };
}
