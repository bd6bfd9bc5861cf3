/**
 * Weights from and to the state dicts of PyTorch and Lux.jl.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../../core/constant.js';
import type { AnyLayer } from '../../core/layer.js';
import { flag, nearest, parseOptions, z } from '../../core/options.js';
import { setIn } from '../../core/surgery.js';
import { formatPath, isRecord, isTensor, type Path, type StateTree, type Tensor, type Tree } from '../../core/tree.js';
import { readBytes, writeBytesAtomically } from '../../training/files.js';
import { readSafetensors, writeSafetensors, type SafetensorsEntry } from '../../training/safetensors.js';
import { InteropError } from '../errors.js';
import { toOurs, toTheirs } from './arrange.js';
import { DIALECTS } from './dialects.js';
import { slotsOf, type Naming, type Slot } from './slots.js';

/** Arrays by name: `{ 'encoder.0.weight': tensor }`. */
export type StateDict = Readonly<Record<string, Tensor>>;

export interface StateDictOptions {
  /** Whose names and arrangement: those of PyTorch, or those of Lux.jl with its axes in its own order. */
  readonly dialect: 'pytorch' | 'lux';
  /**
   * Their name of a layer, by the path here: a record from paths to prefixes, of which the longest that fits counts and what
   * is left of the path is added, or a function. Default: the same path; for Lux in its spelling (`layer_1`, `forward_rnn`).
   */
  readonly names?: Readonly<Record<string, string>> | ((path: string) => string);
  /** Do their convolutions slide kernels as they are? Default: true for PyTorch, false for Lux. */
  readonly crossCorrelation?: boolean;
}

export interface FromStateDictOptions extends StateDictOptions {
  /** Every array must have a place in the model. Default true. (PyTorch's `num_batches_tracked` never needs one.) */
  readonly strict?: boolean;
}

const OPTIONS = z.strictObject({
  dialect: z.enum(['pytorch', 'lux']),
  names: z
    .custom<StateDictOptions['names']>((x) => x === undefined || typeof x === 'function' || isRecord(x), {
      error: 'a record of names or a function',
    })
    .optional(),
  crossCorrelation: flag.optional(),
});
const FROM_OPTIONS = OPTIONS.extend({ strict: flag.default(true) });

function namingOf(where: string, options: z.output<typeof OPTIONS>): Naming {
  const dialect = DIALECTS[options.dialect];
  const { names, crossCorrelation = dialect.crossCorrelation } = options;
  const spelt = (path: Path): string => path.map((step) => dialect.segment(String(step))).join('.');
  const prefix = (path: Path): string => {
    if (typeof names === 'function') return names(path.length === 0 ? '' : formatPath(path));
    if (names === undefined) return spelt(path);
    for (let n = path.length; n >= 0; n--) {
      const known = n === 0 ? '' : formatPath(path.slice(0, n));
      if (!Object.hasOwn(names, known)) continue;
      return [names[known], spelt(path.slice(n))].filter((s) => s !== '').join('.');
    }
    return spelt(path);
  };
  return { where, dialect, crossCorrelation, prefix };
}

const shapeOf = (x: Tensor): string => `[${x.shape.join(', ')}]`;

function converted(dict: StateDict, slot: Slot): Tensor {
  const { name, path, tensor } = slot;
  const ours = formatPath(path);
  const given = Object.hasOwn(dict, name) ? dict[name] : undefined;
  if (given === undefined) {
    const meant = nearest(name, Object.keys(dict));
    const hint = meant === undefined ? '' : `; is it "${meant}"? Option "names" says so`;
    throw new InteropError(`fromStateDict: there is no "${name}", which ${ours} should come from${hint}`);
  }
  const misfit = (y: string): never => {
    throw new InteropError(`fromStateDict: "${name}" ${shapeOf(given)} ${y}, but ${ours} is ${shapeOf(tensor)}`);
  };
  const parts = slot.leaf.part?.[1] ?? 1;
  const rank = tensor.rank + (slot.leaf.trailing === true ? 1 : 0);
  if ((given.rank !== rank && given.rank !== tensor.rank) || (given.shape[0] ?? 0) % parts !== 0)
    misfit('does not fit');
  const y = toOurs(given, slot);
  if (y.shape.length !== tensor.rank || y.shape.some((n, i) => n !== tensor.shape[i])) misfit(`becomes ${shapeOf(y)}`);
  return tf.cast(y, tensor.dtype);
}

/**
 * Parameters and states of a layer from the weights of PyTorch or Lux.jl.
 *
 * Matrices are transposed, kernels get their axes in the order here and, from Lux's true convolution, are turned round;
 * the running statistics of norms go into the states. Known are dense, bilinear, conv and convTranspose, batchNorm,
 * instanceNorm, groupNorm, layerNorm, rmsNorm, embedding, rnnCell, lstmCell, gruCell, multiHeadAttention (PyTorch's
 * `in_proj_weight` is taken apart), and of Lux also scale. `recurrence`, `bidirectionalRNN` and `stackedRNN` are PyTorch's `nn.LSTM`
 * and its like, with `weight_ih_l0`, `weight_ih_l0_reverse` and so on. Attention in PyTorch has biases: `useBias: true`.
 *
 * @param dict Arrays by name: from {@link readStateDict}, say.
 * @param layer The model.
 * @param ps Its parameters, which say what is needed and stay as they are.
 * @param st Its states; what is not in the dict is taken from here.
 * @returns New parameters and states. The tensors in place of old ones are the caller's, all others are those given.
 * @throws InteropError naming an array that is missing, superfluous or of another shape, or a layer without a counterpart.
 *
 * @example
 * const model = chain(dense(784, 64, 'relu'), dense(64, 10)); // nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))
 * const [ps, st] = fromStateDict(await readStateDict('mnist.safetensors'), model, ...setup(key(0), model), {
 *   dialect: 'pytorch',
 *   names: { layer1: '0', layer2: '2' },
 * });
 */
