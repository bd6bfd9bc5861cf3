/**
 * Checkpoints: everything that training needs to go on, in one safetensors file.
 *
 * Tensors have keys such as `parameters.layer1.weight`, so that any reader of the format finds the weights. What is not a
 * tensor stands in the file's metadata under the name `nullcline`, as JSON. A checksum of all of it stands apart, so that
 * neither damaged values nor a damaged description load as if nothing had happened.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { AnyLayer } from '../core/layer.js';
import { constant } from '../core/constant.js';
import { flag, nearest, parseOptions, z } from '../core/options.js';
import {
  checkSameTree,
  leavesWithPaths,
  mapLeaves,
  isTensor,
  TreeError,
  type Tensor,
  formatPath,
} from '../core/tree.js';
import { describe } from '../core/value.js';
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
  type SafetensorsMetadata,
  type SafetensorsPlace,
} from './safetensors.js';
import { describeTree, keyOf, rebuildTree, structureFromKeys, type Structure } from './structure.js';
import { checkTrainState, makeTrainState } from './train-state.js';

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
/** Either name in the metadata shows that a file is ours: one damaged name does not make it a foreign one. */
const CHECKSUM = 'nullcline.crc32';
const VERSION = 2;

/** What stands in the metadata under {@link OWN}. */
interface Description {
  readonly version: number;
  readonly step: number;
  readonly sections: Readonly<Partial<Record<Section, Structure>>>;
}

/**
 * Write a checkpoint. The file is replaced at once or not at all: no failure leaves half a file under this name.
 *
 * Floats are saved as the backend holds them, F32 or F64. int32 and bool tensors are saved too; state trees may hold
 * booleans, numbers and strings beside tensors.
 *
 * @throws CheckpointError naming the file and the reason; TypeError for arguments that do not fit.
 */
export async function saveCheckpoint(path: string, content: CheckpointContent): Promise<void> {
  checkPath(path, 'saveCheckpoint');
  checkFields(content, 'saveCheckpoint', '{ parameters, states?, optimiserState?, step?, metadata? }', ['parameters']);
  try {
    await writeBytesAtomically(path, await checkpointBytes(content));
  } catch (error) {
    throw new CheckpointError(path, `the checkpoint was not written: ${(error as Error).message}`, { cause: error });
  }
}

/** What the types do not hold back in a JavaScript program. */
function checkPath(path: unknown, where: string): void {
  if (typeof path === 'string' && path !== '') return;
  throw new TypeError(`${where}: the first argument must be the path of a file, got ${describe(path)}`);
}

const FIELDS = [...SECTIONS, 'step', 'metadata'];
/** What a train state has beside them. */
const OF_TRAIN_STATES = ['model', 'optimiser'];

/** Content under another name would be left out in silence. */
function checkFields(content: unknown, where: string, expected: string, required: readonly string[] = []): void {
  const isObject = typeof content === 'object' && content !== null && !Array.isArray(content) && !isTensor(content);
  const given = (isObject ? content : {}) as Readonly<Record<string, unknown>>;
  const problems = required.filter((name) => given[name] === undefined).map((name) => `field "${name}" is missing`);
  for (const name of Object.keys(given)) {
    if (FIELDS.includes(name) || OF_TRAIN_STATES.includes(name)) continue;
    const meant = nearest(name, FIELDS);
    problems.push(`unknown field "${name}"${meant === undefined ? '' : `; did you mean "${meant}"?`}`);
  }
  if (isObject && problems.length === 0) return;
  const details = isObject ? `: ${problems.join('; ')}` : '';
  throw new TypeError(
    `${where}: the second argument must be ${expected} or a train state, got ${describe(content)}${details}`,
  );
}

async function checkpointBytes(content: CheckpointContent): Promise<Uint8Array> {
  const { metadata = {}, step = 0 } = content;
  for (const name of [OWN, CHECKSUM]) {
    if (name in metadata) throw new TypeError(`the metadata name "${name}" is taken`);
  }
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
  const description: Description = { version: VERSION, step, sections };
  const words = { ...metadata, [OWN]: JSON.stringify(description) };
  return writeSafetensors(tensors, (data, layout) => ({ ...words, [CHECKSUM]: checksumOf(words, layout, data) }));
}

/**
 * The checksum of everything that a checkpoint says: the metadata but for the checksum, the table of the tensors and the
 * values. In order of names, so that a program that writes the same header in another order does not break it.
 */
