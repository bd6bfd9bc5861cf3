/**
 * WebGPU outside the browser: npm `webgpu` (Dawn, the implementation that Chromium uses) takes the place of the browser's
 * `navigator.gpu`, and tfjs's own WebGPU backend runs on it.
 *
 * tfjs looks for `navigator.gpu` once, when its package is loaded, and ignores every error that the device reports later:
 * so the order of loading matters, and errors are gathered here and thrown at the next reading.
 */
import * as tf from '@tensorflow/tfjs-core';
import { BackendError, isAbsent, messageOf } from './errors.js';
import { builtin, hostProcess } from '../core/host.js';
import { refuseSynchronousReads } from './reading.js';

export const WEBGPU_PACKAGES = ['webgpu', '@tensorflow/tfjs-backend-webgpu'] as const;

/** What is used of WebGPU's own interface, whose types are the browser's. */
interface Adapter {
  readonly info?: {
    readonly vendor?: string;
    readonly architecture?: string;
    readonly description?: string;
    readonly device?: string;
  };
}

interface Gpu {
  requestAdapter(options?: { powerPreference?: 'high-performance' | 'low-power' }): Promise<Adapter | null>;
}

interface Device {
  readonly lost: Promise<{ readonly reason?: string; readonly message?: string }>;
  addEventListener(type: 'uncapturederror', listener: (event: { readonly error: Error }) => void): void;
}

/** The surface of npm `webgpu`. */
interface Dawn {
  readonly create: (options: readonly string[]) => Gpu;
  readonly globals: Readonly<Record<string, unknown>>;
}

export type Import = (packageName: string) => Promise<unknown>;

const navigatorOf = (): { gpu?: Gpu } | undefined => (globalThis as { navigator?: { gpu?: Gpu } }).navigator;

// A gpu that nothing refers to is collected, and its devices with it.
const GPU = Symbol.for('nullcline.webgpu');

