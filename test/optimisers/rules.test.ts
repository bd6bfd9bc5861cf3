import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { describe, it } from 'mocha';
import {
  adaBelief,
  adaDelta,
  adaGrad,
  adam,
  adaMax,
  adamW,
  amsGrad,
  descent,
  lion,
  momentum,
  nAdam,
  nesterov,
  rAdam,
  rmsProp,
  rprop,
  type Optimiser,
} from '../../src/optimisers/index.js';
import type { Tree } from '../../src/core/tree.js';
import { compile } from '../../src/graph/index.js';
import { expectClose } from '../support/close.js';
import { tolerance } from '../support/precision.js';

const { sqrt, sign, abs, max, min } = Math;

/** One element in plain double arithmetic, as the paper (or Optimisers.jl 0.4's rules.jl) writes it: dx at step t = 1, 2, ... */
type Reference = () => (g: number, t: number, x: number) => number;

const moments = (b1: number, b2: number): ((g: number) => [number, number]) => {
  let m = 0;
  let v = 0;
  return (g) => [(m = b1 * m + (1 - b1) * g), (v = b2 * v + (1 - b2) * g * g)];
};

const adamReference =
  (eta: number, b1 = 0.9, b2 = 0.999, eps = 1e-8): Reference =>
  () => {
    const next = moments(b1, b2);
    return (g, t) => {
      const [m, v] = next(g);
      return (eta * (m / (1 - b1 ** t))) / (sqrt(v / (1 - b2 ** t)) + eps);
    };
  };

const cases: [name: string, make: () => Optimiser, reference: Reference][] = [
  ['descent', () => descent(0.1), () => (g) => 0.1 * g],
  [
    'momentum',
    () => momentum(0.01),
    () => {
      let v = 0;
      return (g) => (v = 0.9 * v + 0.01 * g);
    },
  ],
  [
    'nesterov (in the form of Optimisers.jl)',
    () => nesterov(0.001),
    () => {
      let vel = 0;
      return (g) => {
        const dx = -(0.9 ** 2) * vel + 1.9 * 0.001 * g;
        vel = 0.9 * vel - 0.001 * g;
        return dx;
      };
    },
  ],
  [
    'rmsProp',
    () => rmsProp(0.001),
    () => {
      let q = 0;
      return (g) => {
        q = 0.9 * q + 0.1 * g * g;
        return (0.001 * g) / (sqrt(q) + 1e-8);
      };
    },
  ],
  [
    // torch.optim.RMSprop: square_avg = alpha square_avg + (1 - alpha) g², p -= lr g / (sqrt(square_avg) + eps)
    'rmsProp as in PyTorch',
    () => rmsProp(0.001, { rho: 0.99 }),
    () => {
      let q = 0;
      return (g) => {
        q = 0.99 * q + 0.01 * g * g;
        return (0.001 * g) / (sqrt(q) + 1e-8);
      };
    },
  ],
  [
    'rmsProp, centred',
    () => rmsProp(0.001, { centred: true, epsilon: 1e-3 }),
    () => {
      let q = 0;
      let l = 0;
      return (g) => {
        q = 0.9 * q + 0.1 * g * g;
        l = 0.9 * l + 0.1 * g;
        return (0.001 * g) / (sqrt(q - l * l) + 1e-3);
      };
    },
  ],
  [
    'adaGrad',
    () => adaGrad(0.1),
    () => {
      let s = 1e-8;
      return (g) => {
        s += g * g;
        return (0.1 * g) / (sqrt(s) + 1e-8);
      };
    },
  ],
  [
    'adaDelta',
    () => adaDelta(),
    () => {
      let q = 0;
      let d = 0;
      return (g) => {
        q = 0.9 * q + 0.1 * g * g;
        const dx = (g * sqrt(d + 1e-8)) / sqrt(q + 1e-8);
        d = 0.9 * d + 0.1 * dx * dx;
        return dx;
      };
    },
  ],
  ['adam', () => adam(0.001), adamReference(0.001)],
  ['adam, other options', () => adam(0.05, { beta: [0.8, 0.95], epsilon: 1e-3 }), adamReference(0.05, 0.8, 0.95, 1e-3)],
  [
    'adamW, coupled',
    () => adamW(0.001, { lambda: 0.1 }),
    () => {
      const inner = adamReference(1)();
      return (g, t, x) => 0.001 * (inner(g, t, x) + 0.1 * x);
    },
  ],
  [
    'adamW, not coupled',
    () => adamW(0.001, { lambda: 0.1, couple: false }),
    () => {
      const inner = adamReference(1)();
      return (g, t, x) => 0.001 * inner(g, t, x) + 0.1 * x;
    },
  ],
  [
    'adaBelief',
    () => adaBelief(0.001),
    () => {
      let m = 0;
      let s = 0;
      return (g, t) => {
        m = 0.9 * m + 0.1 * g;
        s = 0.999 * s + 0.001 * (g - m) ** 2 + 1e-16;
        return (0.001 * (m / (1 - 0.9 ** t))) / (sqrt(s / (1 - 0.999 ** t)) + 1e-16);
      };
    },
  ],
  [
    'nAdam',
    () => nAdam(0.001),
    () => {
      const next = moments(0.9, 0.999);
      return (g, t) => {
        const [m, v] = next(g);
        const direction = (0.9 * m) / (1 - 0.9 ** (t + 1)) + (0.1 * g) / (1 - 0.9 ** t);
        return (0.001 * direction) / (sqrt((v * 0.999) / (1 - 0.999 ** t)) + 1e-8);
      };
    },
  ],
  [
    'rAdam',
    () => rAdam(0.001),
    () => {
      const next = moments(0.9, 0.999);
      const limit = 2 / (1 - 0.999) - 1;
      return (g, t) => {
        const [m, v] = next(g);
        const mHat = m / (1 - 0.9 ** t);
        const rho = limit - (2 * t * 0.999 ** t) / (1 - 0.999 ** t);
        if (rho <= 4) return 0.001 * mHat;
        const r = sqrt(((rho - 4) * (rho - 2) * limit) / ((limit - 4) * (limit - 2) * rho));
        return (0.001 * r * mHat) / (sqrt(v / (1 - 0.999 ** t)) + 1e-8);
      };
    },
  ],
  [
    'adaMax',
    () => adaMax(0.001),
    () => {
      let m = 0;
      let u = 0;
      return (g, t) => {
        m = 0.9 * m + 0.1 * g;
        u = max(0.999 * u, abs(g));
        return ((0.001 / (1 - 0.9 ** t)) * m) / (u + 1e-8);
      };
    },
  ],
  [
    'amsGrad',
    () => amsGrad(0.001),
    () => {
      let m = 1e-8;
      let v = 1e-8;
      let largest = 1e-8;
      return (g) => {
        m = 0.9 * m + 0.1 * g;
        v = 0.999 * v + 0.001 * g * g;
        largest = max(largest, v);
        return (0.001 * m) / (sqrt(largest) + 1e-8);
      };
    },
  ],
  [
    'lion (as in the paper)',
    () => lion(1e-4),
    () => {
      let m = 0;
      return (g) => {
        const dx = 1e-4 * sign(0.9 * m + 0.1 * g);
        m = 0.99 * m + 0.01 * g;
        return dx;
      };
    },
  ],
  [
    'rprop',
    () => rprop(0.001),
    () => {
      let last = 0;
      let size = 0.001;
      return (g) => {
        if (last * g > 0) size = min(size * 1.2, 50);
        if (last * g < 0) size = max(size * 0.5, 1e-6);
        last = last * g < 0 ? 0 : g;
        return size * sign(last);
      };
    },
  ],
];

