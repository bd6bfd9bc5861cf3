/**
 * Recurrent networks for series whose times are not evenly spaced: between observations the hidden state follows an ODE, at
 * each observation a cell takes it up.
 *
 * Y. Rubanova, R. T. Q. Chen, D. Duvenaud, Latent ODEs for Irregularly-Sampled Time Series, NeurIPS 2019.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../src/core/constant.js';
import { uniformInit, type Initialiser } from '../src/core/initialisers.js';
import { applyChild, parameterLength, type Empty, type Layer } from '../src/core/layer.js';
import { flag, functionOption, parseOptions, z } from '../src/core/options.js';
import { defineLayer } from '../src/core/print.js';
import { split, type Key } from '../src/core/random.js';
import { isTensor, leaves, type StateTree, type Tensor, type Tree } from '../src/core/tree.js';
import { describe, formatShape } from '../src/core/value.js';
import { scan } from '../src/graph/scan.js';
import type { CellOptions, CellParameters, CellState, HiddenCarry, SplitCell } from '../src/layers/cell.js';
import { checkFields, checkInput, checkSize, fail } from '../src/layers/check.js';
import { parametricLayer } from '../src/layers/parametric.js';
import { gruCell } from '../src/layers/recurrent.js';
import { tidy } from '../src/layers/tidy.js';
import { checkAlgorithm, type OdeAlgorithm } from '../solvers/ode/algorithm.js';
import { tsit5 } from '../solvers/ode/algorithms.js';
import { parseOdeOptions, type OdeOptions } from '../solvers/ode/options.js';
import { odeProblem } from '../solvers/ode/problem.js';
import { solve } from '../solvers/solve.js';

export interface OdeRnnOptions extends Omit<OdeOptions, 'saveAt'> {
  /** Default {@link tsit5}. */
  readonly algorithm?: OdeAlgorithm;
  /** Return the hidden states after all observations, `[batch, time, size]`; otherwise the last. Default false. */
  readonly returnSequence?: boolean;
}

/**
 * A series: values `[batch, time, features]`, times `[time]` or `[batch, time]`, and perhaps a mask `[batch, time]` (bool or
 * int32) of what was observed.
 */
export type IrregularSeries =
  readonly [x: Tensor, times: Tensor] | readonly [x: Tensor, times: Tensor, observed: Tensor];

/** `[batch, time]` or `[time]` as `[time, batch or 1, 1]`. */
const byTime = (x: Tensor): Tensor =>
  x.rank === 1 ? tf.reshape(x, [x.shape[0], 1, 1]) : tf.expandDims(tf.transpose(x), 2);

/**
 * `h' = ODESolve(field, h, Δt)` up to each observation, `h = cell(x, h')` at it. Only the hidden state flows; the memory of an
 * LSTM waits, as in the ODE-LSTM of Lechner and Hasani 2020. Where a mask says that nothing was observed, the hidden state
 * just flows on.
 *
 * Each sample may have times of its own: `dh/ds = Δt field(h)` is solved for s from 0 to 1, all samples together, so that
 * times are differentiated, too. The loop over the observations is traced once.
 *
 * Input {@link IrregularSeries}; output `[batch, size]` or `[batch, time, size]`. Parameters and states: `{ field, cell }`. The
 * field's state stays the same along a series and is renewed once afterwards.
 *
 * @param field From the hidden state `[batch, size]` to its time derivative.
 * @param cell {@link rnnCell}, {@link lstmCell} or {@link gruCell} of that size.
 * @param options Those of `solve`, `algorithm` and `returnSequence`.
 * @throws TypeError or OptionError for bad arguments; `apply` throws a LayerError for an input that does not fit, SolveError when
 * an integration fails.
 *
 * @example
 * odeRNN(chain(dense(16, 32, 'tanh'), dense(32, 16)), gruCell(3, 16));
 */
export function odeRNN<
  C extends readonly Tensor[],
  PF extends Tree,
  SF extends StateTree,
  P extends Tree,
  S extends StateTree,
