/**
 * Files, on a platform that has them. Node's modules are asked for when they are needed and never imported, so that the
 * package loads in a browser and a bundler has nothing to resolve.
 */
interface Platform {
  readonly pid: number;
  getBuiltinModule?(id: 'node:fs/promises'): typeof import('node:fs/promises') | undefined;
  getBuiltinModule?(id: 'node:path'): typeof import('node:path') | undefined;
}

function platform(): { files: typeof import('node:fs/promises'); paths: typeof import('node:path'); pid: number } {
  const { process } = globalThis as { process?: Platform };
  const files = process?.getBuiltinModule?.('node:fs/promises');
  const paths = process?.getBuiltinModule?.('node:path');
  if (process === undefined || files === undefined || paths === undefined) {
    throw new Error('reading and writing files needs Node.js (20.16 or later), Deno or Bun');
  }
  return { files, paths, pid: process.pid };
}

export async function readBytes(path: string): Promise<Uint8Array> {
  return platform().files.readFile(path);
}

/**
 * Write a file so that at every moment, whatever fails, there is under this name the old content or the new, in full: the
 * bytes go to a temporary file in the same folder, are forced to the disk, and the file is renamed.
 */
export async function writeBytesAtomically(path: string, bytes: Uint8Array): Promise<void> {
  const { files, paths, pid } = platform();
  const folder = paths.dirname(path);
  const temporary = paths.join(folder, `.${paths.basename(path)}.${pid}.${Math.random().toString(36).slice(2)}.tmp`);
  try {
    const file = await files.open(temporary, 'wx');
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await files.rename(temporary, path);
  } catch (error) {
    await files.rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

/** Make the rename itself durable, where the platform can open a folder (Windows cannot, and does not need it). */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await platform().files.open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch {
    // The file is complete either way.
  }
}
