/**
 * A maze as a panel of a figure: walls, start and goal, and the cells that are told to be on the path.
 */
import { type Panel, type Point } from './figure.js';
import { DIRECTIONS, type Maze } from './maze.js';

/** Where a cell's side in that direction runs, from the cell's middle, in half cells: first corner and second. */
const CORNERS: readonly (readonly [Point, Point])[] = DIRECTIONS.map(({ row, column }) => {
  const [x, y] = [column, -row];
  return [
    [x - y, y - x],
    [x + y, y + x],
  ];
});

/** The middle of a cell: x to the right, y upwards, a cell is one wide. */
const middle = (size: number, cell: number): Point => [(cell % size) + 0.5, size - Math.floor(cell / size) - 0.5];

/** The closed sides as pieces of a line, each ended by a point that is no number. */
export function wallLines({ size, open }: Pick<Maze, 'size' | 'open'>): Point[] {
  const points: Point[] = [];
  for (let cell = 0; cell < size * size; cell++) {
    const [x, y] = middle(size, cell);
    for (const [d, [a, b]] of CORNERS.entries()) {
      if (open[4 * cell + d] === 1) continue;
      points.push([x + a[0] / 2, y + a[1] / 2], [x + b[0] / 2, y + b[1] / 2], [NaN, NaN]);
    }
  }
  return points;
}

export function mazePanel(title: string, maze: Maze, marked: readonly number[]): Panel {
  const { size } = maze;
  const at = (cell: number): Point => middle(size, cell);
  const domain = [-0.02 * size, 1.02 * size] as const;
  return {
    title: `${title} (${size} x ${size})`,
    x: { label: '', domain },
    y: { label: '', domain },
    series: [
      { name: 'wall', kind: 'line', colour: '#222222', points: wallLines(maze) },
      { name: 'true path', kind: 'dashed', colour: '#56b4e9', points: maze.path.map(at) },
      { name: 'told', kind: 'dots', colour: '#e69f00', points: marked.map(at) },
      { name: 'start and goal', kind: 'dots', colour: '#d55e00', points: [at(maze.start), at(maze.goal)] },
    ],
  };
}
