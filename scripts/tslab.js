/**
 * Run notebook cells through tslab's own compiler and evaluator, as its Jupyter kernel does, without Jupyter:
 * `node scripts/tslab.js file.ipynb ...`, or `.ts` files whose cells are parted by lines `// %%`.
 * Modules are found from the current folder. Ends with status 1 at the first cell that fails.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(join(process.cwd(), 'cells.js'));
const { createConverter } = require('tslab/dist/converter.js');
const { createExecutor } = require('tslab/dist/executor.js');

const cellsOf = (file) => {
  const text = readFileSync(file, 'utf8');
  if (!file.endsWith('.ipynb')) return text.split(/^\/\/ %%.*$/m).filter((cell) => cell.trim() !== '');
  return JSON.parse(text)
    .cells.filter((cell) => cell.cell_type === 'code')
    .map((cell) => [cell.source].flat().join(''));
};

// A picture goes to the notebook's page, and here there is none.
require('tslab/dist/jupyter.js').lastWriteDisplayData = () => undefined;

for (const file of process.argv.slice(2)) {
  const converter = createConverter({ isJS: false, isBrowser: false });
  const executor = createExecutor(process.cwd(), { node: converter, browser: converter, close: () => converter.close() }, console); // prettier-ignore
  for (const [i, cell] of cellsOf(file).entries()) {
    if (!(await executor.execute(cell))) {
      console.error(`tslab: cell ${i + 1} of ${file} failed`);
      process.exit(1);
    }
  }
  executor.close();
}
// tfjs and tslab's watchers keep the process alive.
process.exit(0);
