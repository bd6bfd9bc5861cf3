/**
 * A Vulkan device for WebGPU on machines without a GPU: Mesa's software driver, from the Debian packages of this machine's
 * own mirror, unpacked beside node_modules. Nothing is installed and no list of the system is touched.
 *
 * `eval "$(node scripts/vulkan.js)"` sets what a process needs from its start; `node scripts/vulkan.js` prints it, or says
 * on stderr why there is none, with status 1.
 *
 * The release's own Mesa may be too old for Dawn (bookworm's 22.3 exposes no adapter), so backports come first. They lie
 * on the same mirror as the release: the source is derived from apt's configuration.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './tools.js';

const FOLDER = join(root, 'node_modules/.cache/nullcline-vulkan');
const PACKAGES = ['libvulkan1', 'mesa-vulkan-drivers'];
const DRIVER = /^lvp_icd.*\.json$/;

/** Run a program and return what it printed; its last lines are the error's message when it fails. */
function output(command, args, env = {}) {
  try {
    return execFileSync(command, args, {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      maxBuffer: 2 ** 28,
    });
  } catch (error) {
    const said = `${error.stdout ?? ''}${error.stderr ?? ''}`.trim().split('\n').slice(-4).join('\n');
    throw new Error(error.code === 'ENOENT' ? `there is no ${command} here` : `${command} failed: ${said}`, {
      cause: error,
    });
  }
}

/** Does WebGPU find a device in a process with this environment? Its name, or null. */
export function adapterIn(env) {
  const program = `
    const { create, globals } = await import('webgpu');
    Object.assign(globalThis, globals);
    const adapter = await create([]).requestAdapter();
    console.log(adapter === null ? '' : adapter.info.description || adapter.info.device || 'unnamed');
    process.exit(0);`;
  try {
    return output(process.execPath, ['--input-type=module', '--eval', program], env).trim() || null;
  } catch {
    return null;
  }
}

