/**
 * What a layer returns, without numbers.
 */
import type * as tf from '@tensorflow/tfjs-core';
import { setup, testMode, type AnyLayer } from '../../core/layer.js';
import { oneOf, parseOptions, z } from '../../core/options.js';
import { key } from '../../core/random.js';
import { isRecord, isTensor, type StateTree, type Tensor, type Tree } from '../../core/tree.js';
import { describe } from '../../core/value.js';
import { traceGraph } from '../../graph/trace.js';
import { isLayer } from '../container.js';

/** Shapes in the structure of what they are the shapes of. */
export type ShapeTree = readonly number[] | readonly ShapeTree[] | { readonly [name: string]: ShapeTree };

export interface OutputShapeOptions {
  /** The dtype of the inputs. Default `'float32'`; an embedding takes `'int32'`. */
  readonly dtype?: 'float32' | 'int32';
}

const OPTIONS = z.strictObject({ dtype: oneOf('float32', 'int32').default('float32') });

const isShape = (x: unknown): x is readonly number[] => Array.isArray(x) && x.every((n) => typeof n === 'number');

/** `f` at each shape. */
function mapShapes(tree: ShapeTree, f: (shape: readonly number[]) => unknown): unknown {
  if (isShape(tree)) {
    if (tree.every((n) => Number.isSafeInteger(n) && n >= 0)) return f(tree);
    throw new TypeError(`outputShape: a shape must be non-negative integers, got [${tree.join(', ')}]`);
  }
  if (Array.isArray(tree)) return (tree as readonly ShapeTree[]).map((branch) => mapShapes(branch, f));
  if (!isRecord(tree)) throw new TypeError(`outputShape: expected a shape or a tree of shapes, got ${describe(tree)}`);
  return Object.fromEntries(Object.entries(tree).map(([name, branch]) => [name, mapShapes(branch, f)]));
}

function shapesOf(y: unknown): ShapeTree {
  if (isTensor(y)) return [...y.shape];
  if (Array.isArray(y)) return y.map(shapesOf);
  return isRecord(y) ? Object.fromEntries(Object.entries(y).map(([name, part]) => [name, shapesOf(part)])) : [];
}

/**
 * The shape that a layer gives for an input of this shape, batch and all. Nothing is computed: the layer is traced, with
 * parameters that are never drawn.
 *
 * @param inputShape `[32, 28, 28, 1]`; for a tuple or record of inputs one of shapes.
 * @param options `dtype`.
 * @returns The output's shape, or shapes in the structure of the output.
 * @throws What the layer throws for an input that does not fit, with the layer's path.
 *
 * @example
 * outputShape(chain(conv([3, 3], 1, 6), flattenLayer()), [1, 28, 28, 1]); // [1, 4056]
 */
export function outputShape(layer: AnyLayer, inputShape: readonly number[], options?: OutputShapeOptions): number[];
export function outputShape(layer: AnyLayer, inputShape: ShapeTree, options?: OutputShapeOptions): ShapeTree;
export function outputShape(layer: AnyLayer, inputShape: ShapeTree, options?: OutputShapeOptions): ShapeTree {
  if (!isLayer(layer)) throw new TypeError(`outputShape: the first argument must be a layer, got ${describe(layer)}`);
  const { dtype } = parseOptions(OPTIONS, options, 'outputShape');
  const specs: { shape: number[]; dtype: tf.DataType }[] = [];
  mapShapes(inputShape, (shape) => specs.push({ shape: [...shape], dtype }));
  let result: ShapeTree = [];
  traceGraph(specs, (inputs) => {
    let next = 0;
    const x = mapShapes(inputShape, (): Tensor => inputs[next++]);
    const [ps, st] = setup(key(0), layer) as [Tree, StateTree];
    const [y] = layer.apply(x, ps, testMode(st)) as [unknown, unknown];
    result = shapesOf(y);
    return [];
  });
  return result;
}
