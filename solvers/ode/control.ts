/**
 * Step-size control on host numbers: a PID controller on the scaled error, and the starting step.
 */

export interface PidController {
  readonly pcoeff: number;
  readonly icoeff: number;
  readonly dcoeff: number;
  readonly safety: number;
  readonly factorMin: number;
  readonly factorMax: number;
}

/** What the controller remembers: the inverses of the last two scaled errors of accepted steps. */
export interface ControlMemory {
  readonly last: number;
  readonly beforeLast: number;
}

export const initialMemory: ControlMemory = { last: 1, beforeLast: 1 };

export interface Decision {
  readonly accepted: boolean;
  /** What to multiply the step by. */
  readonly factor: number;
  readonly memory: ControlMemory;
}

const clamp = (x: number, low: number, high: number): number => Math.min(high, Math.max(low, x));

/**
 * One decision. With `d_n = 1 / error_n`, `k` the order of the error estimate and P, I, D the coefficients,
 *
 *     factor = safety d_n^((P+I+D)/k) d_(n-1)^(-(P+2D)/k) d_(n-2)^(D/k)
 *
 * clipped to [1, factorMax] after an accepted step (never smaller right after a success) and to [factorMin, safety] after
 * a rejected one. (G. Soderlind, ACM Trans. Math. Softw. 29, 2003, eq. 34; clipping as in diffrax.) An error that is not
 * a number counts as infinite.
 *
 * @param error Root-mean-square of the error estimate over `abstol + reltol max(|u|, |u1|)`; below 1 is acceptance.
 */
export function decide(controller: PidController, k: number, error: number, memory: ControlMemory): Decision {
  const { pcoeff, icoeff, dcoeff, safety, factorMin, factorMax } = controller;
  const accepted = error < 1;
  const inverse = Number.isNaN(error) ? 0 : 1 / error;
  const power = (base: number, exponent: number): number => (exponent === 0 ? 1 : base ** (exponent / k));
  const raw =
    safety *
    power(inverse, pcoeff + icoeff + dcoeff) *
    power(memory.last, -(pcoeff + 2 * dcoeff)) *
    power(memory.beforeLast, dcoeff);
  if (!accepted) return { accepted, factor: clamp(raw, factorMin, safety), memory };
  // An error of exactly zero says nothing about the next: remember it as a step of error 1.
  const remembered = Number.isFinite(inverse) ? inverse : 1;
  return { accepted, factor: clamp(raw, 1, factorMax), memory: { last: remembered, beforeLast: memory.last } };
}

/** The starting step from the probe `h0`: `d2` is the scaled change of slope over it, divided by it. */
export function startingStep(h0: number, d1: number, d2: number, order: number): number {
  const largest = Math.max(d1, d2);
  const h1 = largest <= 1e-15 ? Math.max(1e-6, h0 * 1e-3) : (0.01 / largest) ** (1 / order);
  return Math.min(100 * h0, h1);
}
