import '../support/backend.js';
import { inspect } from 'node:util';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { compile } from '../../src/graph/index.js';
import { leaves, type Tree } from '../../src/core/tree.js';
import {
  adaDelta,
  adam,
  adamW,
  clipGrad,
  clipNorm,
  cosineDecay,
  descent,
  lion,
  momentum,
  optimiserChain,
  rAdam,
  rmsProp,
  rprop,
  setRate,
  signDecay,
  weightDecay,
  type Optimiser,
} from '../../src/optimisers/index.js';
import { expectClose } from '../support/close.js';

const tree = (): { a: tf.Tensor; b: tf.Tensor[] } => ({ a: tf.tensor2d([[1, 2], [3, 4]]), b: [tf.scalar(5), tf.tensor1d([6, 7])] }); // prettier-ignore

const step = <P extends Tree>(o: Optimiser, g: P, x: P): P => o.update(g, o.init(x), x)[0];

describe('optimisers: the contract', () => {
  const all: Optimiser[] = [
    descent(),
    momentum(),
    rmsProp(0.001, { centred: true }),
    adaDelta(),
    rprop(),
    adam(cosineDecay(0.1, { steps: 10 })),
    adamW(0.1, { lambda: 0.1 }),
    rAdam(),
    lion(),
    optimiserChain(clipNorm(1, { global: true }), weightDecay(), adam()),
  ];

  for (const o of all) {
    it(`${o.name}: a tree moves as its tensors do alone; arguments stay; nothing leaks`, () => {
      tf.tidy(() => {
        const ps = tree();
        const flat = tf.concat(leaves(ps).map((x) => x.flatten()));
        let [x, os] = [ps, o.init(ps)];
        let [xFlat, osFlat]: [tf.Tensor, Tree] = [flat, o.init(flat)];
        for (let i = 0; i < 3; i++) {
          const before = tf.memory().numTensors;
          const next = o.update(x, os, x);
          // A constant rate is passed on as it is; everything else in the result is new, and is all that is new.
          const made = leaves(next).filter((t) => !leaves([x, os]).includes(t));
          expect(tf.memory().numTensors - before).to.equal(made.length);
          [x, os] = next;
          [xFlat, osFlat] = o.update(xFlat, osFlat, xFlat);
        }
        expectClose(ps.a, [1, 2, 3, 4]);
        expectClose(tf.concat(leaves(x).map((t) => t.flatten())), xFlat, { rtol: 1e-6, atol: 1e-7 });
      });
    });

    it(`${o.name}: one trace serves every step`, () => {
      tf.tidy(() => {
        const update = compile((g: tf.Tensor, os: Tree, x: tf.Tensor) => o.update(g, os, x));
        let x: tf.Tensor = tf.tensor1d([1, 2]);
        let os = o.init(x);
        for (let i = 0; i < 5; i++) [x, os] = update(x, os, x);
        expect(update.stats.traces).to.equal(1);
        expect(update.stats.hits).to.equal(4);
      });
    });
  }

  it('an adam step on a vector is a dozen operations on it', () => {
    const o = adam();
    const x = tf.zeros([1000]);
    const program = compile((g: tf.Tensor, os: Tree, y: tf.Tensor) => o.update(g, os, y)).programFor(x, o.init(x), x);
    const vectors = program.graph.nodes.filter((n) => n.inputs.length > 0 && n.outputs[0].shape.length === 1);
    expect(vectors.length).to.be.at.most(12);
    const scalars = program.graph.nodes.filter((n) => n.inputs.length > 0 && n.outputs[0].shape.length === 0);
    expect(scalars.length).to.be.at.most(8);
  });

  it('prints as it would be typed', () => {
    expect(String(adam())).to.equal('adam(0.001, { beta: [0.9, 0.999], epsilon: 1e-8 })');
    expect(inspect(optimiserChain(clipGrad(1), descent(0.1)))).to.equal('optimiserChain(clipGrad(1), descent(0.1))');
    expect(String(descent(cosineDecay(1, { steps: 9 })))).to.equal('descent(cosineDecay(1, {"steps":9}))');
    expect(Object.isFrozen(adam())).to.be.true;
  });

  it('setRate changes the rate without another trace', () => {
    const o = optimiserChain(clipGrad(10), descent(0.1));
    const update = compile((g: tf.Tensor, os: Tree, x: tf.Tensor) => o.update(g, os, x));
    const x = tf.scalar(1);
    let os = o.init(x);
    expectClose(update(x, os, x)[0], 0.9, { rtol: 1e-6 });
    os = setRate(os, 0.5);
    expectClose(update(x, os, x)[0], 0.5, { rtol: 1e-6 });
    expectClose(o.rate(os)!, 0.5);
    expect(update.stats.traces).to.equal(1);
  });

  it('setRate leaves a parameter called rate alone', () => {
    const ps = { rate: tf.scalar(7) };
    const os = setRate(momentum(0.1).init(ps), 0.2) as { rate: tf.Tensor; velocity: { rate: tf.Tensor } };
    expectClose(os.rate, 0.2, { rtol: 1e-7 });
    expectClose(os.velocity.rate, 0);
    expect(() => setRate(momentum(cosineDecay(1, { steps: 5 })).init(ps), 0.2)).to.throw(TypeError, /no learning rate/);
  });

  it('an optimiser without a rate has none', () => {
    expect(adaDelta().rate(adaDelta().init(tf.scalar(1)))).to.equal(undefined);
    expect(weightDecay().rate({})).to.equal(undefined);
  });
});

