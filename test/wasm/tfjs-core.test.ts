import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { compile } from '../../src/graph/compile.js';
import { isFloat64 } from '../support/precision.js';
import { CORE_CASES, isLiteral, type CoreCase, type Literal } from './tfjs-core-cases.js';

/** Where tfjs's own cpu backend does not give what the definition says, and how it fails. */
const WRONG_ON_CPU: ReadonlyMap<string, string> = new Map([
  ['cumsum 3', 'a negative axis makes a shape that is not a number'],
  ['stridedSlice 8', 'reads out of range where a mask adds an axis'],
  ['stridedSlice 11', 'no element has the wrong size'],
]);

type Operation = (...args: unknown[]) => unknown;
type Named = Readonly<Record<string, unknown>>;

/** `tf.linalg.bandPart` for 'linalg.bandPart'. */
function operation(name: string): Operation {
  const found = name.split('.').reduce<unknown>((from, part) => (from as Named)[part], tf);
  if (typeof found !== 'function') throw new Error(`tf.${name} does not exist`);
  return found as Operation;
}

const made = ({ values, shape, dtype }: Literal): tf.Tensor => tf.tensor([...values], [...shape], dtype);

/** The literals among arguments, also in lists of tensors. */
const literalsOf = (args: readonly unknown[]): Literal[] =>
  args.flatMap((x) => (isLiteral(x) ? [x] : Array.isArray(x) ? x.filter(isLiteral) : []));

/** The operation as a function of its tensors alone. */
function ofTensors({ op, args }: CoreCase): (...xs: tf.Tensor[]) => tf.Tensor[] {
  const run = operation(op);
  return (...xs) => {
    const left = [...xs];
    const next = (x: unknown): unknown => (isLiteral(x) ? left.shift() : x);
    const result = run(...args.map((x) => (Array.isArray(x) ? x.map(next) : next(x))));
    if (result instanceof tf.Tensor) return [result];
    return Object.values(result as Record<string, tf.Tensor>);
  };
}

function check(results: readonly tf.Tensor[], expected: readonly Literal[]): void {
  expect(results.length, 'number of results').to.equal(expected.length);
  results.forEach((y, k) => {
    const { values, shape, dtype } = expected[k];
    expect({ shape: y.shape, dtype: y.dtype }).to.deep.equal({ shape: [...shape], dtype });
    const found = Array.from(y.dataSync());
    found.forEach((x, j) => {
      const truth = values[j];
      const isSame = Number.isFinite(truth) ? Math.abs(x - truth) <= 2e-6 * Math.max(1, Math.abs(truth)) : Object.is(x, truth); // prettier-ignore
      if (!isSame) expect.fail(`result ${k}: [${found.join(', ')}], not [${values.join(', ')}]`);
    });
  });
}

for (const backend of isFloat64 ? ['cpu', 'nullcline64'] : ['cpu', 'nullcline', 'nullcline64']) {
  describe(`tfjs operations by their definitions on ${backend}`, () => {
    let previous: string;
    before(async () => {
      previous = tf.getBackend();
      await tf.setBackend(backend);
    });
    after(async () => {
      await tf.setBackend(previous);
    });

    const counts = new Map<string, number>();
    for (const one of CORE_CASES) {
      const count = (counts.get(one.op) ?? 0) + 1;
      counts.set(one.op, count);
      const title = `${one.op} ${count}`;
      if (backend === 'cpu' && WRONG_ON_CPU.has(title)) continue;
      it(title, () => {
        const f = ofTensors(one);
        const { numTensors } = tf.memory();
        const xs = literalsOf(one.args).map(made);
        const eager = tf.tidy(() => f(...xs));
        check(eager, one.expected);
        const compiled = compile(f);
        const results = compiled(...xs);
        check(results, one.expected);
        compiled.programFor(...xs).dispose();
        tf.dispose([eager, results, xs]);
        expect(tf.memory().numTensors, 'tensors').to.equal(numTensors);
      });
    }
  });
}
