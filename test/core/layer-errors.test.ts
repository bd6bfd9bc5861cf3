import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { apply, applyChild, testMode, trainMode, updateState, type AnyLayer } from '../../src/core/layer.js';
import { inScope } from '../../src/core/scope.js';

const layerOf = (f: (x: tf.Tensor) => unknown): AnyLayer => ({
  initialParameters: () => ({}),
  initialStates: () => ({}),
  apply: ((x: tf.Tensor) => f(x)) as never,
  display: { name: 'Mine' },
});
const child = (f: (x: tf.Tensor) => unknown): unknown =>
  inScope('layer2', () => applyChild('inner', layerOf(f), tf.ones([1, 2]), {}, {}));

function caught(f: () => unknown): Error {
  try {
    f();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}

describe('what goes wrong inside a layer', () => {
  it('names the layer, once, in the message and in the printed stack; also where tfjs threw', () => {
    tf.tidy(() => {
      const error = caught(() => child((x) => tf.add(x, tf.ones([1, 3]))));
      expect(error.message).to.match(/broadcast.* \(in layer layer2\.inner\)$/);
      expect(error.stack).to.contain(error.message);
      const deep = caught(() =>
        child((x) =>
          applyChild(
            'deep',
            layerOf(() => tf.matMul(x, x)),
            x,
            {},
            {},
          ),
        ),
      );
      expect(deep.message).to.match(/[^)] \(in layer layer2\.inner\.deep\)$/);
    });
  });

  it('hands on what it cannot complete', () => {
    tf.tidy(() => {
      const thrown = new Error('as it is');
      Object.freeze(thrown);
      expect(caught(() => child(() => { throw thrown; }))).to.equal(thrown); // prettier-ignore
      expect(thrown.message).to.equal('as it is');
    });
  });

  it('a layer that does not return [y, states] is named', () => {
    tf.tidy(() => {
      const bare = caught(() => child((x) => x));
      expect(bare).to.be.instanceOf(TypeError);
      expect(bare.message).to.equal('Mine: apply must return [y, states], got a float32 tensor [1, 2] (in layer layer2.inner)'); // prettier-ignore
      expect(caught(() => child(async (x) => Promise.resolve([x, {}]))).message).to.match(/got a Promise/);
    });
  });

  it('arguments in the wrong place are named', () => {
    tf.tidy(() => {
      const layer = layerOf((x) => [x, {}]);
      expect(() => apply(tf.ones([2]) as never, layer as never, {}, {})).to.throw(TypeError, /^apply: the first argument must be a layer, got a float32 tensor \[2\]/); // prettier-ignore
      expect(() => testMode(layer)).to.throw(TypeError, /^testMode: the argument must be the states.* got a layer$/);
      expect(() => trainMode({ parameters: {}, states: { training: true }, optimiserState: {} })).to.throw(/^trainMode: .* got a train state; give its states$/); // prettier-ignore
      expect(() => updateState({ training: true, inner: { rate: 1 } }, 'rat', 2)).to.throw(/no field "rat" in the state, which has \{training, inner, rate\}/); // prettier-ignore
    });
  });
});