function checksumOf(words: SafetensorsMetadata, layout: readonly SafetensorsPlace[], data: Uint8Array): string {
  const byName = ([a]: readonly [string, ...unknown[]], [b]: readonly [string, ...unknown[]]): number =>
    a < b ? -1 : a > b ? 1 : 0;
  const table = layout.map(({ name, dtype, shape, begin, end }) => [name, dtype, shape, begin, end] as const);
  const header = JSON.stringify([Object.entries(words).sort(byName), table.sort(byName)]);
  return crc32(new TextEncoder().encode(header), data);
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

export interface LoadCheckpointOptions {
  /**
   * Accept a file without our description, written by another program: trees are put together from the keys
   * (`parameters.layer1.weight`), and no checksum guards them. Default false.
   */
  readonly foreign?: boolean | undefined;
}

const loadOptions = z.strictObject({ foreign: flag.default(false) });

/**
 * Read a checkpoint.
 *
 * @param like Trees to compare with: structure, shapes and dtypes must be the same. Without it the trees come back as they
 *   were saved. From a file of another program (see `foreign`), plain values (such as `training`) are taken from `like`.
 * @throws CheckpointError naming the file and its defect when it cannot be read, is damaged or is no checkpoint.
 * @throws TreeError naming the path where it differs from `like`. In either case nothing is left behind.
 * @throws TypeError, OptionError for arguments that do not fit.
 */
export async function loadCheckpoint<P = unknown, S = unknown, O = unknown>(
  path: string,
  like: CheckpointLike<P, S, O> = {},
  options: LoadCheckpointOptions = {},
): Promise<Checkpoint<P, S, O>> {
  checkPath(path, 'loadCheckpoint');
  checkFields(like, 'loadCheckpoint', '{ parameters?, states?, optimiserState? }');
  const { foreign } = parseOptions(loadOptions, options, 'loadCheckpoint');
  let bytes: Uint8Array;
  try {
    bytes = await readBytes(path);
  } catch (error) {
    throw new CheckpointError(path, `cannot be read: ${(error as Error).message}`, { cause: error });
  }
  try {
    return buildCheckpoint(readSafetensors(bytes), like, foreign) as Checkpoint<P, S, O>;
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
  checkPath(path, 'restoreTrainState');
  checkTrainState(ts, 'restoreTrainState: the second argument');
  const { parameters, states, optimiserState, step } = await loadCheckpoint(path, ts);
  return makeTrainState({ ...ts, parameters, states, optimiserState, step });
}

function buildCheckpoint(
  file: SafetensorsFile,
  like: CheckpointLike<unknown, unknown, unknown>,
  foreign: boolean,
): Checkpoint<unknown, unknown, unknown> {
  const { tensors } = file;
  const { [OWN]: own, [CHECKSUM]: sum, ...words } = file.metadata as Readonly<Record<string, string | undefined>>;
  const description = own === undefined && sum === undefined ? undefined : checkedDescription(file);
  if (description === undefined && !foreign && [...tensors.keys()].some((key) => sectionOf(key) === 'parameters')) {
    throw new TypeError(
      `its tensors are named as those of a checkpoint, but the description under "${OWN}" is missing from its metadata: ` +
        'it is damaged, or of another program (option "foreign" of loadCheckpoint reads those, unchecked)',
    );
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
  return Object.freeze({ ...result, step: description?.step ?? 0, metadata: words as SafetensorsMetadata });
}

const sectionOf = (key: string): string => key.split('.')[0];

/** The description, once the checksum has shown that it and everything else is as it was saved. */
function checkedDescription({ metadata, layout, data }: SafetensorsFile): Description {
  const { [CHECKSUM]: sum, ...words } = metadata as Readonly<Record<string, string | undefined>>;
  const text = words[OWN];
  if (text === undefined) throw new SafetensorsError(`the description under "${OWN}" is missing from its metadata`);
  // Of another version: what its checksum covers is not known here.
  const description = readDescription(text);
  if (sum === undefined) throw new SafetensorsError(`the checksum under "${CHECKSUM}" is missing from its metadata`);
  if (checksumOf(words as SafetensorsMetadata, layout, data) !== sum) {
    throw new SafetensorsError('its content does not have the checksum that was saved with it');
  }
  return description;
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
  const fits = [...tensors.keys()].filter((key) => sectionOf(key) === section).every((key) => wanted.delete(key));
  if (!fits || wanted.size > 0) return built; // the comparison that follows says where it differs
  return mapLeaves(expected, (leaf, path) => (isTensor(leaf) ? makeTensor(keyOf(section, path), tensors) : leaf));
}