>(
  field: Layer<Tensor, Tensor, PF, SF>,
  cell: SplitCell<C & StateTree, P, S>,
  options: OdeRnnOptions = {},
): Layer<IrregularSeries, Tensor, { field: PF; cell: P }, { field: SF; cell: S }> {
  const where = 'odeRNN';
  if (typeof (field as Partial<typeof field> | undefined)?.initialParameters !== 'function') {
    throw new TypeError(`${where}: the first argument must be a layer, got ${describe(field)}`);
  }
  if (typeof (cell as Partial<typeof cell> | undefined)?.project !== 'function') {
    throw new TypeError(`${where}: the second argument must be an rnnCell, lstmCell or gruCell, got ${describe(cell)}`);
  }
  const { algorithm = tsit5(), returnSequence = false, ...solverOptions } = options;
  parseOptions(z.strictObject({ returnSequence: flag }), { returnSequence }, where);
  checkAlgorithm(algorithm, `${where}: algorithm`);
  parseOdeOptions(algorithm, solverOptions);
  const title = 'ODERNN';

  /** The hidden state after a time that each sample has of its own, `[batch or 1, 1]`. */
  const flow = (h: Tensor, duration: Tensor, ps: PF, st: SF): Tensor => {
    const slope = (u: Tensor, p: PF): Tensor => {
      const [du] = applyChild('field', field, u, p, st);
      return tf.mul(du, duration);
    };
    return solve(odeProblem(slope, h, [0, 1], ps), algorithm, solverOptions).u;
  };

  return defineLayer({
    display: Object.freeze({
      name: title,
      summary: [algorithm.name, ...(returnSequence ? ['returnSequence=true'] : [])].join(', '),
      children: { field, cell },
    }),
    countParameters: () => parameterLength(field) + parameterLength(cell),
    initialParameters: (key: Key) =>
      tidy(() => {
        const [a, b] = split(key, 2);
        return { field: field.initialParameters(a), cell: cell.initialParameters(b) };
      }),
    initialStates: (key: Key) =>
      tidy(() => {
        const [a, b] = split(key, 2);
        return { field: field.initialStates(a), cell: cell.initialStates(b) };
      }),
    apply: (series: IrregularSeries, ps: { field: PF; cell: P }, st: { field: SF; cell: S }): [Tensor, typeof st] => {
      checkFields(title, ps, ['field', 'cell'], 'parameters');
      checkFields(title, st, ['field', 'cell'], 'states');
      const [x, times, observed] = checkSeries(title, series);
      return tidy((): [Tensor, typeof st] => {
        cell.check(ps.cell, st.cell, x);
        const inputs = cell.project(tf.transpose(x, [1, 0, 2]), ps.cell);
        const clock = byTime(times);
        const durations = tf.sub(clock, tf.concat([tf.slice(clock, 0, 1), tf.slice(clock, 0, clock.shape[0] - 1)]));
        const [first, after] = cell.start(x.shape[0], ps.cell, st.cell);
        const mask = observed === undefined ? {} : { seen: byTime(tf.cast(observed, 'float32')) };
        const [last, all] = scan(
          (carry: C & StateTree, row: { gates: Tensor; duration: Tensor; seen?: Tensor }) => {
            const [h, ...rest] = carry as readonly Tensor[];
            const flowed = [flow(h, row.duration, ps.field, st.field), ...rest];
            const taken = cell.step(
              row.gates,
              flowed as readonly Tensor[] as C & StateTree,
              ps.cell,
            ) as readonly Tensor[];
            const { seen } = row;
            const next =
              seen === undefined
                ? taken
                : taken.map((t, i) => tf.add(tf.mul(seen, t), tf.mul(tf.sub(constant(1), seen), flowed[i])));
            return [next as C & StateTree, returnSequence ? next[0] : null] as const;
          },
          first,
          { gates: inputs, duration: durations, ...mask },
        );
        const y = all === null ? (last as readonly Tensor[])[0] : tf.transpose(all, [1, 0, 2]);
        return [y, { field: renewed((last as readonly Tensor[])[0], ps.field, st.field), cell: after }];
      });
    },
  });

  function renewed(h: Tensor, ps: PF, st: SF): SF {
    return leaves(st).length === 0 ? st : applyChild('field', field, h, ps, st)[1];
  }
}

