import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { inScope } from '../../src/core/scope.js';
import { compile } from '../../src/graph/compile.js';
import { DifferentiationError } from '../../src/graph/differentiate.js';
import { TraceError } from '../../src/graph/trace.js';
import { grad } from '../../src/graph/transform.js';

type Tensor = tf.Tensor;

const inLayer = <T>(f: () => T): T => inScope('layer2', () => inScope('dense', f));

describe('errors of traced functions', () => {
  const run =
    (f: (x: Tensor) => unknown): (() => unknown) =>
    () => {
      tf.tidy(() => void compile(f)(tf.tensor1d([1, 2, 3])));
    };

  const CASES: readonly [what: string, f: (x: Tensor) => unknown, message: RegExp][] = [
    ['reading a value', (x) => tf.exp(x).dataSync(), /read or branched on: the result of Exp has no value/],
    ['reading an input', (x) => x.arraySync(), /an input of the traced function \(number 0\)/],
    ['branching on a value', (x) => (tf.sum(x).dataSync()[0] > 0 ? x : tf.neg(x)), /the result of Sum .*tf\.where/],
    ['reading in a layer', (x) => inLayer(() => tf.exp(x).dataSync()), /result of Exp \(in layer layer2\.dense\)/],
    ['a new variable', (x) => tf.variable(x), /tf\.variable was created inside a traced function/],
    ['a variable in a layer', (x) => inLayer(() => tf.variable(x)), /created inside a traced function \(in layer layer2\.dense\)/],
    ['shapes that do not fit', (x) => tf.add(x, tf.ones([2])), /Add\(float32 \[3\], float32 \[2\]\)/],
    ['shapes in a layer', (x) => inLayer(() => tf.matMul(tf.reshape(x, [1, 3]), tf.ones([2, 2]))), /BatchMatMul\(float32 \[1, 3\], float32 \[2, 2\]\) \(in layer layer2\.dense\): inner dimensions differ: 3 and 2/],
    ['a bad reshape', (x) => tf.reshape(x, [2, 2]), /Reshape\(float32 \[3\]\)/],
    ['a bad slice', (x) => tf.slice(x, [2], [5]), /Slice\(float32 \[3\]\)/],
    ['a bad concat', (x) => tf.concat([tf.reshape(x, [1, 3]), tf.ones([1, 2])], 0), /Concat\(float32 \[1, 3\], float32 \[1, 2\]\)/],
    ['results of unknown size', (x) => tf.unique(x).values, /Unique\(float32 \[3\]\): the shape of its result depends on values/],
    ['kernels that do not exist', (x) => tf.engine().runKernel('Nonsense', { x }), /Nonsense\(float32 \[3\]\): no shape rule/],
  ]; // prettier-ignore
  for (const [what, f, message] of CASES) {
    it(what, () => {
      const before = tf.memory();
      expect(run(f)).to.throw(message);
      const after = tf.memory();
      expect(after.numTensors).to.equal(before.numTensors);
      expect(after.numDataBuffers).to.equal(before.numDataBuffers);
    });
  }

  it('asynchronous reading rejects', async () => {
    let reading: Promise<unknown> | undefined;
    tf.tidy(() => {
      compile((x: Tensor) => {
        reading = tf.exp(x).data();
        return x;
      })(tf.tensor1d([1]));
    });
    let caught: unknown;
    await reading?.catch((error: unknown) => (caught = error));
    expect(caught).to.be.instanceOf(TraceError);
  });

  it('assigning a variable leaves it unchanged', () => {
    tf.tidy(() => {
      const v = tf.variable(tf.tensor1d([1, 2, 3]));
      expect(
        run((x) => {
          v.assign(x as tf.Tensor1D);
        }),
      ).to.throw(TraceError);
      expect(Array.from(v.dataSync())).to.deep.equal([1, 2, 3]);
      v.dispose();
    });
  });

  it('a value kept from an earlier trace is named', () => {
    const kept: Tensor[] = [];
    tf.tidy(() => {
      compile((x: Tensor) => kept[kept.push(tf.exp(x)) - 1])(tf.ones([2]));
      expect(() => compile((x: Tensor) => tf.add(x, kept[0]))(tf.ones([2]))).to.throw(
        /disposed tensor \[2\].*value of another traced function/,
      );
    });
  });

  it('an operation without a derivative is named with its layer', () => {
    const kernelName = 'TestSortOfIdentity';
    tf.registerKernel({
      kernelName,
      backendName: 'cpu',
      kernelFunc: ({ inputs: { x }, backend }) => {
        const { dataId, shape, dtype } = x as tf.TensorInfo;
        (backend as tf.KernelBackend).incRef(dataId);
        return { dataId, shape, dtype };
      },
    });
    const identity = (x: Tensor): Tensor => tf.engine().runKernel(kernelName, { x });
    const f = (x: Tensor): Tensor => tf.sum(inLayer(() => identity(x)));
    tf.tidy(() => {
      expect(Array.from(compile(f)(tf.ones([4])).dataSync())).to.deep.equal([4]);
    });
    const slope = (): unknown => tf.tidy(() => grad(f)(tf.ones([4])));
    expect(slope).to.throw(DifferentiationError);
    expect(slope).to.throw(
      /op "TestSortOfIdentity" \(in layer layer2\.dense\) has no derivative rule.*stopGradient.*tf\.customGrad/,
    );
    tf.unregisterKernel(kernelName, 'cpu');
  });

  it('a disposed argument is named by its place, however the function is called', async () => {
    const args = (): [Tensor, { layer1: { weight: Tensor } }, readonly [Tensor, readonly [{ b: Tensor }]]] => [
      tf.ones([1, 2]),
      { layer1: { weight: tf.ones([2, 50]) } },
      [tf.ones([50]), [{ b: tf.ones([1]) }]],
    ];
    const f = (x: Tensor, p: { layer1: { weight: Tensor } }, [c, [{ b }]]: ReturnType<typeof args>[2]): Tensor =>
      tf.sum(tf.add(tf.mul(tf.matMul(x, p.layer1.weight), c), b));
    const PLACES: readonly [path: string, of: (a: ReturnType<typeof args>) => Tensor][] = [
      ['argument 0 [1, 2]', ([x]) => x],
      ['argument 1.layer1.weight [2, 50]', ([, p]) => p.layer1.weight],
      ['argument 2[0] [50]', ([, , list]) => list[0]],
      ['argument 2[1][0].b [1]', ([, , list]) => list[1][0].b],
    ];
    const compiled = compile(f);
    for (const [path, of] of PLACES) {
      const given = args();
      const message = `${path} has been disposed; keep it (tf.keep) as long as it is used`;
      of(given).dispose();
      const says = (call: () => unknown, how: string): void => {
        expect(() => {
          tf.tidy(() => void call());
        }, how).to.throw(message);
      };
      says(() => compiled(...given), 'compiled');
      says(() => compiled(...given), 'compiled, again');
      says(() => tf.grad((x: Tensor) => tf.mul(x, compiled(...given)))(tf.scalar(1)), 'under the tape');
      says(() => grad(f as (...xs: unknown[]) => Tensor)(...given), 'grad');
      const failure = await compiled.async(...given).catch((error: unknown) => error);
      expect((failure as Error).message, 'async').to.equal(message);
      tf.dispose(given as unknown as tf.TensorContainer);
    }
  });

  it('an asynchronous function is refused', () => {
    const f = compile((x: Tensor) => Promise.resolve(x));
    expect(() => f(tf.scalar(1))).to.throw(/returned a promise; it must be synchronous/);
  });

  it('the backend, the tape and later calls are as before', () => {
    tf.tidy(() => {
      expect(run((x) => x.dataSync())).to.throw();
      expect(tf.getBackend()).to.not.equal('nullcline-trace');
      expect(
        Array.from(
          tf
            .grad((x: Tensor) => tf.sum(tf.square(x)))(tf.tensor1d([3]))
            .dataSync(),
        ),
      ).to.deep.equal([6]);
    });
  });
});
