/**
 * Checkpoints: everything that training needs to go on, in one safetensors file.
 *
 * Tensors have keys such as `parameters.layer1.weight`, so that any reader of the format finds the weights. What is not a
 * tensor stands in the file's metadata under the name `nullcline`, as JSON.
 */
import * as tf from '@tensorflow/tfjs';
import type { AnyLayer } from '../core/layer.js';
import { constant } from '../core/constant.js';
import {
  checkSameTree,
  leavesWithPaths,
  mapLeaves,
  isTensor,
  TreeError,
  type Tensor,
  formatPath,
} from '../core/tree.js';
import { crc32 } from './checksum.js';
import type { TrainState } from './contract.js';
import { readBytes, writeBytesAtomically } from './files.js';
import {
  readSafetensors,
  SafetensorsError,
  writeSafetensors,
  type SafetensorsDtype,
  type SafetensorsEntry,
  type SafetensorsFile,
} from './safetensors.js';
import { describeTree, keyOf, rebuildTree, structureFromKeys, type Structure } from './structure.js';
import { makeTrainState } from './train-state.js';

/** A checkpoint could not be written, or a file is not one or is damaged. */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
  constructor(
    /** The file. */
    readonly path: string,
    /** What is wrong with it. */
    readonly defect: string,
    options?: ErrorOptions,
  ) {
    super(`${path}: ${defect}`, options);
  }
}

/** What is saved. A train state can be given as it is. */
export interface CheckpointContent {
  readonly parameters: unknown;
  readonly states?: unknown;
  readonly optimiserState?: unknown;
  readonly step?: number | undefined;
  /** Words of your own (a seed, a date, a git commit); other readers of the format see them too. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

export interface Checkpoint<P, S, O> {
  readonly parameters: P;
  /** `{}` when none were saved. */
  readonly states: S;
  /** `{}` when none was saved. */
  readonly optimiserState: O;
  /** 0 when none was saved. */
  readonly step: number;
  readonly metadata: Readonly<Record<string, string>>;
}

const SECTIONS = ['parameters', 'states', 'optimiserState'] as const;
type Section = (typeof SECTIONS)[number];
const OWN = 'nullcline';
const VERSION = 1;

/** What stands in the metadata under {@link OWN}. */
interface Description {
  readonly version: number;
  readonly step: number;
  readonly crc32: string;
  readonly sections: Readonly<Partial<Record<Section, Structure>>>;
}

/**
 * Write a checkpoint. The file is replaced at once or not at all: no failure leaves half a file under this name.
 *
 * Floats are saved as the backend holds them, F32 or F64. int32 and bool tensors are saved too; state trees may hold
 * booleans, numbers and strings beside tensors.
 *
 * @throws CheckpointError naming the file and the reason.
 */
export async function saveCheckpoint(path: string, content: CheckpointContent): Promise<void> {
  try {
    await writeBytesAtomically(path, await checkpointBytes(content));
  } catch (error) {
    throw new CheckpointError(path, `the checkpoint was not written: ${(error as Error).message}`, { cause: error });
  }
}

async function checkpointBytes(content: CheckpointContent): Promise<Uint8Array> {
  const { metadata = {}, step = 0 } = content;
  if (OWN in metadata) throw new TypeError(`the metadata name "${OWN}" is taken`);
  for (const [name, value] of Object.entries(metadata) as [string, unknown][]) {
    if (typeof value !== 'string') throw new TypeError(`metadata "${name}" must be a string, got ${typeof value}`);
  }
  const pending: Promise<[string, SafetensorsEntry]>[] = [];
  const sections: Partial<Record<Section, Structure>> = {};
  for (const section of SECTIONS) {
    const tree = content[section];
    if (tree === undefined) continue;
    sections[section] = describeTree(section, tree, (key, tensor) => pending.push(entryOf(key, tensor)));
  }
  const tensors = new Map(await Promise.all(pending));
  return writeSafetensors(tensors, (data) => {
    const description: Description = { version: VERSION, step, crc32: crc32(data), sections };
    return { ...metadata, [OWN]: JSON.stringify(description) };
  });
}

async function entryOf(key: string, tensor: Tensor): Promise<[string, SafetensorsEntry]> {
  const { dtype, shape } = tensor;
  if (dtype !== 'float32' && dtype !== 'int32' && dtype !== 'bool')
    throw new TypeError(`${key}: a ${dtype} tensor cannot be saved`);
  const values = await tensor.data();
  // A backend with double precision calls its tensors float32 too; the array it hands out says what they are.
  const float: SafetensorsDtype = values.BYTES_PER_ELEMENT === 8 ? 'F64' : 'F32';
  return [key, { dtype: dtype === 'float32' ? float : dtype === 'int32' ? 'I32' : 'BOOL', shape, values }];
}

/** Parts of a checkpoint that must look like these. A train state can be given as it is. */
export interface CheckpointLike<P, S, O> {
  readonly parameters?: P;
  readonly states?: S;
  readonly optimiserState?: O;
}

/**
 * Read a checkpoint.
 *
 * @param like Trees to compare with: structure, shapes and dtypes must be the same. Without it the trees come back as they
 *   were saved. From a file of another program, which lacks a description, trees are put together from the keys, and
 *   plain values (such as `training`) are taken from `like`.
 * @throws CheckpointError naming the file and its defect when it cannot be read, is damaged or is no checkpoint.
 * @throws TreeError naming the path where it differs from `like`. In either case nothing is left behind.
 */