export function fromStateDict<P extends Tree, S extends StateTree>(
  dict: StateDict,
  layer: AnyLayer,
  ps: P,
  st: S,
  options: FromStateDictOptions,
): [P, S] {
  const { strict, ...rest } = parseOptions(FROM_OPTIONS, options, 'fromStateDict');
  const naming = namingOf('fromStateDict', rest);
  const slots = slotsOf(layer, ps, st, naming);
  const used = new Set(slots.map(({ name }) => name));
  const extra = Object.keys(dict).filter((name) => !used.has(name) && !naming.dialect.ignored.test(name));
  if (strict && extra.length > 0 && slots.every(({ name }) => Object.hasOwn(dict, name))) {
    throw new InteropError(
      `fromStateDict: nothing in the model takes ${extra.map((n) => `"${n}"`).join(', ')}; strict: false leaves them out`,
    );
  }
  return tf.tidy(() => {
    let trees: Record<Slot['tree'], unknown> = { parameters: ps, states: st };
    for (const slot of slots) {
      const { tree, path } = slot;
      trees = { ...trees, [tree]: setIn(trees[tree] as Tree, formatPath(path), converted(dict, slot)) };
    }
    return [trees.parameters, trees.states] as tf.TensorContainer;
  }) as unknown as [P, S];
}

/**
 * The weights of a layer under the names and in the arrangement of PyTorch or Lux.jl: the inverse of {@link fromStateDict}.
 *
 * @returns Arrays by name, the caller's to dispose of.
 * @throws InteropError naming a layer without a counterpart.
 */
export function toStateDict(
  layer: AnyLayer,
  ps: Tree,
  st: StateTree,
  options: StateDictOptions,
): Record<string, Tensor> {
  const naming = namingOf('toStateDict', parseOptions(OPTIONS, options, 'toStateDict'));
  return tf.tidy(() => {
    const parts = new Map<string, Tensor[]>();
    for (const slot of slotsOf(layer, ps, st, naming)) {
      const known = parts.get(slot.name) ?? [];
      if (known.length > 0 && slot.leaf.part === undefined) {
        throw new InteropError(
          `toStateDict: two weights would both be named "${slot.name}"; option "names" tells them apart`,
        );
      }
      known[slot.leaf.part?.[0] ?? 0] = toTheirs(slot);
      parts.set(slot.name, known);
    }
    return Object.fromEntries(Array.from(parts, ([name, tensors]) => [name, tensors.length === 1 ? tensors[0] : tf.concat(tensors, 0)])); // prettier-ignore
  });
}

/**
 * All arrays of a safetensors file, whoever wrote it: `safetensors.torch.save_file(model.state_dict(), path)` in Python.
 *
 * @param source A path (in Node) or the bytes.
 * @returns Tensors by name, float32 or int32, the caller's to dispose of.
 * @throws SafetensorsError naming the defect of a damaged file.
 */
export async function readStateDict(source: string | Uint8Array): Promise<Record<string, Tensor>> {
  const bytes = typeof source === 'string' ? await readBytes(source) : source;
  const { tensors } = readSafetensors(bytes);
  return Object.fromEntries(Array.from(tensors, ([name, entry]) => [name, tensorOf(entry)]));
}

function tensorOf({ dtype, shape, values }: SafetensorsEntry): Tensor {
  const isFloat = /^B?F\d/.test(dtype);
  if (isFloat) return constant(Float64Array.from(values), shape);
  return tf.tensor(Int32Array.from(values), [...shape], 'int32');
}

/**
 * Writes arrays as a safetensors file, in the place of one that is there: `safetensors.torch.load_file(path)` reads it.
 *
 * @param dict From {@link toStateDict}, say. Numbers are written as F32, integers as I32.
 */
export async function writeStateDict(path: string, dict: StateDict): Promise<void> {
  await writeBytesAtomically(path, await stateDictBytes(dict));
}

/** What {@link writeStateDict} writes. */
export async function stateDictBytes(dict: StateDict): Promise<Uint8Array> {
  const entries = new Map<string, SafetensorsEntry>();
  for (const [name, tensor] of Object.entries(dict)) {
    if (!isTensor(tensor)) throw new InteropError(`writeStateDict: "${name}" must be a tensor, got ${typeof tensor}`);
    const values = (await tensor.data()) as ArrayLike<number>;
    entries.set(name, { dtype: tensor.dtype === 'float32' ? 'F32' : 'I32', shape: tensor.shape, values });
  }
  return writeSafetensors(entries);
}
