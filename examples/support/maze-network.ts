/**
 * A deep equilibrium network that finds the path through a maze.
 *
 * The state of a cell is four messages, one for each of its sides: what is to be found beyond. In an iteration every cell passes on, through each side, what
 * it sees in itself and heard from the *other* three; walls stop it. Weights are shared by all cells and sides, so that the network has no size: this
 * is a convolution over the neighbours, masked by the walls. That no message goes straight back makes the equilibrium
 * exist and be unique whatever the weights are: in a maze without loops the messages from dead ends are final at once, those that need only
 * them an iteration later, and so on to the end of the longest passage. (Message passing on trees: J. Pearl, 1982.)
 */
import * as tf from '@tensorflow/tfjs';
import {
  binaryCrossEntropy,
  compact,
  dense,
  normalInit,
  type ParametersOf,
  type StatesOf,
  type Tensor,
} from 'nullcline';
import { deepEquilibriumNetwork } from 'nullcline/models';
import { implicitAdjoint, picard } from 'nullcline/solvers';
import { DIRECTIONS, type Maze } from './maze.js';

/** What is known of a cell: four open sides, start, goal. */
const FLAGS = 6;
const SIDES = DIRECTIONS.length;

/** Mazes of one size as tensors. */
export interface MazeTensors {
  /** `[count, size, size, 6]`: for each cell its four open sides in the order of the directions, start, goal. */
  readonly mazes: tf.Tensor4D;
  /** `[count, size, size, 1]`: 1 for the cells of the path. */
  readonly paths: tf.Tensor4D;
}

export function encodeMazes(mazes: readonly Maze[]): MazeTensors {
  const [{ size }] = mazes;
  const cells = size * size;
  const flags = new Float32Array(mazes.length * cells * FLAGS);
  const paths = new Float32Array(mazes.length * cells);
  mazes.forEach(({ open, start, goal, path }, i) => {
    const first = i * cells;
    for (let cell = 0; cell < cells; cell++)
      for (let d = 0; d < SIDES; d++) flags[(first + cell) * FLAGS + d] = open[SIDES * cell + d];
    flags[(first + start) * FLAGS + SIDES] = 1;
    flags[(first + goal) * FLAGS + SIDES + 1] = 1;
    for (const cell of path) paths[first + cell] = 1;
  });
  return {
    mazes: tf.tensor4d(flags, [mazes.length, size, size, FLAGS]),
    paths: tf.tensor4d(paths, [mazes.length, size, size, 1]),
  };
}

/** What the equilibrium depends on: the maze, and what the stem sees in each cell. */
interface Given {
  readonly seen: Tensor;
  readonly maze: Tensor;
  readonly [name: string]: Tensor;
}

/** For each cell, the value of its neighbour in a direction; zeros beyond the border. */
function fromNeighbour(x: Tensor, direction: number): Tensor {
  const [, height, width] = x.shape;
  const { row, column } = DIRECTIONS[direction];
  const around = tf.pad(x, [
    [0, 0],
    [1, 1],
    [1, 1],
    [0, 0],
  ]);
  return tf.slice(around, [0, 1 + row, 1 + column, 0], [-1, height, width, -1]);
}

/** One iteration: messages `[batch, size, size, 4 channels]` to the next. */
const messenger = (channels: number) =>
  compact(
    {
      name: 'Messenger',
      summary: `${channels} channels`,
      layers: { pass: dense(channels, channels, 'identity', { useBias: false, initWeight: normalInit(0.3) }) },
    },
    ([z, { seen, maze }]: readonly [Tensor, Given], { layer }) => {
      const open = tf.split(tf.slice(maze, [0, 0, 0, 0], [-1, -1, -1, SIDES]), SIDES, 3);
      const heard = tf.split(z, SIDES, 3);
      const all = tf.addN(heard);
      const arriving = heard.map((_, d) => {
        // What arrives from the neighbour in direction d left it by its opposite side.
        const others = tf.sub(all, heard[(d + 2) % SIDES]);
        return tf.mul(open[d], fromNeighbour(tf.tanh(tf.add(layer.pass(others), seen)), d));
      });
      return tf.concat(arriving, 3);
    },
  );

/** The logit of each cell, from what it hears and what it is: `[batch, size, size, 1]`. */
const reader = (channels: number) =>
  compact(
    {
      name: 'Reader',
      layers: { hidden: dense(2 * channels, 16, 'relu'), logit: dense(16, 1) },
    },
    ([z, seen]: readonly [Tensor, Tensor], { layer }) =>
      layer.logit(layer.hidden(tf.concat([tf.addN(tf.split(z, SIDES, 3)), seen], 3))),
  );

/**
 * The network for mazes of one size; its parameters serve every size.
 *
 * @param size Cells along each side.
 * @param options.maxIters Iterations at most. Default `size * size`, the longest a passage can be.
 * @returns The model, from mazes to the logits of the cells, and three of its parts for whoever wants to iterate by hand.
 */
export function mazeNetwork(size: number, { channels = 8, maxIters = size * size } = {}) {
  const stem = dense(FLAGS, channels);
  const cell = messenger(channels);
  const read = reader(channels);
  const equilibrium = deepEquilibriumNetwork(cell, {
    // A wave that runs through a maze has no history to extrapolate: plain iteration is the method here.
    algorithm: picard(),
    shape: [size, size, SIDES * channels],
    abstol: 1e-3,
    reltol: 1e-3,
    maxIters,
    adjoint: implicitAdjoint({ reltol: 1e-3, maxIters: 4 * size * size, onFailure: 'warn' }),
  });
  const model = compact({ name: 'MazeNetwork', layers: { stem, equilibrium, read } }, (maze: Tensor, { layer }) => {
    const seen = layer.stem(maze);
    return layer.read([layer.equilibrium({ seen, maze }), seen]);
  });
  return { model, stem, cell, read, channels };
}

export type MazeNetwork = ReturnType<typeof mazeNetwork>;
export type MazeModel = MazeNetwork['model'];

/** The mean cross-entropy of the cells: on the path or not. */
export function mazeObjective(
  model: MazeModel,
  ps: ParametersOf<MazeModel>,
  st: StatesOf<MazeModel>,
  { mazes, paths }: MazeTensors,
) {
  const [logits, next] = model.apply(mazes, ps, st);
  return [binaryCrossEntropy(logits, paths, { logits: true }), next, {}] as const;
}

/** How many mazes have every cell right: a scalar, int32. */
export const solved = (logits: Tensor, paths: Tensor): tf.Scalar =>
  tf.tidy(() => {
    const right = tf.equal(tf.greater(logits, 0), tf.greater(paths, 0.5));
    return tf.sum<tf.Scalar>(tf.cast(tf.all(tf.reshape(right, [paths.shape[0], -1]), 1), 'int32'));
  });