export async function loadCheckpoint<P = unknown, S = unknown, O = unknown>(
  path: string,
  like: CheckpointLike<P, S, O> = {},
): Promise<Checkpoint<P, S, O>> {
  let bytes: Uint8Array;
  try {
    bytes = await readBytes(path);
  } catch (error) {
    throw new CheckpointError(path, `cannot be read: ${(error as Error).message}`, { cause: error });
  }
  try {
    return buildCheckpoint(readSafetensors(bytes), like) as Checkpoint<P, S, O>;
  } catch (error) {
    const { message, name } = error as Error;
    if (name === 'TreeError') throw new TreeError(`${path}: a checkpoint of another model: ${message}`);
    const damaged = name === 'SafetensorsError' ? 'not a safetensors file, or damaged: ' : '';
    throw new CheckpointError(path, `${damaged}${message}`, { cause: error });
  }
}

/**
 * The train state that was saved, for a model and optimiser like those of `ts`: training goes on where it stopped.
 *
 * @throws CheckpointError, TreeError as {@link loadCheckpoint} does.
 */
export async function restoreTrainState<M extends AnyLayer>(path: string, ts: TrainState<M>): Promise<TrainState<M>> {
  const { parameters, states, optimiserState, step } = await loadCheckpoint(path, ts);
  return makeTrainState({ ...ts, parameters, states, optimiserState, step });
}

function buildCheckpoint(
  { tensors, metadata, data }: SafetensorsFile,
  like: CheckpointLike<unknown, unknown, unknown>,
): Checkpoint<unknown, unknown, unknown> {
  const { [OWN]: text, ...words } = metadata;
  const description = OWN in metadata ? readDescription(text) : undefined;
  if (description !== undefined && crc32(data) !== description.crc32) {
    throw new SafetensorsError('the values do not have the checksum that was saved with them');
  }
  const result: Record<Section, unknown> = { parameters: undefined, states: {}, optimiserState: {} };
  // On an error tidy frees what was made; otherwise the leaves are handed out.
  const build = (): Tensor[] => {
    for (const section of SECTIONS) {
      const structure =
        description === undefined ? structureFromKeys(section, tensors.keys()) : description.sections[section];
      if (structure === undefined) {
        if (section === 'parameters') throw new TypeError('no checkpoint: it holds no tensor under "parameters"');
        if (like[section] === undefined || leavesWithPaths(like[section]).length === 0) continue;
        throw new TreeError(`it holds no ${section}`);
      }
      const built = rebuildTree(structure, (key) => makeTensor(key, tensors));
      const expected = like[section];
      result[section] =
        expected === undefined || description !== undefined ? built : adopt(section, built, expected, tensors);
      if (expected !== undefined) checkLike(section, expected, result[section]);
    }
    return leavesWithPaths(result).map(({ leaf }) => leaf);
  };
  tf.tidy(build);
  return Object.freeze({ ...result, step: description?.step ?? 0, metadata: words });
}

function readDescription(text: string): Description {
  let description: Partial<Description> | null;
  try {
    description = JSON.parse(text) as Partial<Description> | null;
  } catch (error) {
    throw new SafetensorsError(`the description under "${OWN}" is not JSON`, { cause: error });
  }
  const { version, step, sections } = description ?? {};
  if (version !== VERSION)
    throw new TypeError(`a checkpoint of format ${String(version)}; this version reads ${VERSION}`);
  if (typeof step !== 'number' || typeof sections !== 'object')
    throw new SafetensorsError(`the description under "${OWN}" is damaged`);
  return description as Description;
}

function makeTensor(key: string, tensors: SafetensorsFile['tensors']): Tensor {
  const entry = tensors.get(key);
  if (entry === undefined) throw new SafetensorsError(`tensor "${key}" is missing`);
  const { dtype, values } = entry;
  const shape = [...entry.shape];
  if (dtype === 'BOOL') return tf.tensor(Uint8Array.from(values), shape, 'bool');
  if (dtype.startsWith('F') || dtype === 'BF16') return constant(values as Float64Array, shape);
  return tf.tensor(Int32Array.from(values), shape, 'int32');
}

function checkLike(section: Section, expected: unknown, built: unknown): void {
  checkSameTree(expected, built, section);
  const found = leavesWithPaths(built);
  leavesWithPaths(expected).forEach(({ leaf, path }, i) => {
    if (leaf.dtype !== found[i].leaf.dtype) {
      throw new TreeError(
        `${section}: dtypes differ at ${formatPath(path)}: expected ${leaf.dtype}, got ${found[i].leaf.dtype}`,
      );
    }
  });
}

/** A tree of a file that knows no plain values, completed with those of `expected`. */
function adopt(section: Section, built: unknown, expected: unknown, tensors: SafetensorsFile['tensors']): unknown {
  const wanted = new Set(leavesWithPaths(expected).map(({ path }) => keyOf(section, path)));
  const fits = [...tensors.keys()].filter((key) => key.split('.')[0] === section).every((key) => wanted.delete(key));
  if (!fits || wanted.size > 0) return built; // the comparison that follows says where it differs
  return mapLeaves(expected, (leaf, path) => (isTensor(leaf) ? makeTensor(keyOf(section, path), tensors) : leaf));
}
