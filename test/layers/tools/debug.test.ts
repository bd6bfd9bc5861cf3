/**
 * Debug mode: where a NaN or an error comes from, eagerly, compiled and on the way back.
 */
import '../../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import {
  batchNorm,
  chain,
  compact,
  compile,
  constant,
  DebugError,
  debugMode,
  defineLayer,
  dense,
  grad,
  key,
  layerToString,
  normal,
  parameterLength,
  recurrence,
  rnnCell,
  setIn,
  setup,
  skipConnection,
  wrappedFunction,
  type Tensor,
} from '../../../src/index.js';
import { expectClose } from '../../support/close.js';

const x = normal(key(3), [4, 3]);
const log = wrappedFunction((z: Tensor) => tf.log(z), 'log');
const positive = tf.add(tf.square(x), 0.5);

/** The error that `f` throws. */
function thrown(f: () => unknown): DebugError {
  try {
    f();
  } catch (error) {
    expect(error).to.be.instanceOf(DebugError);
    return error as DebugError;
  }
  return expect.fail('nothing was thrown');
}

describe('debugMode', () => {
  const model = chain(dense(3, 4, 'tanh'), chain({ inner: skipConnection(dense(4, 4), tf.add), norm: batchNorm(4) }), dense(4, 1)); // prettier-ignore
  const [ps, st] = setup(key(1), model);

  it('changes nothing where nothing is wrong: values, states, first and second derivatives, tensors', () => {
    const watched = debugMode(model);
    expect(setup(key(1), watched)[0].layer1.weight.dataSync()).to.deep.equal(ps.layer1.weight.dataSync());
    expect(parameterLength(watched)).to.equal(parameterLength(model));
    expect(layerToString(watched)).to.match(/^DebugLayer\(/);
    const before = tf.memory().numTensors;
    const [y, next] = watched.apply(x, ps, st);
    expect(tf.memory().numTensors - before).to.equal(3); // the output and two running statistics
    expectClose(y, model.apply(x, ps, st)[0], {});
    const close = { rtol: 1e-5, atol: 1e-6 };
    expectClose(next.layer2.norm.runningMean, model.apply(x, ps, st)[1].layer2.norm.runningMean, close);
    const slope = (layer: Pick<typeof model, 'apply'>) => (z: Tensor): Tensor => tf.sum(tf.square(grad((v: Tensor) => tf.sum(tf.square(layer.apply(v, ps, st)[0])))(z))); // prettier-ignore
    expectClose(slope(watched)(x), slope(model)(x), close);
    expectClose(grad(slope(watched))(x), grad(slope(model))(x), { rtol: 1e-4, atol: 1e-4 });
    expectClose(compile((z: Tensor) => watched.apply(z, ps, st)[0])(x), y, close);
  });

  it('names layer, tensor, path and direction of a NaN: in an output', () => {
    const bad = chain(dense(3, 3), chain({ first: log, second: dense(3, 1) }));
    const [p, s] = setup(key(1), bad);
    const e = thrown(() => debugMode(bad).apply(x, p, s));
    expect(e.message).to.match(/^NaN in the output \(shape \[4, 3\], element \d+\) of WrappedFunction\(log\), on the way forward \(in layer layer2.first\)$/); // prettier-ignore
    expect([e.layerPath, e.direction]).to.deep.equal(['layer2.first', 'forward']);
    expect(
      Number.isNaN((debugMode(bad, { nanCheck: 'none' }).apply(x, p, s) as unknown as [Tensor])[0].dataSync()[0]),
    ).to.equal(true);
  });

  it('in a parameter, and in the input', () => {
    const broken = setIn(ps, 'layer2.inner.bias', tf.tensor1d([0, NaN, 0, 0]));
    expect(thrown(() => debugMode(model).apply(x, broken, st)).message).to.match(/^NaN in the parameters at bias \(shape \[4\], element 1\) of Dense\(4 => 4\), on the way forward \(in layer layer2.inner\)$/); // prettier-ignore
    const weights = setIn(ps, 'layer3.weight', tf.fill([4, 1], NaN));
    expect(thrown(() => debugMode(model).apply(x, weights, st)).message).to.match(/^NaN in the parameters at weight .* of Dense\(4 => 1\), on the way forward \(in layer layer3\)$/); // prettier-ignore
    expect(thrown(() => debugMode(model).apply(tf.fill([4, 3], NaN), ps, st)).message).to.match(/^NaN in the input .* of Chain, on the way forward$/); // prettier-ignore
  });

  it('in a compiled function, at the call that makes it and not before', () => {
    const bad = chain({ lin: dense(3, 3, 'identity', { useBias: false }), log });
    const [, s] = setup(key(1), bad);
    const unit = { lin: { weight: tf.eye(3) }, log: {} };
    const f = compile((z: Tensor) => tf.sum((debugMode(bad) as typeof bad).apply(z, unit, s)[0]));
    expect(Number.isFinite(f(positive).dataSync()[0])).to.equal(true);
    expect(thrown(() => f(tf.neg(positive))).message).to.match(
      /in the output .*, on the way forward \(in layer log\)$/,
    );
    expect(Number.isFinite(f(positive).dataSync()[0])).to.equal(true);
    expect(f.stats.traces).to.equal(1);
  });

  it('on the way back: a root whose derivative at 0 is infinite', () => {
    // d sqrt(0) * 0 is infinity times zero.
    const root = wrappedFunction((z: Tensor) => tf.mul(tf.sqrt(z), constant(0)), 'root');
    const bad = chain({ lin: dense(3, 3, 'identity', { useBias: false }), root });
    const [, s] = setup(key(1), bad);
    const zero = { lin: { weight: tf.zeros([3, 3]) }, root: {} };
    const loss = (nanCheck: 'forward' | 'backward') => (p: typeof zero): Tensor => tf.sum(debugMode(bad, { nanCheck }).apply(x, p, s)[0]); // prettier-ignore
    const e = thrown(() => grad(loss('backward'))(zero));
    expect(e.message).to.match(/^NaN in the cotangent of the input .* of WrappedFunction\(root\), on the way backward \(in layer root\)$/); // prettier-ignore
    expect(e.direction).to.equal('backward');
    expect(() => grad(loss('forward'))(zero)).to.not.throw();
    expect(() => loss('backward')(zero)).to.not.throw();
  });

  it('works under the tape of tfjs', () => {
    const watched = debugMode(chain(log));
    const [p, s] = setup(key(1), watched);
    const f = (z: Tensor): tf.Scalar => tf.sum(watched.apply(z, p, s)[0]);
    expectClose(tf.grad(f)(positive), tf.div(1, positive), { rtol: 1e-5 });
  });

  it('names the layer that fails, with the error as the cause', () => {
    const bad = chain(dense(3, 4), chain({ wrong: dense(5, 1) as never }));
    const [p, s] = setup(key(1), bad) as unknown as never[];
    const e = thrown(() => debugMode(bad, { nanCheck: 'none' }).apply(x, p, s));
    expect(e.message).to.match(/^Dense\(5 => 1\) failed: .*5 features.* \(in layer layer2.wrong\)$/);
    expect(e.cause).to.be.instanceOf(Error);
    const reading = compact({ name: 'Reading' }, (z) => tf.scalar(z.dataSync()[0]));
    expect(thrown(() => compile((z: Tensor) => debugMode(reading).apply(z, {}, {})[0])(x)).message).to.match(/^Reading\(\) failed: a traced value was read/); // prettier-ignore
  });

  it('looks into layers that a loop goes through', () => {
    const steps = recurrence(rnnCell(3, 2, (z) => tf.log(z)));
    const model = chain(steps, dense(2, 1));
    const [p, s] = setup(key(1), model);
    const sequence = normal(key(5), [2, 4, 3]);
    expect(thrown(() => debugMode(model).apply(sequence, p, s)).message).to.match(
      / of Recurrence, on the way forward \(in layer layer1\)/,
    );
    const cell = compact({ name: 'Cell', layers: { inner: log } }, (input: readonly [Tensor, readonly Tensor[]] | Tensor, { layer }) => {
      const z = input instanceof tf.Tensor ? input : input[0];
      return [layer.inner(z), [z]] as [Tensor, readonly Tensor[]];
    }); // prettier-ignore
    const own = chain({ along: recurrence(cell as never) });
    const run = compile((z: Tensor) => (debugMode(own) as never as typeof log).apply(z, ...(setup(key(1), own) as never as [{}, {}]))[0]); // prettier-ignore
    expect(thrown(() => run(sequence)).message).to.match(
      /WrappedFunction\(log\), on the way forward \(in layer along.inner\)/,
    );
  });

  it('refuses bad arguments', () => {
    expect(() => debugMode(model, { nanCheck: 'all' as never })).to.throw(/option "nanCheck"/);
    expect(() => debugMode(3 as never)).to.throw(/expected a layer, got 3/);
    expect(() => debugMode(defineLayer(model))).to.not.throw();
  });
});
