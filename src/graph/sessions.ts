/**
 * The places in which a loop runs are made once and used again by the next run; runs that overlap have their own.
 */
import type { Spec } from './graph.js';
import { totalSize } from './partition.js';
import type { RunContext } from './primitive.js';
import type { Workspace } from './workspace.js';

export interface Lendable {
  readonly ws: Workspace;
  /** Of the run that is using it. */
  context: RunContext;
  /** The run has ended: nothing refers to what it left. */
  release(): void;
}

const RETAINED_BYTES = 2 ** 24;

/** How many pieces of those tensors a session may keep between runs. */
export const retainable = (piece: readonly Spec[]): number =>
  Math.max(2, Math.floor(RETAINED_BYTES / Math.max(1, 8 * totalSize(piece))));

/** Sessions of one solve that no run is using, apart by backend. */
export class Sessions<T> {
  private readonly idle: T[] = [];

  /** @param sessionOf - The session within what `open` makes. */
  constructor(
    private readonly open: (context: RunContext) => T,
    private readonly sessionOf: (opened: T) => Lendable,
  ) {}

  acquire(context: RunContext): T {
    const at = this.idle.findIndex((opened) => this.sessionOf(opened).ws.backend === context.backend);
    if (at < 0) return this.open(context);
    const [found] = this.idle.splice(at, 1);
    this.sessionOf(found).context = context;
    return found;
  }

  release(used: T): void {
    this.sessionOf(used).release();
    this.idle.push(used);
  }

  dispose(): void {
    for (const opened of this.idle.splice(0)) this.sessionOf(opened).ws.dispose();
  }
}