function checkSeries(title: string, series: unknown): readonly [Tensor, Tensor, Tensor | undefined] {
  if (!Array.isArray(series) || series.length < 2 || series.length > 3 || !series.every(isTensor)) {
    fail(title, `expected [x, times] or [x, times, observed], got ${describe(series)}`);
  }
  const [x, times, observed] = series as unknown as readonly [Tensor, Tensor, Tensor | undefined];
  checkInput(title, x, { rank: 3 });
  checkInput(title, times, { rank: [1, 2] });
  const [batch, steps] = x.shape;
  const wanted = formatShape([batch, steps] as number[]);
  if (steps === 0) fail(title, `expected an observation or more, got shape ${formatShape(x.shape)}`);
  if (times.shape.at(-1) !== steps || (times.rank === 2 && times.shape[0] !== batch)) {
    fail(title, `expected times of shape [${steps}] or ${wanted}, got ${formatShape(times.shape)}`);
  }
  if (observed !== undefined && (observed.dtype === 'float32' || formatShape(observed.shape) !== wanted)) {
    fail(title, `expected a bool or int32 mask of shape ${wanted}, got ${describe(observed)}`);
  }
  return [x, times, observed];
}

const FIELD = z.strictObject({
  initRecurrentWeight: functionOption<Initialiser>('an initialiser').optional(),
  initBias: functionOption<Initialiser>('an initialiser').optional(),
});

/**
 * The field of the continuous GRU: `dh/dt = (1 - z) (n - h)`, where r, z and n are the gates of a GRU without input:
 * `r = σ(h W_r + b_r)`, z alike, `n = tanh((r h) W_n + b_n)`. States between -1 and 1 stay there, and the field is
 * Lipschitz continuous with constant 2 in that region. De Brouwer, Simm, Arany and Moreau, GRU-ODE-Bayes, NeurIPS 2019.
 *
 * Parameters: `weightHh [size, 3 size]`, `bias [3 size]`, with the gates r, z, n in that order.
 */
export function gruODEField(
  size: number,
  options?: { readonly initRecurrentWeight?: Initialiser; readonly initBias?: Initialiser },
): Layer<Tensor, Tensor, { weightHh: Tensor; bias: Tensor }, Empty> {
  checkSize('gruODEField', 'the size', size);
  const bound = uniformInit(1 / Math.sqrt(size));
  const { initRecurrentWeight = bound, initBias = bound } = parseOptions(FIELD, options, 'gruODEField');
  return parametricLayer<Tensor, Tensor, { weightHh: Tensor; bias: Tensor }>({
    name: 'GRUODEField',
    summary: String(size),
    parameters: {
      weightHh: { shape: [size, 3 * size], init: initRecurrentWeight },
      bias: { shape: [3 * size], init: initBias },
    },
    forward: (title, h, { weightHh, bias }) => {
      checkInput(title, h, { rank: 2, features: size });
      const [ofGates, ofProposal] = tf.split(weightHh, [2 * size, size], 1);
      const [bGates, bProposal] = tf.split(bias, [2 * size, size]);
      const [r, z] = tf.split(tf.sigmoid(tf.add(tf.matMul(h, ofGates), bGates)), 2, 1);
      const n = tf.tanh(tf.add(tf.matMul(tf.mul(r, h), ofProposal), bProposal));
      return tf.mul(tf.sub(constant(1), z), tf.sub(n, h));
    },
  });
}

/** Options of {@link gruODE}: those of the solve and those of the cell. */
export type GruOdeOptions = OdeRnnOptions & { readonly cell?: CellOptions };

/**
 * {@link odeRNN} with the field of the continuous GRU ({@link gruODEField}) between observations and {@link gruCell} at them.
 *
 * @param inputs Features of an observation.
 * @param size Of the hidden state.
 */
export function gruODE(
  inputs: number,
  size: number,
  options: GruOdeOptions = {},
): Layer<
  IrregularSeries,
  Tensor,
  { field: { weightHh: Tensor; bias: Tensor }; cell: CellParameters },
  { field: Empty; cell: CellState }
> {
  const { cell, ...rest } = options;
  return odeRNN<HiddenCarry, { weightHh: Tensor; bias: Tensor }, Empty, CellParameters, CellState>(
    gruODEField(size),
    gruCell(inputs, size, cell),
    rest,
  );
}
