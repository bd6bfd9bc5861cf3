/**
 * A loop as one node of a graph: a traced body, run once for each step.
 *
 * Its values come in three kinds, each with a partner that its derivative turns it into: a carry goes from step to step,
 * and its cotangent comes back; of a sequence each step gets one row, and of a result each step gives one; an operand is
 * the same in all steps, and a sum adds up over them. So the derivative of a loop is a loop over the differentiated body,
 * the other way round, and has derivatives of its own.
 */
import * as tf from '@tensorflow/tfjs-core';
import { floatsFor } from '../core/floats.js';
import { backpropagate } from './differentiate.js';
import type { Buffer } from './executor.js';
import { sizeOf, type Graph, type Spec } from './graph.js';
import { nested, type Primitive, type RunContext, type VjpCall } from './primitive.js';
import { openWorkspace, Program } from './program.js';
import { replay } from './replay.js';
import { simplify } from './simplify.js';
import { currentTrace, type Trace, traceGraph } from './trace.js';
import type { Cell, Workspace } from './workspace.js';

/** One step: `(carries, rows of sequences, operands) -> (carries, rows of results, what is added to the sums)`. */
export interface ScanBody {
  /** It captures nothing: what it closes over is an operand. */
  readonly graph: Graph;
  readonly carries: readonly Spec[];
  readonly sequences: readonly Spec[];
  readonly operands: readonly Spec[];
  readonly results: readonly Spec[];
  readonly sums: readonly Spec[];
}

export interface ScanLoop {
  readonly body: ScanBody;
  readonly length: number;
  /** From the last row to the first. */
  readonly reverse: boolean;
}

const isFloat = ({ dtype }: Spec): boolean => dtype === 'float32';
const row = ({ shape, dtype }: Spec): Spec => ({ shape: [1, ...shape], dtype });

/** A list cut into pieces of these lengths. */
function cut<T>(list: readonly T[], lengths: readonly number[]): T[][] {
  let at = 0;
  return lengths.map((n) => list.slice(at, (at += n)));
}

/**
 * (carries, sequences [length, ...], operands) -> [last carries, results [length, ...], sums, and of each carry the values
 * that the steps began with: what the derivative starts from].
 */
export function scanPrimitive(loop: ScanLoop): Primitive {
  const { body, length } = loop;
  const rows = ({ shape, dtype }: Spec): Spec => ({ shape: [length, ...shape], dtype });
  const running = new Running(loop);
  return {
    name: `scan (${length} steps${loop.reverse ? ', from the last' : ''})`,
    outputs: [...body.carries, ...body.results.map(rows), ...body.sums, ...body.carries.map(rows)],
    run: (inputs, context) => running.run(inputs, context),
    vjp: (call) => scanVjp(loop, running.kept, call),
    dispose: () => {
      running.dispose();
    },
  };
}

/** What runs a loop: the program of one step, and a workspace for each backend it has run on. */
class Running {
  /** The carries whose history somebody's derivative reads. */
  readonly kept: boolean[];
  private program: Program | undefined;
  private readonly workspaces = new Map<tf.KernelBackend, Workspace>();
  private readonly zeros: readonly (readonly number[])[];

  constructor(private readonly loop: ScanLoop) {
    this.kept = loop.body.carries.map(() => false);
    this.zeros = loop.body.sums.map(({ shape }) => new Array<number>(sizeOf(shape)).fill(0));
  }

  dispose(): void {
    for (const workspace of this.workspaces.values()) workspace.dispose();
    this.workspaces.clear();
    this.program?.dispose();
    this.program = undefined;
  }

  /** (carries, rows [1, ...], operands, sums so far) -> (carries, rows [1, ...], sums). */
  private step(): Program {
    const { graph, carries, sequences, operands, results, sums } = this.loop.body;
    return (this.program ??= new Program(
      traceGraph([...carries, ...sequences.map(row), ...operands, ...sums], (given) => {
        const [c, xs, ops, s] = cut(given, [carries.length, sequences.length, operands.length, sums.length]);
        const own = xs.map((x, i) => tf.reshape(x, [...sequences[i].shape]));
        const outputs = replay(currentTrace() as Trace, graph, [...c, ...own, ...ops]);
        const [next, ys, added] = cut(outputs, [carries.length, results.length, sums.length]);
        return [
          ...next,
          ...ys.map((y, i) => tf.reshape(y, [1, ...results[i].shape])),
          ...added.map((x, i) => tf.add(s[i], x)),
        ];
      }),
    ));
  }

