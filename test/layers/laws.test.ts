/**
 * Laws that every layer obeys, over a table of layers. A new layer enters by one row.
 */
import '../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import {
  alphaDropout,
  bilinear,
  branchLayer,
  chain,
  compact,
  compile,
  constant,
  dense,
  dropout,
  flatten,
  flattenLayer,
  grad,
  key,
  layerToString,
  leaves,
  maxout,
  noOpLayer,
  normal,
  pairwiseFusion,
  parallel,
  parameterLength,
  ravel,
  repeatedLayer,
  reshapeLayer,
  reverseSequence,
  scale,
  selectDim,
  setup,
  skipConnection,
  split,
  stateLength,
  testMode,
  trainMode,
  wrappedFunction,
  type AnyLayer,
  type StateTree,
  type Tensor,
  type Tree,
} from '../../src/index.js';
import { centralDifference } from '../support/differences.js';
import { expectClose } from '../support/close.js';
import { isFloat64, tolerance } from '../support/precision.js';

type Shapes = readonly (number | readonly number[])[];

interface Law {
  readonly layer: AnyLayer;
  /** The shape of the input, or of each input of a tuple. */
  readonly input: Shapes;
  /** Numbers in the parameters, counted by hand. */
  readonly parameters: number;
  /** Values in the states; a plain value counts one. Default 0. */
  readonly states?: number;
  /** The first line it prints. */
  readonly prints: string;
  /** The output's shapes, counted by hand. */
  readonly output: Shapes;
}

const add = (a: Tensor, b: Tensor): Tensor => tf.add(a, b);

const gated = compact(
  {
    name: 'Gated',
    layers: { inner: dense(3, 3, 'tanh') },
    parameters: (k) => ({ gate: normal(k, [3]) }),
    states: (): { calls: Tensor } => ({ calls: constant(0) }),
  },
  (x, { ps, st, layer, update }) => {
    update({ calls: tf.add(st.calls, 1) });
    return tf.add(x, tf.mul(tf.sigmoid(ps.gate), layer.inner(layer.inner(x))));
  },
);

