import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { adam, disposeTrainState, key, setup, train, trainState, treeMap, type Tensor } from 'nullcline';
import { encodeMazes, mazeNetwork, mazeObjective, solved } from '../../examples/support/maze-network.js';
import { mazePanel, wallLines } from '../../examples/support/maze-picture.js';
import { DIRECTIONS, drawMazes, makeMaze, neighbour, numbersFor, shortestPath } from '../../examples/support/maze.js';
import { tolerance } from '../support/precision.js';

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

describe('mazes', () => {
  it('are spanning trees: every cell is reached, and one passage less than cells', async () => {
    for (const size of [2, 3, 7, 10]) {
      for (const { open, start, goal, path } of await drawMazes(key(size), 5, size)) {
        const passages = open.reduce((sum, flag) => sum + flag, 0) / 2;
        expect(passages).to.equal(size * size - 1);
        for (const cell of range(size * size)) {
          expect(shortestPath(size, open, start, cell).at(-1), `cell ${cell} of ${size}`).to.equal(cell);
          for (const d of range(4)) {
            const next = neighbour(size, cell, d);
            // Sides agree from both of their cells, and none opens outwards.
            if (next === undefined) expect(open[4 * cell + d]).to.equal(0);
            else expect(open[4 * cell + d]).to.equal(open[4 * next + ((d + 2) % 4)]);
          }
        }
        expect(start).not.to.equal(goal);
        expect([path[0], path.at(-1)]).to.deep.equal([start, goal]);
        path.slice(1).forEach((cell, i) => {
          const step = range(4).find((d) => neighbour(size, path[i], d) === cell);
          expect(step !== undefined && open[4 * path[i] + step] === 1).to.equal(true);
        });
      }
    }
  });

  it('have one path only: it is broken by closing any passage on it', async () => {
    const [{ size, open, start, goal, path }] = await drawMazes(key(11), 1, 6);
    path.slice(1).forEach((cell, i) => {
      const closed = Uint8Array.from(open);
      const d = range(4).find((k) => neighbour(size, path[i], k) === cell) as number;
      closed[4 * path[i] + d] = closed[4 * cell + ((d + 2) % 4)] = 0;
      expect(shortestPath(size, closed, start, goal)).to.deep.equal([]);
    });
  });

  it('are functions of their random numbers, all of which suffice', async () => {
    const [a, b] = [await drawMazes(key(3), 2, 5), await drawMazes(key(3), 2, 5)];
    expect(a).to.deep.equal(b);
    expect(a[0].open).not.to.deep.equal(a[1].open);
    for (const edge of [0, 1 - 2 ** -24]) {
      const maze = makeMaze(4, new Float32Array(numbersFor(4)).fill(edge));
      expect(maze.path.length).to.be.at.least(2);
    }
    expect(() => makeMaze(1, [])).to.throw(RangeError, 'makeMaze: size must be an integer of at least 2, got 1');
  });

  it('find the shortest way where there are several', () => {
    const size = 3;
    const open = Uint8Array.from(
      range(9).flatMap((cell) => DIRECTIONS.map((_, d) => (neighbour(size, cell, d) === undefined ? 0 : 1))),
    );
    expect(shortestPath(size, open, 0, 8).length).to.equal(5);
    expect(shortestPath(size, open, 4, 4)).to.deep.equal([4]);
  });

  it('are drawn with a wall for every closed side', async () => {
    const [maze] = await drawMazes(key(2), 1, 4);
    const lines = wallLines(maze);
    expect(lines.length / 3).to.equal(maze.open.filter((flag) => flag === 0).length);
    for (const i of range(lines.length / 3)) {
      const [[x0, y0], [x1, y1]] = lines.slice(3 * i, 3 * i + 2);
      expect(Math.abs(x1 - x0) + Math.abs(y1 - y0), `wall ${i}`).to.equal(1);
      for (const v of [x0, y0, x1, y1]) expect(Number.isInteger(v) && v >= 0 && v <= 4).to.equal(true);
    }
    const north = wallLines({ size: 1, open: Uint8Array.of(0, 1, 1, 1) }).slice(0, 2);
    expect(north.map(([, y]) => y)).to.deep.equal([1, 1]);
    expect(mazePanel('m', maze, [0]).series[2].points).to.deep.equal([[0.5, 3.5]]);
  });
});

describe('the maze network', () => {
  it('sees sides, start and goal, and is to tell the path', async () => {
    const [maze] = await drawMazes(key(1), 1, 3);
    const { mazes, paths } = encodeMazes([maze]);
    expect([mazes.shape, paths.shape]).to.deep.equal([
      [1, 3, 3, 6],
      [1, 3, 3, 1],
    ]);
    const flags = mazes.arraySync()[0].flat();
    expect(flags.flatMap((cell) => cell.slice(0, 4))).to.deep.equal(Array.from(maze.open));
    expect([flags.findIndex((cell) => cell[4] === 1), flags.findIndex((cell) => cell[5] === 1)]).to.deep.equal([maze.start, maze.goal]); // prettier-ignore
    expect(Array.from(paths.dataSync()).flatMap((on, i) => (on === 1 ? [i] : []))).to.deep.equal(
      [...maze.path].sort((a, b) => a - b),
    );
    tf.dispose([mazes, paths]);
  });

  it('reaches its equilibrium whatever its weights: no message goes straight back', async () => {
    const size = 4;
    const { model, stem, cell, channels } = mazeNetwork(size);
    const [ps, st] = setup(key(7), model);
    // Far from contracting: ten times the usual weights.
    const large = treeMap(ps, (x: Tensor) => tf.mul(x, 10));
    const { mazes } = encodeMazes(await drawMazes(key(8), 3, size));
    const [seen] = stem.apply(mazes, large.stem, st.stem);
    const states: Tensor[] = [tf.zeros([3, size, size, 4 * channels])];
    for (let k = 0; k <= size * size; k++) {
      states.push(cell.apply([states[k], { seen, maze: mazes }], large.equilibrium.model, st.equilibrium.model)[0]);
    }
    const change = (k: number): number => tf.tidy(() => tf.max(tf.abs(tf.sub(states[k + 1], states[k]))).dataSync()[0]);
    expect(change(1)).to.be.above(0.1);
    // All but what arrived is the sum less that message: it goes back by rounding alone.
    expect(change(size * size)).to.be.below(tolerance({ float32: 1e-5, float64: 1e-13 }));
  });

  it('learns', async () => {
    const size = 3;
    const { model } = mazeNetwork(size);
    const [ps, st] = setup(key(1), model);
    const data = encodeMazes(await drawMazes(key(2), 12, size));
    const start = trainState(model, ps, st, adam(3e-2));
    const before = tf.memory().numTensors;
    const { losses, trainState: trained } = await train(mazeObjective, data, start, { steps: 20 });
    expect(losses[19]).to.be.below(0.8 * losses[0]);
    const count = tf.tidy(() => solved(model.apply(data.mazes, trained.parameters, trained.states)[0], data.paths));
    expect(count.dataSync()[0]).to.be.within(0, 12);
    count.dispose();
    disposeTrainState(trained);
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('counts a maze as solved when every cell is right', () => {
    const paths = tf.tensor4d([1, 0, 0, 1, 1, 0, 0, 1], [2, 2, 2, 1]);
    const logits = tf.tensor4d([2, -1, -3, 0.1, 2, 1, -1, 3], [2, 2, 2, 1]);
    const count = solved(logits, paths);
    expect(count.dataSync()[0]).to.equal(1);
    tf.dispose([paths, logits, count]);
  });
});
