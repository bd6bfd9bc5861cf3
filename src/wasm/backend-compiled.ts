/**
 * Large single operations, outside any traced function, through the compiled executor: a program of one node per
 * signature.
 *
 * Whether an operation goes this way depends on its shapes alone, never on how often it ran: the same call gives the same
 * bits every time.
 */
import type * as tf from '@tensorflow/tfjs-core';
import { sizeOf, INPUT, makeNode, type Graph, type Value } from '../graph/graph.js';
import type { Executable, Executor } from '../graph/executor.js';
import { lonely } from '../graph/primitive.js';
import { attributeText } from '../graph/structure.js';
import { inferShapes } from '../graph/shapes.js';
import type { NullclineBackend } from './backend.js';
import { kindOf } from './elementwise.js';

/**
 * From how much work on compiling pays: about a tenth of a millisecond in JavaScript, which takes some 10 ns for an element,
 * some 100 where it computes its place from an index in each axis, and 3 for a multiplication.
 */
const ELEMENTS = 8192;
const PLACED = 1024;
const PRODUCTS = 32_768;

type Worth = (inputs: readonly tf.TensorInfo[], attrs: Readonly<Record<string, unknown>>) => boolean;

const largest = (inputs: readonly tf.TensorInfo[]): number => Math.max(...inputs.map(({ shape }) => sizeOf(shape)));
const elements: Worth = (inputs) => largest(inputs) >= ELEMENTS;
const placed: Worth = (inputs) => largest(inputs) >= PLACED;
const oneHot: Worth = ([indices], { depth }) => sizeOf(indices.shape) * (depth as number) >= ELEMENTS;

const products: Worth = ([a, b], attrs) => {
  const columns = b.shape[b.shape.length - (attrs.transposeB === true ? 2 : 1)];
  return sizeOf(a.shape) * columns >= PRODUCTS;
};

/** For each element of one operand those of the other that meet it, roughly. */
const convolution: Worth = ([x, w]) => sizeOf(x.shape) * sizeOf(w.shape) >= PRODUCTS * x.shape[x.shape.length - 1];
/** With the gradient of the result in the place of the weights, each element meets a window. */
const convolutionOf =
  (window: string): Worth =>
  ([x], attrs) =>
    sizeOf(x.shape) * sizeOf(attrs[window] as number[]) >= PRODUCTS * x.shape[x.shape.length - 1];

const listed = (names: string, worth: Worth): [string, Worth][] => names.split(' ').map((name) => [name, worth]);

/** The operations that are compiled alone, each with the test whether it is worth it. */
const WORTH: ReadonlyMap<string, Worth> = new Map([
  ...listed('Add Sub Multiply RealDiv Maximum Minimum SquaredDifference Pow Mod Softmax', placed),
  ...listed('UnsortedSegmentSum MirrorPad BatchToSpaceND SpaceToBatchND Transpose Slice LRN LRNGrad', placed),
  ...listed('AvgPool AvgPool3D AvgPoolGrad AvgPool3DGrad MaxPool MaxPool3D MaxPoolGrad MaxPool3DGrad', placed),
  ...listed('Sum Prod Mean Max Min ArgMax ArgMin Cumsum Cumprod FusedBatchNorm AddN', elements),
  ...listed('ResizeBilinear ResizeNearestNeighbor DepthToSpace FlipLeftRight', elements),
  ['OneHot', oneHot],
  ...listed('Conv2D FusedConv2D DepthwiseConv2dNative FusedDepthwiseConv2D Conv3D', convolution),
  ...listed('Conv2DBackpropInput Conv3DBackpropInputV2 DepthwiseConv2dNativeBackpropInput', convolution),
  ...listed('Conv2DBackpropFilter Conv3DBackpropFilterV2 DepthwiseConv2dNativeBackpropFilter', convolutionOf('filterShape')),
  // tfjs's own is right to 1.5e-7 at best (Abramowitz and Stegun 7.1.26): far from the precision of either backend.
  ['Erf', () => true],
  ...listed('BatchMatMul _FusedMatMul', products),
]); // prettier-ignore

/** What is not computed on floats alone. */
const ANY_DTYPE: ReadonlySet<string> = new Set(
  'ArgMax ArgMin OneHot Cumsum Cumprod UnsortedSegmentSum Sum Prod Max Min Slice Transpose'.split(' '),
);

/** Programs kept per backend; the one used longest ago goes first. */
const LIMIT = 256;

export class CompiledKernels {
  private readonly programs = new Map<string, Executable>();
  /** The executor may hand an operation back to the kernel; that one must then compute it itself. */
  private running = false;

  constructor(
    private readonly executor: Pick<Executor, 'name' | 'prepare'>,
    private readonly backendName: string,
  ) {}

  /** Programs held at present. */
  get size(): number {
    return this.programs.size;
  }

  /** The kernel of that name, compiled where that pays; the given one otherwise. */
  kernel(name: string, otherwise: tf.KernelFunc): tf.KernelFunc {
    const worth = WORTH.get(name);
    if (worth === undefined) return otherwise;
    const ofAny = ANY_DTYPE.has(name);
    return (args) => {
      const backend = args.backend as unknown as NullclineBackend;
      const named = args.inputs as Readonly<Record<string, tf.TensorInfo | undefined>>;
      const inputs = Object.values(named).filter((x): x is tf.TensorInfo => x != null);
      const attrs = args.attrs ?? {};
      if (
        this.running ||
        backend.hosting ||
        !inputs.every((x) => (ofAny ? kindOf(x.dtype) !== undefined : x.dtype === 'float32')) ||
        !worth(inputs, attrs)
      ) {
        return otherwise(args);
      }
      const names = Object.keys(named).filter((key) => named[key] != null);
      const attributes = attributeText(attrs);
      // Programs are found by their text.
      return attributes === null ? otherwise(args) : this.run(backend, name, names, inputs, attrs, attributes);
    };
  }

  private run(
    backend: NullclineBackend,
    name: string,
    names: readonly string[],
    inputs: readonly tf.TensorInfo[],
    attrs: Readonly<Record<string, unknown>>,
    attributes: string,
  ): tf.TensorInfo {
    const key = `${name} ${names.join()} ${inputs.map(({ shape, dtype }) => dtype + shape.join('x')).join()} ${attributes}`;
    this.running = true;
    try {
      let program = this.programs.get(key);
      this.programs.delete(key);
      program ??= this.executor.prepare(oneNode(name, names, inputs, attrs), backend, this.backendName);
      this.programs.set(key, program);
      for (const [oldest, old] of this.programs) {
        if (this.programs.size <= LIMIT) break;
        old.dispose();
        this.programs.delete(oldest);
      }
      return program.run(inputs, [], lonely(backend, this.backendName))[0];
    } finally {
      this.running = false;
    }
  }
}

function oneNode(
  name: string,
  names: readonly string[],
  inputs: readonly tf.TensorInfo[],
  attrs: Readonly<Record<string, unknown>>,
): Graph {
  const sources = inputs.map((spec, position) => makeNode(INPUT, [], null, { position }, [spec], ''));
  const values: Value[] = sources.map((node) => node.outputs[0]);
  const node = makeNode(name, values, names, attrs, inferShapes(name, values, names, attrs), '');
  return { nodes: [...sources, node], inputs: values, outputs: node.outputs };
}
