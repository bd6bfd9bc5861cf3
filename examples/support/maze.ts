/**
 * Mazes with one path between any two cells: a spanning tree of a square grid, drawn from random numbers.
 */
import { uniform, type Key } from 'nullcline';

/** The four directions, as steps in row and column; the opposite of direction d is `(d + 2) % 4`. */
export const DIRECTIONS = [
  { name: 'north', row: -1, column: 0 },
  { name: 'east', row: 0, column: 1 },
  { name: 'south', row: 1, column: 0 },
  { name: 'west', row: 0, column: -1 },
] as const;

/** Cells are numbered row by row. */
export interface Maze {
  /** Cells along each side. */
  readonly size: number;
  /** For each cell four flags, in the order of {@link DIRECTIONS}: can one go there? */
  readonly open: Uint8Array;
  readonly start: number;
  readonly goal: number;
  /** The one path from start to goal, both included. */
  readonly path: readonly number[];
}

/** The cell next to this one, or undefined at the border. */
export function neighbour(size: number, cell: number, direction: number): number | undefined {
  const { row, column } = DIRECTIONS[direction];
  const [r, c] = [Math.floor(cell / size) + row, (cell % size) + column];
  return r >= 0 && r < size && c >= 0 && c < size ? r * size + c : undefined;
}

/** How many random numbers {@link makeMaze} wants. */
export const numbersFor = (size: number): number => size * size + 2;

/**
 * A maze by a random depth-first walk that goes back when it is stuck: long, winding passages. Start and goal are any two cells.
 *
 * @param random {@link numbersFor} numbers in [0, 1).
 * @throws RangeError for fewer than two cells along each side.
 */
export function makeMaze(size: number, random: ArrayLike<number>): Maze {
  if (!Number.isSafeInteger(size) || size < 2)
    throw new RangeError(`makeMaze: size must be an integer of at least 2, got ${size}`);
  const cells = size * size;
  const open = new Uint8Array(4 * cells);
  let used = 0;
  const below = (n: number): number => Math.min(n - 1, Math.floor(random[used++] * n));
  const seen = new Uint8Array(cells);
  const walk = [below(cells)];
  seen[walk[0]] = 1;
  while (walk.length > 0) {
    const cell = walk[walk.length - 1];
    const ways = DIRECTIONS.map((_, d) => d).filter((d) => {
      const next = neighbour(size, cell, d);
      return next !== undefined && seen[next] === 0;
    });
    if (ways.length === 0) {
      walk.pop();
      continue;
    }
    const d = ways[below(ways.length)];
    const next = neighbour(size, cell, d) as number;
    open[4 * cell + d] = open[4 * next + ((d + 2) % 4)] = 1;
    seen[next] = 1;
    walk.push(next);
  }
  const start = below(cells);
  const goal = (start + 1 + below(cells - 1)) % cells;
  return { size, open, start, goal, path: shortestPath(size, open, start, goal) };
}

/**
 * A shortest path through open sides, by breadth-first search; empty when there is none.
 */
export function shortestPath(size: number, open: Uint8Array, start: number, goal: number): number[] {
  const from = new Map<number, number>([[start, start]]);
  const queue = [start];
  for (const cell of queue) {
    if (cell === goal) break;
    for (let d = 0; d < 4; d++) {
      const next = open[4 * cell + d] === 1 ? neighbour(size, cell, d) : undefined;
      if (next === undefined || from.has(next)) continue;
      from.set(next, cell);
      queue.push(next);
    }
  }
  if (!from.has(goal)) return [];
  const path = [goal];
  while (path[path.length - 1] !== start) path.push(from.get(path[path.length - 1]) as number);
  return path.reverse();
}

/** `count` mazes: a function of the key. */
export async function drawMazes(key: Key, count: number, size: number): Promise<Maze[]> {
  const each = numbersFor(size);
  const numbers = uniform(key, [count, each]);
  const random = await numbers.data();
  numbers.dispose();
  return Array.from({ length: count }, (_, i) => makeMaze(size, random.subarray(i * each, (i + 1) * each)));
}
