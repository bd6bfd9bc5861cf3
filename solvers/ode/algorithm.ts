/**
 * What `solve` takes as an algorithm for an ODE problem: a frozen record.
 */
import { describe } from '../../src/core/value.js';
import type { Tableau } from './tableau.js';

export interface OdeAlgorithm {
  readonly kind: 'explicitRungeKutta';
  readonly name: string;
  readonly tableau: Tableau;
}

/** @throws TypeError when `x` is no algorithm; `what` is what the caller calls it. */
export function checkAlgorithm(x: unknown, what: string): void {
  if ((x as Partial<OdeAlgorithm> | null | undefined)?.kind === 'explicitRungeKutta') return;
  const { kind, name } = (x ?? {}) as { readonly kind?: string; readonly name?: string };
  const given =
    typeof x === 'function'
      ? 'a function (call it: tsit5())'
      : kind === 'nonlinearAlgorithm'
        ? `${name}, an algorithm for equations`
        : describe(x);
  throw new TypeError(`${what} must be an algorithm, such as tsit5(), got ${given}`);
}
