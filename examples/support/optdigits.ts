/**
 * The digits of the UCI repository: one a line, 64 counts from 0 to 16 (8 by 8, row by row) and the digit (E. Alpaydin, C. Kaynak,
 * Optical Recognition of Handwritten Digits, 1998).
 */
import { basename } from 'node:path';
import { DataFileError } from './idx.js';
import type { DigitSet } from './digits.js';

const SIZE = 8;
const [PIXELS, GREATEST] = [SIZE * SIZE, 16];

/**
 * The digits of such a text, with grey values in [0, 1].
 *
 * @param source What messages call the text; of a path, the last part.
 * @throws DataFileError naming the line and what is wrong in it.
 */
export function readOptdigits(text: string, source = 'optdigits'): DigitSet {
  const name = basename(source);
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  if (lines.length === 0) throw new DataFileError(`${name}: the file is empty`);
  const pixels = new Float32Array(lines.length * PIXELS);
  const labels = new Int32Array(lines.length);
  lines.forEach((line, i) => {
    const where = `${name}: line ${i + 1}`;
    const cells = line.split(',');
    if (cells.length !== PIXELS + 1)
      throw new DataFileError(`${where}: expected ${PIXELS + 1} numbers, got ${cells.length}`);
    const numbers = cells.map((cell, j) => {
      const value = cell.trim() === '' ? NaN : Number(cell);
      const most = j < PIXELS ? GREATEST : 9;
      if (Number.isInteger(value) && value >= 0 && value <= most) return value;
      throw new DataFileError(`${where}: number ${j + 1} must be an integer from 0 to ${most}, got "${cell}"`);
    });
    numbers.slice(0, PIXELS).forEach((count, j) => (pixels[i * PIXELS + j] = count / GREATEST));
    labels[i] = numbers[PIXELS];
  });
  return { count: lines.length, size: SIZE, pixels, labels };
}
