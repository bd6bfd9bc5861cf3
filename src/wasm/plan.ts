/**
 * Graph to steps: which loops run, on which buffers, and where in one arena each intermediate lives.
 *
 * An elementwise value with one user that is a loop itself is not computed: its term becomes part of its user's.
 */
import {
  CAPTURED,
  CONSTANT,
  INPUT,
  sameShape,
  sizeOf,
  splatOf,
  type Graph,
  type Node,
  type Value,
} from '../graph/graph.js';
import { ARRANGEMENTS } from './arrangements.js';
import { CONVOLUTIONS } from './convolutions.js';
import { elementwiseTerm, isElementwise, kindOf } from './elementwise.js';
import type { Kind } from './emit/access.js';
import { constant, loadLeaf, type Term } from './emit/terms.js';
import { donorsOf } from './donation.js';
import { fuseEpilogues } from './epilogues.js';
import { inPlace } from './in-place.js';
import { INDIRECT } from './indirect.js';
import { joinLoops } from './joined-loops.js';
import { POOLS } from './pools.js';
import { planMatMul } from './products.js';
import { RANDOM } from './random.js';
import { planReduction } from './reductions.js';
import { SCANS } from './scans.js';
import type { Lazy, Plan, Planner as Planning, Step } from './steps.js';
import { broadcastStrides, inStrips, isContiguous, reshapeView, whole, type BufferSlot, type View } from './views.js';

/** Longer terms are computed and stored. */
const MOST_LEAVES = 12;
const LONGEST = 120;

export class Planner implements Planning {
  readonly steps: Step[] = [];
  private readonly views = new Map<Value, View>();
  private readonly pending = new Map<Value, Lazy>();
  private readonly uses = new Map<Value, Node[]>();
  private readonly outputIndex = new Map<Value, number>();
  private readonly copies = new Map<BufferSlot, Map<string, View>>();
  private readonly constants: Value[] = [];
  private readonly tables: number;
  /** The memory of each output; null for an input that is passed through. */
  private readonly results: (BufferSlot | null)[] = [];

  constructor(
    private readonly graph: Graph,
    readonly floatBytes: number,
    /** May an output be an input passed through, or is every output written? */
    private readonly mayShare = true,
    /** Which inputs are given up. */
    private readonly donated: readonly boolean[] = [],
  ) {
    for (const node of graph.nodes) {
      for (const v of node.inputs) {
        const users = this.uses.get(v);
        if (users === undefined) this.uses.set(v, [node]);
        else users.push(node);
      }
    }
    this.tables = graph.inputs.length + graph.nodes.filter(({ kernel }) => kernel === CAPTURED).length;
  }

  plan(): Plan {
    const { graph } = this;
    let captured = 0;
    graph.inputs.forEach((v, i) => this.views.set(v, this.table(v, i)));
    for (const { kernel, outputs } of graph.nodes) {
      if (kernel === CAPTURED) this.views.set(outputs[0], this.table(outputs[0], graph.inputs.length + captured++));
    }
    graph.outputs.forEach((v, i) => {
      if (!this.outputIndex.has(v)) this.outputIndex.set(v, i);
    });
    for (const node of graph.nodes) this.node(node);
    const shared = graph.outputs.map((v, i) => this.finish(v, i));
    const steps = joinLoops(fuseEpilogues(this.steps));
    const donors = this.donors(steps, shared);
    const reserved = new Set(this.results.filter((buffer, i) => buffer !== null && donors[i] !== null)) as Set<BufferSlot>; // prettier-ignore
    return {
      steps: inPlace(steps, this.floatBytes, reserved),
      donors,
      constants: this.constants,
      shared,
      inputCount: graph.inputs.length,
      capturedCount: captured,
    };
  }

  private donors(steps: readonly Step[], shared: readonly (number | null)[]): (number | null)[] {
    const given = new Map<number, BufferSlot>();
    this.graph.inputs.forEach((v, i) => {
      if (this.donated[i] && !shared.includes(i)) given.set(i, this.view(v).buffer);
    });
    return donorsOf(steps, given, this.results, this.floatBytes);
  }

  private table(v: Value, index: number): View {
    return whole({ kind: this.kind(v), bytes: this.bytes(v), home: 'table', index }, v.shape);
  }

