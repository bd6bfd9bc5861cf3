/**
 * Explicit Runge-Kutta methods as data: `k_i = f(u + h sum_j a_ij k_j, t + c_i h)`, `u1 = u + h sum_i b_i k_i`.
 */

/** Coefficients of `theta, theta^2, ...`: a polynomial without constant term. */
export type Polynomial = readonly number[];

export interface Tableau {
  readonly name: string;
  /** Where the coefficients were published. */
  readonly source: string;
  readonly order: number;
  readonly c: readonly number[];
  /** Row i holds the weights of the stages before stage i. */
  readonly a: readonly (readonly number[])[];
  readonly b: readonly number[];
  /** `b` minus the weights of the embedded method: the error estimate is `h sum_i e_i k_i`. Absent: fixed steps only. */
  readonly e?: readonly number[];
  /** The last stage is `f(u1, t + h)`, and so the first of the next step. */
  readonly fsal: boolean;
  /**
   * Dense output `u(t + theta h) = u + h sum_i w_i(theta) k_i`, one polynomial per stage. Absent: the cubic Hermite
   * interpolant of `u`, `u1` and the slopes at both ends.
   */
  readonly interpolant?: readonly Polynomial[];
}

export function evaluate(p: Polynomial, theta: number): number {
  let sum = 0;
  for (let i = p.length - 1; i >= 0; i--) sum = (sum + p[i]) * theta;
  return sum;
}

export const derivative = (p: Polynomial, theta: number): number =>
  p.reduceRight((sum, a, i) => sum * theta + (i + 1) * a, 0);

/**
 * Dense-output weights over the stages and, for methods whose last stage is not the slope at the end, that slope as one
 * more: Hermite's `u + (3 theta^2 - 2 theta^3)(u1 - u) + theta (theta - 1)^2 h f(u) + theta^2 (theta - 1) h f(u1)`.
 */
export function denseWeights(tableau: Tableau): readonly Polynomial[] {
  if (tableau.interpolant !== undefined) return tableau.interpolant;
  const stages = tableau.c.length + (tableau.fsal ? 0 : 1);
  return Array.from({ length: stages }, (_, i) => {
    const b = i < tableau.b.length ? tableau.b[i] : 0;
    const start = i === 0 ? [1, -2, 1] : [0, 0, 0];
    const end = i === stages - 1 ? [0, -1, 1] : [0, 0, 0];
    return [0, 3 * b, -2 * b].map((x, power) => x + start[power] + end[power]);
  });
}

/** The leading term of an error estimate, `constant h^order |u^(order)|`. */
export interface ErrorTerm {
  readonly order: number;
  readonly constant: number;
}

/**
 * The first power of h at which the estimate `h sum_i e_i k_i` does not vanish, and its factor: the larger of what it
 * gives for a linear field, `|e A^(k-1) 1|`, and for one of time alone, `|e c^(k-1)| / (k-1)!`.
 */
export function errorTerm({ a, c, e = [] }: Tableau): ErrorTerm {
  let linear = c.map(() => 1);
  let quadrature = c.map(() => 1);
  const constants = c.map((_, i) => {
    const constant = Math.max(Math.abs(dot(e, linear)), Math.abs(dot(e, quadrature)));
    linear = c.map((__, k) => dot(a[k] ?? [], linear));
    quadrature = quadrature.map((q, k) => (q * c[k]) / (i + 1));
    return constant;
  });
  // Less is what is left of a term by the rounding of coefficients, which may have been typed with few digits.
  const least = 1e-6 * Math.max(...constants);
  const first = constants.findIndex((constant) => constant > least);
  return first < 0 ? { order: c.length, constant: 1 } : { order: first + 1, constant: constants[first] };
}

const dot = (x: readonly number[], y: readonly number[]): number => x.reduce((sum, v, i) => sum + v * y[i], 0);
