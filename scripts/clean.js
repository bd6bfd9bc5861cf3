/** Remove everything the build, the tests and the coverage wrote. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './tools.js';

for (const folder of ['dist', 'build', 'coverage']) rmSync(join(root, folder), { recursive: true, force: true });