const LAWS: Readonly<Record<string, Law>> = {
  dense: { layer: dense(3, 2, 'tanh'), input: [4, 3], parameters: 8, prints: 'Dense(3 => 2, tanh)', output: [4, 2] },
  'dense without bias': { layer: dense(3, 2, 'swish', { useBias: false }), input: [4, 3], parameters: 6, prints: 'Dense(3 => 2, swish, useBias=false)', output: [4, 2] },
  'dense on one sample': { layer: dense(3, 2), input: [3], parameters: 8, prints: 'Dense(3 => 2)', output: [2] },
  'dense on a sequence': { layer: dense(3, 2, 'sigmoid'), input: [2, 4, 3], parameters: 8, prints: 'Dense(3 => 2, sigmoid)', output: [2, 4, 2] },
  scale: { layer: scale(3, 'tanh'), input: [4, 3], parameters: 6, prints: 'Scale(3, tanh)', output: [4, 3] },
  'scale of two axes': { layer: scale([2, 3]), input: [4, 2, 3], parameters: 12, prints: 'Scale(2, 3)', output: [4, 2, 3] },
  bilinear: { layer: bilinear([3, 2], 2, 'tanh'), input: [[4, 3], [4, 2]], parameters: 14, prints: 'Bilinear((3, 2) => 2, tanh)', output: [4, 2] },
  'bilinear of one input': { layer: bilinear(2, 3), input: [2, 3, 2], parameters: 15, prints: 'Bilinear((2, 2) => 3)', output: [2, 3, 3] },
  chain: { layer: chain(dense(2, 4, 'tanh'), (x: Tensor) => tf.square(x), dense(4, 1)), input: [3, 2], parameters: 17, prints: 'Chain(', output: [3, 1] },
  'named chain': { layer: chain({ encoder: dense(2, 3, 'tanh'), decoder: chain(dense(3, 2)) }), input: [3, 2], parameters: 17, prints: 'Chain(', output: [3, 2] },
  'empty chain': { layer: chain(), input: [3, 2], parameters: 0, prints: 'NoOpLayer()', output: [3, 2] },
  parallel: { layer: parallel(null, dense(2, 3, 'tanh'), dense(2, 1)), input: [4, 2], parameters: 12, prints: 'Parallel(', output: [[4, 3], [4, 1]] },
  'parallel on a tuple': { layer: parallel(add, dense(2, 3, 'tanh'), dense(1, 3)), input: [[4, 2], [4, 1]], parameters: 15, prints: 'Parallel(', output: [4, 3] },
  'parallel with a layer': { layer: parallel(bilinear(2, 2), dense(3, 2, 'tanh'), dense(3, 2)), input: [4, 3], parameters: 26, prints: 'Parallel(', output: [4, 2] },
  branchLayer: { layer: branchLayer(dense(2, 3, 'tanh'), noOpLayer()), input: [4, 2], parameters: 9, prints: 'BranchLayer(', output: [[4, 3], [4, 2]] },
  skipConnection: { layer: skipConnection(dense(2, 2, 'tanh'), add), input: [4, 2], parameters: 6, prints: 'SkipConnection(', output: [4, 2] },
  'skip with a layer': { layer: skipConnection(dense(2, 3, 'tanh'), bilinear([3, 2], 2)), input: [4, 2], parameters: 23, prints: 'SkipConnection(', output: [4, 2] },
  pairwiseFusion: { layer: pairwiseFusion(add, dense(2, 3, 'tanh'), dense(3, 2)), input: [[4, 2], [4, 3], [4, 2]], parameters: 17, prints: 'PairwiseFusion(', output: [4, 2] },
  'pairwiseFusion of one input': { layer: pairwiseFusion((a: Tensor, b: Tensor): Tensor => tf.mul(a, b), dense(2, 2, 'tanh'), dense(2, 2)), input: [4, 2], parameters: 12, prints: 'PairwiseFusion(', output: [4, 2] },
  repeatedLayer: { layer: repeatedLayer(dense(2, 2, 'tanh'), { repeats: 3 }), input: [4, 2], parameters: 6, prints: 'RepeatedLayer(', output: [4, 2] },
  'repeatedLayer with injection': { layer: repeatedLayer(parallel(add, dense(2, 2, 'tanh'), dense(2, 2)), { repeats: 3, inputInjection: true }), input: [4, 2], parameters: 12, prints: 'RepeatedLayer(', output: [4, 2] },
  maxout: { layer: maxout(() => dense(2, 3), 4), input: [3, 2], parameters: 36, prints: 'Maxout(', output: [3, 3] },
  wrappedFunction: { layer: wrappedFunction((x: Tensor) => tf.sin(x), 'sine'), input: [2, 3], parameters: 0, prints: 'WrappedFunction(sine)', output: [2, 3] },
  noOpLayer: { layer: noOpLayer(), input: [2, 3], parameters: 0, prints: 'NoOpLayer()', output: [2, 3] },
  reshapeLayer: { layer: reshapeLayer([2, -1]), input: [3, 6], parameters: 0, prints: 'ReshapeLayer((2, :, :))', output: [3, 2, 3] },
  flattenLayer: { layer: flattenLayer(), input: [2, 3, 2], parameters: 0, prints: 'FlattenLayer()', output: [2, 6] },
  'flattenLayer of two axes': { layer: flattenLayer({ axes: 2 }), input: [2, 3, 2, 2], parameters: 0, prints: 'FlattenLayer(axes=2)', output: [2, 3, 4] },
  selectDim: { layer: selectDim(1, -1), input: [2, 3, 2], parameters: 0, prints: 'SelectDim(dim=1, index=-1)', output: [2, 2] },
  reverseSequence: { layer: reverseSequence(), input: [2, 3, 2], parameters: 0, prints: 'ReverseSequence(1)', output: [2, 3, 2] },
  dropout: { layer: dropout(0.4), input: [4, 5], parameters: 0, states: 3, prints: 'Dropout(0.4)', output: [4, 5] },
  'dropout of channels': { layer: dropout(0.5, { dims: [0, 3] }), input: [2, 2, 2, 3], parameters: 0, states: 3, prints: 'Dropout(0.5, dims=[0, 3])', output: [2, 2, 2, 3] },
  'dropout of nothing': { layer: dropout(0), input: [4, 5], parameters: 0, prints: 'NoOpLayer()', output: [4, 5] },
  alphaDropout: { layer: alphaDropout(0.3), input: [4, 5], parameters: 0, states: 3, prints: 'AlphaDropout(0.3)', output: [4, 5] },
  'dropout in a chain': { layer: chain(dense(3, 4, 'tanh'), dropout(0.5), repeatedLayer(dropout(0.2), { repeats: 2 }), dense(4, 2)), input: [2, 3], parameters: 26, states: 6, prints: 'Chain(', output: [2, 2] },
  compact: { layer: gated, input: [2, 3], parameters: 15, states: 1, prints: 'Gated(', output: [2, 3] },
}; // prettier-ignore

