/**
 * Matrix products: transpositions are strides. An operand that the product would read in leaps is first copied, into panels
 * where it is large, where that pays.
 */
import type { Node } from '../graph/graph.js';
import { sizeOf } from '../graph/graph.js';
import { PANEL_ROWS, panelColumns, transposed, type MatMulSpec } from './emit/matmul.js';
import type { Planner } from './steps.js';
import { broadcastStrides, transposeView, type View } from './views.js';

const swapLast = (view: View): View => {
  const n = view.shape.length;
  return transposeView(view, view.shape.map((_, i) => (i < n - 2 ? i : i === n - 2 ? n - 1 : n - 2))); // prettier-ignore
};

/** Columns that would leave lanes empty. */
const NARROW = 2;
/** Copying a right operand pays from this many rows on; into panels, which are written several times as fast as a transposed matrix. */
const FEW_ROWS = 4;
/** Panels of the left operand pay from this many tiles on that read each of them, ... */
const MANY = 16;
/** ... and where the operand is that large, too much for the caches near the core. */
const CACHE_BYTES = 131_072;
/**
 * The same of a right operand that lies well already. All rows of all products that share it count together: 32 by 64 by 256
 * singles gain nothing alone and 7 % four times; 32 by 512 by 512 17 %, 128 by 512 by 512 40 %.
 */
const LEAST_BYTES = 32_768;
const LEAST_ROWS = 32;
const LEAST_READ = 4_194_304;

const last = (view: View, axis: number): number => view.strides[view.strides.length - 2 + axis];

/**
 * A copy of matrices `[..., inner, n]` as panels `[..., panel, inner, width]`, the last panel of each as narrow as the rest.
 * Its strides are those between whole matrices; within one they say nothing.
 */
function panels(planner: Planner, view: View, width: number): View {
  return planner.once(view, `panels ${width}`, () => inPanels(planner, view, width));
}

function inPanels(planner: Planner, view: View, width: number): View {
  const lead = view.shape.slice(0, -2);
  const [inner, n] = view.shape.slice(-2);
  const outer = view.strides.slice(0, -2);
  const copy = planner.scratch('float', view.shape);
  const copyOuter = copy.strides.slice(0, -2);
  const full = Math.floor(n / width);
  const rest = n - full * width;
  if (full > 0) {
    const shape = [...lead, full, inner, width];
    planner.copy(
      { ...view, shape, strides: [...outer, width * last(view, 1), last(view, 0), last(view, 1)] },
      { ...copy, shape, strides: [...copyOuter, inner * width, width, 1] },
    );
  }
  if (rest > 0) {
    const shape = [...lead, inner, rest];
    planner.copy(
      { ...view, shape, offset: view.offset + full * width * last(view, 1) },
      { ...copy, shape, offset: full * width * inner, strides: [...copyOuter, rest, 1] },
    );
  }
  return copy;
}

export function planMatMul(planner: Planner, node: Node): boolean {
  if (node.kernel !== 'BatchMatMul') return false;
  const [x, y] = node.inputs;
  if (x.dtype !== 'float32' || y.dtype !== 'float32') return false;
  const { transposeA, transposeB } = node.attrs;
  const a = transposeA === true ? swapLast(planner.view(x)) : planner.view(x);
  const b = transposeB === true ? swapLast(planner.view(y)) : planner.view(y);
  if (a.shape[a.shape.length - 1] === 0) return false;
  multiply(planner, planner.define(node.outputs[0]), a, b, alike(planner.users(y), node));
  return true;
}

/** How many products have the same right operand, turned the same way. */
const alike = (users: readonly Node[], { kernel, inputs, attrs }: Node): number =>
  // A node that reads it twice is one.
  Array.from(new Set(users)).filter((n) => n.kernel === kernel && n.inputs[1] === inputs[1] && n.attrs.transposeB === attrs.transposeB).length; // prettier-ignore

/**
 * C = A B, matrix by matrix along the leading axes. C lies in row-major order; the sums have at least one element.
 *
 * @param uses How many products have that right operand: what is copied for one is copied for all.
 */
export function multiply(planner: Planner, c: View, left: View, right: View, uses = 1): void {
  let [a, b] = [left, right];
  const [rows, columns] = c.shape.slice(-2);
  const inner = a.shape[a.shape.length - 1];
  const batch = c.shape.slice(0, -2);
  const { floatBytes } = planner;
  const isNarrow = columns <= NARROW && rows >= FEW_ROWS;
  const width = panelColumns(floatBytes);
  const isLarge = (n: number): boolean => n * inner * floatBytes >= CACHE_BYTES;
  const bytes = inner * columns * floatBytes;
  const paysOff = bytes >= LEAST_BYTES && rows * uses >= LEAST_ROWS && rows * uses * bytes >= LEAST_READ;
  const bPanels = columns >= width && rows >= FEW_ROWS && (last(b, 1) !== 1 || paysOff);
  if (bPanels) {
    b = panels(planner, b, width);
  } else if (rows >= FEW_ROWS && last(b, 1) !== 1 && columns > 1 && (last(b, 0) !== 1 || columns >= 8)) {
    b = planner.copied(b);
  }
  // A result narrower than a vector: sums along memory, if both lie so; else the transposed product.
  const isTurned = isNarrow && last(a, 0) === 1 && last(a, 1) !== 1;
  if (isNarrow && last(a, 1) === 1 && last(b, 0) !== 1) b = swapLast(planner.copied(swapLast(b)));
  const aPanels = !isNarrow && columns >= MANY * width && rows >= PANEL_ROWS && isLarge(rows);
  if (aPanels) {
    a = panels(planner, swapLast(a), PANEL_ROWS);
  } else if (last(a, 0) !== 1 && last(a, 1) !== 1 && inner > 1 && rows > 1) {
    a = planner.copied(a);
  }

  const upright: MatMulSpec = {
    rows,
    inner,
    columns,
    a: aPanels ? [0, 0] : [last(a, 0), last(a, 1)],
    b: bPanels ? [0, 0] : [last(b, 0), last(b, 1)],
    c: [last(c, 0), last(c, 1)],
    ...(aPanels ? { aPanels } : {}),
    ...(bPanels ? { bPanels } : {}),
  };
  const spec = isTurned ? transposed(upright) : upright;
  const outer = (view: View): number[] => broadcastStrides({ ...view, shape: view.shape.slice(0, -2), strides: view.strides.slice(0, -2) }, batch); // prettier-ignore
  const [aBatch, bBatch] = [outer(a), outer(b)];
  const cBatch = c.strides.slice(0, -2);
  for (let i = 0; i < sizeOf(batch); i++) {
    const at = index(i, batch);
    const moved = (view: View, strides: readonly number[]): View => ({ ...view, offset: view.offset + at.reduce((n, k, j) => n + k * strides[j], 0) }); // prettier-ignore
    planner.steps.push({
      type: 'matmul',
      spec,
      views: isTurned
        ? [moved(c, cBatch), moved(b, bBatch), moved(a, aBatch)]
        : [moved(c, cBatch), moved(a, aBatch), moved(b, bBatch)],
    });
  }
}

function index(flat: number, shape: readonly number[]): number[] {
  const at: number[] = [];
  let rest = flat;
  for (let i = shape.length - 1; i >= 0; i--) {
    at.unshift(rest % shape[i]);
    rest = Math.floor(rest / shape[i]);
  }
  return at;
}