// A gradient with changes of sign, of size and with a zero, and x that moves little against it.
const gradients = Array.from({ length: 20 }, (_, t) => [Math.cos(0.7 * t) * 2, -0.3 * (t + 1), t === 3 ? 0 : 1e-3 * (t - 8.5)]); // prettier-ignore
const start = [1, -2, 0.5];

describe('optimisers: rules against plain double arithmetic', () => {
  for (const [name, make, reference] of cases) {
    for (const mode of ['run at once', 'compiled'] as const) {
      it(`${name}, 20 steps, ${mode}`, () => {
        const optimiser = make();
        const plain = (g: tf.Tensor, os: Tree, x: tf.Tensor): [tf.Tensor, Tree] => optimiser.update(g, os, x);
        const update = mode === 'compiled' ? compile(plain) : plain;
        let x: tf.Tensor = tf.tensor1d(start);
        let os = optimiser.init(x);
        const references = start.map(() => reference());
        const expected = start.slice();
        for (const [t, g] of gradients.entries()) {
          [x, os] = update(tf.tensor1d(g), os, x);
          references.forEach((f, i) => (expected[i] -= f(g[i], t + 1, expected[i])));
        }
        // Errors are measured by the whole way; in float32, x itself has an ulp of 1e-7. RAdam's length of the average is a
        // difference of numbers near 2000, and loses three digits.
        const way = Math.max(...expected.map((e, i) => abs(e - start[i])));
        const lost = name === 'rAdam' ? 1000 : 1;
        expectClose(x, expected, {
          atol: tolerance({ float32: 1e-6 + 2e-6 * way, float64: 1e-14 + 1e-13 * lost * way }),
        });
      });
    }
  }
});

describe('optimisers: first steps in closed form', () => {
  it('adam, rmsProp and adaMax begin with the sign of the gradient', () => {
    const g = tf.tensor1d([3, -0.02]);
    const x = tf.zerosLike(g);
    const first = (o: Optimiser): tf.Tensor => o.update(g, o.init(x), x)[0];
    expectClose(first(adam(0.1)), [-0.1, 0.1], { rtol: 1e-6 });
    expectClose(first(adaMax(0.1)), [-0.1, 0.1], { rtol: 1e-6 });
    // g / sqrt(0.1 g²) and, with PyTorch's decay, g / sqrt(0.01 g²)
    expectClose(first(rmsProp(0.1)), [-0.1 * sqrt(10), 0.1 * sqrt(10)], { rtol: 2e-6 });
    expectClose(first(rmsProp(0.1, { rho: 0.99 })), [-1, 1], { rtol: 2e-5 });
  });

  it('adam adds epsilon to the corrected root, not under it', () => {
    const o = adam(1, { epsilon: 0.5 });
    const g = tf.scalar(2);
    const [x] = o.update(g, o.init(g), tf.scalar(0));
    expectClose(x, -2 / (2 + 0.5), { rtol: 1e-6 });
  });
});
