/**
 * Laws that every layer obeys, over tables of layers (laws/, one for each family). A new layer enters by one row.
 */
import '../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import {
  compile,
  flatten,
  grad,
  key,
  layerToString,
  leaves,
  normal,
  parameterLength,
  randint,
  ravel,
  setup,
  split,
  stateLength,
  testMode,
  trainMode,
  type Key,
  type StateTree,
  type Tensor,
  type Tree,
} from '../../src/index.js';
import { centralDifference } from '../support/differences.js';
import { expectClose } from '../support/close.js';
import { isFloat64, tolerance } from '../support/precision.js';
import { BASES } from './laws/bases.js';
import { BASIC } from './laws/basic.js';
import type { Law, Shapes } from './laws/law.js';
import { VISION } from './laws/vision.js';
import { SEQUENCES } from './laws/sequences.js';

const LAWS: Readonly<Record<string, Law>> = { ...BASIC, ...VISION, ...SEQUENCES, ...BASES };

const isShape = (x: Shapes): x is readonly number[] => x.every((n) => typeof n === 'number');

/** Numbers in (-2, 2) that no kink of a tested layer is near, or indices. */
function draw(shape: Shapes, seed: number, indices?: number): Tree {
  const shapes = isShape(shape) ? [shape] : (shape as readonly (readonly number[])[]);
  const one = (k: Key, size: readonly number[]): Tensor =>
    indices === undefined ? normal(k, size) : randint(k, size, 0, indices);
  const tensors = split(key(seed), shapes.length).map((k, i) => one(k, shapes[i]));
  return isShape(shape) ? tensors[0] : tensors;
}

const values = (tree: unknown): number[][] => leaves(tree).map((t) => Array.from(t.dataSync()));

/** A fixed random projection of everything that a layer returns, so that no part of its derivative can hide. */
function project(tree: unknown, seed: number): Tensor {
  const parts = leaves(tree).map((y, i) => tf.sum(tf.mul(y, normal(key(seed + i), y.shape))));
  return parts.reduce((a, b) => tf.add(a, b));
}

