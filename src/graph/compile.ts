/**
 * `compile`: a function of trees of tensors, traced once for each signature of its arguments.
 */
import { nonNegativeInteger, parseOptions, positiveInteger, z } from '../core/options.js';
import type { Tensor } from '../core/tree.js';
import { flattenArguments, matches, signatureOf, specsOf, type Flattened } from './arguments.js';
import { checkDonated, donatedFlags, giveUp } from './donation.js';
import { withBackend } from './engine.js';
import { backendOfPrecision, Program, type Precision } from './program.js';
import { TraceError, currentTrace, traceGraph } from './trace.js';

export interface CompileOptions {
  /** How many signatures are remembered; the one unused longest goes first. Default 64. */
  readonly maxSignatures?: number;
  /**
   * Compute in this precision, on the compiled backend, whichever backend is active. The tensors that come back live there: of a
   * function in float64 they hold doubles, until an operation of a backend of single precision takes them. Default: that of
   * the active backend. Within another traced function this one is part of it, and computes as it does.
   */
  readonly precision?: Precision;
  /**
   * Arguments that the caller gives up with each call, by their numbers from 0: their tensors are freed after it, and using one
   * is an error. On the compiled backend results of the same size are written in their place, so that a training step needs no
   * memory for a second copy of parameters and optimiser's state. Purity is kept for everybody else: what a clone or a view also
   * holds, or what is given twice or captured, is not written to. A call that fails leaves all as it was. Under tfjs's own tape, and within
   * another traced function, nothing is donated. The counterpart of jax.jit's `donate_argnums`. Default none.
   */
  readonly donateArgnums?: number | readonly number[];
}

export interface CompileStats {
  /** How often the function was traced. */
  readonly traces: number;
  /** How often a remembered program served. */
  readonly hits: number;
}

export type Compiled<F extends (...args: never[]) => unknown> = F & {
  /**
   * The same call, waiting where a backend cannot read numbers at once (WebGPU): solvers that choose their steps, or stop
   * when they have converged, need it there. The results are the caller's to dispose of: no `tf.tidy` reaches them.
   */
  readonly async: (...args: Parameters<F>) => Promise<ReturnType<F>>;
  readonly stats: CompileStats;
  /** The program for these arguments, traced if need be: what {@link explain} prints. */
  readonly programFor: (...args: unknown[]) => Program;
  /**
   * Let its programs go at once, with the constants, code and memory that they hold, rather than when it is garbage
   * collected. The function stays what it was: the next call traces anew. A call that is waiting (`async`) ends first. Twice
   * is as once. (The compiled backend keeps small programs for the next equal graph, within fixed bounds.)
   */
  readonly dispose: () => void;
};

const OPTIONS = z.strictObject({
  maxSignatures: positiveInteger.default(64),
  precision: z.enum(['float32', 'float64']).optional(),
  donateArgnums: z.union([nonNegativeInteger, z.array(nonNegativeInteger)]).default([]),
});

export interface Traced {
  readonly program: Program;
  readonly rebuild: Flattened['rebuild'];
  /** What a message calls an argument. */
  readonly nameOf: Flattened['nameOf'];
}

/** Trace `f` for arguments like these. */
export function traceFunction(f: (...args: never[]) => unknown, args: Flattened): Traced {
  let rebuild: Flattened['rebuild'] | undefined;
  const graph = traceGraph(specsOf(args.tensors), (inputs) => {
    const value = f(...(args.rebuild(inputs) as never[]));
    if (value instanceof Promise) {
      throw new TraceError(
        'the traced function returned a promise; it must be synchronous, since only what it does before it returns is recorded',
      );
    }
    const result = flattenArguments(value);
    rebuild = result.rebuild;
    return result.tensors;
  });
  return { program: new Program(graph), rebuild: rebuild as Flattened['rebuild'], nameOf: args.nameOf };
}

/**
 * The same function, traced to a graph at its first call for each signature and run as that graph from then on.
 *
 * The signature holds the structure of the arguments, the shapes and dtypes of their tensors, and every other value in
 * them by value (functions and objects by identity). Tensors and variables that the function closes over are read afresh
 * at each call; anything else it reads that changes between calls (a counter, a date, tfjs's own random ops) is frozen as
 * it was when traced. Within another traced function it simply runs, and becomes part of that one.
 *
 * @param f A pure function of trees of tensors that returns a tree of tensors.
 */