  private kind(v: Value): Kind {
    const kind = kindOf(v.dtype);
    if (kind === undefined) throw new Error(`values of dtype ${v.dtype} have no generated code`);
    return kind;
  }

  private bytes(v: Value): number {
    const kind = this.kind(v);
    return sizeOf(v.shape) * (kind === 'float' ? this.floatBytes : kind === 'int' ? 4 : 1);
  }

  scratch(kind: Kind, shape: readonly number[]): View {
    const bytes = sizeOf(shape) * (kind === 'float' ? this.floatBytes : kind === 'int' ? 4 : 1);
    return whole({ kind, bytes, home: 'arena', index: 0 }, shape);
  }

  /** A buffer for a value: its place in the results if it is one, else in the arena. */
  define(v: Value): View {
    const output = this.outputIndex.get(v);
    const view = output === undefined ? this.scratch(this.kind(v), v.shape) : this.table(v, this.tables + output);
    this.views.set(v, view);
    return view;
  }

  setView(v: Value, view: View): void {
    this.views.set(v, view);
  }

  private node(node: Node): void {
    const [out] = node.outputs;
    if (node.kernel === INPUT || node.kernel === CAPTURED) return;
    if (node.kernel === CONSTANT) return;
    if (node.outputs.every((v) => !this.uses.has(v) && !this.outputIndex.has(v))) return;
    if (node.outputs.every((v) => sizeOf(v.shape) === 0)) {
      node.outputs.forEach((v) => this.define(v));
      return;
    }
    if (isElementwise(node.kernel) && this.elementwise(node, out)) return;
    if (OPERATIONS.some((table) => table.get(node.kernel)?.(this, node) === true)) return;
    if (planReduction(this, node) || planMatMul(this, node)) return;
    this.call(node);
  }

  private elementwise(node: Node, out: Value): boolean {
    if (node.inputs.some((v) => kindOf(v.dtype) === undefined)) return false;
    // An old form of select: a mask of one axis chooses rows.
    if (node.kernel === 'Select' && node.inputs[0].shape.length !== out.shape.length) return false;
    const before = node.inputs.map((v) => this.pending.get(v));
    const leaves: View[] = [];
    const args = node.inputs.map((v) => this.argument(v, out.shape, leaves));
    const term = elementwiseTerm(node.kernel, args, node.attrs);
    if (term === undefined || term.kind !== this.kind(out)) {
      // Not for these operands: they are as they were.
      before.forEach((lazy, i) => {
        if (lazy !== undefined && !this.views.has(node.inputs[i])) this.pending.set(node.inputs[i], lazy);
      });
      return false;
    }
    this.settle(out, { shape: out.shape, term, leaves });
    return true;
  }

  /** An operand as a term over `shape`: its own term where it is pending, a constant, or a load. */
  argument(v: Value, shape: readonly number[], leaves: View[]): Term {
    const splat = splatOf(v);
    if (splat !== undefined) return constant(this.kind(v), splat);
    const lazy = this.pending.get(v);
    if (lazy !== undefined && sameShape(lazy.shape, shape)) {
      this.pending.delete(v);
      return relocate(lazy, leaves);
    }
    const view = this.view(v);
    const known = leaves.findIndex((l) => l === view);
    if (known < 0) leaves.push(view);
    return loadLeaf(view.buffer.kind, known < 0 ? leaves.length - 1 : known);
  }

  /** Keep the value as a term for its only user, or compute it. */
  private settle(v: Value, lazy: Lazy): void {
    const users = this.uses.get(v) ?? [];
    const [user] = users;
    const fusable =
      users.length === 1 &&
      !this.outputIndex.has(v) &&
      lazy.leaves.length < MOST_LEAVES &&
      sizeOfTerm(lazy.term) < LONGEST &&
      ((isElementwise(user.kernel) && sameShape(user.outputs[0].shape, v.shape)) || REDUCING.has(user.kernel));
    if (fusable) this.pending.set(v, lazy);
    else this.compute(lazy, this.define(v));
  }

  /** Emit the loops that write a term to a view. */
  compute({ shape, term, leaves }: Lazy, out: View): void {
    if (sizeOf(shape) === 0) return;
    this.steps.push({
      type: 'nest',
      spec: {
        sizes: shape,
        out: { kind: out.buffer.kind, strides: broadcastStrides(out, shape) },
        operands: leaves.map((l) => ({ kind: l.buffer.kind, strides: broadcastStrides(l, shape) })),
        term,
      },
      views: [out, ...leaves],
    });
  }