/** The gpu object and a function that takes back what was done to the globals. */
async function findGpu(load: Import): Promise<{ gpu: Gpu; undo: () => void }> {
  const present = navigatorOf()?.gpu;
  if (present !== undefined) return { gpu: present, undo: () => undefined };
  let dawn: Dawn;
  try {
    dawn = (await load('webgpu')) as Dawn;
  } catch (error) {
    const what = isAbsent(error, 'webgpu')
      ? 'needs the package webgpu where there is no navigator.gpu'
      : `could not load the package webgpu (${messageOf(error)})`;
    throw new BackendError(`backend "webgpu" ${what}. Install it with: npm install ${WEBGPU_PACKAGES.join(' ')}`, {
      cause: error,
    });
  }
  const gpu = dawn.create([]);
  for (const [name, value] of Object.entries(dawn.globals)) {
    if (!(name in globalThis)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  return { gpu, undo: installGpu(gpu) };
}

function installGpu(gpu: Gpu): () => void {
  const navigator = navigatorOf();
  if (navigator !== undefined) {
    Object.defineProperty(navigator, 'gpu', { value: gpu, configurable: true, enumerable: true });
    return () => Reflect.deleteProperty(navigator, 'gpu');
  }
  // Node has a navigator from version 21 on; this one says what that says.
  const userAgent = `Node.js/${/\d+/.exec(hostProcess().version ?? '')?.[0] ?? ''}`;
  Object.defineProperty(globalThis, 'navigator', { value: { gpu, userAgent }, configurable: true, writable: true });
  return () => Reflect.deleteProperty(globalThis, 'navigator');
}

/** Where Vulkan's loader looks for the manifests of drivers, on Linux. */
const MANIFESTS = ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d', '/usr/local/share/vulkan/icd.d'];

function vulkanDrivers(): string {
  const named = hostProcess().env?.VK_DRIVER_FILES ?? hostProcess().env?.VK_ICD_FILENAMES;
  if (named !== undefined && named !== '') return `the drivers named by VK_DRIVER_FILES: ${named}`;
  const fs = builtin('fs') as { existsSync(path: string): boolean; readdirSync(path: string): string[] } | undefined;
  const found = MANIFESTS.filter((folder) => fs?.existsSync(folder)).flatMap((folder) => fs?.readdirSync(folder) ?? []);
  const drivers = found.filter((file) => file.endsWith('.json'));
  return drivers.length === 0 ? 'no Vulkan driver' : `Vulkan drivers: ${drivers.join(', ')}`;
}

function noAdapter(): BackendError {
  const advice =
    hostProcess().platform === 'linux'
      ? `found ${vulkanDrivers()}. It needs libvulkan.so.1 and a driver for Vulkan 1.3: the GPU maker's, or Mesa's ` +
        '(packages libvulkan1 and mesa-vulkan-drivers), whose software device serves where there is no GPU. Mesa 22.3 is ' +
        'too old for Dawn; 25.0 works. VK_DRIVER_FILES and LD_LIBRARY_PATH must be set before the process starts'
      : 'the graphics driver offers none: update it';
  return new BackendError(`backend "webgpu" found no GPU adapter: ${advice}`);
}

/** The name of the device, as its driver gives it. */
function nameOf({ info }: Adapter): string {
  const parts = [info?.description, info?.device, info?.vendor].filter((text) => text !== undefined && text !== '');
  return parts[0] ?? 'an unnamed adapter';
}

/**
 * Load what WebGPU needs, so that tfjs knows the backend; it is not made the active one.
 *
 * @returns The name of the device.
 * @throws BackendError naming the package to install, or what is missing for an adapter.
 */
export async function loadWebGPU(load: Import): Promise<string> {
  const { gpu, undo } = await findGpu(load);
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (adapter === null) {
    undo();
    throw noAdapter();
  }
  Object.defineProperty(tf.engine(), GPU, { value: gpu, configurable: true });
  const [, packageName] = WEBGPU_PACKAGES;
  try {
    await load(packageName);
  } catch (error) {
    const what = isAbsent(error, packageName)
      ? `needs the package ${packageName}`
      : `could not load the package ${packageName} (${messageOf(error)})`;
    throw new BackendError(`backend "webgpu" ${what}. Install it with: npm install ${packageName}`, { cause: error });
  }
  if (!tf.engine().backendNames().includes('webgpu')) {
    throw new BackendError(
      `backend "webgpu" is not known to tfjs: ${packageName} had been loaded before there was a navigator.gpu, ` +
        "and looks for one only then. Call useBackend('webgpu') before anything imports that package",
    );
  }
  return nameOf(adapter);
}

const WATCHED = Symbol.for('nullcline.webgpu.watched');

interface WebGPUBackend {
  readonly device: Device;
  read: (dataId: object) => Promise<tf.backend_util.BackendValues>;
}

/**
 * Make the started backend say what goes wrong: tfjs leaves errors of the device to the console, if anyone, and hands out
 * zeros. The first error since the last reading (memory exhausted, a kernel that the driver refused) is thrown by the next
 * one; that the device is lost, by every one from then on.
 */
export function watchWebGPU(backend: tf.KernelBackend): void {
  if (WATCHED in backend) return;
  Object.defineProperty(backend, WATCHED, { value: true });
  const { device } = backend as unknown as WebGPUBackend;
  let lost: BackendError | undefined;
  let pending: BackendError | undefined;
  const takeFailure = (): BackendError | undefined => {
    const failure = lost ?? pending;
    pending = undefined;
    return failure;
  };
  device.addEventListener('uncapturederror', ({ error }) => {
    const exhausted = error.constructor.name === 'GPUOutOfMemoryError' || /max buffer size/.test(error.message);
    const what = exhausted ? 'out of device memory' : 'the device reported an error';
    pending ??= new BackendError(
      `backend "webgpu": ${what} (${messageOf(error)}); what was computed since the last reading is not to be trusted`,
      { cause: error },
    );
  });
  void device.lost.then(({ reason, message }) => {
    const why = [reason, message].filter((text) => text !== undefined && text !== '').join(': ');
    lost = new BackendError(
      `backend "webgpu": the device was lost (${why}), and all tensors on it; start again in a new process`,
    );
  });
  const reading = backend as unknown as WebGPUBackend;
  const read = reading.read.bind(backend);
  reading.read = async (dataId) => {
    let values: tf.backend_util.BackendValues;
    try {
      values = await read(dataId);
    } catch (error) {
      // An event that tells the cause may be one turn behind the promise that failed for it.
      await new Promise((resolve) => setTimeout(resolve, 0));
      throw takeFailure() ?? error;
    }
    const failure = takeFailure();
    if (failure !== undefined) throw failure;
    return values;
  };
  if (!('OffscreenCanvas' in globalThis)) refuseSynchronousReads(backend, 'webgpu');
}