  private workspace(context: RunContext): Workspace {
    let workspace = this.workspaces.get(context.backend);
    if (workspace === undefined) this.workspaces.set(context.backend, (workspace = openWorkspace(context)));
    return workspace;
  }

  run(inputs: readonly Buffer[], { backend, backendName }: RunContext): Buffer[] {
    const { body, length, reverse } = this.loop;
    const { carries, sequences, operands, results, sums } = body;
    const ws = this.workspace({ backend, backendName, records: [], onEnd: () => undefined });
    const program = this.step();
    const places = (specs: readonly Spec[]): Cell[] => specs.map(({ shape, dtype }) => ws.cell(shape, dtype));
    const bound = (specs: readonly Spec[], buffers: readonly Buffer[]): Cell[] =>
      specs.map(({ shape, dtype }, i) => {
        const slot = ws.slot(shape, dtype);
        ws.bind(slot, buffers[i]);
        return slot;
      });
    const [c0, xs, ops] = cut(inputs, [carries.length, sequences.length, operands.length]);
    const start = bound(carries, c0);
    const wholes = bound(xs, xs);
    const slots = sequences.map(row).map(({ shape, dtype }) => ws.slot(shape, dtype));
    const shared = bound(operands, ops);
    // Two of each: a step reads the one and writes the other.
    const next = [places(carries), places(carries)];
    const sum = [places(sums), places(sums)];
    const collected = results.map(({ shape, dtype }) => ws.rows(length, shape, dtype));
    const histories = carries.map(({ shape, dtype }, i) => (this.kept[i] ? ws.rows(length, shape, dtype) : null));
    sum[0].forEach((cell, i) => {
      ws.write(cell, this.zeros[i]);
    });
    let before = start;
    try {
      for (let k = 0; k < length; k++) {
        const t = reverse ? length - 1 - k : k;
        slots.forEach((slot, i) => {
          ws.part(slot, wholes[i], t);
        });
        histories.forEach((history, i) => history?.set(t, before[i]));
        const after = next[k % 2];
        const ys = collected.map((r) => r.at(t, 1));
        const { context, end } = nested({ backend, backendName, records: [] });
        try {
          ws.run(program, [...before, ...slots, ...shared, ...sum[k % 2]], [...after, ...ys, ...sum[1 - (k % 2)]], context); // prettier-ignore
        } finally {
          end();
        }
        before = after;
      }
      const last = [...before.map((cell) => ws.copy(cell))];
      const total = sum[length % 2].map((cell) => ws.copy(cell));
      const unread = ({ shape, dtype }: Spec): Buffer => {
        const whole = [length, ...shape];
        const size = sizeOf(whole);
        const values = isFloat({ shape, dtype }) ? floatsFor(backend, size) : dtype === 'int32' ? new Int32Array(size) : new Uint8Array(size); // prettier-ignore
        return { dataId: backend.write(values, whole, dtype), shape: whole, dtype };
      };
      return [
        ...last,
        ...collected.map((r) => r.take()),
        ...total,
        ...histories.map((history, i) => history?.take() ?? unread(carries[i])),
      ];
    } catch (error) {
      for (const r of [...collected, ...histories]) r?.discard();
      throw error;
    } finally {
      ws.free([...start, ...wholes, ...slots, ...shared, ...next.flat(), ...sum.flat()]);
    }
  }
}

