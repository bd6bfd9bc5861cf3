/**
 * The 23 systems of equations on which root finders are compared: J. Burkardt's collection test_nonlin, which SciML's
 * NonlinearProblemLibrary takes over. Most are from J. J. More, B. S. Garbow, K. E. Hillstrom, Testing unconstrained optimization
 * software, ACM Trans. Math. Softw. 7 (1981); "MGH n" is their number. 6 and 10 follow that paper and 23 follows C. T. Kelley, Iterative
 * Methods for Linear and Nonlinear Equations (1995), section 5.6, where NonlinearProblemLibrary differs from them.
 */
import * as tf from '@tensorflow/tfjs';
import { constant } from '../../src/core/constant.js';

export interface LibraryProblem {
  readonly number: number;
  readonly title: string;
  readonly start: readonly number[];
  readonly f: (x: tf.Tensor) => tf.Tensor;
  /** A root, where one is known. */
  readonly root?: readonly number[];
}

const range = (n: number, f: (i: number) => number): number[] => Array.from({ length: n }, (_, i) => f(i + 1));
const ones = (n: number, value = 1): number[] => new Array<number>(n).fill(value);
const parts = (x: tf.Tensor): tf.Tensor[] => tf.unstack(x);
const { add, sub, mul, div, sum, stack, square, cos, sin, exp } = tf;
const c = constant;
const total = (...terms: tf.Tensor[]): tf.Tensor => terms.reduce((a, b) => add(a, b));
const matVec = (rows: number[][], x: tf.Tensor): tf.Tensor => sum(mul(c(rows), x), 1);
const cube = (x: tf.Tensor): tf.Tensor => mul(x, square(x));
/** Shifted by one place: `x[i - by]`, zero beyond the ends. */
const shifted = (x: tf.Tensor, by: number): tf.Tensor => {
  const n = x.size;
  const matrix = range(n, (i) => i).map((i) => range(n, (j) => (i - by === j ? 1 : 0)));
  return matVec(matrix, x);
};

const wood = (x: tf.Tensor): tf.Tensor => {
  const [a, b, d, e] = parts(x);
  const p = sub(b, square(a));
  const q = sub(e, square(d));
  const [b1, e1] = [sub(b, 1), sub(e, 1)];
  return stack([
    sub(mul(-200, mul(a, p)), sub(1, a)),
    total(mul(200, p), mul(c(20.2), b1), mul(c(19.8), e1)),
    sub(mul(-180, mul(d, q)), sub(1, d)),
    total(mul(180, q), mul(c(20.2), e1), mul(c(19.8), b1)),
  ]);
};

const helicalValley = (x: tf.Tensor): tf.Tensor => {
  const [a, b, d] = parts(x);
  // The angle of (a, b) in turns, in [-1/4, 3/4).
  const flat = tf.equal(a, 0);
  const quotient = tf.atan(div(b, tf.where(flat, tf.onesLike(a), a)));
  const turns = add(mul(quotient, c(1 / (2 * Math.PI))), tf.where(tf.less(a, 0), c(0.5), c(0)));
  const angle = tf.where(flat, mul(c(0.25), tf.sign(b)), turns);
  return stack([mul(10, sub(d, mul(10, angle))), mul(10, sub(tf.sqrt(add(square(a), square(b))), 1)), tf.clone(d)]);
};

const watson = (x: tf.Tensor): tf.Tensor => {
  const n = x.size;
  const t = range(29, (i) => i / 29);
  const slope = matVec(t.map((ti) => range(n, (j) => (j - 1) * (j === 1 ? 0 : ti ** (j - 2)))), x); // prettier-ignore
  const value = matVec(t.map((ti) => range(n, (j) => ti ** (j - 1))), x); // prettier-ignore
  const defect = sub(sub(slope, square(value)), 1);
  const [x1, x2] = parts(x);
  const last = sub(sub(x2, square(x1)), 1);
  const equations = range(n, (k) => k).map((k) => {
    const weights = sub(c(t.map((ti) => (k - 1) * ti ** (k - 2))), mul(c(t.map((ti) => 2 * ti ** (k - 1))), value));
    const own = sum(mul(weights, defect));
    if (k === 1) return add(own, mul(x1, sub(1, mul(2, last))));
    return k === 2 ? add(own, last) : own;
  });
  return stack(equations);
};

