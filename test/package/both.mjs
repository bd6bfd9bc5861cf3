// `import` and `require` give one copy of the package, with the same names.
import { createRequire } from 'node:module';
import * as index from 'nullcline';
import * as models from 'nullcline/models';
import * as solvers from 'nullcline/solvers';

const require = createRequire(import.meta.url);
for (const [name, imported] of Object.entries({
  nullcline: index,
  'nullcline/models': models,
  'nullcline/solvers': solvers,
})) {
  const required = require(name);
  const names = Object.keys(required);
  if (names.length === 0 || names.sort().join() !== Object.keys(imported).sort().join()) {
    throw new Error(`import and require of ${name} give different names`);
  }
  const different = names.filter((key) => required[key] !== imported[key]);
  if (different.length > 0) throw new Error(`${name}: two copies of ${different.join(', ')}`);
}