const isShape = (x: Shapes): x is readonly number[] => x.every((n) => typeof n === 'number');

/** Numbers in (-2, 2) that no kink of a tested layer is near. */
function draw(shape: Shapes, seed: number): Tree {
  const shapes = isShape(shape) ? [shape] : (shape as readonly (readonly number[])[]);
  const tensors = split(key(seed), shapes.length).map((k, i) => normal(k, shapes[i]));
  return isShape(shape) ? tensors[0] : tensors;
}

const values = (tree: unknown): number[][] => leaves(tree).map((t) => Array.from(t.dataSync()));

/** A fixed random projection of everything that a layer returns, so that no part of its derivative can hide. */
function project(tree: unknown, seed: number): Tensor {
  const parts = leaves(tree).map((y, i) => tf.sum(tf.mul(y, normal(key(seed + i), y.shape))));
  return parts.reduce((a, b) => tf.add(a, b));
}

describe('every layer', () => {
  for (const [name, { layer, input, parameters, states = 0, prints, output }] of Object.entries(LAWS)) {
    describe(name, () => {
      const make = (seed = 1): { x: Tree; ps: Tree; st: StateTree } => {
        const [ps, st] = setup(key(seed), layer) as [Tree, StateTree];
        return { x: draw(input, 7), ps, st };
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
        compiled(x, ps, nextc);
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
        const differentiated = grad((p: [Tree, Tree]) => project(run(p[0], p[1], st)[0], 3));
        expect(count(() => run(x, ps, st))).to.equal(0);
        expect(count(() => setup(key(3), layer))).to.equal(1); // the key itself
        expect(count(() => differentiated([x, ps]))).to.equal(0);
        expect(count(() => layerToString(layer))).to.equal(0);
      });

      it('keeps its state in test mode, and goes back', () => {
        const { x, ps, st } = make();
        const tested = testMode(st);
        const [y1, st1] = run(x, ps, tested);
        if (name !== 'compact') {
          expect(values(st1)).to.deep.equal(values(tested));
          expect(values(run(x, ps, st1)[0])).to.deep.equal(values(y1));
        }
        expect(values(run(x, ps, trainMode(tested))[0])).to.deep.equal(values(run(x, ps, st)[0]));
      });

      const theta = (): { vector: Tensor; loss: (v: Tensor) => Tensor } => {
        const { x, ps, st } = make();
        const [vector, unravel] = ravel([x, ps] as Tree[]);
        return {
          vector,
          loss: (v) => {
            const [x1, p1] = unravel(v) as [Tree, Tree];
            return project(run(x1, p1, st)[0], 11);
          },
        };
      };

      it('has the derivative of central differences, for input and parameters', () => {
        const { vector, loss } = theta();
        expectClose(grad(loss)(vector), centralDifference(loss, vector), {
          rtol: tolerance({ float32: 2e-2, float64: 1e-7 }),
          atol: tolerance({ float32: 2e-2, float64: 1e-8 }),
        });
      });

      if (isFloat64) {
        it('has the second derivative of central differences', () => {
          const { vector, loss } = theta();
          const direction = normal(key(23), vector.shape);
          const slope = (v: Tensor): Tensor => tf.sum(tf.mul(grad(loss)(v), direction));
          expectClose(grad(slope)(vector), centralDifference(slope, vector), { rtol: 1e-5, atol: 1e-7 });
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
