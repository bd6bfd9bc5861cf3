/**
 * The state of a method whose steps end with the residual at the next iterate, and the best iterate so far.
 */
import type { Cell } from '../../src/graph/workspace.js';
import type { NonlinearRetcode } from '../retcode.js';
import type { Ending } from './algorithm.js';
import type { Numbers, Session, Step } from './session.js';
import type { Watch } from './termination.js';

export class Iterate {
  /** The iterate and its residual. */
  readonly u: Cell;
  readonly r: Cell;
  /** Where a step puts the next ones. */
  readonly next: Cell;
  readonly nextR: Cell;
  private readonly best: Cell;
  /** Where the best iterate lies: in `u`, until a worse one takes its place. */
  private holder: Cell;
  private readonly load: Step;
  private readonly begin: Step;
  private readonly numbers: Numbers;

  constructor(
    private readonly session: Session,
    private readonly watch: Watch,
  ) {
    [this.u, this.r, this.next, this.nextR, this.best] = Array.from({ length: 5 }, () => session.cell());
    this.holder = this.u;
    this.numbers = session.numbers(2);
    this.load = session.loader(this.u);
    const outputs = [this.r, ...this.numbers.cells];
    this.begin = session.step(`first residual ${watch.termination.norm}`, [this.u], outputs, ([x], maps) => {
      const image = maps.image(x);
      const residual = maps.residual(x, image);
      return [residual, ...this.numbers.pack(watch.measure(residual, image))];
    });
  }

  /** Go to the start and judge it: how the solve ends there, or null. */
  *start(): Generator<Cell, NonlinearRetcode | null, number[]> {
    const { watch, numbers, session } = this;
    this.load.run();
    this.begin.run();
    watch.evaluations++;
    if (session.ws.immediate) numbers.read();
    else numbers.accept(yield numbers.cells[0]);
    this.holder = this.u;
    return watch.judge(numbers.values[0], numbers.values[1]);
  }

  /**
   * Judge the next iterate by what {@link Watch.measure} made of its residual, and go there: how the solve ends with it, or null.
   */
  advance(residual: number, image: number): NonlinearRetcode | null {
    const { watch, u } = this;
    const { ws } = this.session;
    const retcode = watch.judge(residual, image);
    if (watch.improved) this.holder = u;
    else if (this.holder === u) {
      // The best iterate is left behind.
      ws.swap(u, this.best);
      this.holder = this.best;
    }
    ws.swap(u, this.next);
    ws.swap(this.r, this.nextR);
    return retcode;
  }

  /** The end of the solve, with the best iterate. */
  end(retcode: NonlinearRetcode, reason?: string): Ending {
    return { u: this.holder, retcode, ...(reason === undefined ? {} : { reason }) };
  }
}