describe('optimisers: members of a chain', () => {
  it('a chain clips before it discounts (the example of Optimisers.jl)', () => {
    const x = tf.zeros([3]);
    expectClose(step(optimiserChain(clipGrad(1), descent(0.1)), tf.tensor1d([0.3, 1, 7]), x), [-0.03, -0.1, -0.1], { rtol: 1e-6 }); // prettier-ignore
  });

  it('clipNorm scales each tensor, or all together', () => {
    const g = { a: tf.tensor1d([3, 4]), b: tf.tensor1d([0, 12]) };
    const x = { a: tf.zeros([2]), b: tf.zeros([2]) };
    const each = step(optimiserChain(clipNorm(5)), g, x);
    expectClose(each.a, [-3, -4], { rtol: 1e-6 });
    expectClose(each.b, [0, -5], { rtol: 1e-6 });
    const together = step(optimiserChain(clipNorm(1.3, { global: true })), g, x); // norm 13
    expectClose(together.a, [-0.3, -0.4], { rtol: 1e-6 });
    expectClose(together.b, [0, -1.2], { rtol: 1e-6 });
    const zero = { a: tf.zeros([2]), b: tf.zeros([2]) };
    expectClose(step(optimiserChain(clipNorm(1)), zero, x).a, [0, 0]);
  });

  for (const [p, norm] of [[1, 7], [2, 5], [3, 91 ** (1 / 3)], [Infinity, 4]] as const) {
    it(`clipNorm with p = ${p}`, () => {
      const moved = step(optimiserChain(clipNorm(1, { p })), tf.tensor1d([3, -4]), tf.zeros([2]));
      expectClose(moved, [-3 / norm, 4 / norm], { rtol: 1e-6 });
    });
  } // prettier-ignore

  it('weightDecay and signDecay add the gradients of the two norms', () => {
    const x = tf.tensor1d([2, -4]);
    const g = tf.tensor1d([1, 1]);
    expectClose(step(optimiserChain(weightDecay(0.5), descent(1)), g, x), [2 - 2, -4 - (1 - 2)], { rtol: 1e-6 });
    expectClose(step(optimiserChain(signDecay(0.5), descent(1)), g, x), [2 - 1.5, -4 - 0.5], { rtol: 1e-6 });
  });

  it('adamW without coupling is adam followed by weightDecay', () => {
    const x = tf.tensor1d([2, -4]);
    const g = tf.tensor1d([1, -0.1]);
    const chain = optimiserChain(adam(0.01), weightDecay(0.1));
    expectClose(step(chain, g, x), step(adamW(0.01, { lambda: 0.1, couple: false }), g, x), { rtol: 1e-6 });
  });
});

describe('optimisers: errors', () => {
  it('names what is wrong with the arguments', () => {
    expect(() => adam(-1)).to.throw(TypeError, 'adam: the rate must be a schedule or a number that is finite and not negative, got -1');
    expect(() => adam('1' as unknown as number)).to.throw(TypeError, /adam: the rate/);
    for (const make of [adam, adamW, descent, momentum, lion]) {
      const wanted = `${make.name}: the rate must be a schedule or a number that is finite and not negative, got`;
      expect(() => make({ rate: { start: 0.1 } } as never)).to.throw(TypeError, `${wanted} an object {rate}; options come after the rate`);
      expect(() => make([0.1, 2] as never)).to.throw(TypeError, `${wanted} [0.1, 2]`);
      expect(() => make(tf.scalar(1) as never)).to.throw(TypeError, `${wanted} a float32 tensor []`);
      expect(() => make(null as never)).to.throw(TypeError, `${wanted} null`);
    }
    expect(() => adam(1, { beta: { first: 0.9 } } as never)).to.throw('adam: option "beta": expected a pair, each a number from 0 to below 1, got an object {first}');
    expect(() => adam(1, [0.9] as never)).to.throw('adam: options: expected object, got [0.9]');
    expect(() => adam(1, { beta: [0.9, 1] })).to.throw(/adam: option "beta\[1\]": expected a number from 0 to below 1, got 1/);
    expect(() => adam(1, { epsillon: 1 } as object)).to.throw(/unknown option "epsillon"; did you mean "epsilon"/);
    expect(() => optimiserChain()).to.throw(TypeError, /at least one/);
    expect(() => optimiserChain({} as Optimiser)).to.throw(TypeError, /member 0/);
    expect(() => clipNorm(1, { p: 0 })).to.throw(/"p"/);
  }); // prettier-ignore

  it('names where gradients differ from the parameters', () => {
    const o = adam();
    const ps = tree();
    expect(() => o.update({ ...ps, a: tf.zeros([1]) }, o.init(ps), ps)).to.throw(/adam: gradients: shapes differ at a: expected \[2, 2\], got \[1\]/); // prettier-ignore
    expect(() => o.update(ps, descent().init(ps), ps)).to.throw(/adam: the optimiser state has no field "c1"/);
  });
});
