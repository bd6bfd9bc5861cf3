/**
 * Roots of one equation in one unknown, between two points where it has different signs.
 */
import { computesInDoubles } from './precision.js';
import { parseOptions, z } from '../../src/core/options.js';
import { formatShape } from '../../src/graph/graph.js';
import type { NonlinearRetcode } from '../retcode.js';
import { defineAlgorithm, type Ending, type NonlinearAlgorithm, type Solving } from './algorithm.js';
import { HostEquation, type Reading } from './host.js';

export interface BracketOptions {
  /** Two points between which the residual changes its sign. */
  readonly bracket: readonly [number, number];
}

const SCHEMA = z.strictObject({
  bracket: z.custom<readonly [number, number]>(
    (x) => Array.isArray(x) && x.length === 2 && x.every(Number.isFinite) && x[0] !== x[1],
    { error: 'two different finite numbers [a, b]' },
  ),
});

/** A point and the residual there. */
interface Point {
  readonly x: number;
  readonly f: number;
}

interface Bracketing {
  /** To the precision of the backend. */
  readonly round: (x: number) => number;
  /** The relative distance of neighbouring numbers. */
  readonly eps: number;
  /** Evaluate there. */
  readonly at: (x: number) => Reading<Point>;
  /** How the watch judges the point evaluated last. */
  readonly judge: () => NonlinearRetcode | null;
}

/** Shrinks the bracket until the watch is content (its verdict) or no number is left between the ends. */
type Shrinking = (a: Point, b: Point, bracketing: Bracketing) => Reading<NonlinearRetcode>;

/**
 * Bisection: one digit in base 2 per evaluation, whatever the function.
 *
 * The state of the problem is one number, and where it starts is of no account; of a batch of rows (`batch: 'independent'`) each has the
 * same bracket. Where the residual does not get below the tolerance, it ends with 'FloatingPointLimit' (a success) when nothing is left
 * between the ends.
 *
 * @throws OptionError when the bracket is not two different finite numbers.
 */
export function bisection(options: BracketOptions): NonlinearAlgorithm {
  return bracketing('bisection', options, function* (a, b, { round, at, judge }) {
    let [low, high] = [a, b];
    for (;;) {
      const x = round(low.x + (high.x - low.x) / 2);
      if (x === low.x || x === high.x) return 'FloatingPointLimit';
      const middle = yield* at(x);
      const retcode = judge();
      if (retcode !== null) return retcode;
      if (middle.f > 0 === low.f > 0) low = middle;
      else high = middle;
    }
  });
}

/**
 * Brent's method: inverse quadratic interpolation and the secant method, with bisection where they would be slower (R. P. Brent, Algorithms for
 * Minimization without Derivatives, 1973, chapter 4). The usual choice; see {@link bisection} for what the bracket means.
 *
 * @throws OptionError when the bracket is not two different finite numbers.
 */
export function brent(options: BracketOptions): NonlinearAlgorithm {
  return bracketing('brent', options, function* (first, second, { round, eps, at, judge }) {
    // The root lies between b, the best point, and c; a was best before.
    let [a, b, c] = [first, second, first];
    let step = b.x - a.x;
    let before = step;
    for (;;) {
      if (b.f > 0 === c.f > 0) {
        c = a;
        before = step = b.x - a.x;
      }
      if (Math.abs(c.f) < Math.abs(b.f)) [a, b, c] = [b, c, b];
      const least = eps * Math.abs(b.x);
      const half = (c.x - b.x) / 2;
      const middle = round(b.x + half);
      if (middle === b.x || middle === c.x) return 'FloatingPointLimit';
      let next = half;
      if (Math.abs(before) >= least && Math.abs(a.f) > Math.abs(b.f)) {
        const [p, q] = interpolate(a, b, c, half);
        if (2 * p < Math.min(3 * half * q - Math.abs(least * q), Math.abs(before * q))) next = p / q;
      }
      before = next === half ? half : step;
      step = next;
      a = b;
      // Never the same point again.
      const moved = round(b.x + next);
      b = yield* at(moved === b.x ? neighbour(b.x, half, middle, eps) : moved);
      const retcode = judge();
      if (retcode !== null) return retcode;
    }
  });
}

/** A number close to x in the direction of `by`, or the middle where x is 0 and nothing is close. */
function neighbour(x: number, by: number, middle: number, eps: number): number {
  return x === 0 ? middle : x + Math.sign(by) * eps * Math.abs(x);
}

/** The step p / q from b to where the interpolant vanishes, with p >= 0 in the direction of `half`. */
function interpolate(a: Point, b: Point, c: Point, half: number): [number, number] {
  const s = b.f / a.f;
  let p: number;
  let q: number;
  if (a.x === c.x) {
    p = 2 * half * s;
    q = 1 - s;
  } else {
    const t = a.f / c.f;
    const r = b.f / c.f;
    p = s * (2 * half * t * (t - r) - (b.x - a.x) * (r - 1));
    q = (t - 1) * (r - 1) * (s - 1);
  }
  return p > 0 ? [p, -q] : [-p, q];
}

function bracketing(name: string, options: BracketOptions, shrink: Shrinking): NonlinearAlgorithm {
  const { bracket } = parseOptions(SCHEMA, options, name);
  return defineAlgorithm({
    name,
    solves: ['nonlinear', 'fixedPoint'],
    open: (session, watch) => {
      const equation = new HostEquation(session, watch);
      if (equation.n !== 1 || equation.m !== 1) {
        const { state, image } = session.system;
        throw new TypeError(
          `${name}: solves one equation in one unknown; the state is ${formatShape(state.shape)}, the residual ${formatShape(image.shape)} (rows of a batch: batch: 'independent')`,
        );
      }
      const doubles = computesInDoubles(session.ws.backend);
      const round = doubles ? (x: number): number => x : Math.fround;
      const eps = doubles ? 2 ** -52 : 2 ** -23;
      let latest: Point = { x: NaN, f: NaN };
      const at = function* (x: number): Reading<Point> {
        const [f] = yield* equation.residual([x]);
        return (latest = { x, f });
      };
      const judge = (): NonlinearRetcode | null => equation.judge([latest.f]);
      const endAt = function* (x: number, exact: NonlinearRetcode): Reading<{ point: Point; ending: Ending | null }> {
        const point = yield* at(round(x));
        const retcode = judge();
        if (point.f === 0) return { point, ending: equation.end(exact) };
        return { point, ending: retcode === null ? null : equation.end(retcode) };
      };
      return function* (): Solving {
        equation.reset();
        const left = yield* endAt(bracket[0], 'ExactSolutionLeft');
        if (left.ending !== null) return left.ending;
        const right = yield* endAt(bracket[1], 'ExactSolutionRight');
        if (right.ending !== null) return right.ending;
        const [a, b] = [left.point, right.point];
        if (a.f > 0 === b.f > 0) {
          const reason = `the residual has the same sign at both ends of the bracket: ${a.f} at ${a.x}, ${b.f} at ${b.x}`;
          return equation.end('InitialFailure', reason);
        }
        return equation.end(yield* shrink(a, b, { round, eps, at, judge }));
      };
    },
  });
}
