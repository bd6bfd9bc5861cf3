/**
 * Every layer of the laws' tables (test/layers/laws), forward and with the gradient of its input and parameters.
 */
import '../support/backend.js';
import { readdirSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { describe, it } from 'mocha';
import {
  compile,
  flatten,
  key,
  leaves,
  normal,
  randint,
  setup,
  split,
  valueAndGrad,
  type StateTree,
  type Tensor,
  type Tree,
} from '../../src/index.js';
import { expectSame, LAYERS_NOT_ON_WEBGPU } from '../support/webgpu.js';
import type { Law, Shapes } from '../layers/laws/law.js';

const folder = new URL('../layers/laws/', import.meta.url);
const families = readdirSync(folder).filter((file) => /\.[tj]s$/.test(file) && !/\.d\.ts$/.test(file));
const tables = (await Promise.all(families.map((file) => import(new URL(file, folder).href)))) as Record<string, unknown>[]; // prettier-ignore

const isLaw = (x: unknown): x is Law => typeof x === 'object' && x !== null && 'layer' in x && 'output' in x;
const LAWS = tables
  .flatMap((exported) => Object.values(exported))
  .filter((table) => typeof table === 'object' && table !== null)
  .flatMap((table) => Object.entries(table))
  .filter((entry): entry is [string, Law] => isLaw(entry[1]));

const isShape = (x: Shapes): x is readonly number[] => x.every((n) => typeof n === 'number');

function draw(shape: Shapes, seed: number, indices?: number): Tree {
  const shapes = isShape(shape) ? [shape] : (shape as readonly (readonly number[])[]);
  const tensors = split(key(seed), shapes.length).map((k, i) =>
    indices === undefined ? normal(k, shapes[i]) : randint(k, shapes[i], 0, indices),
  );
  return isShape(shape) ? tensors[0] : tensors;
}

const project = (y: unknown): Tensor =>
  leaves(y)
    .map((part, i) => {
      const weights = Array.from({ length: part.size }, (_, j) => Math.cos(1.7 * j + i) + 0.2);
      return tf.sum(tf.mul(part, tf.tensor(weights, part.shape)));
    })
    .reduce((a, b) => tf.add(a, b));

/** Host values as tensors of whatever backend is active. */
const hosted = (tree: unknown): (() => unknown) => {
  const { leaves: all, unflatten } = flatten(tree as Tree);
  const values = all.map((t) => ({ data: t.dataSync().slice(), shape: t.shape, dtype: t.dtype }));
  return () => unflatten(values.map(({ data, shape, dtype }) => tf.tensor(data, shape, dtype)));
};

describe('layers on WebGPU', () => {
  for (const [name, { layer, input, indices }] of LAWS) {
    if (Object.hasOwn(LAYERS_NOT_ON_WEBGPU, name)) {
      it.skip(`${name} (tfjs: ${LAYERS_NOT_ON_WEBGPU[name]})`);
      continue;
    }
    it(name, async () => {
      await tf.setBackend('nullcline');
      const [ps, st] = setup(key(1), layer) as [Tree, StateTree];
      const x = hosted(draw(input, 7, indices)) as () => Tree;
      const make = hosted(ps) as () => Tree;
      const states = hosted(st) as () => StateTree;
      const loss = (p: Tree, given: Tree, s: StateTree): Tensor => project(layer.apply(given, p, s)[0]);
      // Indices have no derivative.
      const program = compile(valueAndGrad(loss, { argnums: indices === undefined ? [0, 1] : [0] }));
      await expectSame(
        () => ({ ps: make(), x: x(), st: states() }),
        (given) => program(given.ps, given.x, given.st),
        name,
      );
    });
  }
});
