/**
 * Tables on the console: as `console.table`, without quotes, frames and row numbers.
 */

export type Cell = string | number | boolean;

/** Four significant digits; whole numbers in full. */
export function formatNumber(x: number): string {
  if (Number.isInteger(x) && Math.abs(x) < 1e15) return String(x);
  const size = Math.abs(x);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return x.toExponential(3);
  return x.toPrecision(4);
}

const shown = (cell: Cell | undefined): string => {
  if (cell === undefined) return '';
  return typeof cell === 'number' ? formatNumber(cell) : String(cell);
};

/** One line per row below a header; columns in order of first appearance, numbers to the right. */
export function formatTable(rows: readonly Readonly<Record<string, Cell>>[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const laid = columns.map((column) => {
    const cells = [column, ...rows.map((row) => shown(row[column]))];
    const width = Math.max(...cells.map((cell) => cell.length));
    const right = rows.every((row) => !(column in row) || typeof row[column] === 'number');
    const fit = (cell: string): string => (right ? cell.padStart(width) : cell.padEnd(width));
    const [header, ...body] = cells.map(fit);
    return [header, '-'.repeat(width), ...body];
  });
  if (laid.length === 0) return '';
  return laid[0].map((_, i) => laid.map((column) => column[i]).join('  ').trimEnd()).join('\n'); // prettier-ignore
}

export function printTable(rows: readonly Readonly<Record<string, Cell>>[]): void {
  console.log(formatTable(rows));
}