/** One source of apt's configuration, in either of its two forms. */
function* sourcesIn(text, isDeb822) {
  if (!isDeb822) {
    for (const line of text.split('\n')) {
      const [, options = '', uri, suite, components] = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+)$/.exec(line) ?? []; // prettier-ignore
      if (uri !== undefined) yield { options: options.trim(), uri, suite, components: components.replace(/#.*/, '') };
    }
    return;
  }
  for (const stanza of text.split(/\n\s*\n/)) {
    const field = (name) => new RegExp(`^${name}:[ \t]*(.+)$`, 'im').exec(stanza)?.[1].trim();
    const words = (name) => field(name)?.split(/\s+/) ?? [];
    if (!words('Types').includes('deb') || field('Enabled') === 'no') continue;
    const options = ['Signed-By', 'Trusted', 'Check-Valid-Until']
      .filter((name) => field(name) !== undefined)
      .map((name) => `${name.toLowerCase()}=${field(name)}`)
      .join(' ');
    for (const uri of words('URIs')) {
      for (const suite of words('Suites')) yield { options, uri, suite, components: words('Components').join(' ') };
    }
  }
}

function configuredSources() {
  const folder = '/etc/apt/sources.list.d';
  const files = [
    '/etc/apt/sources.list',
    ...(existsSync(folder) ? readdirSync(folder).map((file) => join(folder, file)) : []),
  ].filter((file) => existsSync(file) && /\.(list|sources)$/.test(file));
  return files.flatMap((file) => [...sourcesIn(readFileSync(file, 'utf8'), file.endsWith('.sources'))]);
}

/** The sources of this machine's release, and that of its backports on the same mirror where it is a Debian. */
function sourceLines() {
  const system = readFileSync('/etc/os-release', 'utf8');
  const codename = /^VERSION_CODENAME=(\w+)/m.exec(system)?.[1];
  const sources = configuredSources().filter(({ suite }) => codename !== undefined && suite.startsWith(codename));
  const main = sources.find(({ suite }) => suite === codename);
  if (main === undefined) throw new Error('apt is not configured here with a source of this release');
  const line = ({ options, uri, components }, suite) => `deb ${options === '' ? '' : `[${options}] `}${uri} ${suite} ${components}`; // prettier-ignore
  const backports = `${codename}-backports`;
  return {
    lines: sources.filter(({ suite }) => suite !== backports).map((source) => line(source, source.suite)),
    backports: /^ID=debian$/m.test(system) ? { suite: backports, line: line(main, backports) } : null,
  };
}

/** Download the packages and what they need beyond this machine's, and unpack them into `folder`. */
function fetchInto(folder) {
  const apt = join(folder, 'apt');
  for (const part of ['lists/partial', 'archives/partial']) mkdirSync(join(apt, part), { recursive: true });
  const { lines, backports } = sourceLines();
  const list = join(apt, 'sources.list');
  const options = [
    `Dir::Etc::sourcelist=${list}`,
    'Dir::Etc::sourceparts=-',
    `Dir::State::lists=${join(apt, 'lists')}`,
    `Dir::Cache=${apt}`,
    `Dir::Cache::archives=${join(apt, 'archives')}`,
    'Debug::NoLocking=1',
    'APT::Sandbox::User=root',
  ].flatMap((option) => ['-o', option]);
  const attempts = backports === null ? [{ lines, from: [] }] : [{ lines: [...lines, backports.line], from: ['-t', backports.suite] }, { lines, from: [] }]; // prettier-ignore
  let failure;
  for (const attempt of attempts) {
    try {
      writeFileSync(list, `${attempt.lines.join('\n')}\n`);
      output('apt-get', [...options, 'update', '--error-on=any']);
      output('apt-get', [...options, 'install', '-y', '--no-install-recommends', '--download-only', ...attempt.from, ...PACKAGES]); // prettier-ignore
      failure = undefined;
      break;
    } catch (error) {
      failure ??= error;
    }
  }
  if (failure !== undefined) throw failure;
  const archives = join(apt, 'archives');
  for (const file of readdirSync(archives)) {
    if (file.endsWith('.deb')) output('dpkg-deb', ['-x', join(archives, file), join(folder, 'root')]);
  }
  rmSync(apt, { recursive: true });
}

/** Every folder below `folder` with a shared library in it. */
function libraryFolders(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(({ name }) => /\.so(\.\d+)*$/.test(name))
    .map((entry) => entry.parentPath ?? entry.path)
    .filter((path, i, all) => all.indexOf(path) === i && !/\/(dri|gbm|vdpau)$/.test(path));
}

/** What a process needs in its environment for the software driver in `folder`. */
function environmentOf(folder) {
  const manifests = join(folder, 'root/usr/share/vulkan/icd.d');
  const driver = readdirSync(manifests).find((file) => DRIVER.test(file));
  if (driver === undefined) throw new Error('the packages bring no software driver');
  const libraries = [...libraryFolders(join(folder, 'root')), process.env.LD_LIBRARY_PATH ?? ''];
  return {
    VK_DRIVER_FILES: join(manifests, driver),
    LD_LIBRARY_PATH: libraries.filter((path) => path !== '').join(':'),
  };
}

/**
 * An environment in which WebGPU finds a device: this process's own where that has one, else that of a software driver,
 * which is fetched at the first call.
 *
 * @returns {{ env: Record<string, string>, device: string } | { reason: string }}
 */
export function vulkanEnvironment() {
  const own = adapterIn({});
  if (own !== null) return { env: {}, device: own };
  if (process.platform !== 'linux') return { reason: 'WebGPU finds no device here, and the software driver is fetched on Debian only' }; // prettier-ignore
  try {
    if (!existsSync(join(FOLDER, 'root'))) {
      const partial = `${FOLDER}.partial`;
      rmSync(partial, { recursive: true, force: true });
      mkdirSync(partial, { recursive: true });
      fetchInto(partial);
      rmSync(FOLDER, { recursive: true, force: true });
      renameSync(partial, FOLDER);
    }
    const env = environmentOf(FOLDER);
    const device = adapterIn(env);
    return device === null
      ? { reason: 'Dawn finds no adapter in the software driver that apt offers here' }
      : { env, device };
  } catch (error) {
    return { reason: error.message };
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const found = vulkanEnvironment();
  if ('reason' in found) {
    console.error(`vulkan: ${found.reason}`);
    process.exit(1);
  }
  console.error(`vulkan: ${found.device}`);
  for (const [name, value] of Object.entries(found.env)) console.log(`export ${name}='${value}'`);
}