export function compile<A extends unknown[], R>(
  f: (...args: A) => R,
  options: CompileOptions = {},
): Compiled<(...args: A) => R> {
  if (typeof f !== 'function') throw new TypeError(`compile: the first argument must be a function, got ${typeof f}`);
  const { maxSignatures, precision, donateArgnums } = parseOptions(OPTIONS, options, 'compile');
  const argnums = [donateArgnums].flat();
  const run = ({ program, nameOf }: Traced, tensors: readonly Tensor[]): Tensor[] =>
    precision === undefined
      ? program.run(tensors, nameOf)
      : withBackend(backendOfPrecision(precision), () => program.run(tensors, nameOf));
  const remembered = new Map<string, Traced>();
  const stats = { traces: 0, hits: 0 };
  /** The last that served, which the next call is most likely to want again. */
  let recent: { readonly pattern: Flattened['pattern']; readonly count: number; readonly traced: Traced } | undefined;
  const lookUp = ({ pattern, ...args }: Flattened, given: readonly unknown[]): Traced => {
    const key = signatureOf(pattern);
    let traced = remembered.get(key);
    if (traced === undefined) {
      stats.traces++;
      const donated = argnums.length === 0 ? undefined : donatedFlags(given, argnums);
      traced = traceFunction(f, { pattern, ...args });
      traced.program.donated = donated;
    } else {
      stats.hits++;
      remembered.delete(key);
    }
    remembered.set(key, traced); // now the youngest
    for (const [signature, { program }] of remembered) {
      if (remembered.size <= maxSignatures) break;
      remembered.delete(signature);
      program.dispose();
    }
    recent = { pattern, count: args.tensors.length, traced };
    return traced;
  };
  const compiled = (...args: A): R => {
    if (currentTrace() !== undefined) return f(...args);
    const tensors = new Array<Tensor>(recent?.count ?? 0);
    if (recent !== undefined && matches(recent.pattern, args, tensors)) {
      stats.hits++;
      const { traced } = recent;
      const { program, rebuild, nameOf } = traced;
      if (program.donated !== undefined) checkDonated(tensors, program.donated);
      const results = precision === undefined ? program.runMatched(tensors, nameOf) : run(traced, tensors);
      if (program.donated !== undefined) giveUp(tensors, program.donated);
      return rebuild(results) as R;
    }
    const given = flattenArguments(args);
    const traced = lookUp(given, args);
    const { donated } = traced.program;
    if (donated !== undefined) checkDonated(given.tensors, donated);
    const results = run(traced, given.tensors);
    if (donated !== undefined) giveUp(given.tensors, donated);
    return traced.rebuild(results) as R;
  };
  return Object.assign(compiled, {
    async: async (...args: A): Promise<R> => {
      if (currentTrace() !== undefined) {
        throw new TraceError('compiled.async cannot be part of a traced function; call the function itself there');
      }
      const given = flattenArguments(args);
      const traced = lookUp(given, args);
      const { program, rebuild, nameOf } = traced;
      if (program.donated !== undefined) checkDonated(given.tensors, program.donated);
      // The backend of a given precision never has to wait.
      const results =
        precision === undefined ? await program.runLater(given.tensors, nameOf) : run(traced, given.tensors);
      if (program.donated !== undefined) giveUp(given.tensors, program.donated);
      return rebuild(results) as R;
    },
    stats: stats,
    programFor: (...args: unknown[]) => lookUp(flattenArguments(args), args).program,
    dispose: () => {
      recent = undefined;
      for (const { program } of remembered.values()) program.dispose();
      remembered.clear();
    },
  });
}

/** Trace and run once: how a transformation works outside `compile`. Within a trace the function just runs. */
export function runOnce<R>(f: (...args: never[]) => R, args: readonly unknown[]): R {
  if (currentTrace() !== undefined) return f(...(args as never[]));
  const given = flattenArguments(args);
  const { program, rebuild, nameOf } = traceFunction(f, given);
  try {
    return rebuild(program.run(given.tensors, nameOf)) as R;
  } finally {
    program.dispose();
  }
}