const chebyquad = (x: tf.Tensor): tf.Tensor => {
  const n = x.size;
  let [before, now]: [tf.Tensor, tf.Tensor] = [tf.onesLike(x), x];
  const equations = range(n, (i) => i).map((i) => {
    const mean = div(sum(now), n);
    [before, now] = [now, sub(mul(2, mul(x, now)), before)];
    return i % 2 === 0 ? add(mean, c(1 / (i * i - 1))) : mean;
  });
  return stack(equations);
};

const brownAlmostLinear = (x: tf.Tensor): tf.Tensor => {
  const n = x.size;
  const first = sub(add(tf.slice(x, [0], [n - 1]), sum(x)), n + 1);
  const product = parts(x).reduce((a, b) => mul(a, b));
  return tf.concat([first, tf.reshape(sub(product, 1), [1])]);
};

const boundaryValue = (x: tf.Tensor): tf.Tensor => {
  const h = 1 / (x.size + 1);
  const curve = mul(c(0.5 * h * h), cube(add(x, c(range(x.size, (k) => k * h + 1)))));
  return sub(sub(add(mul(2, x), curve), shifted(x, 1)), shifted(x, -1));
};

const integralEquation = (x: tf.Tensor): tf.Tensor => {
  const n = x.size;
  const h = 1 / (n + 1);
  const cubes = cube(add(x, c(range(n, (j) => j * h + 1))));
  const kernel = range(n, (k) => k).map((k) =>
    range(n, (j) => (h / 2) * (j <= k ? (1 - k * h) * j * h : k * h * (1 - j * h))),
  );
  return add(x, matVec(kernel, cubes));
};

const trigonometric = (x: tf.Tensor): tf.Tensor => {
  const n = x.size;
  const k = c(range(n, (i) => i));
  return sub(add(sub(n, sum(cos(x))), mul(k, sub(1, cos(x)))), sin(x));
};

const variablyDimensioned = (x: tf.Tensor): tf.Tensor => {
  const k = c(range(x.size, (i) => i));
  const s = sum(mul(k, sub(x, 1)));
  return add(sub(x, 1), mul(k, mul(s, add(1, mul(2, square(s))))));
};

const broydenTridiagonal = (x: tf.Tensor): tf.Tensor =>
  sub(sub(add(mul(sub(3, mul(2, x)), x), 1), shifted(x, 1)), mul(2, shifted(x, -1)));

const broydenBanded = (x: tf.Tensor): tf.Tensor => {
  const n = x.size;
  const band = range(n, (k) => k).map((k) => range(n, (j) => (j !== k && j >= k - 5 && j <= k + 1 ? 1 : 0)));
  return sub(add(mul(x, add(2, mul(5, square(x)))), 1), matVec(band, mul(x, add(1, x))));
};

/** `X X - A`, row by row. */
const squareRoot =
  (A: number[][]) =>
  (x: tf.Tensor): tf.Tensor => {
    const X = tf.reshape(x, [A.length, A.length]);
    return tf.reshape(sub(tf.matMul(X, X), c(A)), [-1]);
  };

/** `(1 - exp(-x^2)) / x`, 0 at 0. */
const hump = (x: tf.Tensor): tf.Tensor => {
  const flat = tf.equal(x, 0);
  const safe = tf.where(flat, tf.onesLike(x), x);
  return tf.where(flat, tf.zerosLike(x), div(sub(1, exp(tf.neg(square(safe)))), safe));
};

const chandrasekhar = (x: tf.Tensor): tf.Tensor => {
  const n = x.size;
  const mu = range(n, (i) => (i - 0.5) / n);
  const kernel = mu.map((a) => mu.map((b) => (0.9 / (2 * n)) * (a / (a + b))));
  return sub(x, div(1, sub(1, matVec(kernel, x))));
};

const bent = range(10, (i) => (i * (i - 11)) / 121);

