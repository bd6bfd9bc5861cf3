/**
 * Reading tables of numbers.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { csvParseRows } from 'd3-dsv';
import { suggestion } from './nearest.js';

/** A table that is not what it should be. */
export class CsvError extends Error {
  override readonly name = 'CsvError';
}

/** A file of examples/data. */
export const dataFile = (name: string): URL => new URL(`../data/${name}`, import.meta.url);

/**
 * The named columns of a CSV text with a header line, as numbers.
 *
 * @param source What messages call the text, a file name as a rule.
 * @throws CsvError naming the line and column of what is no finite number; when a column or all rows are missing.
 */
export function parseColumns<const C extends string>(
  csv: string,
  columns: readonly C[],
  source = 'csv',
): Record<C, number[]> {
  const [header, ...rows] = csvParseRows(csv.replace(/^\uFEFF/, '')).map((row) => row.map((cell) => cell.trim()));
  if ((header as string[] | undefined) === undefined) throw new CsvError(`${source}: the file is empty`);
  if (rows.length === 0) throw new CsvError(`${source}: no rows below the header`);
  const places = columns.map((column) => {
    const place = header.indexOf(column);
    if (place >= 0) return place;
    throw new CsvError(
      `${source}: no column "${column}"${suggestion(column, header)}; the file has ${header.join(', ')}`,
    );
  });
  rows.forEach((row, i) => {
    if (row.length === header.length) return;
    throw new CsvError(`${source}: line ${i + 2} has ${row.length} fields, the header ${header.length}`);
  });
  const values = columns.map((column, c) =>
    rows.map((row, i) => {
      const cell = row[places[c]];
      const value = cell === '' ? NaN : Number(cell);
      if (Number.isFinite(value)) return value;
      throw new CsvError(`${source}: line ${i + 2}, column "${column}": expected a number, got "${cell}"`);
    }),
  );
  return Object.fromEntries(columns.map((column, c) => [column, values[c]])) as Record<C, number[]>;
}

/** {@link parseColumns} of a file. */
export function readColumns<const C extends string>(file: string | URL, columns: readonly C[]): Record<C, number[]> {
  const path = typeof file === 'string' ? file : fileURLToPath(file);
  return parseColumns(readFileSync(path, 'utf8'), columns, basename(path));
}
