/**
 * How the residual of a fixed point falls, iteration by iteration, as curves.
 */
import * as tf from '@tensorflow/tfjs';
import { fixedPointProblem, solveAsync, type NonlinearAlgorithm } from 'nullcline/solvers';
import type { Tensor, Tree } from 'nullcline';
import { COLOURS, type Panel, type Point, type Series } from './figure.js';

export interface ResidualOptions {
  readonly maxIters: number;
  /** Where a solve ends. */
  readonly tolerance: number;
}

/** The norm of the residual at each iteration of one solve of `z = f(z, p)`, the start first. */
export async function residuals<P extends Tree>(
  f: (z: Tensor, p: P) => Tensor,
  start: Tensor,
  p: P,
  algorithm: NonlinearAlgorithm,
  { maxIters, tolerance }: ResidualOptions,
): Promise<number[]> {
  const { u, residual, statistics, trace } = await solveAsync(fixedPointProblem(f, start, p), algorithm, {
    maxIters,
    abstol: tolerance,
    reltol: 0,
    storeTrace: true,
    throwOnFailure: false,
  });
  const values = trace === undefined ? new Float32Array(0) : await trace.data();
  tf.dispose([u, residual, statistics, ...(trace === undefined ? [] : [trace])]);
  return Array.from(values).filter((r) => Number.isFinite(r) && r > 0);
}

/** One curve for each solve; those of one group have one colour and one line in the legend. */
export function residualPanel(
  title: string,
  groups: readonly { readonly name: string; readonly curves: readonly (readonly number[])[] }[],
): Panel {
  const series = groups.flatMap(({ name, curves }, g) => {
    // One series for a group: a point that is no number ends a curve.
    const points = curves.flatMap((curve): Point[] => [...curve.map((r, i): Point => [i, Math.log10(r)]), [NaN, NaN]]);
    return [{ name, kind: g === 0 ? 'line' : 'dashed', colour: COLOURS[g % COLOURS.length], points } satisfies Series];
  });
  return { title, x: { label: 'iteration' }, y: { label: 'log10 of the residual (root mean square)' }, series };
}