  copy(from: View, to: View): void {
    for (const [source, target] of inStrips(from, to)) {
      this.compute({ shape: target.shape, term: loadLeaf(from.buffer.kind, 0), leaves: [source] }, target);
    }
  }

  /** A copy of a view in another order, which is made once for all who ask for the same. */
  once(from: View, order: string, make: () => View): View {
    const { buffer, offset, shape, strides } = from;
    let copies = this.copies.get(buffer);
    if (copies === undefined) this.copies.set(buffer, (copies = new Map<string, View>()));
    const key = `${order} ${offset} ${shape.join()} ${strides.join()}`;
    let copy = copies.get(key);
    if (copy === undefined) copies.set(key, (copy = make()));
    return copy;
  }

  copied(from: View): View {
    return this.once(from, 'as it is', () => {
      const copy = this.scratch(from.buffer.kind, from.shape);
      this.copy(from, copy);
      return copy;
    });
  }

  users(v: Value): readonly Node[] {
    return this.uses.get(v) ?? [];
  }

  /** Where a value lies; one that is pending or a constant is put somewhere. */
  view(v: Value): View {
    const known = this.views.get(v);
    if (known !== undefined) return known;
    const lazy = this.pending.get(v);
    if (lazy !== undefined) {
      this.pending.delete(v);
      const view = this.define(v);
      this.compute(lazy, view);
      return view;
    }
    if (v.node.kernel !== CONSTANT) throw new Error(`${v.node.kernel} is used before it is computed`);
    this.constants.push(v);
    const view = whole({ kind: this.kind(v), bytes: this.bytes(v), home: 'constant', index: this.constants.length - 1 }, v.shape); // prettier-ignore
    this.views.set(v, view);
    return view;
  }

  /** The value with its elements in row-major order from offset 0 on. */
  contiguous(v: Value): View {
    const view = this.view(v);
    if (isContiguous(view)) return view;
    return this.copied(view);
  }

  reshaped(v: Value, shape: readonly number[]): View {
    const view = this.view(v);
    return reshapeView(view, shape) ?? whole(this.contiguous(v).buffer, shape);
  }

  private call(node: Node): void {
    const inputs = node.inputs.map((v) => this.contiguous(v));
    this.steps.push({ type: 'call', node, inputs, outputs: node.outputs.map((v) => this.define(v).buffer) });
  }

  /** Make sure that output `i` is where it belongs; an input passed through is only shared. */
  private finish(v: Value, i: number): number | null {
    const view = this.view(v);
    const { home, index } = view.buffer;
    const slot = this.tables + i;
    this.results[i] = view.buffer;
    if (home === 'table' && index === slot) return null;
    const isWhole = view.offset === 0 && isContiguous(view) && view.buffer.bytes === this.bytes(v);
    this.results[i] = null;
    if (this.mayShare && home === 'table' && index < this.tables && isWhole) return index;
    const result = this.table(v, slot);
    this.results[i] = result.buffer;
    this.copy(view, result);
    return null;
  }
}

const OPERATIONS = [ARRANGEMENTS, INDIRECT, CONVOLUTIONS, POOLS, SCANS, RANDOM] as const;

const REDUCING: ReadonlySet<string> = new Set(['Sum', 'Max', 'Min', 'Prod', 'All', 'Any']);

/** Written out as a tree. */
const sizeOfTerm = (t: Term): number => t.args.reduce((n, x) => n + sizeOfTerm(x), 1);

/** A pending term with its leaves appended to the user's. */
function relocate(lazy: Lazy, leaves: View[]): Term {
  const places = lazy.leaves.map((view) => {
    const known = leaves.indexOf(view);
    return known < 0 ? leaves.push(view) - 1 : known;
  });
  const done = new Map<Term, Term>();
  const moved = (t: Term): Term => {
    let copy = done.get(t);
    if (copy === undefined) {
      copy = t.op === 'load' ? { ...t, leaf: places[t.leaf ?? 0] } : { ...t, args: t.args.map(moved) };
      done.set(t, copy);
    }
    return copy;
  };
  return moved(lazy.term);
}