const PROBLEMS: readonly Omit<LibraryProblem, 'number'>[] = [
  {
    title: 'generalised Rosenbrock (MGH 21)',
    start: [-1.2, ...ones(9)],
    f: (x) => {
      const xs = parts(x);
      return stack(xs.map((xi, i) => (i === 0 ? sub(1, xi) : mul(10, sub(xi, square(xs[i - 1]))))));
    },
    root: ones(10),
  },
  {
    title: 'Powell singular (MGH 13)',
    start: [3, -1, 0, 1],
    f: (x) => {
      const [a, b, d, e] = parts(x);
      return stack([
        add(a, mul(10, b)),
        mul(c(Math.sqrt(5)), sub(d, e)),
        square(sub(b, mul(2, d))),
        mul(c(Math.sqrt(10)), square(sub(a, e))),
      ]);
    },
    root: ones(4, 0),
  },
  {
    title: 'Powell badly scaled (MGH 3)',
    start: [0, 1],
    f: (x) => {
      const [a, b] = parts(x);
      return stack([sub(mul(10_000, mul(a, b)), 1), sub(add(exp(tf.neg(a)), exp(tf.neg(b))), c(1.0001))]);
    },
    root: [1.0981593296997149e-5, 9.106146739867453],
  },
  { title: 'Wood (MGH 14, gradient)', start: [-3, -1, -3, -1], f: wood, root: ones(4) },
  { title: 'helical valley (MGH 7)', start: [-1, 0, 0], f: helicalValley, root: [1, 0, 0] },
  { title: 'Watson (MGH 20, gradient)', start: [0, 0], f: watson },
  {
    title: 'Chebyquad (MGH 35)',
    start: range(2, (i) => (2 * i - 2) / 3),
    f: chebyquad,
    root: [-1 / Math.sqrt(3), 1 / Math.sqrt(3)],
  },
  { title: 'Brown almost linear (MGH 27)', start: ones(10, 0.5), f: brownAlmostLinear, root: ones(10) },
  { title: 'discrete boundary value (MGH 28)', start: bent, f: boundaryValue },
  { title: 'discrete integral equation (MGH 29)', start: bent, f: integralEquation },
  { title: 'trigonometric (MGH 26)', start: ones(10, 0.1), f: trigonometric, root: ones(10, 0) },
  {
    title: 'variably dimensioned (MGH 25, gradient)',
    start: range(10, (i) => 1 - i / 10),
    f: variablyDimensioned,
    root: ones(10),
  },
  { title: 'Broyden tridiagonal (MGH 30)', start: ones(10, -1), f: broydenTridiagonal },
  { title: 'Broyden banded (MGH 31)', start: ones(10, -1), f: broydenBanded },
  {
    title: 'Hammarling 2 x 2 square root',
    start: [1, 0, 0, 1],
    f: squareRoot([
      [1e-4, 1],
      [0, 1e-4],
    ]),
    root: [0.01, 50, 0, 0.01],
  },
  {
    title: 'Hammarling 3 x 3 square root',
    start: [1, 0, 0, 0, 1, 0, 0, 0, 1],
    f: squareRoot([
      [1e-4, 1, 0],
      [0, 1e-4, 0],
      [0, 0, 1e-4],
    ]),
    root: [0.01, 50, 0, 0, 0.01, 0, 0, 0, 0.01],
  },
  {
    title: 'Dennis and Schnabel',
    start: [1, 5],
    f: (x) => {
      const [a, b] = parts(x);
      return stack([sub(add(a, b), 3), sub(add(square(a), square(b)), 9)]);
    },
    root: [0, 3],
  },
  {
    title: 'sample 18',
    start: [2, 2],
    f: (x) => {
      const [a, b] = parts(x);
      return stack([mul(square(b), hump(a)), mul(a, hump(b))]);
    },
    root: [0, 0],
  },
  { title: 'sample 19', start: [3, 3], f: (x) => mul(x, sum(square(x))), root: [0, 0] },
  { title: 'x (x - 5)^2', start: [1], f: (x) => mul(x, square(sub(x, 5))), root: [5] },
  {
    title: 'Freudenstein and Roth (MGH 2)',
    start: [0.5, -2],
    f: (x) => {
      const [a, b] = parts(x);
      return stack([
        sub(add(a, mul(b, sub(mul(b, sub(5, b)), 2))), 13),
        sub(add(a, mul(b, sub(mul(b, add(b, 1)), 14))), 29),
      ]);
    },
    root: [5, 4],
  },
  {
    title: 'Boggs',
    start: [1, 0],
    f: (x) => {
      const [a, b] = parts(x);
      return stack([add(sub(square(a), b), 1), sub(a, cos(mul(c(Math.PI / 2), b)))]);
    },
    root: [0, 1],
  },
  { title: 'Chandrasekhar H, c = 0.9', start: ones(10), f: chandrasekhar },
];

export const LIBRARY: readonly LibraryProblem[] = PROBLEMS.map((problem, i) => ({ number: i + 1, ...problem }));