function scanVjp(loop: ScanLoop, kept: boolean[], { inputs, outputs, dys, needed }: VjpCall): (tf.Tensor | null)[] {
  const { body, length, reverse } = loop;
  const { carries, sequences, operands, results, sums } = body;
  const counts = [carries.length, sequences.length, operands.length];
  const [, xs, ops] = cut(inputs, counts);
  const [wantCarries, wantXs, wantOps] = cut(needed, counts);
  const [dLast, dResults, dSums, dHistories] = cut(dys, [carries.length, results.length, sums.length, carries.length]);
  const histories = outputs.slice(carries.length + results.length + sums.length);
  const floating = carries.flatMap((spec, i) => (isFloat(spec) ? [i] : []));
  const given = (list: readonly (tf.Tensor | null)[]): number[] => list.flatMap((x, i) => (x === null ? [] : [i]));
  const [ofResults, ofSums, ofHistories] = [dResults, dSums, dHistories].map(given);

  const backwardCarries = floating.map((i) => carries[i]);
  const backwardSequences = [
    ...carries,
    ...sequences,
    ...ofResults.map((i) => results[i]),
    ...ofHistories.map((i) => carries[i]),
  ];
  const backwardOperands = [...operands, ...ofSums.map((i) => sums[i])];
  const graph = simplify(
    traceGraph([...backwardCarries, ...backwardSequences, ...backwardOperands], (all) => {
      const trace = currentTrace() as Trace;
      const [dCarry, c, x, dResult, dHistory, own, dSum] = cut(all, [
        floating.length,
        carries.length,
        sequences.length,
        ofResults.length,
        ofHistories.length,
        operands.length,
        ofSums.length,
      ]);
      const since = trace.nodes.length;
      const ys = replay(trace, body.graph, [...c, ...x, ...own]);
      const [next, result, added] = cut(ys, [carries.length, results.length, sums.length]);
      const targets = [
        ...floating.map((i, j) => [next[i], dCarry[j]]),
        ...ofResults.map((i, j) => [result[i], dResult[j]]),
        ...ofSums.map((i, j) => [added[i], dSum[j]]),
      ].map(([y, dy]) => ({ value: trace.valueOf(y), dy }));
      const wanted = [...floating.map((i) => c[i]), ...x.filter((_, i) => wantXs[i]), ...own.filter((_, i) => wantOps[i])]; // prettier-ignore
      const found = backpropagate(trace, targets, wanted.map((w) => trace.valueOf(w)), since); // prettier-ignore
      const grads = found.map((g, i) => g ?? tf.zeros(wanted[i].shape));
      ofHistories.forEach((i, j) => {
        const at = floating.indexOf(i);
        grads[at] = tf.add(grads[at], dHistory[j]);
      });
      return grads;
    }),
  );

  // What the simplified derivative does not read, the loop is not given.
  const read = new Set(graph.nodes.flatMap((node) => node.inputs).concat(graph.outputs));
  const [inCarries, inSequences, inOperands] = cut(graph.inputs, [
    backwardCarries.length,
    backwardSequences.length,
    backwardOperands.length,
  ]);
  const rows = [...histories, ...xs, ...ofResults.map((i) => dResults[i]), ...ofHistories.map((i) => dHistories[i])];
  const whole = [...ops, ...ofSums.map((i) => dSums[i])];
  const usedRows = inSequences.flatMap((v, i) => (read.has(v) ? [i] : []));
  const usedOperands = inOperands.flatMap((v, i) => (read.has(v) ? [i] : []));
  for (const i of usedRows) if (i < carries.length) kept[i] = true;

  const backward = scanPrimitive({
    body: {
      graph: { ...graph, inputs: [...inCarries, ...usedRows.map((i) => inSequences[i]), ...usedOperands.map((i) => inOperands[i])] }, // prettier-ignore
      carries: backwardCarries,
      sequences: usedRows.map((i) => backwardSequences[i]),
      operands: usedOperands.map((i) => backwardOperands[i]),
      results: sequences.filter((_, i) => wantXs[i]),
      sums: operands.filter((_, i) => wantOps[i]),
    },
    length,
    reverse: !reverse,
  });
  const cotangents = (currentTrace() as Trace).primitive(backward, [
    ...floating.map((i) => dLast[i] ?? tf.zeros([...carries[i].shape])),
    ...usedRows.map((i) => rows[i] as tf.Tensor),
    ...usedOperands.map((i) => whole[i] as tf.Tensor),
  ]);
  const result: (tf.Tensor | null)[] = inputs.map(() => null);
  floating.forEach((i, j) => {
    if (wantCarries[i]) result[i] = cotangents[j];
  });
  let at = floating.length;
  wantXs.forEach((want, i) => {
    if (want) result[carries.length + i] = cotangents[at++];
  });
  wantOps.forEach((want, i) => {
    if (want) result[carries.length + sequences.length + i] = cotangents[at++];
  });
  return result;
}