describe('every layer', () => {
  for (const [name, law] of Object.entries(LAWS)) {
    const { layer, input, parameters, states = 0, prints, output, indices, remembers = false } = law;
    describe(name, () => {
      const make = (seed = 1): { x: Tree; ps: Tree; st: StateTree } => {
        const [ps, st] = setup(key(seed), layer) as [Tree, StateTree];
        return { x: draw(input, 7, indices), ps, st };
      };
      const run = (x: Tree, ps: Tree, st: StateTree): [Tree, StateTree] => layer.apply(x, ps, st) as [Tree, StateTree];

      it('returns the shapes it should', () => {
        const { x, ps, st } = make();
        const [y] = run(x, ps, st);
        const shapes = leaves(y).map((t) => t.shape);
        expect(shapes).to.deep.equal(isShape(output) ? [output] : output);
      });

      it('has as many parameters and states as counted by hand', () => {
        const { ps, st } = make();
        expect(parameterLength(layer)).to.equal(parameters);
        expect(leaves(ps).reduce((n, t) => n + t.size, 0)).to.equal(parameters);
        expect(stateLength(layer)).to.equal(states);
        expect(stateLength(st)).to.equal(states);
      });

      it('prints', () => {
        const text = layerToString(layer);
        expect(text.split('\n')[0].replace(/ +#.*$/, '')).to.equal(prints);
        expect((layer as { toString: () => string }).toString()).to.equal(text);
        expect(Object.isFrozen(layer)).to.equal(true);
      });

      it('makes the same parameters and states from the same key', () => {
        const [a, b, c] = [make(1), make(1), make(2)];
        expect(values([a.ps, a.st])).to.deep.equal(values([b.ps, b.st]));
        const drawn = leaves(a.ps).filter((t) => new Set(t.dataSync()).size > 1).length;
        if (drawn > 0) expect(values(a.ps)).to.not.deep.equal(values(c.ps));
      });

      it('is pure: the same from the same, and leaves its inputs alone', () => {
        const { x, ps, st } = make();
        const before = values([x, ps, st]);
        const [y1, st1] = run(x, ps, st);
        const [y2, st2] = run(x, ps, st);
        expect(values(y1)).to.deep.equal(values(y2));
        expect(values(st1)).to.deep.equal(values(st2));
        expect(values([x, ps, st])).to.deep.equal(before);
        const structure = (tree: unknown): string[] => Object.keys(tree ?? {});
        expect(structure(st1)).to.deep.equal(structure(st));
      });

      it('gives the same when compiled', () => {
        const { x, ps, st } = make();
        const compiled = compile(run);
        const close = {
          rtol: tolerance({ float32: 1e-5, float64: 1e-13 }),
          atol: tolerance({ float32: 1e-6, float64: 1e-14 }),
        };
        const [y, next] = run(x, ps, st);
        const [yc, nextc] = compiled(x, ps, st);
        expectClose(values(yc), values(y), close);
        expectClose(values(nextc), values(next), close);
        compiled(x, ps, remembers ? st : nextc);
        expect(compiled.stats).to.deep.equal({ traces: 1, hits: 1 });
      });

      it('frees what it makes on the way', () => {
        const { x, ps, st } = make();
        const count = (f: () => unknown): number => {
          const before = tf.memory().numTensors;
          const own = new Set(leaves([x, ps, st]));
          for (const t of new Set(leaves(f()))) if (!own.has(t)) t.dispose();
          return tf.memory().numTensors - before;
        };
        const differentiated = grad((p: Tree[]) => project(run(indices === undefined ? p[1] : x, p[0], st)[0], 3));
        expect(count(() => run(x, ps, st))).to.equal(0);
        expect(count(() => setup(key(3), layer))).to.equal(1); // the key itself
        expect(count(() => differentiated(indices === undefined ? [ps, x] : [ps]))).to.equal(0);
        expect(count(() => layerToString(layer))).to.equal(0);
      });

      it('keeps its state in test mode, and goes back', () => {
        const { x, ps, st } = make();
        const tested = testMode(st);
        const [y1, st1] = run(x, ps, tested);
        if (!remembers) {
          expect(values(st1)).to.deep.equal(values(tested));
          expect(values(run(x, ps, st1)[0])).to.deep.equal(values(y1));
        }
        expect(values(run(x, ps, trainMode(tested))[0])).to.deep.equal(values(run(x, ps, st)[0]));
      });

      const theta = (mode = (st: StateTree): StateTree => st): { vector: Tensor; loss: (v: Tensor) => Tensor } => {
        const { x, ps, st: fresh } = make();
        const st = mode(fresh);
        const [vector, unravel] = ravel(indices === undefined ? [x, ps] : [ps]);
        return {
          vector,
          loss: (v) => {
            const parts = unravel(v);
            const [x1, p1] = indices === undefined ? parts : [x, parts[0]];
            return project(run(x1, p1, st)[0], 11);
          },
        };
      };

      it('has the derivative of central differences, for input and parameters', () => {
        const { vector, loss } = theta();
        expectClose(grad(loss)(vector), centralDifference(compile(loss), vector), {
          rtol: tolerance({ float32: 2e-2, float64: 1e-7 }),
          atol: tolerance({ float32: 2e-2, float64: 1e-8 }),
        });
      });

      // In doubles only: in singles the differences of a model with strong curvature are too rough.
      if (states > 0 && isFloat64) {
        it('has the derivative of central differences in test mode, too', () => {
          const { vector, loss } = theta(testMode);
          expectClose(grad(loss)(vector), centralDifference(compile(loss), vector), { rtol: 1e-7, atol: 1e-8 });
        });
      }

      if (isFloat64) {
        it('has the second derivative of central differences', () => {
          const { vector, loss } = theta();
          const direction = normal(key(23), vector.shape);
          const slope = (v: Tensor): Tensor => tf.sum(tf.mul(grad(loss)(v), direction));
          expectClose(grad(slope)(vector), centralDifference(compile(slope), vector), { rtol: 1e-5, atol: 1e-7 });
        });
      }

      if (parameters > 0) {
        it('names itself and what is wrong when given parameters of another model', () => {
          const { x, ps, st } = make();
          const missing = Object.fromEntries(Object.entries(ps).slice(1)) as Tree;
          expect(() => run(x, missing, st)).to.throw(new RegExp(`no field "${Object.keys(ps)[0]}"`));
          const { leaves: all, unflatten } = flatten(ps);
          const wrong = unflatten(all.map((t, i) => (i === all.length - 1 ? tf.zeros([9, 9, 9]) : t)));
          expect(() => run(x, wrong, st)).to.throw(/got a float32 tensor \[9, 9, 9\]/);
        });
      }
    });
  }
});
